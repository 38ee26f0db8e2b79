"""bench_pc.py from end to end on a tiny model: every int8 runtime, merged results, bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_run import CLASSES, SIZE, make_images, make_run

from host_tools import bench_pc
from host_tools.bench_pc import main
from host_tools.inputs import load_model
from host_tools.pc.tflite_backends import load_litert, load_tflite_micro, tflite_backends
from host_tools.pc.torch_backends import torch_backends
from host_tools.results import LEARNED_FROM
from pytorch_side.config import Config, save_config, with_values
from pytorch_side.nets.models import make_teacher, student_from
from pytorch_side.nets.weights import save_weights
from swin2mcu.common.card import sha256_of
from swin2mcu.common.cli import UserError
from swin2mcu.common.test_access import read_accesses
from tinyml.format.tflite import parse
from tinyml.format.variants import dequantized, with_float_ends
from tinyml.format.writer import GraphWriter


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, dict]]:
    folder = tmp_path_factory.mktemp("bench")
    run, images = make_run(folder / "run"), make_images(folder / "images")
    arguments = [str(run), "--data", str(images), "--threads", "1", "--runs", "10"]
    assert main([*arguments, "--only", "litert", "tflm", "aot"]) == 0
    return run, json.loads((run / "results.json").read_text())["targets"]


def test_every_runtime_is_timed_scored_and_weighed(measured: tuple[Path, dict[str, dict]]) -> None:
    run, targets = measured
    accesses = {access["target"]: access for access in read_accesses(run)}
    int8 = ("model_int8.tflite", sha256_of(run / "model_int8.tflite"))
    assert set(targets) == {"pc-litert-int8", "pc-litert-float32", "pc-tflm-int8", "pc-aot-int8"}
    for name, target in targets.items():
        assert target["cost"]["unit"] == "us" and target["cost"]["runs"] >= 10
        assert 0 < target["cost"]["min"] <= target["cost"]["p50"] <= target["cost"]["p95"]
        assert target["accuracy"]["images"] == 20
        assert np.sum(target["accuracy"]["confusion"]) == 20
        assert accesses[name]["top1"] == target["accuracy"]["top1"]
        of_int8 = (accesses[name]["weights"], accesses[name]["weights_sha256"]) == int8
        assert of_int8 == ("-int8" in name), (
            "the access of a float file is not that of the int8 file"
        )
        memory = target["memory"]
        assert name == "pc-aot-int8" or memory["peak_rss_bytes"] > memory["baseline_rss_bytes"] > 0
        assert target["memory"]["file_bytes"] > 0
    assert len({target["session"] for target in targets.values()}) == 1


def make_torch_run(folder: Path, **more: Any) -> tuple[Path, Path]:
    """A run with a float student and a config that names a tiny teacher; → run, its weights."""
    run, weights = make_run(folder / "run"), folder / "teacher" / "teacher.safetensors"
    config = with_values(
        Config(),
        {
            "teacher.name": "swin",
            "teacher.arguments": {
                "window_size": 2,
                "embed_dim": 8,
                "depths": [1, 1],
                "num_heads": [1, 2],
            },
            "teacher.stem": "tf_mobilenetv3_small_100",
            "teacher.size": 64,
            "distillation.alpha": 0.5,
        },
    )
    weights.parent.mkdir(parents=True)
    save_weights(make_teacher(config.teacher, len(CLASSES)), weights, {})
    about = {"student": config.student.name, "size": SIZE, "classes": CLASSES}
    save_weights(student_from(config.student, len(CLASSES)), run / "student.safetensors", about)
    save_config(with_values(config, {"teacher.init": str(weights), **more}), run / "config.json")
    return run, weights


def test_an_access_names_the_weights_that_were_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, teacher = make_torch_run(tmp_path)
    monkeypatch.setattr(bench_pc, "measure_in_fresh_process", lambda *_: {})
    arguments = [str(run), "--data", str(make_images(tmp_path / "images")), "--threads", "1"]
    arguments += ["--runs", "1", "--limit", "2"]
    assert main([*arguments, "--only", "torch-teacher", "torch-float32", "tflm"]) == 0
    accesses = read_accesses(run)
    files = {
        "pc-torch-teacher-float32": teacher,
        "pc-torch-float32": run / "student.safetensors",
        "pc-tflm-int8": run / "model_int8.tflite",
    }
    assert {a["target"]: (a["weights"], a["weights_sha256"]) for a in accesses} == {
        target: (file.name, sha256_of(file)) for target, file in files.items()
    }
    note = json.loads((run / "results.json").read_text())["targets"]["pc-torch-teacher-float32"][
        "note"
    ]
    assert note.startswith(LEARNED_FROM) and "over the stages of" in note


def teacher_note(run: Path) -> str | None:
    backends = torch_backends(load_model(str(run)), len(CLASSES), 1)
    return next((c.note for c in backends if "-teacher-" in c.target), None)


def test_a_teachers_note_says_what_it_is(tmp_path: Path) -> None:
    """Its stem, and its hints, knew ImageNet: without them its score is misread."""
    run, weights = make_torch_run(tmp_path)
    stem = ", over the stages of tf_mobilenetv3_small_100 to stride 16"
    assert teacher_note(run) == f"{LEARNED_FROM}: Swin 8, depths 1-1{stem}, 64 px"
    save_config(
        with_values(Config(), {"hint.init": "runs/stem-160/student.safetensors"}),
        weights.with_name("config.json"),
    )
    assert teacher_note(run) == (
        f"{LEARNED_FROM}: Swin 8, depths 1-1{stem}, 64 px, with hints from stem-160"
    )
    weights.unlink()
    assert f"{stem}, 64 px" in str(teacher_note(run)) and "random" in str(teacher_note(run))
    save_config(
        with_values(
            Config(), {"teacher.name": "swin_tiny_patch4_window7_224", "distillation.beta": 1.0}
        ),
        run / "config.json",
    )
    assert str(teacher_note(run)).startswith("Swin_tiny_patch4_window7_224, 224 px; random")


def test_who_learned_from_labels_alone_has_no_teacher(tmp_path: Path) -> None:
    run, _ = make_torch_run(tmp_path)
    assert teacher_note(run) is not None
    run, _ = make_torch_run(tmp_path / "baseline", **{"distillation.alpha": 0.0})
    assert teacher_note(run) is None


def test_several_teachers_and_a_student_are_not_measured_as_a_swin(tmp_path: Path) -> None:
    several = {"teacher.init": "", "distillation.cache": "runs/both"}
    run, _ = make_torch_run(tmp_path / "several", **several)
    assert teacher_note(run) is None
    student = {"teacher.name": "tf_mobilenetv3_small_100", "teacher.init": "gone.safetensors"}
    run, _ = make_torch_run(tmp_path / "student", **student)
    assert teacher_note(run) is None


def test_generated_c_answers_byte_for_byte_like_tflite_micro(
    measured: tuple[Path, dict[str, dict]],
) -> None:
    parity = measured[1]["pc-aot-int8"]["parity"]
    assert parity["images"] == parity["identical"] == 20 and parity["max_lsb"] == 0


def test_generated_c_leaves_nothing_that_another_run_writes_over(tmp_path: Path) -> None:
    model, work = load_model(str(make_run(tmp_path / "run"))), tmp_path / "work"
    work.mkdir()
    (backend,) = (c for c in tflite_backends(model, work, 1) if c.target == "pc-aot-int8")
    runner = backend.load(1)
    assert list(work.iterdir()) == []
    micro = load_tflite_micro(model.int8, model.contract)
    pixels = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    logits = runner.run(runner.prepare(pixels))
    assert np.array_equal(logits, micro.run(micro.prepare(pixels)))


def test_a_run_without_images_keeps_the_score_of_before(
    measured: tuple[Path, dict[str, dict]],
) -> None:
    run, before = measured
    assert main([str(run), "--threads", "1", "--runs", "5", "--only", "litert-int8"]) == 0
    after = json.loads((run / "results.json").read_text())["targets"]
    assert after["pc-litert-int8"]["accuracy"] == before["pc-litert-int8"]["accuracy"]
    assert after["pc-litert-int8"]["cost"] != before["pc-litert-int8"]["cost"]
    assert set(after) == set(before)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing-folder"], "no model_int8.tflite"),
        (["RUN", "--runs", "0"], "at least 1"),
        (["RUN", "--limit", "0"], "at least 1"),
        (["RUN", "--threads", "1", "0"], "at least 1"),
        (["RUN", "--threads", "100000"], "at most 256"),
        (["RUN", "--score-seconds", "nan"], "above 0"),
        (["RUN", "--score-seconds", "-5"], "above 0"),
        (["RUN", "--threads", "1", "--only", "nothing"], "no backend"),
        (["RUN", "--data", "missing-images"], "is not a folder"),
    ],
)
def test_bad_input_is_one_line(
    measured: tuple[Path, dict[str, dict]],
    capfd: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    assert main([str(measured[0]) if word == "RUN" else word for word in arguments]) == 2
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(lines) == 1 and words in lines[0]


def test_results_of_another_model_are_not_overwritten(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = make_run(tmp_path / "run")
    foreign = json.dumps({"schema": 1, "model_sha256": "0" * 64, "name": "x", "targets": {}})
    (run / "results.json").write_text(foreign)
    assert main([str(run), "--threads", "1", "--runs", "1", "--only", "litert-int8"]) == 2
    assert "another model" in capfd.readouterr().err
    assert (run / "results.json").read_text() == foreign


def test_the_variant_with_float_ends_computes_the_same_integers(
    measured: tuple[Path, dict[str, dict]], tmp_path: Path
) -> None:
    original = measured[0] / "model_int8.tflite"
    variant = tmp_path / "variant.tflite"
    variant.write_bytes(with_float_ends(original.read_bytes()))
    graph = parse(original.read_bytes())
    end = graph.tensors[graph.outputs[0]]
    scale, zero = float(end.scales[0]), int(end.zero_points[0])
    one, other = load_litert(original, 1), load_litert(variant, 1)
    for seed in range(5):
        shape = (SIZE, SIZE, 3)
        pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
        exact, real = one.run(one.prepare(pixels)), other.run(other.prepare(pixels))
        assert real.dtype == np.float32
        np.testing.assert_array_equal(np.rint(real / scale + zero).astype(int), exact)


def test_the_dequantized_variant_holds_the_real_weights(
    measured: tuple[Path, dict[str, dict]],
) -> None:
    stored = (measured[0] / "model_int8.tflite").read_bytes()
    graph, variant = parse(stored), parse(dequantized(stored))
    assert [op.op for op in variant.operators] == [op.op for op in graph.operators]
    compared = 0
    for before, after in zip(graph.tensors, variant.tensors, strict=True):
        if before.data is None or before.dtype != "int8":
            continue
        along = [1] * len(before.shape)
        along[before.quantized_dimension] = -1
        scales = np.asarray(before.scales, np.float64).reshape(along)
        np.testing.assert_allclose(after.data, before.data * scales, rtol=1e-6)
        compared += 1
    assert compared > 50


def test_the_sizes_of_a_pad_stay_whole_numbers() -> None:
    writer = GraphWriter()
    x = writer.input((1, 4, 4, 3), 0.5, -3)
    framed = writer.activation((1, 6, 6, 3), 0.5, -3)
    padded = writer.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)], framed)
    variant = parse(dequantized(writer.finish(padded)))
    assert sorted(tensor.dtype for tensor in variant.tensors) == ["float32", "float32", "int32"]


def test_a_variant_of_something_else_is_refused() -> None:
    with pytest.raises(UserError, match=r"not a \.tflite"):
        with_float_ends(b"no model at all, just bytes")


@pytest.mark.parametrize("name", ["no_such_net", "vit_tiny_patch16_224", "[bold]x[/]", ""])
def test_a_card_of_an_unknown_student_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    run = make_run(tmp_path / "run")
    card = json.loads((run / "card.json").read_text())
    (run / "card.json").write_text(json.dumps({**card, "student": name}))
    assert main([str(run), "--threads", "1", "--only", "pc-torch-float32", "--runs", "1"]) == 2
    said = capsys.readouterr().err
    assert "left out: pc-torch-float32: " in said and repr(name) in said
    assert "error: no backend could be measured" in said
