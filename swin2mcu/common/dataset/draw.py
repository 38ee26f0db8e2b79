"""Random splits: a seeded draw for each photo, or for each group of photos, without state.

The draw depends only on the seed and the name. So photos that are added later never move another
one from train to test, and a model trained before is still scored on photos that it never saw.
The exceptions: groups that were dealt again because train lacked a class; a class of so few photos
that a split got one of them anyhow; a photo that got a copy of a shorter name, or one in a group;
and photos whose groups have become enough to be drawn whole, unless the rule is a run's, which
keeps what was drawn for it (SplitRule.drawn_by).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from swin2mcu.common.card import PHOTO, SplitRule
from swin2mcu.common.cli import UserError
from swin2mcu.common.dataset.groups import original
from swin2mcu.common.dataset.layouts import GROUPS_MIN

Splits = npt.NDArray[np.str_]
TURNS_MAX = 24  # ways to deal groups that are tried


def units_of(
    files: Sequence[str],
    groups: Sequence[str],
    by_photo: bool,
    equal: Iterable[Sequence[int]],
) -> list[str]:
    """What is drawn as a whole, for each file: its group, Roboflow's original, or the file alone.

    `by_photo` draws photos one by one in spite of groups, see draws_photos. `equal` holds the
    positions of files of the same bytes, which become one unit. If one of them has a group, the
    others join it; but two groups never become one. Without a group the shortest name is the
    unit's: a copy that is added later, "leaf (1).jpg", then leaves "leaf.jpg" where it was drawn.
    """
    originals = [original(file) for file in files]
    names = originals if by_photo else groups
    units = [name or file for name, file in zip(names, files, strict=True)]
    alone = {*originals, *files}
    kept = {unit for unit in units if unit not in alone}
    joined: dict[str, str] = {}

    def unit_of(unit: str) -> str:
        while unit in joined:
            unit = joined[unit]
        return unit

    for members in equal:
        own = {unit_of(units[i]) for i in members}
        first = min(own, key=lambda unit: (unit not in kept, len(unit), unit))
        joined |= dict.fromkeys(own - kept - {first}, first)
    return [unit_of(unit) for unit in units]


def draw_splits(
    units: Sequence[str],
    labels: Sequence[str],
    groups: Sequence[str],
    given: Sequence[str],
    rule: SplitRule,
    whole: bool,
) -> Splits:
    """The split, train, val or test, for each file.

    `units` are of units_of. `given` holds the splits that the folders or the table give, "" for
    none. They are kept. A val or test that is missing is drawn out of train, unless `whole`: then
    the given splits are complete, except for a val that the held test group took. Even a small
    class gets photos in each split, unless groups contain several classes. Then another group is
    tried for test, so that train has a photo of every class.
    """
    if rule.val_share + rule.test_share >= 1:
        raise UserError(
            f"val_share {rule.val_share} and test_share {rule.test_share} leave nothing to train on"
        )
    splits = np.array([split or "train" for split in given], dtype="<U5")
    if rule.test_group:
        _hold_out(splits, groups, rule.test_group)
    shares = {"val": rule.val_share, "test": rule.test_share}
    shares = {split: share for split, share in shares.items() if split not in splits}
    if not shares or (whole and not (rule.test_group and "val" in shares)):
        return splits
    classes_of: dict[str, set[str]] = {}
    drawn = [i for i, split in enumerate(splits) if split == "train"]
    for i in drawn:
        classes_of.setdefault(units[i], set()).add(labels[i])
    spanning = any(len(classes) > 1 for classes in classes_of.values())
    split_of: dict[str, str] = {}
    for label in [""] if spanning else sorted(set().union(*classes_of.values())):
        members = {unit for unit, classes in classes_of.items() if spanning or label in classes}
        whose = "the folder" if spanning else f"a class ({label})"
        turns = range(0, len(members), 1 + len(members) // TURNS_MAX)
        deals = (_deal(members, whose, shares, rule, turn) for turn in turns)
        split_of |= _first_with_all_classes(deals, classes_of) if spanning else next(deals)
    for i in drawn:
        splits[i] = split_of[units[i]]
    return splits


def draw_one(unit: str, rule: SplitRule, known: Iterable[str]) -> str:
    """The split of one more photo or group, drawn by its name; one of the splits `known`."""
    there, place, edge = set(known), _draw(rule.seed, unit), 0.0
    for split, share in (("val", rule.val_share), ("test", rule.test_share)):
        edge += share
        if split in there and place < edge:
            return split
    return "train"


def draws_photos(groups: Sequence[str], rule: SplitRule) -> bool:
    """Whether a split is drawn photo by photo although there are groups.

    So it is where too few are left beside the held test group, unless the rule says it.
    """
    held = rule.test_group
    few = (bool(held) or all(groups)) and 0 < len(set(groups) - {held, ""}) < GROUPS_MIN
    return rule.drawn_by == PHOTO if rule.drawn_by else few


def _first_with_all_classes(
    deals: Iterable[dict[str, str]], classes_of: Mapping[str, set[str]]
) -> dict[str, str]:
    """The first deal whose train has all classes, else the first of all."""
    wanted = set().union(*classes_of.values())
    first: dict[str, str] = {}
    for deal in deals:
        first = first or deal
        train = (classes_of[unit] for unit, split in deal.items() if split == "train")
        if set().union(*train) == wanted:
            return deal
    return first


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
    units: set[str], whose: str, shares: Mapping[str, float], rule: SplitRule, turn: int
) -> dict[str, str]:
    """Unit → split. Every split gets at least one unit; with many units the shares are met.

    `turn` units are moved from the front of the drawn order to its end.
    """
    if len(units) < len(shares) + 1:
        wanted = ("train", *shares)
        raise UserError(
            f"{whose} has {len(units)} different images or groups, too few for "
            f"{', '.join(wanted[:-1])} and {wanted[-1]}: add images or a split.csv, or group in "
            "another way"
        )
    draws = {unit: _draw(rule.seed, unit) for unit in units}
    order = sorted(units, key=lambda unit: (draws[unit], unit))
    turned = order[turn:] + order[:turn]
    dealt = dict.fromkeys(order, "train")
    start, edge = 0, 0.0
    for left, (split, share) in zip(range(len(shares), 0, -1), shares.items(), strict=True):
        edge += share
        end = int(np.searchsorted([draws[unit] for unit in order], edge))
        end = min(max(end, start + 1), len(order) - left)
        dealt |= dict.fromkeys(turned[start:end], split)
        start = end
    return dealt


def _draw(seed: int, name: str) -> float:
    """A pseudo-random number in [0, 1), which depends only on the seed and the name."""
    text = f"{seed} {name}".encode(errors="surrogateescape")
    digest = hashlib.blake2b(text, digest_size=8).digest()
    return int.from_bytes(digest, "little") / 2**64
