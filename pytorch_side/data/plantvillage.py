"""Copy the tomato photos of the public PlantVillage release into this project's layout.

    python -m pytorch_side.data.plantvillage --from PlantVillage-Dataset/raw/color --out DIR

The release's folders (`Tomato___Bacterial_spot` and the spellings of other copies) become class
folders, its `uuid___GCREC_Bact.Sp 3110.JPG` becomes `uuid___GCREC_Bact.Sp_3110.jpg`, and split.csv
gets the blocked split: the photos of one source, ordered by their numbers, are cut into contiguous
blocks, so that two photos of one leaf are never in different splits. plantvillage_split.json holds
that split as 4-byte hashes of the photos' names. Some photos are in no split on purpose: exact
duplicates, and photos next to a block of another split.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from rich.progress import track

from swin2mcu.common.cli import Parser, UserError, atomic_path, plain_console, run_command
from swin2mcu.common.dataset import SPLITS
from swin2mcu.common.dataset.table import NAME, Row, write_table

SPLIT_FILE = Path(__file__).with_name("plantvillage_split.json")
HASH_BYTES = 4  # a test checks that no two photos of a class share a hash
SUFFIXES = (".jpg", ".jpeg")
DEPTH_MAX = 3  # levels below --from at which the tomato folders are looked for

Split = dict[str, dict[bytes, str]]  # class → hash of a photo's name → split


def our_name(release_name: str) -> str:
    """A photo's file name in our data set: no spaces, and one spelling of the suffix."""
    stem, dot, suffix = release_name.rpartition(".")
    if not dot or f".{suffix.lower()}" not in SUFFIXES:
        raise ValueError(f"{release_name} is not a .jpg")
    return stem.replace(" ", "_") + ".jpg"


def source_of(name: str) -> str:
    """The source of a photo, from its name: `…___GH_HL_Leaf_259.1.jpg` → `GH_HL Leaf`."""
    origin = name.partition("___")[2]
    prefix = re.split(r"[\d.]", origin, maxsplit=1)[0].strip("_")
    return re.sub(r"_([Ll]eaf)$", r" \1", prefix)


def name_hash(name: str) -> bytes:
    """The hash of one of our file names in the committed split."""
    return hashlib.blake2b(name.encode(errors="surrogateescape"), digest_size=HASH_BYTES).digest()


def pack_split(rows: Iterable[tuple[str, str, str]]) -> str:
    """(class, our file name, split) rows → the text of plantvillage_split.json."""
    hashes: dict[str, dict[str, list[bytes]]] = {}
    for class_name, name, split in rows:
        hashes.setdefault(class_name, {}).setdefault(split, []).append(name_hash(name))
    packed = {
        class_name: {
            split: base64.b64encode(b"".join(sorted(found))).decode()
            for split, found in sorted(by_split.items())
        }
        for class_name, by_split in sorted(hashes.items())
    }
    return json.dumps(packed, indent=1) + "\n"


def read_split() -> Split:
    """Unpack the committed split."""
    table: Split = {}
    for class_name, by_split in json.loads(SPLIT_FILE.read_text(encoding="utf-8")).items():
        table[class_name] = {
            digest.tobytes(): split
            for split in SPLITS
            for digest in np.frombuffer(
                base64.b64decode(by_split.get(split, "")), dtype=np.uint8
            ).reshape(-1, HASH_BYTES)
        }
    return table


def class_of_folder(folder_name: str, classes: Iterable[str]) -> str | None:
    """Our class for a release's folder, or None: `Tomato__Target_Spot` → `target_spot`.

    Copies of the release differ in underscores, capitals and a doubled "Tomato". So only letters
    are compared, in lower case.
    """
    letters = re.sub(r"[^a-z]", "", folder_name.lower())
    bare = letters.removeprefix("tomato").removeprefix("tomato")
    if bare == letters:
        return None
    matches = [name for name in classes if bare.startswith(name.replace("_", ""))]
    return matches[0] if matches else None


def find_release(root: Path, classes: Sequence[str]) -> dict[str, Path]:
    """The release's folder of every class, in `root` or a few folders below it.

    Raises UserError when there are none, when there are several sets of them, or when a class has
    no folder.
    """
    if not root.is_dir():
        raise UserError(f"{root} is not a folder: unpack the PlantVillage release and name it")
    candidates: dict[Path, dict[str, Path]] = {}
    level = [root]
    for _ in range(DEPTH_MAX + 1):
        below = [path for parent in level for path in sorted(parent.iterdir()) if path.is_dir()]
        for path in below:
            if class_name := class_of_folder(path.name, classes):
                found = candidates.setdefault(path.parent, {})
                if class_name in found:
                    raise UserError(f"{found[class_name]} and {path} are both {class_name}")
                found[class_name] = path
        if candidates:  # deeper folders are copies of it
            break
        level = below
    if not candidates:
        raise UserError(
            f"{root} holds no folder such as Tomato___Bacterial_spot: name their parent"
        )
    if len(candidates) > 1:
        places = ", ".join(str(path) for path in sorted(candidates))
        raise UserError(f"tomato folders lie in {places}: name one with --from (raw/color is ours)")
    (place, found), *_ = candidates.items()
    if missing := sorted(set(classes) - set(found)):
        raise UserError(f"{place} has no folder for {', '.join(missing)}: unpack the whole release")
    return found


def lay_out(release: Path, out: Path, link: bool = False) -> dict[str, int]:
    """Copy (or link) the release's tomato photos into `out` and write its split.csv.

    Photos that exist already are kept, so an interrupted run can be continued. Returns counts:
    "used", each split, "left_out" (in no split on purpose), "foreign" (not a .jpg) and "missing"
    (in the split, not in the release). Raises UserError when no photo is part of the release.
    """
    split = read_split()
    folders = find_release(release, sorted(split))
    if out.resolve() in (release.resolve(), *release.resolve().parents):
        raise UserError(f"--out {out} contains the release itself: name a new folder")
    counts = dict.fromkeys(("used", *SPLITS, "left_out", "foreign", "missing"), 0)
    plan: list[tuple[Path, str, str, str]] = []
    for class_name, folder in sorted(folders.items()):
        wanted = dict(split[class_name])
        for path in sorted(folder.iterdir()):
            try:
                name = our_name(path.name)
            except ValueError:
                counts["foreign"] += 1
                continue
            if part := wanted.pop(name_hash(name), None):
                plan.append((path, f"{class_name}/{name}", class_name, part))
            else:
                counts["left_out"] += 1
        counts["missing"] += len(wanted)
    if not plan:
        raise UserError(f"no photo in {release} has a name of the PlantVillage release")
    for path, file, _, part in track(
        plan, "laying out", console=plain_console(stderr=True), transient=True
    ):
        _place(path, out / file, link)
        counts["used"] += 1
        counts[part] += 1
    write_table(
        out / NAME,
        (
            Row(file, class_name, part, source=source_of(file))
            for _, file, class_name, part in sorted(plan, key=lambda entry: entry[1])
        ),
    )
    return counts


def _place(path: Path, target: Path, link: bool) -> None:
    if target.is_file() and target.stat().st_size == path.stat().st_size:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(target) as temporary:
        if link:
            temporary.unlink()
            temporary.symlink_to(path.resolve())
        else:
            shutil.copyfile(path, temporary)


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(
        description="Copy PlantVillage's tomato photos into a data set with the blocked split.",
    )
    parser.add_argument("--from", type=Path, required=True, dest="release", help="release folder")
    parser.add_argument("--out", type=Path, required=True, help="folder to fill")
    parser.add_argument("--link", action="store_true", help="symbolic links instead of copies")
    parser.add_argument("--json", action="store_true", help="print the counts as JSON")
    arguments = parser.parse_args(argv)

    def command() -> None:
        counts = lay_out(arguments.release, arguments.out, arguments.link)
        if arguments.json:
            print(json.dumps(counts))
        shares = ", ".join(f"{part} {counts[part]}" for part in SPLITS)
        print(
            f"{counts['used']} photos in {arguments.out} ({shares}); {counts['left_out']} of the "
            f"release are in no split on purpose; {counts['foreign']} other files; "
            f"{counts['missing']} of the split are not in the release",
            file=sys.stderr,
        )
        if counts["missing"]:
            print("warning: the release is incomplete: do not compare scores", file=sys.stderr)

    return run_command(command)


if __name__ == "__main__":
    raise SystemExit(main())
