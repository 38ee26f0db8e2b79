"""Teachers' scores and int8 figures are read from the runs' own files, and only while they fit."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

from pytorch_side.looks import write_look
from pytorch_side.outcomes import int8_section, teacher_section


def quantised(folder: Path, *, parity_of: str = "abc", split: str = "test") -> Path:
    folder.mkdir()
    stages = {"float": 0.95, "ptq": 0.94, "qat": 0.945}
    accuracy = {name: {"split": "val", "top1": top1} for name, top1 in stages.items()}
    (folder / "card.json").write_text(json.dumps({"sha256": "abc", "accuracy": accuracy}))
    rungs = [{"name": "torch-float", "top1": 0.96}, {"name": "tflite-micro", "top1": 0.955}]
    parity = {"model_sha256": parity_of, "split": split, "rungs": rungs}
    (folder / "parity.json").write_text(json.dumps(parity))
    return folder


def test_a_quantised_run_has_its_line(tmp_path: Path) -> None:
    line = int8_section([quantised(tmp_path / "one"), tmp_path / "never made"])[-1]
    assert line == "| one | 95.00% | 94.00% | 94.50% | 96.00% | 95.50% | -0.50 |"


def test_a_ladder_of_another_model_or_split_is_not_shown(tmp_path: Path) -> None:
    folders = [
        quantised(tmp_path / "other", parity_of="def"),
        quantised(tmp_path / "val", split="val"),
    ]
    for line in int8_section(folders)[-2:]:
        assert "96.00%" not in line and "95.50%" not in line


def test_nothing_quantised_nothing_shown(tmp_path: Path) -> None:
    assert int8_section([tmp_path]) == []
    assert teacher_section([]) == []


def test_a_teacher_is_shown_with_its_last_looks(tmp_path: Path) -> None:
    (tmp_path / "teacher.safetensors").write_bytes(b"weights")
    looks = [("val", 0.5, 9), ("test", 0.25, 9), ("test", 0.75, 9), ("test", 1.0, 2)]
    for split, top1, images in looks:
        about = {"weights": "teacher.safetensors", "weights_sha256": sha256(b"weights").hexdigest()}
        write_look(tmp_path, split=split, images=images, top1=top1, data="leaves", **about)
    assert teacher_section([("Swin", tmp_path)])[-1].endswith("| 50.00% | 75.00% |")
    (tmp_path / "teacher.safetensors").write_bytes(b"trained again")
    assert teacher_section([("Swin", tmp_path)])[-1].endswith("| – | – |")  # noqa: RUF001
