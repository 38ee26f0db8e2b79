"""Write a data set of generated leaf photos: class folders and split.csv.

python -m pytorch_side.data.synthetic --out DIR [--per-class N] [--size PIXELS] [--seed S]
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from PIL import Image
from rich.progress import track

from pytorch_side.data.synthetic.photo import photograph
from pytorch_side.data.synthetic.symptoms import SYMPTOMS
from swin2mcu.common.bound import end_with_parent
from swin2mcu.common.cli import Parser, UserError, plain_console, run_command, write_atomic
from swin2mcu.common.dataset.table import NAME, Row, write_table

CLASSES = tuple(sorted(SYMPTOMS))
SHARES = {"test": 0.15, "val": 0.10}  # the rest is for training
PER_CLASS_MIN = 10
SIZE_MIN, SIZE_MAX = 48, 1024
PROCESSES_MAX = 64
JPEG_QUALITY = 92


def leaf_photo(class_name: str, number: int, seed: int = 0, size: int = 128) -> Image.Image:
    """Photo `number` of a class; equal arguments always give equal pixels."""
    return photograph(class_name, (seed, CLASSES.index(class_name), number), size)


def write_leaves(
    out: Path, per_class: int = 300, size: int = 128, seed: int = 0, processes: int = 2
) -> None:
    """Fill `out` with class folders and split.csv; photos that exist already are kept.

    Raises UserError for a folder that holds other files, and for too few or too small photos.
    """
    if per_class < PER_CLASS_MIN:
        raise UserError(f"--per-class {per_class}: at least {PER_CLASS_MIN}, or a split is empty")
    if not 1 <= processes <= PROCESSES_MAX:
        raise UserError(f"--processes {processes}: choose 1 to {PROCESSES_MAX}")
    check_drawing(size, seed)
    recipe = out / "recipe.txt"
    wanted = f"pytorch_side.data.synthetic size {size} seed {seed}\n"
    found = recipe.read_text(encoding="utf-8") if recipe.is_file() else None
    if found != wanted and out.is_dir() and any(out.iterdir()):
        what = f"leaves with other settings ({found.strip()})" if found else "other files"
        raise UserError(f"{out} holds {what}: name another folder or remove it")
    write_atomic(recipe, wanted)
    jobs = [(name, number) for number in range(per_class) for name in CLASSES]
    work = partial(_write_photo, out, size, seed)
    with ProcessPoolExecutor(processes, initializer=end_with_parent) as pool:
        done = pool.map(work, jobs, chunksize=16)
        bar = plain_console(stderr=True)
        for _ in track(done, "growing leaves", len(jobs), console=bar, transient=True):
            pass
    write_table(out / NAME, _split_rows(per_class))


def check_drawing(size: int, seed: int) -> None:
    """Raises UserError for a size or a seed that no leaf is drawn with."""
    if not SIZE_MIN <= size <= SIZE_MAX:
        raise UserError(f"--size {size}: choose {SIZE_MIN} to {SIZE_MAX} pixels")
    if seed < 0:
        raise UserError(f"--seed {seed}: choose 0 or more")


def contact_sheet(columns: int = 8, size: int = 128, seed: int = 0) -> Image.Image:
    """An overview picture with one row of photos per class, in the order of CLASSES."""
    sheet = Image.new("RGB", (columns * size, len(CLASSES) * size))
    for row, name in enumerate(CLASSES):
        for column in range(columns):
            sheet.paste(leaf_photo(name, column, seed, size), (column * size, row * size))
    return sheet


def _file(class_name: str, number: int) -> str:
    return f"{class_name}/{class_name}_{number:05d}.jpg"


def _write_photo(out: Path, size: int, seed: int, job: tuple[str, int]) -> None:
    path = out / _file(*job)
    if not path.is_file():
        stream = io.BytesIO()
        leaf_photo(*job, seed, size).save(stream, "JPEG", quality=JPEG_QUALITY, subsampling=0)
        write_atomic(path, stream.getvalue())


def _split_rows(per_class: int) -> Iterator[Row]:
    """Rows of split.csv. Photos are independent, so each split is a range of their numbers."""
    test = max(1, round(SHARES["test"] * per_class))
    val = max(1, round(SHARES["val"] * per_class))
    for name in CLASSES:
        for number in range(per_class):
            split = "test" if number < test else "val" if number < test + val else "train"
            yield Row(_file(name, number), name, split, source="generated")


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, help="folder to fill with class folders and split.csv")
    parser.add_argument(
        "--per-class", type=int, default=300, help="photos per class (default: 300)"
    )
    parser.add_argument("--size", type=int, default=128, help="side in pixels (default: 128)")
    parser.add_argument("--seed", type=int, default=0, help="of the drawing (default: 0)")
    parser.add_argument(
        "--processes",
        type=int,
        default=min(2, os.cpu_count() or 1),
        help="how many draw at the same time (default: 2 at most)",
    )
    parser.add_argument("--sheet", type=Path, help="write an overview picture (PNG) of all classes")
    arguments = parser.parse_args(argv)

    def command() -> None:
        if not arguments.out and not arguments.sheet:
            raise UserError("nothing to do: give --out FOLDER, --sheet FILE.png or both")
        if arguments.sheet:
            check_drawing(arguments.size, arguments.seed)
            stream = io.BytesIO()
            contact_sheet(8, arguments.size, arguments.seed).save(stream, "PNG")
            write_atomic(arguments.sheet, stream.getvalue())
        if arguments.out:
            write_leaves(
                arguments.out,
                arguments.per_class,
                arguments.size,
                arguments.seed,
                arguments.processes,
            )
            count = arguments.per_class * len(CLASSES)
            plain_console(stderr=True).print(f"{count} photos in {arguments.out}")

    return run_command(command)


if __name__ == "__main__":
    raise SystemExit(main())
