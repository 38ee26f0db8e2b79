"""All stages hold on a real chain, and each can be seen to fail."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blotches import CLASSES, pixels

from swin2mcu.common.card import load_card
from swin2mcu.common.cli import UserError
from swin2mcu.common.pixels import to_int8
from tinyml.parity.compare import compare_stages, logits_scale, measure
from tinyml.parity.operators import compare_operators
from tinyml.parity.record import broken
from tinyml.parity.stages import SAME_FUNCTION, Stage, make_stages
from tinyml.runtimes.tflite_micro import Micro, arena_bytes

NAMES = [
    "torch-float",
    "legalized",
    "fine-tuned",
    "quantized-weights",
    "fake-quantized",
    "exact",
    "onnx",
    "tflite-float32",
    "tflite-micro",
    "litert-int8-reference",
    "generated-c",
]
COMPARED = [*NAMES[1:], "end-to-end"]


@pytest.fixture(scope="module")
def stages(converted_run: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Stage]:
    return make_stages(converted_run, tmp_path_factory.mktemp("generated"))


@pytest.fixture(scope="module")
def logits(stages: list[Stage]) -> dict[str, np.ndarray]:
    return {stage.name: stage.run(pixels(24, seed=4)) for stage in stages}


def given(stages: list[Stage], logits: dict[str, np.ndarray]) -> list[Stage]:
    """The stages, answering with `logits` for each batch, whatever its pixels."""
    return [replace(s, run=lambda _, own=logits[s.name]: own) for s in stages]


def answers(logits: dict[str, np.ndarray]) -> np.ndarray:
    """Labels that the trained network answers right."""
    return logits["torch-float"].argmax(1)


def output_scale(run: Path) -> float:
    scale = load_card(run / "card.json").output_scale
    assert scale is not None
    return scale


def test_every_stage_holds(
    converted_run: Path, stages: list[Stage], logits: dict[str, np.ndarray]
) -> None:
    records = compare_stages(
        stages, pixels(24, seed=4), answers(logits), output_scale(converted_run)
    )
    assert [r["name"] for r in records] == [*NAMES, "end-to-end"]
    assert broken({"stages": records}) == []
    assert all(r["limits"] and r["holds"] for r in records[1:])
    assert "holds" not in records[0], "nothing comes before it"
    by_name = {r["name"]: r for r in records}
    for name in ("tflite-micro", "generated-c"):
        assert by_name[name]["max_difference"] == 0 and by_name[name]["unit"] == "lsb"


@pytest.mark.parametrize("name", COMPARED)
def test_a_stage_that_answers_with_other_classes_is_reported(
    converted_run: Path, stages: list[Stage], logits: dict[str, np.ndarray], name: str
) -> None:
    """Every stage has a bound that it misses where its classes are mixed up."""
    bent = dict(logits)
    if name == "end-to-end":  # every step alone may pass where the whole does not
        bent["generated-c"] = np.roll(logits["generated-c"], 1, axis=1)
    else:
        bent[name] = np.roll(logits[name], 1, axis=1)
    records = compare_stages(
        given(stages, bent), pixels(16), answers(logits), output_scale(converted_run)
    )
    assert any(line.startswith(f"{name} against ") for line in broken({"stages": records}))


WRONG: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "constant": np.zeros_like,
    "three times as large": lambda own: 3 * own,
    "of other images": lambda own: np.roll(own, 1, axis=0),
}


@pytest.mark.parametrize("fault", WRONG)
@pytest.mark.parametrize(
    "name", [n for n in COMPARED[:-1] if n not in ("fine-tuned", "litert-int8-reference")]
)
def test_a_stage_with_wrong_logits_is_reported(
    converted_run: Path, stages: list[Stage], logits: dict[str, np.ndarray], name: str, fault: str
) -> None:
    bent = logits | {name: WRONG[fault](logits[name])}
    records = compare_stages(
        given(stages, bent), pixels(16), answers(logits), output_scale(converted_run)
    )
    assert any(line.startswith(f"{name} against ") for line in broken({"stages": records}))


@pytest.mark.parametrize("name", ["quantized-weights", "fake-quantized", "exact"])
@pytest.mark.parametrize("photos,holds", [(1, True), (5, False)])
def test_one_photo_unlike_all_others_may_be_clipped(
    converted_run: Path,
    stages: list[Stage],
    logits: dict[str, np.ndarray],
    name: str,
    photos: int,
    holds: bool,
) -> None:
    """Seen: one of 40 with logits of 19 times the scale, clipped by the ranges of the others."""
    strange, far = {n: own.copy() for n, own in logits.items()}, 20 * logits["torch-float"][:photos]
    for n in NAMES:
        clipped = NAMES.index(n) >= NAMES.index(name) and n not in ("onnx", "tflite-float32")
        strange[n][:photos] = np.roll(far, 1, axis=1) if clipped else far
    strange["onnx"][:photos] = strange["quantized-weights"][:photos]
    strange["tflite-float32"][:photos] = strange["quantized-weights"][:photos]
    records = compare_stages(
        given(stages, strange), pixels(16), answers(logits), output_scale(converted_run)
    )
    lines = broken({"stages": records})
    assert any(line.startswith(f"{name} against ") for line in lines) != holds, lines
    assert not lines or not holds


def test_training_may_move_a_network_and_rounding_may_not(
    converted_run: Path, stages: list[Stage], logits: dict[str, np.ndarray]
) -> None:
    """The same error, ten times the scale and right: none from training, one from rounding."""
    labels = answers(logits)
    far = 10 * logits_scale(logits["legalized"]) * np.eye(len(CLASSES))[labels]
    for first, error in (
        ("fine-tuned", ""),
        ("quantized-weights", "quantized-weights against fine-tuned"),
    ):
        moved = dict(logits)
        for name in NAMES[NAMES.index(first) :]:
            moved[name] = logits[name] + far
        records = compare_stages(given(stages, moved), pixels(16), labels, 1.0)
        lines = [line for line in broken({"stages": records}) if "relative_rms" in line]
        assert any(line.startswith(error) for line in lines) if error else not lines


def test_rounding_may_be_as_large_as_what_was_never_learned(
    converted_run: Path, stages: list[Stage], logits: dict[str, np.ndarray]
) -> None:
    """Seen: 47.7 % of 44 images of two classes after three epochs, and an rms of 0.52."""
    draw, scale = np.random.default_rng(2), output_scale(converted_run)
    noisy = {name: own.copy() for name, own in logits.items()}
    noise = logits_scale(logits["fine-tuned"]) * draw.normal(size=logits["exact"].shape)
    for name in NAMES[NAMES.index("fake-quantized") :]:
        if name not in ("onnx", "tflite-float32"):
            noisy[name] = logits[name] + noise

    def lines(labels: np.ndarray) -> list[str]:
        return broken({"stages": compare_stages(given(stages, noisy), pixels(16), labels, scale)})

    seen = {line.split()[0] for line in lines(answers(logits))}
    assert seen == {"fake-quantized", "end-to-end"}
    at_chance = draw.permutation(np.arange(24) % len(CLASSES))
    assert (logits["torch-float"].argmax(1) == at_chance).mean() < 0.6
    assert lines(at_chance) == []


@pytest.mark.parametrize("lost,holds", [(0, True), (9, True), (16, False), (24, False)])
def test_training_may_not_lose_what_was_learned(
    converted_run: Path,
    stages: list[Stage],
    logits: dict[str, np.ndarray],
    lost: int,
    holds: bool,
) -> None:
    """Of 24 images all were right; few that are wrong now may be chance, many are none."""
    labels = answers(logits)
    now = np.eye(len(CLASSES))[np.where(np.arange(24) < lost, (labels + 1) % 3, labels)]
    tuned = {n: now for n in NAMES[NAMES.index("fine-tuned") :]}
    records = compare_stages(given(stages, logits | tuned), pixels(16), labels, 1.0)
    lines = [line for line in broken({"stages": records}) if "top1_lost" in line]
    assert (
        [line.partition(":")[0] for line in lines] == []
        if holds
        else ["fine-tuned against legalized"]
    )
    # Logits that hardly differ are of a network that had learned nothing: it has nothing to lose.
    blank = {n: 1e-6 * np.roll(logits[n], 1, axis=1) for n in ("torch-float", "legalized")}
    records = compare_stages(given(stages, logits | blank), pixels(16), labels, 1.0)
    assert broken({"stages": records}) == []


@pytest.mark.parametrize("name", ["legalized", "onnx", "tflite-float32"])
def test_float_bounds_follow_the_logits(
    converted_run: Path, stages: list[Stage], logits: dict[str, np.ndarray], name: str
) -> None:
    """A hundred times larger logits have as much larger errors, and hold; a real error does not."""
    scale = logits_scale(logits["torch-float"])
    for factor in (0.01, 1.0, 100.0):
        off = {n: own * factor for n, own in logits.items()}
        for share, holds in ((5e-5, True), (5e-4, False)):
            bent = dict(off)
            against = next(s.against for s in stages if s.name == name)
            bent[name] = off[against] + factor * share * scale * (np.arange(3) == 1)
            records = compare_stages(given(stages, bent), pixels(16), answers(logits), 1.0)
            assert next(r["holds"] for r in records if r["name"] == name) == holds


def test_rounding_of_two_nearly_equal_logits_holds() -> None:
    """Floats round in proportion to their size, however little two classes differ."""
    logits = np.full((8, 2), 1.0) + np.array([0.0, 1e-3])
    limit = SAME_FUNCTION["relative_max"]
    assert measure(logits + np.array([6e-7, 0.0]), logits)["relative_max"] < limit
    assert measure(logits + np.array([1e-4, 0.0]), logits)["relative_max"] > limit


@pytest.mark.parametrize("name", ["tflite-micro", "generated-c"])
def test_one_step_is_too_many_where_bytes_must_be_equal(
    converted_run: Path, stages: list[Stage], logits: dict[str, np.ndarray], name: str
) -> None:
    scale, bent = output_scale(converted_run), dict(logits)
    bent[name] = logits[name] + scale * (np.arange(3) == 1)
    lines = broken(
        {"stages": compare_stages(given(stages, bent), pixels(16), answers(logits), scale)}
    )
    against = next(s.against for s in stages if s.name == name)
    assert f"{name} against {against}: max_difference 1 lsb, allowed is at most 0" in lines


def test_another_implementation_may_be_many_steps_off_and_must_agree(
    converted_run: Path, stages: list[Stage], logits: dict[str, np.ndarray]
) -> None:
    scale, bent = output_scale(converted_run), dict(logits)
    name = "litert-int8-reference"
    bent[name] = logits[name] + 27 * scale  # seen: 27 steps off, the same classes
    assert (
        broken({"stages": compare_stages(given(stages, bent), pixels(16), answers(logits), scale)})
        == []
    )


def changed(run: Path, folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A copy of `run` whose quantized network is changed, and the int8 file is not."""
    from pytorch_side.int8.fakequant import QuantNet
    from pytorch_side.int8.fine_tune import load_quantized
    from pytorch_side.nets.weights import read_weights, save_weights

    copy = folder / "changed"
    shutil.copytree(run, copy)
    net: QuantNet = load_quantized(run)[0]
    weights, metadata = read_weights(run / "qat.safetensors")
    change(weights | {"index": net.index})
    net.load_state_dict(weights)
    save_weights(net, copy / "qat.safetensors", metadata)
    return copy


def test_broken_weights_and_ranges_are_seen(converted_run: Path, tmp_path: Path) -> None:
    """A layer's weights scrambled; a range a sixteenth of what it was."""

    def scramble(parts: dict[str, Any]) -> None:
        weight = parts["legal.layers.conv_head.weight"]
        weight.copy_(weight.flip(0))

    def narrow(parts: dict[str, Any]) -> None:
        i = parts["index"]["conv_head"]
        parts["low"][i] /= 16
        parts["high"][i] /= 16

    for change, name in ((scramble, "fine-tuned"), (narrow, "fake-quantized")):
        run = changed(converted_run, tmp_path / name, change)
        stages = make_stages(run, tmp_path / name)
        labels = stages[0].run(pixels(40)).argmax(1)
        records = compare_stages(stages, pixels(40), labels, output_scale(run))
        lines = broken({"stages": records})
        assert any(line.startswith(f"{name} against ") for line in lines), lines


def test_each_operator_is_within_one_step_of_both_simulations(converted_run: Path) -> None:
    found = compare_operators(converted_run, pixels(3, seed=5))
    assert set(found) == set(load_card(converted_run / "card.json").ops)
    for entry in found.values():
        assert max(entry["max_lsb"], entry["max_lsb_exact"]) <= 1
    assert sum(entry["elements"] for entry in found.values()) > 500_000
    assert found["CONV_2D"]["off_exact"] == 0, "LiteRT's reference convolution is TFLite Micro's"
    assert broken({"stages": [], "operators": {"MEAN": {"max_lsb": 2, "max_lsb_exact": 3}}}) == [
        "MEAN differs from float arithmetic by 2 LSB",
        "MEAN differs from exact integers by 3 LSB",
    ]


def test_operators_are_compared_where_the_converter_dropped_a_mean(
    converted_run_32: Path, tmp_path: Path
) -> None:
    found = compare_operators(converted_run_32, pixels(2, size=32))
    assert "MEAN" in found and broken({"stages": [], "operators": found}) == []
    run = tmp_path / "run"
    shutil.copytree(converted_run_32, run)
    model = (run / "model_int8.tflite").read_bytes()
    (run / "model_int8.tflite").write_bytes(model.replace(b"conv_head_act", b"conv_head_axt"))
    with pytest.raises(UserError, match="lacks conv_head_act: convert the run again"):
        compare_operators(run, pixels(1, size=32))


def test_a_broken_operator_is_seen(converted_run: Path, tmp_path: Path) -> None:
    def shift(parts: dict[str, Any]) -> None:
        parts["legal.layers.conv_head.bias"][0] += 1.0

    run = changed(converted_run, tmp_path, shift)
    lines = broken({"stages": [], "operators": compare_operators(run, pixels(1))})
    assert [line.split()[0] for line in lines] == ["CONV_2D", "CONV_2D"]


def test_a_folder_without_training_files_has_the_int8_stages(
    converted_run: Path, tmp_path: Path
) -> None:
    for name in ("model_int8.tflite", "card.json"):
        shutil.copy(converted_run / name, tmp_path / name)
    stages = make_stages(tmp_path, tmp_path)
    assert [(s.name, s.against) for s in stages] == [
        ("tflite-micro", ""),
        ("litert-int8-reference", "tflite-micro"),
        ("generated-c", "tflite-micro"),
    ]
    records = compare_stages(stages, pixels(3), np.zeros(3, np.int64), output_scale(tmp_path))
    assert broken({"stages": records}) == []


def test_a_model_that_is_not_the_cards_is_refused(converted_run: Path, tmp_path: Path) -> None:
    shutil.copy(converted_run / "card.json", tmp_path / "card.json")
    data = bytearray((converted_run / "model_int8.tflite").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "model_int8.tflite").write_bytes(data)
    with pytest.raises(UserError, match="not the model of its card"):
        make_stages(tmp_path, tmp_path)


def test_arena_is_what_tflite_micro_counts(converted_run: Path) -> None:
    model = converted_run / "model_int8.tflite"
    assert arena_bytes(model) == load_card(converted_run / "card.json").arena_bytes
    assert len(Micro(model.read_bytes()).run(to_int8(pixels(1))[0])) == 3
    (converted_run.parent / "none.tflite").write_bytes(b"no model")
    with pytest.raises(UserError, match="refuses this model"):
        arena_bytes(converted_run.parent / "none.tflite")
