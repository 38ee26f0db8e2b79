"""Every config that names weights opens files of the kind it names."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytorch_side.config import Config, Student, flat, load_config, with_values
from pytorch_side.distillation.fill_cache import load_teacher
from pytorch_side.distillation.hint import hint_of
from pytorch_side.nets.models import make_teacher, student_from
from pytorch_side.nets.packaged import PREFIX
from pytorch_side.nets.weights import save_weights
from pytorch_side.reproduce import (
    DOWNLOADED,
    RUNS,
    TRAINED_HERE,
    Sources,
    config_path,
    with_weights,
)
from swin2mcu.common.cli import UserError
from swin2mcu.research.table import read_table

CONFIGS = Path(__file__).parents[2] / "configs"
RESEARCH = CONFIGS / "research"
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


FIELDS = ("student.init", "teacher.init", "teacher.stem_init", "hint.init")


def published() -> list[tuple[Path, Config]]:
    """Configs, and rows of tables, that start from a file or learn from one."""
    found = []
    for path in sorted(CONFIGS.rglob("*.toml")):
        if "[[rows]]" in path.read_text():
            rows = [
                (row.config, load_config(row.config, list(row.overrides)))
                for row in read_table(path, RUNS).rows
            ]
        else:
            rows = [(path, load_config(path))]
        found += rows
    return [(path, config) for path, config in found if any(files_of(config).values())]


def files_of(config: Config) -> dict[str, str]:
    """Field → the file that it names; a package's file is not ours to stand in for."""
    named = {field: str(flat(config)[field]) for field in FIELDS}
    return {field: "" if name.startswith(PREFIX) else name for field, name in named.items()}


def distinct() -> list[Config]:
    """One config for each combination of the fields that decide what is opened."""
    found: dict[str, Config] = {}
    for _, c in published():
        s, t = c.student, c.teacher
        opened = (s.name, s.selected_from, t.name, t.stem, t.input, t.size, t.arguments)
        key = f"{files_of(c)} {opened} {c.hint.pairs}"
        found.setdefault(key, c)
    return list(found.values())


def stand_in(config: Config, field: str, folder: Path) -> Config:
    """`config` with a file of its own in `folder` for what `field` names."""
    named = files_of(config)[field]
    # What a config of ours makes is as that config says, and not as its reader expects.
    here = TRAINED_HERE.fullmatch(named)
    made = load_config(config_path(here[1])) if here else config
    kind = here[2] if here else field.removesuffix(".init").replace("teacher.stem_init", "student")
    if kind == "student":
        # A downloaded file holds the wide network that a narrow student or a stem is taken from.
        wide = config.teacher.stem if "stem" in field else made.student.selected_from
        name = made.student.name if here else wide or made.student.name
        model = student_from(Student(name=name), len(CLASSES))
        ours = {"student": name, "size": made.student.size, "classes": CLASSES}
    else:
        model = make_teacher(
            with_values(made, {"teacher.init": "", "teacher.stem_init": ""}).teacher, len(CLASSES)
        )
        ours = {"input": made.teacher.input, "size": made.teacher.size, "classes": CLASSES}
    path = folder / field / Path(named).name
    path.parent.mkdir(exist_ok=True)
    save_weights(model, path, FOREIGN[kind] if named.startswith(DOWNLOADED) else ours)
    if named.startswith(DOWNLOADED):  # as `make reproduce WEIGHTS=folder` finds it
        return with_weights(config, Sources(folder, weights=path.parent))
    return with_values(config, {field: str(path)})


@pytest.mark.parametrize(
    "config", distinct(), ids=lambda config: " ".join(files_of(config).values())
)
def test_a_config_opens_the_weights_it_names(config: Config, tmp_path: Path) -> None:
    files = files_of(config)
    if files["student.init"]:
        student_from(stand_in(config, "student.init", tmp_path).student, len(CLASSES))
    if files["teacher.init"]:
        opened = stand_in(config, "teacher.init", tmp_path)
        if config.distillation.used:
            load_teacher(opened, CLASSES)
        else:  # a teacher goes on from it, perhaps at another size
            make_teacher(opened.teacher, len(CLASSES))
    elif files["teacher.stem_init"]:
        make_teacher(stand_in(config, "teacher.stem_init", tmp_path).teacher, len(CLASSES))
    if files["hint.init"]:
        hint = hint_of(stand_in(config, "hint.init", tmp_path).hint)
        assert hint is not None and len(hint.channels) == len(config.hint.pairs)


def test_a_teacher_that_another_config_makes_otherwise_is_refused(tmp_path: Path) -> None:
    config = with_values(load_config(RESEARCH / "small-160-hybrid.toml"), {"teacher.size": 96})
    assert config.teacher.init == "runs/teacher-conv-stem/teacher.safetensors"
    with pytest.raises(UserError, match="was trained with"):
        load_teacher(stand_in(config, "teacher.init", tmp_path), CLASSES)


def test_all_published_models_are_among_them() -> None:
    names = {path.stem for path, _ in published()}
    assert {p.name for p in (CONFIGS.parent / "tinyml" / "zoo").iterdir() if p.is_dir()} <= names


def test_a_keyword_that_differs_is_refused(tmp_path: Path) -> None:
    config = load_config(RESEARCH / "small-96-hybrid.toml")
    opened = stand_in(config, "teacher.init", tmp_path)
    model = make_teacher(opened.teacher, len(CLASSES))
    for metadata, wanted in (({"input": "imagenet"}, "input imagenet"), ({"size": 64}, "size 64")):
        save_weights(model, Path(opened.teacher.init), metadata)
        with pytest.raises(UserError, match=f"was trained with {wanted}"):
            load_teacher(opened, CLASSES)
