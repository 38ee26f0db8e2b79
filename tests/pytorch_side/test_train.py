"""The loop: schedule, averages, resume after a kill, and the errors that must lose nothing."""

from __future__ import annotations

import csv
import json
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import nn

from pytorch_side import train
from pytorch_side.config import (
    Config,
    differing,
    read_saved_config,
    split_rule,
    with_values,
)
from pytorch_side.data.loader import Batch
from pytorch_side.distill import main as distill_command
from pytorch_side.train import Losses, epoch_seed, learning_rate, train_loop
from swin2mcu.common.cli import UserError


class Killed(Exception):
    """Stands in for a kill: nothing of ours catches it."""


class FakeBatches:
    """Four seeded batches an epoch; `kill_at` (epoch, step) raises there, once."""

    steps, waited_s, train_data_digest, photos_digest = 4, 0.0, "leaves", "of leaves"
    trained_on = (("0" * 64, 9, "a.png"),)
    drawn_by = "photo"

    def __init__(self, kill_at: tuple[int, int] | None = None) -> None:
        self.kill_at = kill_at

    def epoch(self, number: int) -> Iterator[Batch]:
        for step in range(self.steps):
            if (number, step) == self.kill_at:
                raise Killed
            draw = torch.Generator().manual_seed(100 * number + step)
            images = torch.randn(8, 3, 4, 4, generator=draw)
            labels = (images.mean(dim=(1, 2, 3)) > 0).long()
            yield Batch(images, labels, ("a.png",) * 8)


def network() -> nn.Module:
    torch.manual_seed(5)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.3), nn.Flatten(), nn.Linear(16, 2)
    )


def cross_entropy(model: nn.Module, batch: Batch) -> Losses:
    return {"loss": nn.functional.cross_entropy(model(batch.images), batch.labels)}


def run_fit(
    run: Path,
    config: Config,
    batches: FakeBatches,
    loss: Callable[[nn.Module, Batch], Losses] = cross_entropy,
) -> nn.Module:
    model = network()
    torch.manual_seed(config.seed)
    train_loop(model, batches, loss, lambda m: {"val_top1": 0.5}, lambda m: None, config, run)  # type: ignore[arg-type]
    return model


CONFIG = with_values(
    Config(),
    {
        "optimizer.epochs": 4,
        "optimizer.warmup_epochs": 1,
        "optimizer.learning_rate": 0.01,
        "optimizer.ema": 0.9,
    },
)


def test_the_schedule_warms_up_and_ends_at_zero() -> None:
    config = with_values(
        CONFIG,
        {"optimizer.epochs": 10, "optimizer.warmup_epochs": 2.0, "optimizer.learning_rate": 1.0},
    )
    rates = [learning_rate(step, 5, config.optimizer) for step in range(51)]
    assert rates[:10] == pytest.approx([0.1 * (i + 1) for i in range(10)])
    assert rates[10] == pytest.approx(1.0)
    assert rates[30] == pytest.approx(0.5)
    assert rates[50] == pytest.approx(0.0)
    # A warm-up of a part of a step, as of a small folder's fine-tuning, does not overshoot.
    short = with_values(config, {"optimizer.warmup_epochs": 0.25}).optimizer
    for steps in (1, 2, 3, 5):
        assert max(learning_rate(step, steps, short) for step in range(10 * steps)) <= 1.0


@pytest.mark.parametrize("kill_at", [(0, 2), (2, 0), (2, 3)])
def test_a_killed_run_ends_with_the_same_weights(tmp_path: Path, kill_at: tuple[int, int]) -> None:
    whole = run_fit(tmp_path / "whole", CONFIG, FakeBatches())
    with pytest.raises(Killed):
        run_fit(tmp_path / "killed", CONFIG, FakeBatches(kill_at))
    torch.rand(17)  # whatever happened in between must not matter
    resumed = run_fit(tmp_path / "killed", CONFIG, FakeBatches())
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    logs = [_log(tmp_path / name) for name in ("whole", "killed")]
    assert logs[0] == logs[1]
    assert len(logs[0]) == 4


def _log(run: Path) -> list[dict[str, str]]:
    """The log but for the times in it."""
    with (run / "log.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    return [{k: v for k, v in r.items() if k not in ("seconds", "waiting_share")} for r in rows]


def test_a_kill_before_the_last_checkpoint_leaves_no_short_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What tells finished runs is the log: it must not stay behind the checkpoint for ever."""
    write = train.write_log

    def kill_at_the_end(path: Path, rows: list[dict[str, object]]) -> None:
        if len(rows) == CONFIG.optimizer.epochs:
            raise Killed
        write(path, rows)

    monkeypatch.setattr(train, "write_log", kill_at_the_end)
    with pytest.raises(Killed):
        run_fit(tmp_path, CONFIG, FakeBatches())
    monkeypatch.setattr(train, "write_log", write)
    run_fit(tmp_path, CONFIG, FakeBatches())
    assert len(_log(tmp_path)) == CONFIG.optimizer.epochs


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    first = run_fit(tmp_path, CONFIG, FakeBatches())
    again = run_fit(tmp_path, CONFIG, FakeBatches(kill_at=(0, 0)))
    assert torch.equal(first[4].weight, again[4].weight)


def test_the_average_follows_by_hand(tmp_path: Path) -> None:
    """Frozen but for one bias whose slope is 1: the weights are known, so the average is."""
    config = with_values(
        Config(),
        {
            "optimizer.epochs": 1,
            "optimizer.warmup_epochs": 0,
            "optimizer.learning_rate": 0.1,
            "optimizer.ema": 0.05,
            "optimizer.weight_decay": 0.0,
        },
    )
    seen = []

    class One(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.x = nn.Parameter(torch.zeros(1))

        def forward(self, _: torch.Tensor) -> torch.Tensor:
            seen.append(self.x.item())
            return self.x

    model = One()
    train_loop(
        model,
        FakeBatches(),  # type: ignore[arg-type]
        lambda m, batch: {"loss": m(batch.images).sum()},
        lambda m: {},
        lambda m: None,
        config,
        tmp_path,
    )
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    after = [*seen[1:], state["model"]["x"].item()]
    average = 0.0
    for value in after:
        average = 0.05 * average + 0.95 * value
    assert model.x.item() == pytest.approx(average, rel=1e-5)
    assert after[-1] < after[0] < 0


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_epoch(tmp_path: Path) -> None:
    steps = iter(range(100))

    def turns_bad(model: nn.Module, batch: Batch) -> Losses:
        return {
            "loss": cross_entropy(model, batch)["loss"] * (float("nan") if next(steps) > 5 else 1)
        }

    with pytest.raises(UserError, match=r"loss = nan at step 6 \(epoch 2.*a\.png.*checkpoint\.pt"):
        run_fit(tmp_path, CONFIG, FakeBatches(), turns_bad)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert len(state["rows"]) == 1
    written = json.loads((tmp_path / "not-finite.json").read_text())
    assert (written["step"], written["epoch"], written["batch"]) == (6, 2, ["a.png"] * 8)
    assert all(v.isfinite().all() for v in state["model"].values())
    run_fit(tmp_path, CONFIG, FakeBatches())


@pytest.mark.parametrize("clip", [5.0, 0.0])
@pytest.mark.parametrize("bad", [7, 15])  # the last step of an epoch, and of all
def test_a_slope_that_is_not_finite_never_reaches_the_weights(
    tmp_path: Path, bad: int, clip: float
) -> None:
    steps = iter(range(100))

    def turns_bad(model: nn.Module, batch: Batch) -> Losses:
        loss = cross_entropy(model, batch)["loss"]
        zero = (loss * 0).abs()  # whose root is 0, and its slope infinite times 0
        return {"loss": loss + (zero.sqrt() if next(steps) == bad else zero)}

    config = with_values(CONFIG, {"optimizer.clip_norm": clip})
    with pytest.raises(UserError, match=rf"gradient norm = nan at step {bad} "):
        run_fit(tmp_path, config, FakeBatches(), turns_bad)
    if bad == 7:
        return
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert len(state["rows"]) == 3
    for part in ("model", "averaged"):
        assert all(value.isfinite().all() for value in state[part].values())
    run_fit(tmp_path, config, FakeBatches())


def test_a_first_epoch_that_fails_claims_no_checkpoint(tmp_path: Path) -> None:
    def bad(model: nn.Module, batch: Batch) -> Losses:
        return {"loss": cross_entropy(model, batch)["loss"] * float("nan")}

    with pytest.raises(UserError, match=r"set optimizer\.bf16 = false$"):
        run_fit(tmp_path, CONFIG, FakeBatches(), bad)


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    """As of a teacher's and a student's command that were given one --out."""
    run_fit(tmp_path, CONFIG, FakeBatches())
    other = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(16, 2))
    with pytest.raises(UserError, match=r"checkpoint\.pt belongs to another network"):
        train_loop(
            other, FakeBatches(), cross_entropy, lambda m: {}, lambda m: None, CONFIG, tmp_path
        )  # type: ignore[arg-type]


def test_processes_and_epochs_draw_for_themselves() -> None:
    seeds = [epoch_seed(s, e, p) for s in (0, 1) for e in (0, 1) for p in (0, 1)]
    assert len(set(seeds)) == 8
    assert epoch_seed(0, 1, 1) == seeds[3]


def test_a_checkpoint_of_another_config_is_refused(tmp_path: Path) -> None:
    run_fit(tmp_path, CONFIG, FakeBatches())
    before = (tmp_path / "checkpoint.pt").read_bytes()
    with pytest.raises(UserError, match=r"another config \(optimizer\.learning_rate differ"):
        run_fit(tmp_path, with_values(CONFIG, {"optimizer.learning_rate": 0.02}), FakeBatches())
    (tmp_path / "checkpoint.pt").write_bytes(before[:1000])
    with pytest.raises(UserError, match="cannot be read"):
        run_fit(tmp_path, CONFIG, FakeBatches())


def test_a_run_keeps_how_its_photos_were_drawn_and_resumes(tmp_path: Path) -> None:
    """A later farm would else draw them anew, and move some from train to test."""
    run_fit(tmp_path, CONFIG, FakeBatches())
    saved = read_saved_config(tmp_path / "config.json")
    assert (CONFIG.data.drawn_by, saved.data.drawn_by) == ("", "photo")
    assert split_rule(saved).drawn_by == "photo"
    assert differing(CONFIG, saved) == []
    other = with_values(CONFIG, {"data.drawn_by": "group"})
    assert differing(other, saved) == ["data.drawn_by"]
    run_fit(tmp_path, saved, FakeBatches())  # finished: not trained again, and not refused


def test_a_checkpoint_of_other_images_is_refused(tmp_path: Path) -> None:
    """A photo more, and a finished run's accuracy is no longer that of the folder named."""
    run_fit(tmp_path, CONFIG, FakeBatches())
    others = FakeBatches()
    others.train_data_digest = "leaves and one more"
    with pytest.raises(UserError, match="other images: use another folder"):
        run_fit(tmp_path, CONFIG, others)
    with pytest.raises(UserError, match=r"another config \(seed differ\) and other images"):
        run_fit(tmp_path, with_values(CONFIG, {"seed": 1}), others)


def test_what_to_remove_is_named(tmp_path: Path) -> None:
    """`qat` has no --out, and its checkpoint lies in a folder of its own."""
    run_fit(tmp_path / "run" / "qat", CONFIG, FakeBatches())
    with pytest.raises(UserError, match=r"or remove .*/run/qat to start again"):
        run_fit(tmp_path / "run" / "qat", with_values(CONFIG, {"seed": 9}), FakeBatches())


def test_a_checkpoint_of_other_photos_of_the_same_names_is_refused(tmp_path: Path) -> None:
    run_fit(tmp_path, CONFIG, FakeBatches())
    others = FakeBatches()
    others.photos_digest = "of roots"
    with pytest.raises(UserError, match="other photos with the same names: use another folder"):
        run_fit(tmp_path, CONFIG, others)
    # An older version's does not say which photos it saw.
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    del state["photos_digest"]
    torch.save(state, tmp_path / "checkpoint.pt")
    run_fit(tmp_path, CONFIG, others)


@contextmanager
def files_end_at(size: int) -> Iterator[None]:
    """Writes beyond so many bytes of a file fail, as they do on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_without_space_loses_nothing(tmp_path: Path) -> None:
    config = with_values(CONFIG, {"optimizer.epochs": 2})
    with pytest.raises(Killed):
        run_fit(tmp_path, config, FakeBatches(kill_at=(1, 0)))
    before = (tmp_path / "checkpoint.pt").read_bytes()
    with files_end_at(4000), pytest.raises(UserError, match=r"cannot write .*checkpoint\.pt.*free"):
        run_fit(tmp_path, config, FakeBatches())
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    assert not list(tmp_path.glob(".checkpoint*"))
    run_fit(tmp_path, config, FakeBatches())


def test_the_command_on_a_full_disk_says_so_in_a_line(
    make_folder: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, run = tmp_path / "config.toml", tmp_path / "run"
    config.write_text(
        'student = { name = "tf_mobilenetv3_small_minimal_100", size = 32 }\noptimizer.epochs = 1'
    )
    arguments = ["--config", str(config), "--data", str(make_folder()), "--out", str(run)]
    with files_end_at(500_000):  # room for the decoded images, not for the weights
        assert distill_command(arguments) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith(f"error: cannot write {run}/student.safetensors")
    assert not (run / "student.safetensors").exists()
    assert distill_command(arguments) == 0
