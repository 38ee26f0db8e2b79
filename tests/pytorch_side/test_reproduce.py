"""One command trains a model and what it stands on, in order, once, and says how near it came."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pytorch_side import reproduce
from pytorch_side.config import Config, load_config
from pytorch_side.reproduce import Sources, compare, foundations, main, make, with_weights
from swin2mcu.common.card import Card, save_card
from swin2mcu.common.cli import UserError

COMMON = """student = "tf_mobilenetv3_small_minimal_100"
student_size = 32
teacher = "swin"
teacher_size = 32
epochs = 1
batch = 6
views = 1
"""
SWIN = """[teacher_arguments]
window_size = 2
embed_dim = 8
depths = [1, 1]
num_heads = [1, 2]
"""
# Named so that alphabetical order is not the order of training.
CHAIN = {
    "aim": """alpha = 0.5
beta = 0.1
attention_pairs = [[1, 0]]
teacher_init = "runs/big/teacher.safetensors"
teacher_stem = "tf_mobilenetv3_small_minimal_100"
""",
    "big": """teacher_stem = "tf_mobilenetv3_small_minimal_100"
teacher_stem_init = "runs/stem/student.safetensors"
""",
    "stem": """student_init = "runs/first/student.safetensors"
teacher_init = "runs/never asked/teacher.safetensors"
""",
    "first": "",
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a chain of four configs."""
    (tmp_path / "configs").mkdir()
    for name, text in CHAIN.items():
        (tmp_path / f"configs/{name}.toml").write_text(COMMON + text + SWIN)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_whole_chain_is_trained_in_order_and_once(
    place: Path,
    make_folder: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    trained: list[str] = []
    train = reproduce.train

    def noting(config: Config, kind: str, data: Path, run: Path) -> object:
        trained.append(f"{run.name} {kind}")
        return train(config, kind, data, run)

    monkeypatch.setattr(reproduce, "train", noting)
    data = ["--data", str(make_folder())]
    assert main(["aim", *data]) == 0
    assert trained == ["first student", "stem student", "big teacher", "aim student"]
    assert "nothing to compare with" in capsys.readouterr().out

    trained.clear()
    assert main(["aim", *data]) == 0 and trained == []
    caplog.clear()
    config = place / "configs/aim.toml"
    config.write_text(config.read_text().replace("beta = 0.1", "beta = 0.2"))
    assert main(["aim", *data]) == 0 and trained == []
    assert "finished already, but with another config (beta)" in caplog.text

    # Unfinished: its file is there, its last epoch is not.
    log = place / "runs/big/log.csv"
    log.write_text(log.read_text().splitlines()[0] + "\n")
    shutil.rmtree(place / "runs/aim")
    assert main(["aim", *data]) == 0
    assert trained == ["big teacher", "aim student"]


def test_a_run_without_a_log_or_config_of_ours_is_taken_as_it_is(place: Path) -> None:
    (place / "runs/aim").mkdir(parents=True)
    (place / "runs/aim/student.safetensors").touch()
    (place / "configs/aim.toml").unlink()
    assert make("aim", "student", Sources(place)) == Path("runs/aim")
    with pytest.raises(UserError, match=r"configs/aim\.toml is missing"):
        make("aim", "teacher", Sources(place))


def test_a_circle_and_a_missing_config_are_named(place: Path) -> None:
    (place / "configs/first.toml").write_text('student_init = "runs/stem/student.safetensors"\n')
    with pytest.raises(UserError, match="aim → big → stem → first → stem"):
        make("aim", "student", Sources(place))
    (place / "configs/first.toml").unlink()
    with pytest.raises(UserError, match=r"stem stands on runs/first, and configs/first\.toml is"):
        make("aim", "student", Sources(place))


def test_weights_are_looked_for_where_they_are_said_to_be(place: Path) -> None:
    (place / "configs/first.toml").write_text('student_init = "weights/net.safetensors"\n')
    with pytest.raises(UserError, match=r"first needs student_init = weights/net.*--weights"):
        make("first", "student", Sources(place))
    with pytest.raises(UserError, match=r"= elsewhere/net\.safetensors, which is missing"):
        make("first", "student", Sources(place, Path("elsewhere")))
    config = load_config(place / "configs/first.toml")
    downloaded = with_weights(config, Sources(place, pretrained=True))
    assert (downloaded.student_init, downloaded.pretrained) == ("", True)


def test_only_what_is_used_is_needed() -> None:
    assert foundations(Config(), "student") == ["student_init"]
    assert foundations(Config(beta=0.1), "student") == ["student_init", "teacher_init"]
    assert foundations(Config(guide="x"), "student") == ["student_init", "guide"]
    assert foundations(Config(), "teacher") == ["teacher_stem_init"]
    assert foundations(Config(teacher_init="x"), "teacher") == ["teacher_init"]
    assert foundations(Config(guide="x"), "teacher") == ["teacher_stem_init", "guide"]


def measured(top1: float, split: str = "val", images: int = 100) -> dict[str, object]:
    return {"split": split, "images": images, "top1": top1}


def test_half_a_point_below_is_near_and_more_is_not() -> None:
    published = {"float": measured(0.97), "int8": measured(0.96, "test")}
    assert list(compare({"float": measured(0.9749)}, published).values()) == [True]
    lines = compare({"float": measured(0.97), "int8": measured(0.954, "test")}, published)
    assert list(lines.values()) == [True, False]
    assert "int8 on test: 95.40%, published 96.00%, -0.60 points" in lines
    better = compare({"float": measured(0.99)}, published)  # reproduces it as well
    assert list(better.items()) == [("float on val: 99.00%, published 97.00%, +2.00 points", True)]
    for other in (measured(0.97, "test"), measured(0.97, images=99)):
        with pytest.raises(UserError, match="no measurement in common"):
            compare({"float": other}, published)


def test_the_check_reads_both_cards(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card = Card("aim", "net", ("a", "b"), (8, 8, 3), accuracy={"qat": measured(0.9)})
    save_card(card, place / "runs/aim/card.json")
    assert main(["aim", "--check"]) == 2
    assert "tinyml/zoo/aim/card.json" in capsys.readouterr().err
    save_card(card, place / "tinyml/zoo/aim/card.json")
    assert main(["aim", "--check"]) == 0
    values = json.loads((place / "tinyml/zoo/aim/card.json").read_text())
    values["accuracy"]["qat"]["top1"] = 0.91
    (place / "tinyml/zoo/aim/card.json").write_text(json.dumps(values))
    assert main(["aim", "--check"]) == 1
    assert "more than 0.5 points below" in capsys.readouterr().err


def test_the_projects_chains_have_no_gap() -> None:
    """Every config stands on other configs, or on weights/ files, never on runs made by hand."""
    configs = Path(__file__).parents[2] / "configs"
    for path in sorted(configs.glob("*.toml")):
        if path.stem.startswith("table-"):
            continue
        config = load_config(path)
        for field in ("student_init", "teacher_init", "teacher_stem_init"):
            if match := reproduce.TRAINED_HERE.fullmatch(getattr(config, field)):
                assert (configs / f"{match[1]}.toml").is_file(), f"{path.name}: {field}"
