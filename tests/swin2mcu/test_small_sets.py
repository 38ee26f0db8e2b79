"""Trainings on few photos: finished ones are kept, and the table shows their spread."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pytorch_side.config import Config, to_dict, with_values
from swin2mcu.common.card import Card, save_card
from swin2mcu.research import small_sets

TOP1 = {0: 0.5, 1: 0.7}  # by seed


def test_each_training_has_its_own_photos_and_is_made_once(
    make: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("docs/data").mkdir(parents=True)
    small_sets.DOCUMENT.write_text("before\n<!-- small-sets -->\n<!-- end -->\nafter\n")
    data = make(*(f"{name}/{number}.png" for name in "ab" for number in range(12)))
    trained: dict[str, str] = {}  # the table of each training, as it was given

    def train(arguments: list[str]) -> int:
        trained[Path(arguments[0]).name] = Path(arguments[0]).read_text()
        run, seed = Path(arguments[-1]), int(arguments[4])
        run.mkdir(parents=True, exist_ok=True)
        values = {"seed": seed, "optimizer.batch": 8, "optimizer.epochs": 113}
        (run / "config.json").write_text(json.dumps(to_dict(with_values(Config(), values))))
        val = {"split": "val", "images": 100, "top1": TOP1[seed]}
        accuracy = {"float": val, "qat": val | {"top1": TOP1[seed] - 0.01}}
        card = Card("few", "net", ("a", "b"), (8, 8, 3), accuracy=accuracy)
        save_card(card, run / "card.json")
        (run / "parity.json").write_text("{}")
        return 0

    monkeypatch.setattr(small_sets.train, "main", train)
    arguments = [str(data), "--photos", "2", "3", "--seeds", "2", "--init", "random"]
    assert small_sets.main(arguments) == 0
    assert list(trained) == ["few-2-0.csv", "few-3-0.csv", "few-2-1.csv", "few-3-1.csv"]
    assert all(trained[f"few-{n}-0.csv"].count(",train") == 2 * n for n in (2, 3))
    assert trained["few-2-0.csv"] != trained["few-2-1.csv"]
    row = "| 113 epochs, batches of 8 | 60.0 ± 14.1 % | 59.0 ± 14.1 % | 2 |"
    text = small_sets.DOCUMENT.read_text()
    assert f"| 2 {row}" in text and f"| 3 {row}" in text and "error of 4.6 to 5.0 points." in text
    figures = json.loads(small_sets.FIGURES.read_text())
    assert [(f["photos"], f["train"]) for f in figures] == [(2, 4), (3, 6), (2, 4), (3, 6)]
    assert small_sets.main(arguments) == 0 and len(trained) == 4

    monkeypatch.setattr(small_sets.train, "main", lambda arguments: 2)
    capsys.readouterr()
    assert small_sets.main([str(data), "--photos", "4"]) == 2
    assert "few-4-0.csv" in capsys.readouterr().err
    monkeypatch.setattr(small_sets.train, "main", train)  # interrupted, it goes on
    assert small_sets.main([str(data), "--photos", "4", "--seeds", "1", "--init", "random"]) == 0
    text = small_sets.DOCUMENT.read_text()
    assert f"| 2 {row}" in text and f"| 3 {row}" in text, "the other numbers stay"
    assert "| 4 | 113 epochs, batches of 8 | 50.0 % | 49.0 % | 1 |" in text
    assert small_sets.main([str(data), "--seeds", "0"]) == 2

    for one in (figures := json.loads(small_sets.FIGURES.read_text())):
        one["val_images"] = 600
    small_sets.FIGURES.write_text(json.dumps(figures))
    assert small_sets.main([str(data), "--photos", "2", "--seeds", "1", "--init", "random"]) == 0
    assert len(json.loads(small_sets.FIGURES.read_text())) == 1, "the others had another val"

    other = make(
        *(f"{name}/{number}.png" for name in "cd" for number in range(12)), root=tmp_path / "other"
    )
    capsys.readouterr()
    assert small_sets.main([str(other), "--photos", "2", "--seeds", "1", "--init", "random"]) == 2
    assert "2-seed0 was trained on other photos" in capsys.readouterr().err
