"""bfloat16 on processors that compute in it; on all others it is many times slower than float32."""

from __future__ import annotations

import functools
import logging

import torch

log = logging.getLogger(__name__)


@functools.cache
def has_bf16(kind: str) -> bool:
    """Whether a kind of device ("cpu", "cuda", …) has bfloat16 instructions. Says once if not."""
    if kind == "cpu":
        found = torch.cpu.get_capabilities()  # avx512_bf16, amx_bf16; on Arm bf16
        has = any(there for name, there in found.items() if name.endswith("bf16"))
    elif kind == "cuda":
        has = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        return True  # its own software decides
    if not has:
        log.info("bf16: this processor has no bfloat16 instructions, so it computes in float32")
    return has


def mixed_precision(device: torch.device, bf16: bool) -> torch.autocast:
    """A context whose matrix products are in bfloat16, if this is wanted and not slower."""
    return torch.autocast(device.type, torch.bfloat16, enabled=bf16 and has_bf16(device.type))
