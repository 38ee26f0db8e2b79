"""Weight-range equalisation: a legalized network with the same function and channels more alike.

A channel's weights may be scaled up where they are made if they are scaled down where they are
read, through no activation or a ReLU: relu(s·x) = s·relu(x) for s > 0. Channels of one range share
one int8 grid better. Cross-layer equalisation of Nagel et al. 2019 (arXiv 1906.04721), section 4.1.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pytorch_side.int8.legalize import LegalNet, Step

SWEEPS = 10  # a layer in the middle of a chain belongs to two pairs, which settle together


@torch.no_grad()
def equalise(legal: LegalNet) -> list[tuple[str, str]]:
    """Equalise all pairs in place, and return their names: the maker's and the reader's.

    With r₁ and r₂ the largest weights of a channel where it is made and where it is read, the maker
    is divided and the reader multiplied by s = √(r₁ / r₂), after which both are √(r₁·r₂): the
    paper's equation 11. A channel that is nowhere made or nowhere read stays as it is.
    """
    found = pairs(legal)
    for _ in range(SWEEPS):
        for maker, reader in found:
            first, second = legal.layers[maker.name], legal.layers[reader.name]
            made = first.weight.flatten(1).abs().amax(dim=1)
            read = _by_input(second.weight, reader).abs().amax(dim=1)
            scale = torch.where(
                (made > 0) & (read > 0), (made / read).sqrt(), torch.ones_like(made)
            )
            first.weight /= scale.view(-1, 1, 1, 1)
            first.bias /= scale
            second.weight *= scale.view((-1, 1, 1, 1) if reader.groups > 1 else (1, -1, 1, 1))
    return [(maker.name, reader.name) for maker, reader in found]


def pairs(legal: LegalNet) -> list[tuple[Step, Step]]:
    """Convolutions whose tensor goes through no curve and to one other convolution alone."""
    readers: dict[str, list[Step]] = {}
    for step in legal.steps:
        for name in step.inputs:
            readers.setdefault(name, []).append(step)
    kinds = ("conv", "depthwise")
    return [
        (step, readers[step.name][0])
        for step in legal.steps
        if step.operator in kinds
        and step.activation in ("none", "relu")
        and [reader.operator in kinds for reader in readers.get(step.name, [])] == [True]
    ]


def _by_input(weight: Tensor, step: Step) -> Tensor:
    """(O, C / groups, k, k) → (C, everything that multiplies that channel)."""
    return weight.flatten(1) if step.groups > 1 else weight.transpose(0, 1).flatten(1)
