"""Write a trained model as a self-contained C library for your own firmware.

swin2mcu export-library RUN --as arduino|esp-idf|platformio|cmake [--out FOLDER] [--core dsp]
"""

from __future__ import annotations

import argparse
import errno
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from host_tools.inputs import Model, add_foreign_options, add_model, load_named
from swin2mcu.common.cli import Parser, UserError, atomic_path, run_command, usual_rights
from swin2mcu.common.paths import ROOT, refuse_published
from swin2mcu.export_library.forms import NAME, form_files
from swin2mcu.export_library.sources import VARIANTS, library_sources

FORMS = ("arduino", "esp-idf", "platformio", "cmake")
STAMP = (1980, 1, 1, 0, 0, 0)  # a fixed time in the zip: the same model gives the same file


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(description=(__doc__ or "").partition("\n")[0])
    add_model(parser, files=True)
    parser.add_argument("--as", dest="form", choices=FORMS, required=True, help="the build system")
    parser.add_argument(
        "--out",
        type=Path,
        help="new folder; default: RUN/library-FORM, for a published model ./NAME-library-FORM",
    )
    parser.add_argument(
        "--core",
        choices=VARIANTS,
        default="portable",
        help="kernels: dsp for Cortex-M4, M7, M33; helium for M55; pie for ESP32-S3",
    )
    parser.add_argument(
        "--center-crop",
        action="store_true",
        help="crop frames to the center; default: crop them as training cropped photos",
    )
    add_foreign_options(parser)
    return run_command(lambda: _export(parser.parse_args(argv)))


def _export(arguments: argparse.Namespace) -> None:
    if arguments.core == "pie" and arguments.form != "esp-idf":
        raise UserError("--core pie is for the ESP32-S3: export it --as esp-idf")
    model = load_named(arguments, keep=False)
    out: Path = arguments.out or default_out(model, arguments.form)
    refuse_published(out)
    if not out.name.strip("."):
        raise UserError(f"--out {out}: name a new folder")
    check_new(out)
    sources = library_sources(
        model, arguments.core, arguments.center_crop or model.card.split.crop == "center"
    )
    files = {f"src/{path}": text for path, text in sources.items()}
    files |= form_files(arguments.form, sources, model.card)
    files["LICENSE"] = (ROOT / "LICENSE").read_text(encoding="utf-8")
    # A run's name may contain bytes that are not valid text; they become escapes.
    write_both(out, {k: v.encode(errors="backslashreplace") for k, v in files.items()})
    print(f"{out} and {out.name}.zip: {len(files)} files for {arguments.form}")


def default_out(model: Model, form: str) -> Path:
    """Where a library goes without --out: beside a run's other files, but never into the zoo."""
    if model.published:
        return Path(f"{model.folder.resolve().name}-library-{form}")
    return model.folder / f"library-{form}"


def check_new(out: Path) -> None:
    """Raises UserError where the folder or its zip exists."""
    for made in (out, zip_of(out)):
        if made.exists():
            raise UserError(f"{made} exists already: remove it, or name another folder with --out")


def zip_of(out: Path) -> Path:
    """The zip beside the folder `out`."""
    return out.with_name(out.name + ".zip")


def write_both(out: Path, files: dict[str, bytes]) -> None:
    """Write the folder and its zip, or neither. Raises UserError where the folder exists."""
    with atomic_path(zip_of(out)) as packed:
        write_zip(packed, files)
        write_folder(out, files)


def write_folder(out: Path, files: dict[str, bytes]) -> None:
    """Write all files or none. Raises UserError where another command wrote the folder first."""
    made = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    try:
        made.chmod(usual_rights(0o777))  # mkdtemp's can be read only by their owner
        for name, data in files.items():
            path = made / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        made.rename(out)
    except BaseException as error:
        shutil.rmtree(made, ignore_errors=True)
        if getattr(error, "errno", None) in (errno.ENOTEMPTY, errno.EEXIST):
            check_new(out)
        raise


def write_zip(path: Path, files: dict[str, bytes]) -> None:
    """Write the same files as a zip with one top folder, as the Arduino IDE needs it."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in sorted(files.items()):
            entry = zipfile.ZipInfo(f"{NAME}/{name}", STAMP)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)


if __name__ == "__main__":
    sys.exit(main())
