"""A .safetensors that anybody may have written is one line, or a network as good as ours."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from pytorch_side.config import Config, with_values
from pytorch_side.distillation.fill_cache import load_teacher
from pytorch_side.int8.fine_tune import load_quantized
from pytorch_side.nets.models import load_student, make_student
from pytorch_side.qat import main as qat
from swin2mcu.common.cli import LINE_MAX, UserError, run_command

MINIMAL = "tf_mobilenetv3_small_minimal_100"
ABOUT = {"student": MINIMAL, "size": "32", "classes": '["a", "b"]'}
FOUR = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


def file_of(header: object, data: bytes = bytes(4)) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def tensor(**changes: object) -> bytes:
    return file_of({"classifier.bias": {**FOUR, **changes}, "__metadata__": ABOUT})


FILES = {
    "empty": b"",
    "a header of 20000 bytes that is not there": (20000).to_bytes(8, "little"),
    "a header of 100 MB": (10**8).to_bytes(8, "little") + b"{}",
    "a header of 2^63 bytes": (2**63).to_bytes(8, "little") + b"{}",
    "brackets": file_of(b"[" * 100_000),
    "brackets in the metadata": file_of(b'{"__metadata__":' + b"[" * 100_000),
    "the same key twice": file_of(b'{"a":%b,"a":%b}' % ((json.dumps(FOUR).encode(),) * 2)),
    "names that are paths": file_of({"../../etc/passwd": FOUR, "__metadata__": ABOUT}),
    "names that a terminal obeys": file_of({"a\n\x1b[2J": FOUR, "__metadata__": ABOUT}),
    "names that are no UTF-8": file_of(b'{"\xff":%b}' % json.dumps(FOUR).encode()),
    "half a surrogate": file_of(b'{"\\ud800":%b}' % json.dumps(FOUR).encode()),
    "no tensors": file_of({"__metadata__": ABOUT}, b""),
    "metadata of numbers": file_of({"__metadata__": {"size": 32}}, b""),
    "shape -1": tensor(shape=[-1]),
    "shape 1.5": tensor(shape=[1.5]),
    "shape NaN": tensor(shape=[float("nan")]),
    "shape Infinity": tensor(shape=[float("inf")]),
    "shape 2^124": tensor(shape=[2**62, 2**62]),
    "four-bit numbers": tensor(dtype="F4", shape=[8]),
    "complex numbers": tensor(dtype="C64", data_offsets=[0, 8]),
    "another library's numbers": tensor(dtype="Q4"),
}
METADATA = {
    "size": ("20000", "100000000", "9" * 5000, "-5", "0", "NaN", "1e8"),
    "classes": (
        "[" * 100_000,
        "[" * 900 + "]" * 900,
        json.dumps([str(n) for n in range(100_000)]),
        json.dumps(["a", "b", "c"]),
        json.dumps(["a\x1b[2J", "b"]),
        json.dumps(["a" * 1_000_000, "b"]),
        '["a", "a"]',
        "[NaN, 1]",
    ),
    "student": (
        "hf-hub:mobilenetv3/x",
        "../../mobilenetv3",
        "mobilenetv3" * 10_000,
        MINIMAL + ".x",
    ),
}


def refused(load: Callable[[], object], capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> None:
        load()

    assert run_command(command) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said[:-1].isprintable() and said.endswith("\n")
    assert len(said) < LINE_MAX + 20


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    return {k: v.contiguous() for k, v in make_student(MINIMAL, 2).state_dict().items()}


@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_is_none_is_one_line(
    tmp_path: Path,
    tiny_config: Callable[..., Config],
    capsys: pytest.CaptureFixture[str],
    kind: str,
) -> None:
    path = tmp_path / "qat.safetensors"
    path.write_bytes(FILES[kind])
    teacher = with_values(tiny_config(), {"teacher.init": str(path)})
    refused(lambda: load_student(path), capsys)
    refused(lambda: load_quantized(tmp_path), capsys)
    refused(lambda: load_teacher(teacher, ("a", "b")), capsys)


@pytest.mark.parametrize(
    ("key", "value"),
    [(key, value) for key, values in METADATA.items() for value in values],
    ids=lambda value: value[:20],
)
def test_metadata_that_describe_no_network_are_one_line(
    tmp_path: Path,
    weights: dict[str, torch.Tensor],
    capsys: pytest.CaptureFixture[str],
    key: str,
    value: str,
) -> None:
    path = tmp_path / "qat.safetensors"
    path.write_bytes(save(weights, {**ABOUT, key: value}))
    refused(lambda: load_student(path), capsys)
    refused(lambda: load_quantized(tmp_path), capsys)


@pytest.mark.parametrize(
    "wrong", [float("nan"), float("inf"), "whole numbers", "complex", "classifier"]
)
def test_weights_that_make_no_network_are_one_line(
    tmp_path: Path,
    weights: dict[str, torch.Tensor],
    capsys: pytest.CaptureFixture[str],
    wrong: float | str,
) -> None:
    changed = {name: value.clone() for name, value in weights.items()}
    if wrong == "whole numbers":
        changed["conv_stem.weight"] = changed["conv_stem.weight"].long()
    elif wrong == "complex":
        changed["conv_stem.weight"] = changed["conv_stem.weight"].to(torch.complex64)
    elif wrong == "classifier":
        del changed["classifier.bias"]
    else:
        changed["conv_stem.weight"][0, 0, 0, 0] = wrong
    path = tmp_path / "student.safetensors"
    path.write_bytes(save(changed, ABOUT))
    refused(lambda: load_student(path), capsys)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "student.safetensors")
    with pytest.raises(UserError, match="not a plain file"):
        load_student(tmp_path / "student.safetensors")
    assert qat([str(tmp_path), "--data", str(tmp_path)]) == 2


def test_the_files_that_these_spoil_are_read(
    tmp_path: Path, weights: dict[str, torch.Tensor]
) -> None:
    (tmp_path / "student.safetensors").write_bytes(save(weights, ABOUT))
    assert load_student(tmp_path / "student.safetensors")[1:] == (32, ("a", "b"))
