"""The photos that most models get wrong are found, in the order in which a person should look."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_run import CLASSES, make_images, make_run

from swin2mcu import mistakes
from swin2mcu.common.card import load_card, save_card
from swin2mcu.common.dataset import SplitRule, scan_folder
from swin2mcu.common.dataset.trained import hash_of, write_trained
from swin2mcu.mistakes import find_mistakes


def shares_of(*answers: list[tuple[int, float]]) -> mistakes.Shares:
    """One list a model: the answer to each photo and its probability; the rest is of class 9."""
    shares = np.zeros((len(answers), len(answers[0]), len(CLASSES)))
    for model, own in enumerate(answers):
        for photo, (answer, share) in enumerate(own):
            shares[model, photo, answer] += share
            shares[model, photo, 9] += 1 - share
    return shares


def test_what_most_models_get_wrong_comes_first(tmp_path: Path) -> None:
    folder = scan_folder(make_images(tmp_path / "images", per_class=1)).at([0, 1, 2, 3])
    found = find_mistakes(
        shares_of(
            [(0, 0.9), (0, 0.6), (8, 0.8), (8, 1.0)],
            [(0, 0.9), (0, 0.7), (2, 0.8), (8, 0.6)],
            [(5, 0.9), (7, 0.9), (2, 0.8), (3, 0.9)],
        ),
        folder,
    )
    assert [(one.file, one.wrong) for one in found] == [("kind_1/0.png", 3), ("kind_3/0.png", 2)]
    assert found[0].answers == (("kind_0", 2), ("kind_7", 1))
    assert found[1].label == "kind_3" and found[1].probability == pytest.approx(0.3)
    half = find_mistakes(shares_of([(1, 1.0)], [(0, 1.0)]), folder.at([0]))
    assert half == [], "one of two models is not most of them"
    doubtful = shares_of([(9, 1.0), (9, 0.7), (9, 0.9)])
    doubtful[0, 0, 0], doubtful[0, 2, 2] = 0.2, 0.1
    order = [one.file for one in find_mistakes(doubtful, folder.at([0, 1, 2]))]
    assert order == ["kind_1/0.png", "kind_2/0.png", "kind_0/0.png"], "of the label's probability"


def test_the_command_lists_draws_and_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_images(tmp_path / "images", per_class=4)
    one, other = (str(make_run(tmp_path / name, name)) for name in ("one", "other"))
    picture = tmp_path / "made/mistakes.png"
    arguments = ["--data", str(data), "--split", "train", "--out", str(picture)]
    assert mistakes.main([one, other, *arguments, "--json"]) == 0
    said = capsys.readouterr()
    assert f"{picture}: " in said.err
    report = json.loads(said.out)
    names = [model["model"] for model in report["models"]]
    assert names == ["one", "other"] and report["images"] == 20
    right = report["models"][0]["top1"] * 20
    assert report["wrong_in_most"] == report["wrong_in_all"] == len(report["photos"]) == 20 - right
    assert all(photo["wrong"] == 2 for photo in report["photos"]), "the same random weights"
    with Image.open(picture) as made:
        assert made.width == mistakes.COLUMNS * mistakes.TILE
        assert np.asarray(made).std() > 10
    assert mistakes.main([one, *arguments]) == 0
    text = capsys.readouterr().out
    assert "20 photos of train" in text and "model says" in text and "in all" not in text
    assert text.count("kind_0/") == sum(p["label"] == "kind_0" for p in report["photos"])
    assert not (tmp_path / "one/test_access.jsonl").exists()
    assert mistakes.main([one, "--data", str(data), "--split", "test"]) == 0
    assert '"target": "mistakes"' in (tmp_path / "one/test_access.jsonl").read_text()


def test_damaged_photos_are_named_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A class without a photo in the split does not matter, and a split without a readable one
    does."""
    data = make_images(tmp_path / "images", per_class=60)
    table = data / "split.csv"
    rows = table.read_text().splitlines()
    val = [f"kind_{label}/{number}.png" for label in (3, 4) for number in (1, 3)]
    for file in val:
        rows = [row.replace(",test", ",val") if row.startswith(f"{file},") else row for row in rows]
    table.write_text("\n".join(rows) + "\n")
    run = str(make_run(tmp_path / "one"))
    (data / val[0]).write_bytes(val[0].encode())
    assert mistakes.main([run, "--data", str(data), "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["images"] == 3 and val[0] in said.err
    for file in val:
        (data / file).write_bytes(file.encode())
    assert mistakes.main([run, "--data", str(data)]) == 2
    assert "no val photo can be read" in capsys.readouterr().err.splitlines()[-1]
    for number in range(2, 60, 2):
        (data / f"kind_5/{number}.png").write_bytes(b"5" * number)
        (data / f"kind_6/{number}.png").write_bytes(b"6" * number)
    assert mistakes.main([run, "--data", str(data), "--split", "train"]) == 2
    assert "58 of 600 images" in capsys.readouterr().err.splitlines()[-1]


def test_models_of_other_splits_and_wrong_arguments_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_images(tmp_path / "images", per_class=12)
    (data / "split.csv").unlink()
    one, other = (str(make_run(tmp_path / name)) for name in ("one", "other"))
    card = tmp_path / "other/card.json"
    grouped = SplitRule(group_by=r"(\d)\.png")
    save_card(replace(load_card(card), split=grouped), card)
    for arguments, said in (
        ([one, other, "--data", str(data)], "other was trained with another val"),
        ([one, f"{one}/../one", "--data", str(data)], "named twice"),
        ([one, "--data", str(data), "--out", "photos.jpg"], "name a .png file"),
        ([one, "--data", str(tmp_path / "none")], "not a folder"),
    ):
        assert mistakes.main(arguments) == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.startswith("error: ") and said in error


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_what_one_model_was_trained_on_is_left_out_for_all(
    tmp_path: Path, order: tuple[int, int], capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_images(tmp_path / "images", per_class=12)
    (data / "split.csv").unlink()
    runs = [make_run(tmp_path / name) for name in ("one", "other")]
    folder = scan_folder(data)
    position = folder.indices("val")[0]
    photo = folder.root / folder.files[position]
    write_trained(runs[0], [(hash_of(photo), photo.stat().st_size, photo.name)], [])
    names = [str(runs[number]) for number in order]
    arguments = [*names, "--data", str(data), "--split", "val", "--json"]
    assert mistakes.main([*arguments, "--out", str(tmp_path / "wrong.png")]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == len(folder.indices("val")) - 1
