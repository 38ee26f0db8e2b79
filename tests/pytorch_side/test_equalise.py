"""Equalised channels have one range where they are made and read, and nothing else changes."""

from __future__ import annotations

import copy

import pytest
import torch

from pytorch_side.equalise import equalise, pairs
from pytorch_side.int8.legalize import LegalNet, Step, legalize
from pytorch_side.nets.models import timm_package


def chain(activation: str) -> LegalNet:
    """Two convolutions of two channels, made 8 and 2 times as large as they are read, or equal."""
    steps = [
        Step("first", "conv", ("image",), activation),  # type: ignore[arg-type]
        Step("second", "conv", ("first",)),
    ]
    layers = {"first": torch.nn.Conv2d(1, 2, 1), "second": torch.nn.Conv2d(2, 1, 1)}
    with torch.no_grad():
        layers["first"].weight.copy_(torch.tensor([8.0, 0.5]).view(2, 1, 1, 1))
        layers["first"].bias.copy_(torch.tensor([4.0, 1.0]))
        layers["second"].weight.copy_(torch.tensor([2.0, -0.5]).view(1, 2, 1, 1))
    return LegalNet(steps, layers)


@pytest.mark.parametrize("activation", ["none", "relu"])
def test_by_hand(activation: str) -> None:
    """√(8 / 2) = 2: 8 and 2 become 4 and 4. √(0.5 / 0.5) = 1 changes nothing."""
    legal = chain(activation)
    assert equalise(legal) == [("first", "second")]
    assert legal.layers["first"].weight.flatten().tolist() == [4.0, 0.5]
    assert legal.layers["first"].bias.tolist() == [2.0, 1.0]
    assert legal.layers["second"].weight.flatten().tolist() == [4.0, -0.5]


def test_a_bounded_activation_is_no_pair() -> None:
    assert equalise(chain("relu6")) == []


def test_a_channel_that_nobody_reads_stays() -> None:
    legal = chain("relu")
    with torch.no_grad():
        legal.layers["second"].weight[0, 0] = 0.0
    equalise(legal)
    assert legal.layers["first"].weight.flatten().tolist() == [8.0, 0.5]


@pytest.mark.parametrize("name", ["tf_mobilenetv3_small_100", "tf_mobilenetv3_large_100"])
def test_a_student_stays_the_same_function(name: str) -> None:
    torch.manual_seed(0)
    legal = legalize(timm_package().create_model(name, num_classes=5).eval())
    with torch.no_grad():
        for maker, _ in pairs(legal):  # channels that differ tenfold
            weight = legal.layers[maker.name].weight
            weight *= torch.logspace(-0.5, 0.5, len(weight)).view(-1, 1, 1, 1)
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    before = copy.deepcopy(legal)
    found = equalise(legal)
    assert len(found) == len(pairs(legal)) >= 5
    with torch.no_grad():
        wanted, got = before(images), legal(images)
    assert wanted.std() > 0
    assert torch.allclose(got, wanted, rtol=1e-3, atol=1e-4 * float(wanted.abs().max()))

    @torch.no_grad()
    def uneven(net: LegalNet) -> float:
        """Largest ratio of a channel's weights where it is made to where it is read."""
        maker, reader = pairs(net)[0]
        made = net.layers[maker.name].weight.flatten(1).abs().amax(1)
        weight = net.layers[reader.name].weight
        read = (weight if reader.groups > 1 else weight.transpose(0, 1)).flatten(1).abs().amax(1)
        return float((made / read).log().abs().max())

    assert uneven(legal) < 0.5 * uneven(before)
