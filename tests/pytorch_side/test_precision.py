"""bfloat16 is used where it was asked for and the processor has it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from pytorch_side.nets import precision
from pytorch_side.nets.precision import mixed_precision

ROOT = Path(__file__).resolve().parents[2]
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    precision.has_bf16.cache_clear()
    yield
    precision.has_bf16.cache_clear()


@pytest.mark.parametrize(
    ("capabilities", "there"),
    [
        ({"avx2": True, "avx512_bf16": False, "amx_bf16": False}, False),
        ({"avx2": True, "avx512_bf16": True, "amx_bf16": False, "cpu_name": "one"}, True),
        ({"amx_bf16": True}, True),
        ({"neon": True, "bf16": True}, True),
        ({}, False),
    ],
)
def test_a_cpu_without_its_instructions_stays_in_float32(
    capabilities: dict[str, object],
    there: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    used = []
    with caplog.at_level("INFO"):
        for asked in (False, True, True):
            with mixed_precision(CPU, asked):
                used.append(torch.nn.Linear(4, 4)(torch.ones(1, 4)).dtype is torch.bfloat16)
    assert used == [False, there, there]
    assert caplog.text.count("no bfloat16 instructions") == (not there)


def test_every_training_asks_the_processor() -> None:
    """`training_speed.py` compares both on purpose."""
    direct = {
        path.name
        for path in (ROOT / "pytorch_side").rglob("*.py")
        if "torch.bfloat16, enabled" in path.read_text(encoding="utf-8")
    }
    assert direct == {"precision.py", "training_speed.py"}
