"""Each form of an exported library builds by itself, and its self-test passes and can fail."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from exported import build_with_cmake, execute, export

from host_tools.boards.build import CORE_DIR, wrap_scons
from host_tools.mcu.bare_metal import COUNTER, build, get_core, run
from swin2mcu.common.answer import Answer, answer_of
from swin2mcu.common.card import Calibration, load_card, save_card
from swin2mcu.common.paths import ROOT
from swin2mcu.common.pixels import to_int8
from swin2mcu.export_library.data import powers
from tinyml.format.facts import card_of, contract_of
from tinyml.format.writer import GraphWriter
from tinyml.runtimes.tflite_micro import Micro

FIRMWARE = ROOT / "firmware"
TESTS = ROOT / "tests"
M7 = ["-O1", "-mthumb", "-mcpu=cortex-m7", "-mfloat-abi=hard", "-mfpu=fpv5-d16"]


def test_cmake_under_sanitizers(model_folder: Path, tmp_path: Path) -> None:
    library = export(model_folder, "cmake", tmp_path / "lib")
    build_with_cmake(library, tmp_path / "build")
    execute(["ctest", "--test-dir", tmp_path / "build"])
    passed, answer = execute([tmp_path / "build" / "classify"]).splitlines()
    assert passed.startswith("self-test passed: tiny, 10 classes")
    expected = example_answer(model_folder)
    words = "" if expected.sure else "not sure: "
    label, probability = expected.ranked[0]
    assert answer == f"{words}{label} {100 * probability:.0f}%"


def example_answer(folder: Path) -> Answer:
    """The PC's answer to the picture that the examples make up."""
    card = load_card(folder / "card.json")
    y, x, channel = np.indices(card.input_shape)
    pixels = np.where(channel == 1, 96 + (x + y) % 64, 48).astype(np.uint8)
    logits = Micro((folder / "model_int8.tflite").read_bytes()).run(to_int8(pixels))
    return answer_of(logits.ravel(), card)


def test_the_self_test_can_fail(model_folder: Path, tmp_path: Path) -> None:
    library = export(model_folder, "cmake", tmp_path / "lib")
    kernels = library / "src" / "kernels" / "requantize.h"
    text = kernels.read_text()
    assert "(remainder > threshold)" in text
    kernels.write_text(text.replace("(remainder > threshold)", "(remainder >= threshold)"))
    build_with_cmake(library, tmp_path / "build")
    done = subprocess.run([tmp_path / "build" / "classify"], capture_output=True, text=True)
    assert done.returncode == 1 and "FAILED" in done.stdout


class CAnswer(ctypes.Structure):
    _fields_ = (
        ("class_index", ctypes.c_uint16),
        ("label", ctypes.c_char_p),
        ("probability", ctypes.c_float),
        ("sure", ctypes.c_bool),
    )


def test_answers_are_those_of_the_pc(model_folder: Path, tmp_path: Path) -> None:
    """Class, probability and *not sure*: the card's two numbers, computed from a table."""
    folder = tmp_path / "tiny"
    shutil.copytree(model_folder, folder)
    card = load_card(folder / "card.json")
    random = np.random.default_rng(2)
    images = [
        (random.integers(-128, 128, card.input_shape) // random.integers(1, 20)).astype(np.int8)
        for _ in range(20)
    ]
    micro = Micro((folder / "model_int8.tflite").read_bytes())
    expected_logits = [micro.run(image).ravel() for image in images]
    found = sorted(answer_of(logits, card).evidence for logits in expected_logits)
    threshold = (found[9] + found[10]) / 2  # half of them are sure
    calibration = Calibration(temperature=1.5, threshold=threshold, coverage=0.5, images=20)
    card = replace(card, calibration=calibration)
    save_card(card, folder / "card.json")
    loaded = load_library(export(folder, "cmake", tmp_path / "lib"), tmp_path / "library.so")
    sure = 0
    for image, logits in zip(images, expected_logits, strict=True):
        ctypes.memmove(loaded.swin2mcu_input(), image.tobytes(), image.nbytes)
        answer = loaded.swin2mcu_classify()
        expected = answer_of(logits, card)
        assert answer.label.decode() == expected.ranked[0][0]
        assert answer.probability == pytest.approx(expected.ranked[0][1], rel=1e-5)
        assert answer.sure == expected.sure
        sure += answer.sure
    assert 0 < sure < len(images), "both verdicts are tried"


def foreign(scale: float, zero_point: int, channels: int, softmax: bool) -> bytes:
    """A plain .tflite of another tool, 6 x 6 pixels, three classes."""
    writer, shape = GraphWriter(), (1, 6, 6, channels)
    x = writer.input(shape, scale, zero_point)
    weights = np.random.default_rng(1).integers(-127, 128, (3, 6, 6, channels)).astype(np.int8)
    out = writer.activation((1, 1, 1, 3), 0.05, 3)
    # Weights that fit the input's range: logits of a few units.
    writer.conv(
        x, weights, [2 / (255 * scale * 127 * 6)] * 3, np.zeros(3, np.int32), out, (1, 1), 1
    )
    flat = writer.reshape(out, (1, 3), writer.activation((1, 3), 0.05, 3))
    if not softmax:
        return writer.finish(flat)
    shares = writer.activation((1, 3), 1 / 256, -128)
    writer.softmax(flat, shares)
    return writer.finish(shares)


@pytest.mark.parametrize("softmax", [False, True])
@pytest.mark.parametrize(
    ("kind", "scale", "zero_point", "channels"),
    [("p/255", 1 / 255, -128, 3), ("imagenet", 4.7579 / 255, -14, 3), ("p/127.5-1", 2 / 255, 0, 1)],
)
def test_a_plain_file_is_fed_as_it_was_trained(
    kind: str,
    scale: float,
    zero_point: int,
    channels: int,
    softmax: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The library takes pixel - 128 for every network, and answers as `predict` does."""
    monkeypatch.chdir(tmp_path)  # a plain file's run is looked for in runs/
    model, labels = tmp_path / "plain.tflite", tmp_path / "labels.txt"
    model.write_bytes(foreign(scale, zero_point, channels, softmax))
    labels.write_text("oak\nelm\nash\n")
    out = tmp_path / "lib"
    export(model, "cmake", out, "--classes", str(labels), "--input", kind)
    assert ("input_table[]" in (out / "src" / "library_data.c").read_text()) == (kind != "p/255")
    loaded = load_library(out, tmp_path / "library.so")
    assert loaded.swin2mcu_self_test()
    card = card_of(model, labels, kind)
    micro, contract = Micro(model.read_bytes()), contract_of(card)
    seen = set()
    for seed in range(12):
        pixels = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
        logits = micro.run(contract.stored(pixels)).ravel()
        fed = (contract.prepared(pixels).astype(np.int16) - 128).astype(np.int8)
        ctypes.memmove(loaded.swin2mcu_input(), fed.tobytes(), fed.nbytes)
        answer, expected = loaded.swin2mcu_classify(), answer_of(logits, card)
        assert answer.label.decode() == expected.ranked[0][0]
        assert answer.probability == pytest.approx(expected.ranked[0][1], rel=1e-5)
        seen.add(answer.label)
    assert len(seen) > 1, "different pictures get different answers"


# Other names could be a user's own: the linker would refuse them, or the compiler.
OWN_NAMES = re.compile(r"(kernel|library|model|swin2mcu|vision)_\w+")
# The labels' and pictures' texts and tables are longer than C99 asks every compiler to take.
PEDANTIC = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wno-overlength-strings"]
M55 = ["-O1", "-mthumb", "-mcpu=cortex-m55", "-mfloat-abi=hard"]


@pytest.mark.parametrize(
    ("compiler", "core", "machine"),
    [
        ("gcc", "portable", []),
        ("clang", "portable", []),
        ("arm-none-eabi-gcc", "dsp", M7),
        ("arm-none-eabi-gcc", "helium", M55),
    ],
)
def test_a_users_warnings_and_names_are_respected(
    compiler: str, core: str, machine: list[str], model_folder: Path, tmp_path: Path
) -> None:
    found = next((c for n in (compiler, f"{compiler}-14") if (c := shutil.which(n))), None)
    assert found, f"{compiler} is missing: `./setup.sh dev` installs it"
    source = export(model_folder, "cmake", tmp_path / "lib", "--core", core) / "src"
    kernels = (FIRMWARE / "lib" / "kernels").glob("*.c")  # also those that this model lacks
    files = {
        *source.rglob("*.[cS]"),
        *(k for k in kernels if not (source / "kernels" / k.name).exists()),
    }
    objects = []
    for number, file in enumerate(sorted(files)):
        objects.append(tmp_path / f"{number}.o")
        includes = [f"-I{source}", f"-I{source / 'kernels'}"]
        execute([found, *machine, *PEDANTIC, *includes, "-c", file, "-o", objects[-1]])
    listed = execute(["arm-none-eabi-nm" if machine else "nm", "-g", "--defined-only", *objects])
    names = [line.split()[2] for line in listed.splitlines() if len(line.split()) == 3]
    assert {"vision_start", "model_run", "kernel_add", "swin2mcu_classify"} <= set(names)
    assert [name for name in names if not OWN_NAMES.fullmatch(name)] == []


def load_library(library: Path, shared: Path) -> ctypes.CDLL:
    sources = sorted((library / "src").rglob("*.c"))
    execute(["gcc", "-O1", "-fPIC", "-shared", f"-I{library / 'src'}", *sources, "-o", shared])
    loaded = ctypes.CDLL(str(shared))
    loaded.swin2mcu_classify.restype = CAnswer
    loaded.swin2mcu_input.restype = ctypes.c_void_p
    loaded.swin2mcu_self_test.restype = ctypes.c_bool
    return loaded


def test_an_arduino_library_on_a_stand_in(model_folder: Path, tmp_path: Path) -> None:
    """The layout that Arduino's library specification asks for; then the example runs."""
    library = export(model_folder, "arduino", tmp_path / "swin2mcu", "--core", "dsp")
    lines = (library / "library.properties").read_text().splitlines()
    facts = dict(line.split("=", 1) for line in lines)
    assert set(facts) == {
        "name", "version", "author", "maintainer", "sentence", "paragraph", "category", "url",
        "architectures", "includes",
    }  # fmt: skip
    assert re.fullmatch(r"\d+\.\d+\.\d+", facts["version"])
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_ .-]{0,62}", facts["name"])
    assert (library / "src" / facts["includes"]).is_file()
    example = library / "examples" / "Classify" / "Classify.ino"
    assert example.is_file()

    vendor, cortex = TESTS / "firmware" / "vendor" / "arduino", FIRMWARE / "lib" / "cortex_m"
    bare = FIRMWARE / "lib" / "bare"
    includes = [f"-I{path}" for path in (library / "src", vendor, cortex, bare)]
    objects: list[str | Path] = []
    sketch = tmp_path / "Classify.cc"
    sketch.write_text(f"#include <Arduino.h>\n{example.read_text()}")
    sources = [*sorted((library / "src").rglob("*.[cS]")), sketch, vendor / "core.cc"]
    for number, source in enumerate([*sources, cortex / "startup.cc", bare / "bare.cc"]):
        cxx = source.suffix == ".cc"
        language = ["-std=c++17", "-fno-exceptions", "-fno-rtti"] if cxx else ["-std=gnu11"]
        objects.append(tmp_path / f"{number}.o")
        compiler = "arm-none-eabi-g++" if cxx else "arm-none-eabi-gcc"
        execute([compiler, *M7, *language, *includes, "-c", source, "-o", objects[-1]])
    machine = FIRMWARE / "src" / "boards" / "qemu-m7"
    link = ["--specs=nano.specs", "--specs=nosys.specs", "-nostartfiles", f"-L{machine}"]
    program = tmp_path / "sketch.elf"
    script = [f"-L{bare}", "-Tbare.ld"]
    execute(["arm-none-eabi-g++", *M7, *link, *script, *objects, "-o", program])
    said = tmp_path / "serial"
    command = ["qemu-system-arm", "-M", "mps2-an500", "-display", "none", "-kernel", program]
    emulator = subprocess.Popen([*map(str, command), "-serial", f"file:{said}"])
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (
            said.exists() and b"\n" in said.read_bytes()[18:]
        ):
            time.sleep(0.2)
    finally:
        emulator.kill()
        emulator.wait()
    expected = example_answer(model_folder)
    words = "" if expected.sure else "not sure: "
    lines = said.read_text().splitlines()
    assert lines[:2] == ["self-test passed", f"{words}{expected.ranked[0][0]}"]


PROJECT_MAIN = """#include "counter.h"
#include "swin2mcu.h"
int main(void) {
  print_line("%s", swin2mcu_self_test() ? "self-test passed" : "self-test FAILED");
  return 0;
}
"""


def test_a_platformio_library_on_an_emulated_m7(model_folder: Path, tmp_path: Path) -> None:
    """A small project finds the library in its lib folder; PlatformIO compiles it."""
    project = tmp_path / "project"
    export(model_folder, "platformio", project / "lib" / "swin2mcu", "--core", "dsp")
    (project / "src").mkdir()
    (project / "src" / "main.c").write_text(PROJECT_MAIN)
    shutil.copy(COUNTER / "counter_qemu.c", project / "src")
    section = '__attribute__((section(".weights")))'
    (project / "weights.h").write_text(f"#define MODEL_WEIGHTS_SECTION {section}\n")
    core = get_core("m7")
    places = {"CODE": core.code, "DATA": core.data, "WEIGHTS": core.weights}
    flags = [f"-Wl,--defsym={name}={place}" for name, place in places.items()]
    flags += ["-nostartfiles", "--specs=nano.specs", "--specs=nosys.specs", "-Wl,--gc-sections"]
    flags += [f"-T{COUNTER / 'machine.ld'}"]
    (project / "platformio.ini").write_text(f"""[env:m7]
platform = symlink://{FIRMWARE / "platforms" / "system_gcc"}
board = qemu-m7
build_flags = -O2 -I{COUNTER} -include {project / "weights.h"}
custom_compiler = arm-none-eabi-gcc
custom_core_flags = {" ".join(("-mthumb", *core.flags))}
custom_link_flags = {" ".join(flags)}
""")
    wrap_scons()
    environment = {**os.environ, "PLATFORMIO_CORE_DIR": str(CORE_DIR)}
    environment["PLATFORMIO_SETTING_ENABLE_TELEMETRY"] = "no"
    environment.pop("SWIN2MCU_MODEL_DIR", None)
    command = [sys.executable, "-m", "platformio", "run", "-d", project, "-e", "m7"]
    execute(command, env=environment)
    status, text = run(core, project / ".pio" / "build" / "m7" / "program.elf")
    assert status == 0 and text.strip() == "self-test passed"


@pytest.mark.parametrize(
    ("form", "core", "variant"),
    [("esp-idf", "m7", "portable"), ("cmake", "m4", "dsp"), ("arduino", "m55", "helium")],
)
def test_each_variant_passes_its_self_test_on_a_core(
    form: str, core: str, variant: str, model_folder: Path, tmp_path: Path
) -> None:
    source = export(model_folder, form, tmp_path / "lib", "--core", variant) / "src"
    (tmp_path / "main.c").write_text(PROJECT_MAIN)
    section = '__attribute__((section(".weights")))'
    (tmp_path / "weights.h").write_text(f"#define MODEL_WEIGHTS_SECTION {section}\n")
    files = sorted(path for path in source.rglob("*") if path.suffix in (".c", ".S"))
    flags = [f"-I{source}", "-include", str(tmp_path / "weights.h")]
    program = tmp_path / "program.elf"
    build(get_core(core), program, files, [tmp_path / "main.c"], flags)
    status, text = run(get_core(core), program)
    assert status == 0 and text.strip() == "self-test passed"


@pytest.mark.parametrize(("machine", "core"), [(M7, "dsp"), (M55, "helium")])
@pytest.mark.parametrize("mode", ["", "Debug"])
def test_cmake_builds_a_cortex_m_library_whatever_the_build_type(
    mode: str, machine: list[str], core: str, model_folder: Path, tmp_path: Path
) -> None:
    """Without one CMake does not optimize, and the inline assembly lacks registers."""
    library = export(model_folder, "cmake", tmp_path / "lib", "--core", core)
    cmake, compiler = shutil.which("cmake"), shutil.which("arm-none-eabi-gcc")
    assert cmake and compiler, "cmake or arm-none-eabi-gcc is missing: `./setup.sh dev`"
    options = [option for option in machine if option != "-O1"]
    settings = {
        "CMAKE_SYSTEM_NAME": "Generic",
        "CMAKE_TRY_COMPILE_TARGET_TYPE": "STATIC_LIBRARY",
        "CMAKE_C_COMPILER": compiler,
        "CMAKE_ASM_COMPILER": compiler,
        "CMAKE_C_FLAGS": " ".join([*options, "-fno-omit-frame-pointer"]),
        "CMAKE_BUILD_TYPE": mode,
    }
    named = [f"-D{key}={value}" for key, value in settings.items()]
    execute([cmake, "-S", library, "-B", tmp_path / "build", *named])
    execute([cmake, "--build", tmp_path / "build", "--target", "swin2mcu"])


def test_only_the_kernels_that_the_model_calls(model_folder: Path, tmp_path: Path) -> None:
    library = export(model_folder, "cmake", tmp_path / "lib")
    model_c = (library / "src" / "model.c").read_text()
    names = {path.name for path in (library / "src" / "kernels").glob("*.c")}
    assert ("softmax.c" in names) == ("kernel_softmax" in model_c)
    assert not (library / "src" / "kernels" / "dsp").exists()


def test_no_power_of_the_table_is_zero() -> None:
    """With logits of hundreds, all classes of a photo could have 0, and their shares 0 / 0."""
    table = powers(10.0, 1.0)
    assert min(table) > 0 and table[255] == 1 and sorted(table) == table
