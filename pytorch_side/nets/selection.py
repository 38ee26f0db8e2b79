"""Weight selection: a narrower network starts from evenly spaced channels of a wider one.

Xu et al. 2024, "Initializing Models with Larger Ones" (arXiv 2311.18823): uniform element
selection. Both networks have the same layers. On each axis of a weight, evenly spaced indices are
taken, as many as the narrow network has. Neighboring layers choose the same channels, since the
choice depends only on the two widths.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from swin2mcu.common.cli import UserError


def select_weights(wide: nn.Module, narrow: nn.Module, fresh: tuple[str, ...]) -> None:
    """Fill `narrow` in place. Weights whose names start with one of `fresh` keep their values.

    Raises UserError where the networks differ in more than width.
    """
    theirs, own = wide.state_dict(), narrow.state_dict()
    chosen = {name: value for name, value in own.items() if not name.startswith(fresh)}
    for name, value in chosen.items():
        source = theirs.get(name)
        if source is None or source.dim() != value.dim():
            raise UserError(f"the wider network has no {name}: choose one with the same layers")
        if any(a < b for a, b in zip(source.shape, value.shape, strict=True)):
            raise UserError(f"{name} of the wider network is narrower: choose a wider one")
        for axis, width in enumerate(value.shape):
            source = source.index_select(axis, evenly(source.shape[axis], width))
        own[name] = source
    lacking = {n for n in theirs if not n.startswith(fresh)} - set(own)
    if lacking:
        raise UserError(f"the narrow network has no {min(lacking)}: choose one with as many layers")
    narrow.load_state_dict(own)


def evenly(count: int, wanted: int) -> Tensor:
    """(wanted,) indices below `count`, evenly spaced."""
    if count % wanted == 0:
        return torch.arange(wanted) * (count // wanted)
    return torch.linspace(0, count - 1, wanted).round().long()
