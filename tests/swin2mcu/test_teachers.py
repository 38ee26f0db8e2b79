"""Teachers' scores and int8 figures are read from the runs' own files, and only while they fit."""

from __future__ import annotations

import json
import shutil
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from pytorch_side.config import Config, save_config, with_values
from swin2mcu.common.cli import UserError
from swin2mcu.common.test_access import AVERAGED, log_access
from swin2mcu.research.cost import cache_cost_lines, speed_section
from swin2mcu.research.data_audit import recall_section, split_lines
from swin2mcu.research.int8 import int8_section
from swin2mcu.research.teachers import teacher_cache_section, teacher_section
from swin2mcu.research.text import NONE
from swin2mcu.research.trainings import trainings_json, trainings_of, trainings_section
from swin2mcu.research.zoo import models_lines, published_section


def quantized(folder: Path, *, int8: bool = True, scored: bytes = b"weights") -> Path:
    folder.mkdir()
    stages = {"float": 0.95, "ptq": 0.94, "qat": 0.945}
    accuracy = {
        name: {"split": "val", "images": 100, "top1": top1} for name, top1 in stages.items()
    }
    if int8:
        accuracy["int8"] = {"split": "test", "images": 100, "top1": 0.955}
    (folder / "card.json").write_text(json.dumps({"sha256": "abc", "accuracy": accuracy}))
    (folder / "student.safetensors").write_bytes(b"weights")
    about = {"weights": "student.safetensors", "weights_sha256": sha256(scored).hexdigest()}
    log_access(folder, split="test", images=100, top1=0.96, data="leaves", **about)
    return folder


def test_a_quantized_run_has_its_line(tmp_path: Path) -> None:
    line = int8_section([[quantized(tmp_path / "one"), tmp_path / "never made"]])[-1]
    shown = "95.00% | 94.00% | 94.50% | +0.50 | 96.00% ± 1.96% | 95.50% ± 2.07% | -0.50"
    assert line == f"| one | {shown} |"


def test_seeds_have_their_mean(tmp_path: Path) -> None:
    seeds = [quantized(tmp_path / name) for name in ("one", "two")]
    card = json.loads((seeds[1] / "card.json").read_text())
    card["accuracy"]["int8"]["top1"] = 0.975
    (seeds[1] / "card.json").write_text(json.dumps(card))
    shown = "**96.00% ± 0.00%** | **96.50% ± 1.41%** | +0.50"
    assert int8_section([seeds])[-1] == f"| mean of 2 seeds ± sd |  |  |  |  | {shown} |"
    unfinished = quantized(tmp_path / "three", int8=False)
    assert "mean" not in int8_section([[*seeds, unfinished]])[-1]


def test_no_gap_is_shown_without_both_ends(tmp_path: Path) -> None:
    """A score of other weights, or none in int8: the difference would be of two models."""
    folders = [
        quantized(tmp_path / "other", scored=b"trained again"),
        quantized(tmp_path / "float", int8=False),
    ]
    for line in int8_section([folders])[-2:]:
        assert line.endswith("| – |")  # noqa: RUF001


def test_the_zoo_and_the_paper_stand_in_one_table(tmp_path: Path) -> None:
    entry = tmp_path / "zoo/net"
    entry.mkdir(parents=True)
    (entry / "model_int8.tflite").write_bytes(bytes(1234))
    card = {"parameters": 5678, "macs": 91011, "arena_bytes": 1213, "accuracy": {}}
    (entry / "card.json").write_text(json.dumps(card))
    test = {"split": "test", "images": 100}
    targets = {
        "pc-tflm-int8": {"accuracy": {**test, "top1": 0.95}},
        "pc-torch-float32": {"accuracy": {**test, "split": "val", "top1": 0.99}},  # not on test
        "pc-torch-teacher-float32": {"accuracy": {**test, "top1": 0.97}},
        "pc-litert-int8": {"cost": {"unit": "us", "p50": 1500}},
        "pc-litert-float32": {"cost": {"unit": "instructions", "p50": 1500}},  # not a time
    }
    (entry / "results.json").write_text(json.dumps({"targets": targets}))
    config = tmp_path / "net.toml"
    config.write_text(
        'distillation.alpha = 0.5\nteacher = { name = "swin", stem = "tiny", size = 32 }\n'
    )
    sections = models_lines(tmp_path / "zoo", tmp_path / "runs", tmp_path)
    line = next(line for line in sections if line.startswith("| net"))
    assert line == (
        "| net | 1,234 | 5,678 | 91,011 | 1,213 | 1.50 / – | – | 95.00% ± 2.18% "  # noqa: RUF001
        "| Swin, over the stages of tiny to stride 16, 32 px: 97.00% ± 1.71% |"
    )
    # What was scored is what it learned from, whatever the config says by now.
    note = "the teacher this student learned from: Swin, 64 px"
    noted = targets | {
        "pc-torch-teacher-float32": {**targets["pc-torch-teacher-float32"], "note": note}
    }
    (entry / "results.json").write_text(json.dumps({"targets": noted}))
    line = next(
        one for one in models_lines(tmp_path / "zoo", tmp_path / "runs", tmp_path) if "net" in one
    )
    assert line.endswith("| Swin, 64 px: 97.00% ± 1.71% |")
    # An untrained teacher's note describes what was timed, and not what the student learned from.
    timed = {"note": "Swin, 64 px; random weights: they do not change its speed"}
    (entry / "results.json").write_text(
        json.dumps({"targets": targets | {"pc-torch-teacher-float32": timed}})
    )
    lines = models_lines(tmp_path / "zoo", tmp_path / "runs", tmp_path)
    line = next(one for one in lines if "net" in one)
    assert "| Swin, over the stages of tiny to stride 16, 32 px: " in line
    # Two targets of the board's integers: the one that had time for more images.
    more = noted | {"pc-aot-int8": {"accuracy": {**test, "images": 400, "top1": 0.96}}}
    (entry / "results.json").write_text(json.dumps({"targets": more}))
    line = next(
        one for one in models_lines(tmp_path / "zoo", tmp_path / "runs", tmp_path) if "net" in one
    )
    assert "| 96.00% ± 0.98% |" in line
    (entry / "results.json").write_text(json.dumps({"targets": targets}))
    text = "\n".join(sections)
    assert "92.4 %" in text and "not measured here" in text and "2504.16128" in text
    columns = {text.count("|") for text in sections if text.startswith("|")}
    assert columns == {10}
    config.write_text("")
    plain = models_lines(tmp_path / "zoo", tmp_path / "runs", tmp_path)
    assert next(line for line in plain if line.startswith("| net")).endswith("| none |")
    assert models_lines(tmp_path / "nothing", tmp_path / "runs", tmp_path) == []
    # Times of two PCs stand apart.
    shutil.copytree(entry, tmp_path / "zoo/other")
    targets["pc-litert-int8"]["hardware"] = "a fast PC"  # type: ignore[index]
    (tmp_path / "zoo/other/results.json").write_text(json.dumps({"targets": targets}))
    two = models_lines(tmp_path / "zoo", tmp_path / "runs", tmp_path)
    assert {cell for text in two for cell in text.split(" | ") if "1.50" in cell} == {
        "1.50 / – (1)",  # noqa: RUF001
        "1.50 / – (2)",  # noqa: RUF001
    }
    assert "1: " in two[0] and "2: " in two[0] and "a fast PC" in two[0]
    shutil.rmtree(tmp_path / "zoo/other")
    # What the card says of the very file comes first.
    card["accuracy"] = {"int8": {**test, "top1": 0.96}}
    (entry / "card.json").write_text(json.dumps(card))
    plain = models_lines(tmp_path / "zoo", tmp_path / "runs", tmp_path)
    assert "| 96.00% ± 1.96% |" in next(line for line in plain if line.startswith("| net"))


def test_a_published_model_is_shown_with_what_it_stands_on(tmp_path: Path) -> None:
    runs, entry = tmp_path / "runs", tmp_path / "zoo/net"
    entry.mkdir(parents=True)
    runs.mkdir()
    (entry / "model_int8.tflite").touch()
    card = {"parameters": 1, "macs": 1, "arena_bytes": 1, "accuracy": {}}
    (entry / "card.json").write_text(json.dumps(card))
    stem = {"student_init": "weights/given.safetensors"}
    swin = {"teacher_stem": "tiny", "teacher_stem_init": "runs/stem/student.safetensors"}
    net = {"student_init": "runs/stem/student.safetensors", "alpha": 0.5, "teacher": "swin"}
    net |= {"teacher_stem": "tiny", "teacher_init": "elsewhere/runs/swin/teacher.safetensors"}
    for name, config in (("net", net), ("stem", stem), ("swin", swin)):
        (runs / name).mkdir(exist_ok=True)
        (runs / name / "config.json").write_text(json.dumps(config | {"epochs": 2}))
        (runs / name / "log.csv").write_text(
            "epoch,val_top1,seconds,waiting_share\n1,0.5,1800,0.5\n2,0.25,1800,0.0\n"
        )
    text = "\n".join(models_lines(tmp_path / "zoo", runs, tmp_path))
    assert "| Swin, over the stages of tiny to stride 16 as stem learned them, 224 px: " in text
    found = trainings_of(tmp_path / "zoo", runs, tmp_path / "none.json")
    text = "\n".join(trainings_section(found))
    assert "| net | 2 | 25.00% | 1 (50.00%) | 1.00 | 25.0% | unknown | stem (student), swin" in text
    assert (
        "| swin | 2 | 25.00% | 1 (50.00%) | 1.00 | 25.0% | unknown | stem (teacher.stem) |" in text
    )
    assert text.count("| stem | 2 |") == 1
    # Runs that are not here are as recorded; those that are here, and finished, come first.
    recorded, gone = tmp_path / "trainings.json", tmp_path / "no runs"
    assert trainings_section(trainings_of(tmp_path / "zoo", gone, recorded)) == []
    recorded.write_text(trainings_json(found))
    assert trainings_of(tmp_path / "zoo", gone, recorded) == found
    shutil.copytree(runs / "swin", gone / "swin")
    log = (gone / "swin/log.csv").read_text()
    (gone / "swin/log.csv").write_text(log.replace("2,0.25", "2,0.75"))
    text = "\n".join(trainings_section(trainings_of(tmp_path / "zoo", gone, recorded)))
    assert "| swin | 2 | 75.00% |" in text and "| stem | 2 | 25.00% |" in text
    (gone / "swin/log.csv").write_text(log.partition("2,")[0])
    assert trainings_of(tmp_path / "zoo", gone, recorded) == found, "not finished: 1 of 2 epochs"
    val = {stage: {"split": "val", "top1": top1} for stage, top1 in (("ptq", 0.8), ("qat", 0.9))}
    card["accuracy"] = val
    (entry / "card.json").write_text(json.dumps(card))
    teacher = tmp_path / "teachers/leaf"
    teacher.mkdir(parents=True)
    save_config(with_values(Config(), {"teacher.name": "swin"}), teacher / "config.json")
    score = {"split": "val", "images": 100, "top1": 0.95, "weights_sha256": "1", "data": "leaves"}
    (teacher / "test_access.jsonl").write_text(
        json.dumps({**score, "weights": "teacher.safetensors", "date": "today"}) + "\n"
    )
    text = "\n".join(published_section(tmp_path / "zoo", teacher.parent))
    assert "| 80.00% | 90.00% | +10.00 |" in text, "the card is enough"
    assert f"| Swin, 224 px | leaf | 95.00% ± 2.18% | {NONE} |" in text
    assert published_section(tmp_path / "nothing", teacher.parent) == []
    # Where the runs are not here, the configs they are trained with say the same of the teacher.
    configs = tmp_path / "configs"
    configs.mkdir()
    (configs / "net.toml").write_text(
        'distillation.alpha = 0.5\n[teacher]\nname = "swin"\nstem = "tiny"\n'
        'init = "runs/swin/teacher.safetensors"\n'
    )
    (configs / "swin.toml").write_text('teacher.stem_init = "runs/stem/student.safetensors"\n')
    text = "\n".join(models_lines(tmp_path / "zoo", tmp_path / "no runs", configs))
    assert "| Swin, over the stages of tiny to stride 16 as stem learned them, 224 px: " in text


@pytest.mark.parametrize("key", ["region", "view"])  # older files say view
def test_the_data_audit_stands_beside_recall(tmp_path: Path, key: str) -> None:
    assert split_lines(tmp_path) == [] == recall_section(tmp_path)
    seen = {
        key: "frame",
        "test_top1": 0.5,
        "test_standard_error": 0.01,
        "majority_top1": 0.25,
    }
    probe = {"given": [seen], "random": [seen | {"test_top1": 0.75}]}
    pairs = [
        {"first": f, "second": "train", "near": n, "photos": 9}
        for f, n in (("val", 5), ("test", 2))
    ]
    audit = {"near_bits": 7, "given": pairs, "random": [pairs[0], pairs[1] | {"near": 4}]}
    (tmp_path / "leaves-audit.json").write_text(json.dumps(audit))
    (tmp_path / "leaves-probe.json").write_text(json.dumps(probe))
    (tmp_path / "net").mkdir()
    (tmp_path / "net/card.json").write_text(json.dumps({"macs": 3, "classes": ["mold", "rust"]}))
    accuracy = {"split": "test", "images": 1234, "per_class_recall": {"rust": 0.9, "mold": 0.5}}
    accuracy["confusion"] = [[50, 50], [10, 90]]
    targets = {"pc-tflm-int8": None, "qemu-m7-aot": {"accuracy": accuracy}}
    targets["pc-tflm-int8"] = {}
    (tmp_path / "net/results.json").write_text(json.dumps({"targets": targets}))
    lines = [*split_lines(tmp_path), *recall_section(tmp_path)]
    assert any("told from frame" in text for text in lines)
    assert "| as given | 2 of 9 | 50.0% ± 1.0% |" in lines
    assert "| the same photos, random split | 4 of 9 | 75.0% ± 1.0% |" in lines
    mold, rust = "| mold | 100 | 50.0% ± 5.0% |", "| rust | 100 | 90.0% ± 3.0% |"
    assert lines.index(mold) == lines.index(rust) - 1
    assert "| class | test photos | net, 1,234 images |" in lines
    # Not the first of the board's integers, but the one that had time for most images.
    few = {**accuracy, "images": 9, "per_class_recall": {"rust": 1.0, "mold": 1.0}}
    targets["pc-tflm-int8"] = {"accuracy": few}
    (tmp_path / "net/results.json").write_text(json.dumps({"targets": targets}))
    assert "| class | test photos | net, 1,234 images |" in recall_section(tmp_path)


def test_no_split_lines_without_a_test_split(tmp_path: Path) -> None:
    pair = {"first": "val", "second": "train", "near": 5, "photos": 9}
    audit = {"near_bits": 7, "given": [pair], "random": [pair]}
    (tmp_path / "leaves-audit.json").write_text(json.dumps(audit))
    (tmp_path / "leaves-probe.json").write_text(json.dumps({"given": [], "random": []}))
    assert split_lines(tmp_path) == []


def test_nothing_quantized_nothing_shown(tmp_path: Path) -> None:
    assert int8_section([[tmp_path]]) == []
    assert teacher_section([]) == []


def test_a_teacher_is_shown_with_its_last_scores(tmp_path: Path) -> None:
    (tmp_path / "teacher.safetensors").write_bytes(b"weights")
    scores = [("val", 0.5, 9), ("test", 0.25, 9), ("test", 0.75, 9), ("test", 1.0, 2)]
    for split, top1, images in scores:
        about = {"weights": "teacher.safetensors", "weights_sha256": sha256(b"weights").hexdigest()}
        log_access(tmp_path, split=split, images=images, top1=top1, data="leaves", **about)
    assert teacher_section([("Swin", tmp_path)])[-3].endswith(
        "| 50.00% ± 16.67% | – | 75.00% ± 14.43% | – |"  # noqa: RUF001
    )
    log_access(tmp_path, split="val", images=9, top1=1.0, data="x", target=AVERAGED, **about)
    assert teacher_section([("Swin", tmp_path)])[-3].endswith(
        "| 50.00% ± 16.67% | 100.00% ± 7.26% | 75.00% ± 14.43% | – |"  # noqa: RUF001
    )
    (tmp_path / "teacher.safetensors").write_bytes(b"trained again")
    assert teacher_section([("Swin", tmp_path)])[-3].endswith("| – | – | – | – |")  # noqa: RUF001


def test_cached_outputs_tell_whether_they_repeat_the_labels(tmp_path: Path) -> None:
    """Two images of two augmentations: three of four answers are right, and 0.75 or 0.9 sure."""
    folder = tmp_path / "asked"
    folder.mkdir()
    (folder / "knowledge.json").write_text(json.dumps({"classes": ["a", "b"], "done": 2}))
    (folder / "files.json").write_text(json.dumps(["b/1.jpg", "a/1.jpg"]))
    sure, less = float(np.log(9)), float(np.log(3))
    logits = np.array([[[0, sure], [0, sure]], [[sure, 0], [-less, 0]]], dtype=np.float16)
    np.save(folder / "logits.npy", logits)
    lines = teacher_cache_section([folder, folder, tmp_path / "never asked"])
    assert lines[-1] == "| asked | 2 | 75.00% | 0.77 | 0.90 |"
    assert len([line for line in lines if line.startswith("| asked")]) == 1
    assert teacher_cache_section([]) == []


def test_cached_outputs_of_photos_in_any_folders(tmp_path: Path) -> None:
    """A class folder may lie in a split's; photos of no class, or of two, are left out of right."""
    folder = tmp_path / "asked"
    folder.mkdir()
    files = ["train/b/1.jpg", "a/day 1/1.jpg", "../more/1.jpg", "loose.jpg", "a/b/1.jpg"]
    (folder / "teacher_cache.json").write_text(json.dumps({"classes": ["a", "b"], "done": 5}))
    (folder / "files.json").write_text(json.dumps(files))
    np.save(folder / "logits.npy", np.tile(np.float16([0, np.log(9)]), (5, 1, 1)))
    assert teacher_cache_section([folder])[-1] == "| asked | 1 | 50.00% | 0.90 | 0.90 |"
    (folder / "files.json").write_text(json.dumps(["loose.jpg"] * 5))
    assert teacher_cache_section([folder])[-1] == f"| asked | 1 | {NONE} | 0.90 | 0.90 |"


def test_costs_are_ratios_to_the_plainest_way(tmp_path: Path) -> None:
    assert cache_cost_lines(tmp_path) == [] == speed_section(tmp_path)
    about = {"config": "big", "network": "swin", "size": 64, "batch": 8}
    about |= {"hardware": "abacus", "threads": 3}
    speeds = {(False, False): 10.0, (False, True): 25.0, (True, False): 9.0, (True, True): 30.0}
    ways = [{"channels_last": c, "bf16": b, "images_per_s": s} for (c, b), s in speeds.items()]
    (tmp_path / "a.json").write_text(json.dumps(about | {"ways": ways}))
    for name, key in (("b", "teacher_cache_cost"), ("old", "knowledge_cost")):
        (tmp_path / f"{name}.json").write_text(json.dumps(about | {key: 1.0654}))
    text = "\n".join([*cache_cost_lines(tmp_path), *speed_section(tmp_path)])
    assert "| big | swin | 64 | 8 | 0.90 | 2.50 | 3.00 | abacus, 3 threads |" in text
    assert text.count("An epoch of big on cached teacher outputs costs 1.07 of one without") == 2
    for wrong in ("{}", "[]", "{"):
        (tmp_path / "c.json").write_text(wrong)
        with pytest.raises(UserError, match=r"c\.json"):
            speed_section(tmp_path)
