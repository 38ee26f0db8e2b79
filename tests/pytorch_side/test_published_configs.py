"""Every config that names weights opens files of the kind it names."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytorch_side.config import Config, flat, load_config, with_values
from pytorch_side.distillation.teacher_cache import load_teacher
from pytorch_side.nets.models import make_teacher, student_from
from pytorch_side.nets.weights import save_weights
from pytorch_side.reproduce import DOWNLOADED, Sources, with_weights
from swin2mcu.common.cli import UserError

CONFIGS = Path(__file__).parents[2] / "configs"
CLASSES = tuple("abcdefghij")
# What the files called weights/ say of themselves: sentences, since no command of ours made them.
FOREIGN = {
    "student": {
        "model": "timm tf_mobilenetv3_small_100",
        "input": "(pixel-127.5)/127.5",
        "classes": "none (backbone)",
    },
    "teacher": {
        "arch": "timm SwinTransformer",
        "input": "(pixel-127.5)/127.5 at 128x128",
        "classes": "folder names of plantvillage-tomato, sorted",
    },
}


def published() -> list[Path]:
    """Configs that start from a file or learn from one; tables hold rows of other configs."""
    configs = [p for p in sorted(CONFIGS.rglob("*.toml")) if "[[rows]]" not in p.read_text()]
    return [p for p in configs if (c := load_config(p)).student.init or c.teacher.init]


def distinct() -> list[Path]:
    """One config for each combination of the fields that decide what is opened."""
    found: dict[str, Path] = {}
    for path in published():
        c = load_config(path)
        t = c.teacher
        key = (c.student.name, c.student.init, t.name, t.init, t.input, t.size, t.arguments)
        found.setdefault(str(key), path)
    return list(found.values())


def stand_in(config: Config, field: str, folder: Path) -> Config:
    """`config` with a file of its own in `folder` for what `field` names."""
    named = flat(config)[field]
    bare = with_values(config, {field: "", "teacher.stem_init": ""})
    kind = field.removesuffix(".init")
    if kind == "student":
        model = student_from(bare.student, len(CLASSES))
        ours = {"student": config.student.name, "size": config.student.size, "classes": CLASSES}
    else:
        model = make_teacher(bare.teacher, len(CLASSES))
        ours = {"input": config.teacher.input, "size": config.teacher.size, "classes": CLASSES}
    path = folder / Path(named).name
    save_weights(model, path, FOREIGN[kind] if named.startswith(DOWNLOADED) else ours)
    if named.startswith(DOWNLOADED):  # as `make reproduce WEIGHTS=folder` finds it
        return with_weights(config, Sources(folder, weights=folder))
    return with_values(config, {field: str(path)})


@pytest.mark.parametrize("path", distinct(), ids=lambda path: path.stem)
def test_a_config_opens_the_weights_it_names(path: Path, tmp_path: Path) -> None:
    config = load_config(path)
    if config.student.init:
        student_from(stand_in(config, "student.init", tmp_path).student, len(CLASSES))
    if config.teacher.init:
        load_teacher(stand_in(config, "teacher.init", tmp_path), CLASSES)


def test_all_published_models_are_among_them() -> None:
    names = {path.stem for path in published()}
    assert {p.name for p in (CONFIGS.parent / "tinyml" / "zoo").iterdir() if p.is_dir()} <= names


def test_a_keyword_that_differs_is_refused(tmp_path: Path) -> None:
    config = load_config(CONFIGS / "small-96.toml")
    opened = stand_in(config, "teacher.init", tmp_path)
    model = make_teacher(opened.teacher, len(CLASSES))
    for metadata, wanted in (({"input": "imagenet"}, "input imagenet"), ({"size": 64}, "size 64")):
        save_weights(model, Path(opened.teacher.init), metadata)
        with pytest.raises(UserError, match=f"was trained with {wanted}"):
            load_teacher(opened, CLASSES)
