"""Attention maps on windows small enough to compute by hand."""

from __future__ import annotations

import importlib
import math

import pytest
import torch
from torch import nn

from pytorch_side.config import Config, Teacher, with_values
from pytorch_side.distillation.attention import (
    attention_distance,
    averaged_maps,
    energy_map,
    match_grids,
    received_attention,
    teacher_maps,
    undo_windows,
)
from pytorch_side.nets.models import make_teacher
from swin2mcu.common.cli import UserError

TINY = {
    "patch_size": 4,
    "window_size": 4,
    "embed_dim": 8,
    "depths": [2, 2],
    "num_heads": [2, 4],
}


class OneHead(nn.Module):
    """Stands in for timm's WindowAttention: queries and keys are the tokens themselves."""

    num_heads, scale = 1, 1.0

    def qkv(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x, x, x], dim=-1)

    def _get_rel_pos_bias(self) -> torch.Tensor:
        return torch.zeros(1, 1)


def test_energy_is_the_mean_of_squares() -> None:
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, 0.0]]]])  # two channels, a 1x2 grid
    assert energy_map(features).tolist() == [[[5.0, 2.0]]]


def test_received_attention_by_hand() -> None:
    """Tokens 0 and ln 3 of one channel: scores [[0, 0], [0, ln²3]]."""
    log3 = math.log(3.0)
    windows = torch.tensor([[[0.0], [log3]]])
    second = math.exp(log3**2) / (1 + math.exp(log3**2))
    received = received_attention(OneHead(), windows, None)
    assert received[0].tolist() == pytest.approx([(0.5 + 1 - second) / 2, (0.5 + second) / 2])


def test_a_mask_closes_what_it_masks() -> None:
    mask = torch.tensor([[[0.0, -100.0], [-100.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]])
    windows = torch.tensor([[[0.0], [0.0]], [[0.0], [1.0]]]).repeat(3, 1, 1)  # a batch of three
    received = received_attention(OneHead(), windows, mask)
    assert received[0].tolist() == pytest.approx([0.5, 0.5])
    open_second = (0.5 + math.e / (1 + math.e)) / 2
    assert received[5].tolist() == pytest.approx([1 - open_second, open_second])


def test_attention_equals_the_forward_pass_of_timm() -> None:
    """With values that are one-hot tokens, attention's own output is its weights."""
    teacher = make_teacher(Teacher(name="swin", size=32, arguments=TINY), 3)
    attention = teacher.layers[1].blocks[0].attn
    windows = torch.randn(5, 16, 16)
    caught = []
    attention.attn_drop.register_forward_hook(lambda *call: caught.append(call[2]))
    attention.fused_attn = False
    attention(windows)
    expected = caught[0].mean(dim=(1, 2))
    assert torch.allclose(received_attention(attention, windows, None), expected, atol=1e-6)


@pytest.mark.parametrize("shift", [(0, 0), (1, 1), (2, 1)])
@pytest.mark.parametrize("grid", [(4, 6), (3, 5)])
def test_windows_and_shifts_are_undone(grid: tuple[int, int], shift: tuple[int, int]) -> None:
    """Shift, pad and cut a known map the way Swin does; undoing must give it back."""
    window = (2, 2)
    maps = torch.arange(2.0 * grid[0] * grid[1]).view(2, *grid)
    x = torch.roll(maps, shifts=(-shift[0], -shift[1]), dims=(1, 2))
    rows, columns = -(-grid[0] // 2), -(-grid[1] // 2)
    x = nn.functional.pad(x, (0, columns * 2 - grid[1], 0, rows * 2 - grid[0]))
    x = x.view(2, rows, 2, columns, 2).permute(0, 1, 3, 2, 4).reshape(-1, 4)
    assert torch.equal(undo_windows(x, window, grid, shift), maps)


@pytest.mark.parametrize("name", ["swin_tiny_patch4_window7_224", "swinv2_tiny_window8_256"])
def test_a_map_is_what_each_place_received_in_all_blocks_of_its_stage(name: str) -> None:
    """From timm's own weights, put back by timm's own functions; the second block is shifted."""
    torch.manual_seed(4)
    sizes = {key: TINY[key] for key in ("window_size", "embed_dim", "depths", "num_heads")}
    config = with_values(
        Config(), {"teacher.name": name, "teacher.size": 32, "teacher.arguments": sizes}
    )
    swin = make_teacher(config.teacher, 3).eval()
    stage = swin.layers[0]
    assert [tuple(block.shift_size) for block in stage.blocks] == [(0, 0), (2, 2)]
    weights, hooks = [], []
    for block in stage.blocks:
        if hasattr(block.attn, "fused_attn"):
            block.attn.fused_attn = False
        hooks.append(
            block.attn.attn_drop.register_forward_hook(lambda _, __, out: weights.append(out))
        )
        with torch.no_grad():  # fresh weights attend to all alike, which hides mistakes
            block.attn.qkv.weight.mul_(20)
    images = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        swin(images)
    for hook in hooks:
        hook.remove()
    reverse = importlib.import_module(type(swin).__module__).window_reverse
    grid = ((8, 8),) if "v2" in name else (8, 8)
    expected = [
        torch.roll(
            reverse(given.mean(dim=(1, 2)).view(-1, 4, 4, 1), (4, 4), *grid)[..., 0],
            tuple(block.shift_size),
            (1, 2),
        )
        for block, given in zip(stage.blocks, weights, strict=True)
    ]
    with torch.inference_mode():
        maps = teacher_maps(swin, images, (0,), "self")[1][0]
    assert torch.allclose(maps, torch.stack(expected).mean(dim=0), atol=1e-6)
    assert maps.std() > 0.01 * maps.mean()


@pytest.mark.parametrize("kind", ["self", "energy"])
def test_a_teacher_gives_logits_and_a_map_per_stage(kind: str) -> None:
    teacher = make_teacher(Teacher(name="swin", size=32, arguments=TINY), 3)
    teacher.eval()
    images = torch.randn(2, 3, 32, 32)
    logits, maps = teacher_maps(teacher, images, (0, 1), kind)
    assert torch.equal(logits, teacher(images))  # watching changes nothing
    assert {stage: tuple(m.shape) for stage, m in maps.items()} == {0: (2, 8, 8), 1: (2, 4, 4)}
    assert all((m >= 0).all() for m in maps.values())
    if kind == "self":  # each window of 16 tokens hands out its attention once
        assert maps[1].sum(dim=(1, 2)).tolist() == pytest.approx([1.0, 1.0], abs=1e-5)
        assert maps[0].sum(dim=(1, 2)).tolist() == pytest.approx([4.0, 4.0], abs=1e-5)


@pytest.mark.parametrize("kind", ["self", "energy"])
def test_an_averaged_answer_turns_with_its_image(kind: str) -> None:
    """The plain answer does not: a network that has not learned turns sees another image."""
    torch.manual_seed(2)
    swin = make_teacher(Teacher(name="swin", size=32, arguments=TINY), 3).eval()
    images = torch.randn(2, 3, 32, 32)
    turned = torch.rot90(images, 1, (2, 3)).flip(3)
    with torch.inference_mode():
        for answer, same in ((averaged_maps, True), (teacher_maps, False)):
            logits, maps = answer(swin, images, [0, 1], kind)
            logits_turned, maps_turned = answer(swin, turned, [0, 1], kind)
            assert torch.allclose(logits, logits_turned, atol=1e-5) == same
            for stage in (0, 1):
                expected = torch.rot90(maps[stage], 1, (1, 2)).flip(2)
                assert torch.allclose(maps_turned[stage], expected, rtol=1e-3, atol=1e-6) == same


def test_an_averaged_answer_is_the_mean_of_eight() -> None:
    torch.manual_seed(3)
    swin = make_teacher(Teacher(name="swin", size=32, arguments=TINY), 3).eval()
    images = torch.randn(1, 3, 32, 32)
    both = (images, images.transpose(2, 3))
    turns = torch.cat([torch.rot90(x, k, (2, 3)) for x in both for k in range(4)])
    with torch.inference_mode():
        assert torch.allclose(
            averaged_maps(swin, images, [1], "self")[0], swin(turns).mean(0, True), atol=1e-5
        )


def test_an_unknown_stage_or_kind_is_named() -> None:
    teacher = make_teacher(Teacher(name="swin", size=32, arguments=TINY), 3)
    with pytest.raises(UserError, match="stages 0 to 1"):
        teacher_maps(teacher, torch.zeros(1, 3, 32, 32), (2,), "self")
    with pytest.raises(UserError, match="heat"):
        teacher_maps(teacher, torch.zeros(1, 3, 32, 32), (0,), "heat")


@pytest.mark.parametrize(
    ("first", "second", "met"),
    [((4, 4), (2, 2), (2, 2)), ((6, 6), (8, 8), (6, 6)), ((3, 7), (5, 2), (3, 2))],
)
def test_maps_meet_on_the_coarser_grid(
    first: tuple[int, int], second: tuple[int, int], met: tuple[int, int]
) -> None:
    a, b = match_grids(torch.ones(1, *first), torch.ones(1, *second))
    assert tuple(a.shape[1:]) == tuple(b.shape[1:]) == met
    assert torch.allclose(a, torch.ones_like(a))
    fine = torch.arange(16.0).view(1, 4, 4)
    coarse, _ = match_grids(fine, torch.zeros(1, 2, 2))
    assert coarse[0].tolist() == [[2.5, 4.5], [10.5, 12.5]]


def test_the_distance_by_hand_in_both_formulas() -> None:
    """q_S = (1, 0), q_T = (0.6, 0.8): difference (0.4, -0.8), squares 0.16 + 0.64."""
    student, teacher = torch.tensor([[[2.0, 0.0]]]), torch.tensor([[[3.0, 4.0]]])
    paper = attention_distance(student, teacher, "paper").item()
    code = attention_distance(student, teacher, "code").item()
    assert paper == pytest.approx(0.5 * math.sqrt(0.8))
    assert code == pytest.approx(0.8 / 2)
    assert attention_distance(student, 5 * student, "paper").item() == pytest.approx(0, abs=1e-6)
    # Of a batch, the mean: of this pair and one that agrees.
    batch = torch.cat([student, student]), torch.cat([teacher, student])
    assert attention_distance(*batch, "paper").item() == pytest.approx(paper / 2, abs=1e-6)
    assert attention_distance(*batch, "code").item() == pytest.approx(code / 2)
    with pytest.raises(UserError, match="memoir"):
        attention_distance(student, teacher, "memoir")


def test_equal_maps_have_a_finite_slope() -> None:
    student = torch.ones(1, 2, 2, requires_grad=True)
    attention_distance(student, torch.ones(1, 2, 2)).backward()
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()
