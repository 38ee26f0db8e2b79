"""The C files of a library: the model, the kernels that it calls, vision, the interface."""

from __future__ import annotations

import re
from pathlib import Path

from host_tools.inputs import Model
from swin2mcu.common.paths import ROOT
from swin2mcu.export_library.data import library_data
from tinyml.aot.compiler import compile_graph
from tinyml.format.tflite import read

LIB = ROOT / "firmware" / "lib"
INTERFACE = ("library/swin2mcu.h", "library/swin2mcu.c", "library/library_data.h", "engine/model.h")
SUFFIXES = (".c", ".h", ".S", ".inc")
VARIANTS = ("portable", "dsp", "helium", "pie")  # folders of firmware/lib/kernels


def library_sources(model: Model, core: str, center_crop: bool) -> dict[str, str]:
    """Path below src/ → text. Raises UserError for an unsupported model."""
    card = model.card
    compiled = compile_graph(read(model.int8), model.sha256, core, card.classes)
    model_c = compiled.source.model_c.replace('"kernels.h"', '"kernels/kernels.h"')
    files = {Path(name).name: (LIB / name).read_text() for name in INTERFACE}
    files["model.c"] = model_c
    files["model_data.h"] = compiled.source.model_data_h
    files["library_data.c"] = library_data(model, compiled.arena_bytes, center_crop)
    files |= _kernels(core, model_c)
    if card.input_shape[2] == 3:
        files |= {
            f"vision/{p.name}": p.read_text() for p in sorted((LIB / "vision").glob("*.[ch]"))
        }
    return files


def _kernels(core: str, model_c: str) -> dict[str, str]:
    """The variant's files, all headers, and those shared files whose functions are called."""
    kernels = LIB / "kernels"
    chosen = sorted(kernels.glob("*.h"))
    chosen += sorted(path for path in (kernels / core).iterdir() if path.suffix in SUFFIXES)
    callers = [model_c, *(path.read_text() for path in chosen if path.suffix != ".h")]
    called = set(re.findall(r"\bkernel_\w+", "\n".join(callers)))
    for path in sorted(kernels.glob("*.c")):
        defined = re.findall(r"^\w[\w *]*\b(kernel_\w+)\(", path.read_text(), re.MULTILINE)
        if called & set(defined):
            chosen.append(path)
    return {f"kernels/{path.relative_to(kernels).as_posix()}": path.read_text() for path in chosen}
