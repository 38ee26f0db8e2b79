"""The emitted C++ compiles, and its bytes are the file's."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from swin2mcu.common.card import load_card
from swin2mcu.common.cli import UserError
from tinyml.emit_c import c_string, emit, main
from tinyml.format.writer import GraphWriter

STRICT = ["-std=c++17", "-Wall", "-Wextra", "-Wshadow", "-Werror", "-fno-exceptions", "-fno-rtti"]
DECLARATIONS = Path(__file__).parent / "tflm_declarations"

DUMP = """
#include <cstdio>
#include <cstring>
#include "model_data.h"
int main() {
  static_assert(alignof(decltype(model::kData)) >= 1, "");
  if (reinterpret_cast<uintptr_t>(model::kData) % 16 != 0) return 3;
  std::fwrite(model::kData, 1, model::kDataBytes, stdout);
  for (const char* label : model::kLabels) std::fprintf(stderr, "%s\\n", label);
  std::fprintf(stderr, "%d %d %d %zu\\n", model::kHeight, model::kWidth, model::kChannels,
               model::kArenaBytes);
  for (unsigned byte : model::kSha256) std::fprintf(stderr, "%02x", byte);
  return 0;
}
"""

REGISTER = """
#include "op_resolver.h"
#include <cstdio>
int main() {
  model::OpResolver resolver;
  if (model::RegisterOperators(resolver) != kTfLiteOk) return 1;
  for (const char* name : resolver.names) std::printf("%s\\n", name);
  return 0;
}
"""


def build(folder: Path, program: str, *sources: Path) -> Path:
    compiler = shutil.which("g++")
    assert compiler, "g++ is missing: install it, this test is not to be skipped"
    (folder / "main.cc").write_text(program)
    binary = folder / "program"
    command = [compiler, *STRICT, f"-I{folder}", "-isystem", str(DECLARATIONS)]
    done = subprocess.run(
        [*command, str(folder / "main.cc"), *map(str, sources), "-o", str(binary)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return binary


def test_the_arrays_bytes_are_the_files(converted_run: Path, tmp_path: Path) -> None:
    model, card = converted_run / "model_int8.tflite", converted_run / "card.json"
    assert main([str(model), "--out", str(tmp_path), "--card", str(card)]) == 0
    binary = build(tmp_path, DUMP, tmp_path / "model_data.cc")
    done = subprocess.run([binary], capture_output=True, check=True)
    assert done.stdout == model.read_bytes()
    known = load_card(card)
    *labels, shape, sha256 = done.stderr.decode().splitlines()
    assert tuple(labels) == known.classes and sha256 == known.sha256
    height, width, channels, arena = (int(n) for n in shape.split())
    assert (height, width, channels) == known.input_shape
    assert known.arena_bytes is not None and 0 <= arena - known.arena_bytes < 16


def test_the_resolver_has_the_models_operators_and_room_for_no_more(
    converted_run: Path, tmp_path: Path
) -> None:
    files = emit(converted_run / "model_int8.tflite", None, 1000)
    (tmp_path / "op_resolver.h").write_text(files["op_resolver.h"])
    binary = build(tmp_path, REGISTER)
    done = subprocess.run([binary], capture_output=True, text=True, check=True)
    operators = set(load_card(converted_run / "card.json").ops)
    assert set(done.stdout.split()) == operators
    assert f"MicroMutableOpResolver<{len(operators)}>" in files["op_resolver.h"]
    # Room for one less, and registration says so.
    tight = files["op_resolver.h"].replace(f"<{len(operators)}>", f"<{len(operators) - 1}>")
    (tmp_path / "op_resolver.h").write_text(tight)
    assert subprocess.run([build(tmp_path, REGISTER)], capture_output=True).returncode == 1


def test_labels_are_numbered_without_a_card(converted_run: Path) -> None:
    text = emit(converted_run / "model_int8.tflite", None, 1000)["model_data.cc"]
    assert '"0",\n    "1",\n    "2",' in text


def test_label_texts_survive_c(tmp_path: Path) -> None:
    names = ['say "hi"', "back\\slash", "a??/b", "Blätter1", "tab\there"]
    lines = "".join(f"std::puts({c_string(name)});" for name in names)
    binary = build(tmp_path, f"#include <cstdio>\nint main() {{ {lines} }}\n")
    done = subprocess.run([binary], capture_output=True, check=True)
    assert done.stdout.decode().splitlines() == names


def test_a_card_of_another_model_is_refused(
    converted_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    writer = GraphWriter()
    x = writer.input((1, 4, 4, 3), 0.1, 0)
    out = writer.activation((1, 4, 4, 3), 0.1, 0)
    writer.hard_swish(x, out)
    other = tmp_path / "other.tflite"
    other.write_bytes(writer.finish(out))
    card = converted_run / "card.json"
    assert main([str(other), "--out", str(tmp_path / "out"), "--card", str(card)]) == 2
    assert "describes another model" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_float_model_is_refused(converted_run: Path) -> None:
    with pytest.raises(UserError, match="not an int8 image model"):
        emit(converted_run / "model_float32.tflite", None, 1000)


def test_a_wrong_count_of_labels_is_refused(converted_run: Path) -> None:
    with pytest.raises(UserError, match="has 3 classes, the card names 2"):
        emit(converted_run / "model_int8.tflite", ["a", "b"], 1000)


def test_a_line_break_in_the_files_name_stays_in_its_comment(
    converted_run: Path, tmp_path: Path
) -> None:
    model = tmp_path / "new\nline.tflite"
    shutil.copy(converted_run / "model_int8.tflite", model)
    for text in emit(model, None, 1000).values():
        assert text.startswith("// Generated by tinyml.emit_c from new line.tflite. Do not edit.\n")
