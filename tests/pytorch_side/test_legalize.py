"""The legalized network is the trained one, in supported operators."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pytorch_side.int8.legalize import INPUT, legalize, same_padding
from pytorch_side.nets.models import timm_package
from swin2mcu.common.cli import UserError


def student(name: str, **arguments: object) -> nn.Module:
    """Random weights with batch-norm statistics that folding cannot get right by accident."""
    torch.manual_seed(3)
    net: nn.Module = timm_package().create_model(name, num_classes=5, **arguments).eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
    return net


@pytest.mark.parametrize(
    ("name", "size", "arguments"),
    [
        ("tf_mobilenetv3_small_100", 96, {}),
        ("tf_mobilenetv3_small_100", 75, {}),  # odd sizes pad unevenly
        ("tf_mobilenetv3_large_100", 64, {}),
        ("tf_mobilenetv3_small_minimal_100", 64, {}),
        ("mobilenetv3_small_100", 64, {"pad_type": "same"}),
    ],
)
def test_logits_do_not_change(name: str, size: int, arguments: dict[str, str]) -> None:
    net = student(name, **arguments)
    legal = legalize(net)
    images = torch.rand(4, 3, size, size) * 2 - 1
    with torch.no_grad():
        wanted, got = net(images), legal(images)
    assert wanted.std() > 0.01
    assert (wanted - got).abs().max() < 1e-5 * wanted.abs().max()


def test_steps_are_named_once_and_read_what_was_made() -> None:
    legal = legalize(student("tf_mobilenetv3_small_100"))
    known = {INPUT}
    for step in legal.steps:
        assert step.name not in known
        assert set(step.inputs) <= known
        assert step.has_weights == (step.name in legal.layers)
        known.add(step.name)
    kinds = [step.operator for step in legal.steps]
    assert {k: kinds.count(k) for k in set(kinds)} == {
        "conv": 42, "depthwise": 11, "hard_swish": 19, "mean": 10, "mul": 9, "add": 6, "linear": 1,
    }  # fmt: skip


def test_legalizing_leaves_the_student_alone() -> None:
    net = student("tf_mobilenetv3_small_100")
    before = {name: value.clone() for name, value in net.state_dict().items()}
    legalize(net)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding"),
    [
        (96, 3, 2, (0, 1)),
        (95, 3, 2, (1, 1)),
        (12, 5, 2, (1, 2)),
        (12, 5, 1, (2, 2)),
        (7, 1, 1, (0, 0)),
    ],
)
def test_same_padding_is_tensorflows(
    size: int, kernel: int, stride: int, padding: tuple[int, int]
) -> None:
    assert same_padding(size, kernel, stride) == padding


def test_an_activation_without_a_legal_form_is_named() -> None:
    net = student("tf_mobilenetv3_small_100")
    net.blocks[1][0].bn1.act = nn.SiLU()
    with pytest.raises(UserError, match=r"blocks_1_0_conv_pw.*SiLU"):
        legalize(net)


def test_a_gate_without_a_legal_form_is_named() -> None:
    net = student("tf_mobilenetv3_small_100")
    net.blocks[2][1].se.gate = nn.Sigmoid()
    with pytest.raises(UserError, match=r"blocks_2_1.*Sigmoid"):
        legalize(net)


def test_padding_that_would_need_a_pad_operator_is_refused() -> None:
    with pytest.raises(UserError, match=r"conv_stem.*pad_type='same'"):
        legalize(student("mobilenetv3_small_100"))


def test_another_kind_of_block_is_named() -> None:
    with pytest.raises(UserError, match="not supported"):
        legalize(student("mobilenetv4_conv_small_050", pad_type="same"))
