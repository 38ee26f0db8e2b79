"""Attention maps of a Swin and of a CNN, and the distance between two of them.

A map is (batch, height, width), ≥ 0. Only its relative values matter, never its scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pytorch_side.nets.models import teacher_width
from swin2mcu.common.cli import UserError


def energy_map(features: Tensor) -> Tensor:
    """Feature energy, mean over channels of squares: (batch, channels, h, w) → (batch, h, w).

    F_sum^2 of Zagoruyko & Komodakis 2017 (arXiv 1612.03928), equation 1. They take the sum; the
    mean differs by a constant factor, which normalization removes.
    """
    return features.square().mean(dim=1)


def received_attention(attention: nn.Module, windows: Tensor, mask: Tensor | None) -> Tensor:
    """Self-attention each token of a window receives, averaged over heads and queries.

    `attention` is a timm WindowAttention, `windows` (batch · windows, tokens, channels) its input,
    and `mask` (windows, tokens, tokens) the mask of shifted windows. → (batch · windows, tokens);
    a window's values add up to 1. softmax(q·kᵀ·scale + bias + mask) as in Liu et al. 2021
    (arXiv 2103.14030), equation 4.
    """
    count, tokens, _ = windows.shape
    qkv = attention.qkv(windows).reshape(count, tokens, 3, attention.num_heads, -1)
    query, key, _ = qkv.permute(2, 0, 3, 1, 4).unbind(0)
    scores = (query * attention.scale) @ key.transpose(-2, -1)
    scores = scores + attention._get_rel_pos_bias()
    if mask is not None:
        scores = scores.view(-1, mask.shape[0], attention.num_heads, tokens, tokens)
        scores = (scores + mask[None, :, None]).view(count, attention.num_heads, tokens, tokens)
    return scores.float().softmax(dim=-1).mean(dim=(1, 2))


def undo_windows(
    tokens: Tensor, window: tuple[int, int], grid: tuple[int, int], shift: tuple[int, int]
) -> Tensor:
    """Put windows back in their places and undo the cyclic shift.

    `tokens` (batch · windows, window tokens) → (batch, *grid). If windows do not divide the grid,
    Swin padded it at the right and lower edge; that padding is dropped.
    """
    rows, columns = -(-grid[0] // window[0]), -(-grid[1] // window[1])
    x = tokens.view(-1, rows, columns, window[0], window[1])
    x = x.permute(0, 1, 3, 2, 4).reshape(-1, rows * window[0], columns * window[1])
    return torch.roll(x[:, : grid[0], : grid[1]], shifts=shift, dims=(1, 2))


def teacher_maps(
    swin: nn.Module, images: Tensor, stages: Sequence[int], kind: str
) -> tuple[Tensor, dict[int, Tensor]]:
    """Logits and one map per chosen stage of a timm Swin, from one forward pass.

    `kind` "self": received attention, averaged over the stage's blocks; "energy": energy of the
    stage's output. Images are (batch, 3, h, w), normalized for the teacher. Raises UserError for a
    stage that the teacher does not have.
    """
    if kind not in ("self", "energy"):
        raise UserError(f"attention_map {kind!r}: known are 'self' and 'energy'")
    for stage in stages:
        teacher_width(swin, stage)  # raises
    received: dict[int, list[Tensor]] = {stage: [] for stage in stages}
    hooks = []

    def watch_block(stage: int, block: nn.Module) -> None:
        grid: list[tuple[int, int]] = []

        def before_block(_: nn.Module, inputs: tuple[Any, ...]) -> None:
            grid[:] = [(inputs[0].shape[1], inputs[0].shape[2])]

        def keep(tokens: Tensor) -> None:
            received[stage].append(
                undo_windows(tokens, tuple(block.window_size), grid[0], tuple(block.shift_size))
            )

        def before_attention(
            module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]
        ) -> None:
            keep(received_attention(module, inputs[0], inputs[1] if inputs[1:] else named["mask"]))

        def after_weights(_: nn.Module, __: tuple[Any, ...], weights: Tensor) -> None:
            keep(weights.float().mean(dim=(1, 2)))

        hooks.append(block.register_forward_pre_hook(before_block))
        if hasattr(block.attn, "fused_attn"):  # a fused kernel keeps no attention weights in memory
            hooks.append(block.attn.register_forward_pre_hook(before_attention, with_kwargs=True))
        else:  # Swin V2, whose weights come from cosines
            hooks.append(block.attn.attn_drop.register_forward_hook(after_weights))

    def watch_stage(stage: int) -> None:
        def after(_: nn.Module, __: tuple[Any, ...], output: Tensor) -> None:
            received[stage].append(energy_map(output.permute(0, 3, 1, 2).float()))

        hooks.append(swin.layers[stage].register_forward_hook(after))

    for stage in stages:
        if kind == "energy":
            watch_stage(stage)
        else:
            for block in swin.layers[stage].blocks:
                watch_block(stage, block)
    try:
        logits = swin(images)
    finally:
        for hook in hooks:
            hook.remove()
    return logits, {stage: torch.stack(maps).mean(dim=0) for stage, maps in received.items()}


def averaged_maps(
    swin: nn.Module, images: Tensor, stages: Sequence[int], kind: str
) -> tuple[Tensor, dict[int, Tensor]]:
    """The outputs of teacher_maps, averaged over 8 flips and rotations by 90° of square images.

    Maps are turned back first. So a rotated image has the same logits, and the rotated map.
    """
    answers = []
    for turns in range(4):
        for flip in (False, True):
            turned = torch.rot90(images, turns, (2, 3))
            logits, maps = teacher_maps(swin, turned.flip(3) if flip else turned, stages, kind)
            back = {
                s: torch.rot90(m.flip(2) if flip else m, -turns, (1, 2)) for s, m in maps.items()
            }
            answers.append((logits.float(), back))
    mean = {
        stage: torch.stack([maps[stage] for _, maps in answers]).mean(dim=0) for stage in stages
    }
    return torch.stack([logits for logits, _ in answers]).mean(dim=0), mean


def match_grids(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Dynamic resolution matching: average both maps to the coarser of their two grids.

    (batch, h₁, w₁) and (batch, h₂, w₂) → both (batch, min(h₁, h₂), min(w₁, w₂)).
    """
    grid = (min(first.shape[1], second.shape[1]), min(first.shape[2], second.shape[2]))
    return _shrink(first, grid), _shrink(second, grid)


def attention_distance(student: Tensor, teacher: Tensor, formula: str = "paper") -> Tensor:
    """Attention transfer of Zagoruyko & Komodakis 2017 (arXiv 1612.03928) for one pair of maps.

    Maps (batch, h, w) on any two grids → a scalar. With Q the flattened map and q = Q / ‖Q‖₂, both
    on the coarser grid:
    "paper": ½ ‖q_S - q_T‖₂, averaged over the batch (their equation 2);
    "code":  mean over batch and positions of (q_S - q_T)² (their published code).
    """
    student, teacher = match_grids(student.float(), teacher.float())
    difference = functional.normalize(student.flatten(1)) - functional.normalize(teacher.flatten(1))
    if formula == "paper":
        # The small constant keeps the gradient of the square root finite where both maps agree.
        return 0.5 * (difference.square().sum(dim=1) + 1e-12).sqrt().mean()
    if formula == "code":
        return difference.square().mean()
    raise UserError(f"attention_formula {formula!r}: known are 'paper' and 'code'")


def _shrink(maps: Tensor, grid: tuple[int, int]) -> Tensor:
    return functional.adaptive_avg_pool2d(maps[:, None], grid)[:, 0]
