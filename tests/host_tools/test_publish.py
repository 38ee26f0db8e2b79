"""Publishing is the one way into the zoo: what does not fit is refused, and nothing else writes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save
from tiny_run import make_run

from host_tools import inputs, publish
from host_tools.report import counts
from host_tools.report.entries import load_entries
from host_tools.results import load_results, log_target_access, merge_target
from pytorch_side.config import Config, read_saved_config, save_config
from pytorch_side.nets.weights import read_weights
from swin2mcu.common import paths
from swin2mcu.common.cli import UserError
from swin2mcu.common.lock import locked
from swin2mcu.common.test_access import log_access, read_accesses
from tinyml.parity.record import read_parity, unproven

ZOO, ROOT = paths.ZOO, paths.ROOT
ENTRIES = sorted(path for path in ZOO.iterdir() if path.is_dir() and path.name[0] != ".")


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "zoo"
    for module in (paths, inputs, publish):
        monkeypatch.setattr(module, "ZOO", folder)
    for module in (paths, publish):
        monkeypatch.setattr(module, "TEACHERS", tmp_path / "teachers")
    monkeypatch.setattr(inputs, "MEASURED", tmp_path / "measured")
    monkeypatch.setattr(publish, "LOCK", tmp_path / "publishing")
    return folder


def score(run: Path, images: int) -> None:
    model = inputs.load_model(str(run))
    accuracy = {"split": "test", "images": images, "top1": 0.5, "data": "leaves"}
    log_target_access(run, model.weights, "board-a", accuracy)
    command = f"python host_tools/serial_eval.py {model.typed} --board a"
    target: dict[str, Any] = {"kind": "board", "precision": "int8", "accuracy": accuracy}
    target["command"] = command
    merge_target(run, model.sha256, model.card.name, "board-a", target)


def stage(name: str, against: str, difference: float = 0.0) -> dict[str, Any]:
    record = {"name": name, "against": against, "images": 9, "unit": "lsb"}
    return {**record, "max_difference": difference, "limits": {}}


STAGES = [stage("tflite-micro", "exact"), stage("generated-c", "tflite-micro")]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = make_run(tmp_path / "run")
    sha256 = inputs.load_model(str(folder)).sha256
    parity = {"model_sha256": sha256, "stages": STAGES}
    (folder / "parity.json").write_text(json.dumps(parity))
    score(folder, 90)
    return folder


def test_a_run_is_published_whole(zoo: Path, run: Path) -> None:
    assert publish.main([str(run), "net"]) == 0
    model = inputs.load_model("net")
    assert model.folder == zoo / "net" and model.card.name == "net"
    assert load_results(zoo / "net/results.json").targets["board-a"]["accuracy"]["images"] == 90
    assert len(read_accesses(zoo / "net")) == 1
    assert sorted(path.name for path in zoo.iterdir()) == ["net"]


def test_the_float_student_is_published_in_half_precision(zoo: Path, run: Path) -> None:
    """People go on from it; a published model that is measured again keeps it."""
    draw = torch.Generator().manual_seed(0)
    weights = {"conv.weight": torch.randn(8, 4, generator=draw), "count": torch.tensor([3])}
    about = {"student": "net", "size": "96", "classes": '["a", "b"]'}
    (run / "student.safetensors").write_bytes(save(weights, about))
    assert publish.main([str(run), "net"]) == 0
    published, metadata = read_weights(zoo / "net/student.safetensors")
    assert metadata == about
    assert published["conv.weight"].dtype == torch.float16
    assert torch.equal(published["conv.weight"], weights["conv.weight"].half())
    assert torch.equal(published["count"], weights["count"])
    assert publish.main([str(inputs.load_model("net", measured=True).folder), "net"]) == 0
    assert torch.equal(
        read_weights(zoo / "net/student.safetensors")[0]["conv.weight"], published["conv.weight"]
    )


def test_a_student_beyond_half_precision_is_refused(
    zoo: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "student.safetensors").write_bytes(save({"conv.weight": torch.tensor([1e6])}))
    assert publish.main([str(run), "net"]) == 2
    assert "'conv.weight' holds numbers too large for half precision" in capsys.readouterr().err
    assert not (zoo / "net").exists()


def test_a_teacher_is_published_in_half_precision(
    zoo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, published = tmp_path / "swin", tmp_path / "teachers/leaves"
    run.mkdir()
    (run / "teacher.safetensors").write_bytes(save({"a": torch.ones(3)}, {"model": "swin"}))
    assert publish.main([str(run), "leaves"]) == 2  # a teacher is used with its config
    assert "config.json" in capsys.readouterr().err and not published.exists()
    save_config(Config(), run / "config.json")
    log_access(run, split="test", images=9, top1=0.5, weights="w", weights_sha256="", data="x")
    (run / "log.csv").write_text("epoch,val_top1,seconds,waiting_share\n1,0.5,1,0\n")
    assert publish.main([str(run), "leaves"]) == 2
    assert "not trained to its last epoch" in capsys.readouterr().err and not published.exists()
    (run / "log.csv").unlink()
    assert publish.main([str(run), "leaves"]) == 0 and not zoo.exists()
    assert sorted(path.name for path in published.iterdir()) == [
        "config.json",
        "teacher.safetensors",
        "test_access.jsonl",
    ]
    assert read_weights(published / "teacher.safetensors")[0]["a"].dtype == torch.float16
    assert read_saved_config(published / "config.json") == Config()
    with pytest.raises(UserError, match="belongs to a published model"):
        paths.refuse_published(published / "test_access.jsonl")


def test_what_is_measured_of_a_published_model_goes_into_a_copy(
    zoo: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish.main([str(run), "net"])
    before = {path.name: path.read_bytes() for path in (zoo / "net").iterdir()}
    monkeypatch.chdir(tmp_path)
    for name in ("net", str(zoo / "net"), "zoo/net"):  # a relative path is no way around
        model = inputs.load_model(name, measured=True)
        assert model.folder == tmp_path / "measured/net"
        score(model.folder, 7)
        for write in (score, lambda folder, images: log_target_access(folder, *LOOK)):
            with pytest.raises(UserError, match="belongs to a published model"):
                write(zoo / "net", 7)
            with pytest.raises(UserError, match="belongs to a published model"):
                write(Path("zoo/net"), 7)
    assert {path.name: path.read_bytes() for path in (zoo / "net").iterdir()} == before
    with pytest.raises(UserError, match="scored on 7 images, the published score is of 90"):
        publish.publish(model, "net")
    score(model.folder, 120)
    publish.publish(inputs.load_model("net", measured=True), "net")
    assert load_results(zoo / "net/results.json").targets["board-a"]["accuracy"]["images"] == 120


LOOK = (
    ("model_int8.tflite", "ab"),
    "board-a",
    {"split": "test", "images": 7, "top1": 0.5, "data": "x"},
)
BROKEN = {
    "name": "exact",
    "against": "fake-quantized",
    "relative_rms": 2.0,
    "limits": {"relative_rms": 0.5},
}


def parity_of(run: Path, **changes: Any) -> None:
    path = run / "parity.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def results_of(run: Path, **changes: Any) -> None:
    path = run / "results.json"
    results = json.loads(path.read_text())
    results["targets"]["board-a"] |= changes
    path.write_text(json.dumps(results))


def accuracy_of(run: Path, **changes: Any) -> None:
    results = json.loads((run / "results.json").read_text())
    results_of(run, accuracy=results["targets"]["board-a"]["accuracy"] | changes)


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (lambda run: (run / "parity.json").unlink(), "cannot read .*parity.json"),
        (lambda run: (run / "parity.json").write_text("{}"), "holds no stages"),
        (lambda run: parity_of(run, model_sha256="0"), "of another model"),
        (lambda run: parity_of(run, stages=[BROKEN]), "does not hold: exact against"),
        (lambda run: parity_of(run, stages=[]), "the stage tflite-micro is missing"),
        (lambda run: parity_of(run, stages=STAGES[:1]), "the stage generated-c is missing"),
        (lambda run: parity_of(run, stages=STAGES[1:]), "the stage tflite-micro is missing"),
        (
            lambda run: parity_of(run, stages=[*STAGES[:1], stage("generated-c", "exact", 1)]),
            "generated-c is not byte-identical to exact",
        ),
        (
            lambda run: parity_of(run, stages=[*STAGES[:1], stage("generated-c", "")]),
            "the stage generated-c is missing",
        ),
        (
            lambda run: parity_of(run, stages=[*STAGES[:1], STAGES[1] | {"images": 0}]),
            "the stage generated-c is missing",
        ),
        (lambda run: results_of(run, accuracy=7), "accuracy of target board-a is not"),
        (lambda run: results_of(run, accuracy=[1]), "accuracy of target board-a is not"),
        (lambda run: accuracy_of(run, images="x"), "accuracy of target board-a is not"),
        (lambda run: accuracy_of(run, top1=[1]), "accuracy of target board-a is not"),
        (lambda run: (run / "test_access.jsonl").unlink(), "is not in it"),
        (lambda run: (run / "results.json").unlink(), "is missing"),
    ],
)
def test_what_is_not_whole_is_refused(zoo: Path, run: Path, spoil: Any, error: str) -> None:
    spoil(run)
    with pytest.raises(UserError, match=error):
        publish.publish(inputs.load_model(str(run)), "net")
    assert not zoo.exists()


def test_a_published_entry_is_not_replaced_by_less(zoo: Path, run: Path) -> None:
    parity_of(run, stages=[stage("torch-float", ""), *STAGES])
    (run / "student.safetensors").write_bytes(save({"a": torch.ones(3)}))
    assert publish.main([str(run), "net"]) == 0
    before = content(zoo / "net")
    parity_of(run, stages=STAGES)
    with pytest.raises(
        UserError, match=r"parity\.json lacks the stages torch-float, which the pub"
    ):
        publish.publish(inputs.load_model(str(run)), "net")
    parity_of(run, stages=[stage("torch-float", ""), *STAGES])
    (run / "student.safetensors").unlink()
    with pytest.raises(UserError, match=r"has a student\.safetensors, .* has none"):
        publish.publish(inputs.load_model(str(run)), "net")
    assert content(zoo / "net") == before
    assert publish.main([str(run), "other"]) == 0


def test_a_published_command_names_the_entry(zoo: Path, run: Path) -> None:
    """The run exists on one computer only."""
    publish.publish(inputs.load_model(str(run)), "net")
    (target,) = load_results(zoo / "net/results.json").targets.values()
    assert target["command"] == "python host_tools/serial_eval.py net --board a"
    score(inputs.load_model("net", measured=True).folder, 120)
    publish.publish(inputs.load_model("net", measured=True), "net")
    (target,) = load_results(zoo / "net/results.json").targets.values()
    assert target["command"] == "python host_tools/serial_eval.py net --board a"


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_published_parity_holds_what_publishing_asks_for(entry: Path) -> None:
    assert unproven(read_parity(entry / "parity.json")) == []


def test_a_log_with_a_strange_target_is_no_traceback(run: Path) -> None:
    log = run / "test_access.jsonl"
    line = json.loads(log.read_text())
    log.write_text(json.dumps(line | {"target": [1]}) + "\n")
    (wrong,) = publish.wrong_accesses(read_accesses(run), load_results(run / "results.json"))
    assert "board-a's score" in wrong


@pytest.mark.parametrize("name", ["", "../net", "Net", "a b", ".net", "x" * 41])
def test_a_name_that_is_none_is_refused(zoo: Path, run: Path, name: str) -> None:
    with pytest.raises(UserError, match="no name for a zoo entry"):
        publish.publish(inputs.load_model(str(run)), name)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_the_log_of_a_published_model_names_what_was_scored(entry: Path) -> None:
    assert publish.wrong_accesses(read_accesses(entry), load_results(entry / "results.json")) == []


def test_a_float_score_that_is_logged_with_the_int8_file_is_found(run: Path) -> None:
    model = inputs.load_model(str(run))
    merge_target(run, model.sha256, "tiny", "pc", {"precision": "float32"})
    log_target_access(run, model.weights, "pc", LOOK[2])
    (wrong,) = publish.wrong_accesses(read_accesses(run), load_results(run / "results.json"))
    assert "computes in float and is logged with the int8 file" in wrong


def test_other_weights_with_the_int8_files_hash_are_found(run: Path) -> None:
    """Whatever the target: one that results.json does not hold has no precision to judge by."""
    sha256 = inputs.load_model(str(run)).sha256
    log_target_access(run, ("teacher.safetensors", sha256), "teacher", LOOK[2])
    (wrong,) = publish.wrong_accesses(read_accesses(run), load_results(run / "results.json"))
    assert wrong == "teacher.safetensors is logged with the int8 file's hash"


def content(entry: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in entry.iterdir()}


def test_two_do_not_publish_at_once(zoo: Path, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "WAIT_S", 0.0)
    with locked(publish.LOCK), pytest.raises(UserError, match="another command is publishing"):
        publish.publish(inputs.load_model(str(run)), "net")
    assert not zoo.exists()
    publish.publish(inputs.load_model(str(run)), "net")


KILLED = """
import os, signal, sys
from pathlib import Path
from host_tools import inputs, publish

publish.ZOO, publish.LOCK = Path(sys.argv[1]), Path(sys.argv[2])
rename = Path.rename

def killed(path, target):
    if path.name == "new":
        os.kill(os.getpid(), signal.SIGKILL)
    return rename(path, target)

Path.rename = killed
publish.publish(inputs.load_model(sys.argv[3]), "net")
"""


def test_an_entry_survives_a_command_that_is_killed(zoo: Path, run: Path) -> None:
    publish.publish(inputs.load_model(str(run)), "net")
    before = content(zoo / "net")
    command = [sys.executable, "-c", KILLED, str(zoo), str(publish.LOCK), str(run)]
    assert subprocess.run(command, cwd=ROOT).returncode == -signal.SIGKILL
    assert not (zoo / "net").exists(), "it was killed too early or too late for this test"
    publish.publish(inputs.load_model(str(run)), "other")
    assert sorted(path.name for path in zoo.iterdir()) == ["net", "other"]
    assert content(zoo / "net") == before


def test_an_entry_survives_ctrl_c(zoo: Path, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish.publish(inputs.load_model(str(run)), "net")
    before, rename = content(zoo / "net"), Path.rename

    def interrupted(path: Path, target: Path) -> Path:
        if path.name == "new":
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        publish.publish(inputs.load_model(str(run)), "net")
    assert [path.name for path in zoo.iterdir()] == ["net"] and content(zoo / "net") == before


def test_instructions_of_published_models_have_one_source() -> None:
    """counts.json's: results.json leaves them out, and the report shows them."""
    shown = 0
    for entry in load_entries([ZOO])[0]:
        stored = load_results(entry.folder / "results.json").targets
        for name, target in entry.results.targets.items():
            line = counts.counts().get((entry.name, name))
            if line is not None:
                assert stored[name]["cost"] is None and stored[name]["profile"] == []
                assert target["cost"]["p50"] == line["instructions"]
                shown += 1
    assert shown >= 3
