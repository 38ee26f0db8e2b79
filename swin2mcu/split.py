"""Show how a folder of photos is read and split, and write the split as a split.csv.

    swin2mcu split DATA [--group-by folder | REGEX] [--test-group NAME] [--keep train=30]
                     [--rest-unlabeled] [--add] [--rename OLD=NEW] [--write | --out FILE.csv]

A folder of photos can be split in several ways: write each split to a CSV of another name in that
folder, and give the CSV instead of the folder as --data.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from swin2mcu.common.card import SplitRule
from swin2mcu.common.cli import Parser, UserError, run_command
from swin2mcu.common.dataset import SPLITS, ImageFolder, keep_few, scan_folder
from swin2mcu.common.dataset.extend import check_writable, rename_classes, with_new_photos
from swin2mcu.common.dataset.layouts import LEVELS, printable
from swin2mcu.common.dataset.summary import describe
from swin2mcu.common.dataset.table import NAME, rows_of, write_table
from swin2mcu.common.lock import locked
from swin2mcu.common.paths import data_folder


def counts_of(folder: ImageFolder) -> dict[str, dict[str, int]]:
    """Class → split → photos."""
    found: dict[str, Counter[str]] = {name: Counter() for name in folder.classes}
    for label, split in zip(folder.labels, folder.splits.tolist(), strict=True):
        found[folder.classes[label]][split] += 1
    return {name: dict(counts) for name, counts in found.items()}


def kept_counts(options: Sequence[str]) -> dict[str, int]:
    """Split → photos per class, from `--keep train=30 --keep val=20`. Raises UserError."""
    counts = {}
    for text in options:
        split, _, count = text.partition("=")
        if split not in SPLITS or not count.isdecimal() or not 0 < int(count) < 10**9:
            raise UserError(f"--keep {text}: write it as train=30 (or val, test)")
        counts[split] = int(count)
    return counts


def new_names(options: Sequence[str]) -> dict[str, str]:
    """Old → new class, from `--rename rust=blight`. Raises UserError."""
    names = {}
    for text in options:
        old, _, new = printable(text).partition("=")
        if not old or not new or old in names:
            raise UserError(f"--rename {text}: write it as OLD=NEW, once for each class")
        names[old] = new
    return names


def unlabel_rest(whole: ImageFolder, kept: ImageFolder) -> ImageFolder:
    """`kept`, and the other train photos of `whole` as photos without a label, in their groups."""
    train = zip(whole.files, whole.splits.tolist(), whole.groups, strict=True)
    group_of = {file: group for file, split, group in train if split == "train"}
    rest = sorted(group_of.keys() - {*kept.files})
    groups = {file: group_of[file] for file in rest if group_of[file]}
    return dataclasses.replace(
        kept,
        unlabeled=(*kept.unlabeled, *rest),
        unlabeled_groups={**kept.unlabeled_groups, **groups},
    )


def write_split(folder: ImageFolder, path: Path) -> None:
    """Write a folder's split beside its photos.

    Raises UserError if the table exists already: a model may have been trained with it; and if it
    could not be read again.
    """
    if path.resolve().parent != folder.root.resolve():
        raise UserError(f"{path} must lie in {folder.root}: its files are relative to its folder")
    check_writable(folder)
    with locked(path):
        if path.exists() or path.is_symlink():
            raise UserError(f"{path} exists already: remove it, or name another with --out")
        write_table(path, rows_of(folder))


def split(arguments: argparse.Namespace) -> None:
    """Print the split that the options describe, and write it if they say so. Raises UserError."""
    if not (0 < arguments.val < 1 and 0 < arguments.test < 1):
        raise UserError("--val and --test must lie between 0 and 1")
    if arguments.seed < 0:
        raise UserError("--seed must be 0 or more")
    if arguments.out and arguments.out.suffix.lower() != ".csv":
        raise UserError(f"--out {arguments.out} must end in .csv")
    data = data_folder(arguments.data)
    rule = SplitRule(
        seed=arguments.seed,
        val_share=arguments.val,
        test_share=arguments.test,
        group_by=arguments.group_by,
        test_group=arguments.test_group,
    )
    names = new_names(arguments.rename)
    listed = with_new_photos if arguments.add else scan_folder
    whole = rename_classes(listed(data, rule, arguments.classes), names)
    folder = keep_few(whole, kept_counts(arguments.keep), arguments.seed)
    if arguments.rest_unlabeled:
        folder = unlabel_rest(whole, folder)
    print(json.dumps(counts_of(folder)) if arguments.json else describe(folder))
    path = arguments.out or (folder.root / NAME if arguments.write else None)
    if path:
        write_split(folder, path)
        print(f"wrote {path}")


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", nargs="?", type=Path, help="a folder or a CSV (or $SWIN2MCU_DATA)")
    parser.add_argument(
        "--group-by",
        default="",
        metavar="RULE",
        help="which photos stay in one split: a column of the CSV, folder, none, or a regular "
        "expression on file names",
    )
    parser.add_argument(
        "--test-group", default="", metavar="NAME", help="this group becomes the test split"
    )
    parser.add_argument(
        "--classes", choices=LEVELS[1:], default="", help="which level of folders names the classes"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the random split")
    parser.add_argument("--val", type=float, default=0.12, help="share of the photos (0.12)")
    parser.add_argument("--test", type=float, default=0.12, help="share of the photos (0.12)")
    parser.add_argument(
        "--keep",
        action="append",
        default=[],
        metavar="SPLIT=N",
        help="keep N photos per class in this split, drawn by --seed",
    )
    parser.add_argument(
        "--rest-unlabeled",
        action="store_true",
        help="train photos that --keep leaves out stay in the table, without their label",
    )
    parser.add_argument(
        "--add",
        action="store_true",
        help="photos that the table does not name join it; all others keep their split",
    )
    parser.add_argument(
        "--rename",
        action="append",
        default=[],
        metavar="OLD=NEW",
        help="another name for a class; two classes of one name become one",
    )
    parser.add_argument("--write", action="store_true", help=f"write DATA/{NAME}")
    parser.add_argument("--out", type=Path, metavar="FILE.csv", help="write this table in DATA")
    parser.add_argument("--json", action="store_true", help="print the counts as JSON")
    arguments = parser.parse_args(argv)

    return run_command(lambda: split(arguments))


if __name__ == "__main__":
    raise SystemExit(main())
