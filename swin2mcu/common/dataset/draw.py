"""Random splits: a seeded draw for each photo, or for each group of photos, without state.

The draw depends only on the seed and the name. So photos that are added later never move another
one from train to test, and a model trained before is still scored on photos that it never saw.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from swin2mcu.common.card import SplitRule
from swin2mcu.common.cli import UserError

Splits = npt.NDArray[np.str_]
OTHERS_MIN = 3  # other groups that are needed to draw val as whole groups


def draw_splits(
    files: Sequence[str],
    labels: Sequence[str],
    groups: Sequence[str],
    given: Sequence[str],
    rule: SplitRule,
    whole: bool = False,
) -> Splits:
    """The split, train, val or test, for each file.

    `given` holds the splits that the folders or the table give, "" for none. They are kept. A val
    or test that is missing is drawn out of train, unless `whole`: then the given splits are
    complete. Even a small class gets photos in each split, unless groups contain several classes.
    """
    if rule.val_share + rule.test_share >= 1:
        raise UserError(
            f"val_share {rule.val_share} and test_share {rule.test_share} leave nothing to train on"
        )
    splits = np.array([split or "train" for split in given], dtype="<U5")
    units = [group or file for group, file in zip(groups, files, strict=True)]
    if rule.test_group:
        _hold_out(splits, groups, rule.test_group)
        if few_others(groups, rule.test_group):
            units = list(files)
    shares = {"val": rule.val_share, "test": rule.test_share}
    shares = {split: share for split, share in shares.items() if split not in splits}
    if whole or not shares:
        return splits
    classes_of: dict[str, set[str]] = {}
    drawn = [i for i, split in enumerate(splits) if split == "train"]
    for i in drawn:
        classes_of.setdefault(units[i], set()).add(labels[i])
    spanning = any(len(classes) > 1 for classes in classes_of.values())
    split_of: dict[str, str] = {}
    for label in [""] if spanning else sorted(set(labels)):
        members = {unit for unit, classes in classes_of.items() if spanning or label in classes}
        split_of |= _deal(members, "the folder" if spanning else f"a class ({label})", shares, rule)
    for i in drawn:
        splits[i] = split_of[units[i]]
    return splits


def few_others(groups: Sequence[str], held: str) -> bool:
    """Whether too few groups are left to draw val as whole groups: one group would be too large."""
    return 0 < len(set(groups) - {held, ""}) < OTHERS_MIN


def _hold_out(splits: Splits, groups: Sequence[str], name: str) -> None:
    held = np.array([group == name for group in groups])
    if not held.any():
        known = sorted(set(filter(None, groups)))
        raise UserError(
            f"no group is called {name!r}; there are {', '.join(known[:9]) or 'none'}"
            + (", …" if len(known) > 9 else "")
        )
    splits[splits == "test"] = "train"
    splits[held] = "test"


def _deal(
    units: set[str], whose: str, shares: Mapping[str, float], rule: SplitRule
) -> dict[str, str]:
    """Unit → split. Every split gets at least one unit; with many units the shares are met."""
    if len(units) < len(shares) + 1:
        wanted = ("train", *shares)
        raise UserError(
            f"{whose} has {len(units)} images or groups, too few for {', '.join(wanted[:-1])} and "
            f"{wanted[-1]}: add images or a split.csv, or group in another way"
        )
    draws = {unit: _draw(rule.seed, unit) for unit in units}
    order = sorted(units, key=lambda unit: (draws[unit], unit))
    dealt = dict.fromkeys(order, "train")
    start, edge = 0, 0.0
    for left, (split, share) in zip(range(len(shares), 0, -1), shares.items(), strict=True):
        edge += share
        end = int(np.searchsorted([draws[unit] for unit in order], edge))
        end = min(max(end, start + 1), len(order) - left)
        dealt |= dict.fromkeys(order[start:end], split)
        start = end
    return dealt


def _draw(seed: int, name: str) -> float:
    """A pseudo-random number in [0, 1), which depends only on the seed and the name."""
    text = f"{seed} {name}".encode(errors="surrogateescape")
    digest = hashlib.blake2b(text, digest_size=8).digest()
    return int.from_bytes(digest, "little") / 2**64
