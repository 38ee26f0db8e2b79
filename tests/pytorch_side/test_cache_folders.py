"""The folder of a teacher's answers is a cache's alone, and says whose answers they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from made_up_teachers import answered

from pytorch_side.config import Config, with_values
from pytorch_side.data.cache import decode_images
from pytorch_side.distillation import ensemble
from pytorch_side.distillation.fill_cache import make_teacher_cache
from pytorch_side.distillation.train_student import distill
from swin2mcu.common.cli import UserError
from swin2mcu.common.dataset import scan_folder


def test_a_cache_is_not_written_into_a_run(
    make_folder: Callable[..., Path],
    tiny_config: Callable[..., Config],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, config = scan_folder(make_folder()), tiny_config({"distillation.alpha": 0.5})
    caches = [answered(folder, config, tmp_path / name).folder for name in ("one", "two")]
    run = tmp_path / "three" / "cache"
    run.mkdir(parents=True)
    (run / "config.json").touch()
    assert ensemble.main([*map(str, caches), "--out", str(run)]) == 2
    assert "is the folder of a run" in capsys.readouterr().err
    with pytest.raises(UserError, match="is the folder of a run"):
        answered(folder, config, tmp_path / "three")
    with pytest.raises(UserError, match="is the folder of a cache"):
        distill(with_values(config, {"distillation.alpha": 0.0}), folder, caches[0])


def test_a_finished_cache_in_the_folder_of_a_run_is_read(
    make_folder: Callable[..., Path], tiny_config: Callable[..., Config], tmp_path: Path
) -> None:
    """Older versions wrote it there; to read it changes no table."""
    folder, config = scan_folder(make_folder()), tiny_config({"distillation.alpha": 0.5})
    made = [answered(folder, config, tmp_path / name).folder for name in ("one", "two")]
    ensemble.make_ensemble(made, tmp_path / "both")
    for cache in (*made, tmp_path / "both"):
        (cache / "config.json").touch()
    named = {"teacher.init": str(tmp_path / "one" / "teacher.safetensors")}
    make_teacher_cache(decode_images(folder), with_values(config, named), made[0])
    ensemble.make_ensemble(made, tmp_path / "both")


def test_a_student_and_its_cache_have_folders_of_their_own(
    make_folder: Callable[..., Path], tiny_config: Callable[..., Config], tmp_path: Path
) -> None:
    """Else the run would overwrite the cache's table, and could not be resumed."""
    folder, run = scan_folder(make_folder()), tmp_path / "run"
    config = tiny_config({"distillation.alpha": 0.5})
    answered(folder, config, tmp_path / "one")
    teacher = str(tmp_path / "one" / "teacher.safetensors")
    named = {"teacher.init": teacher, "distillation.cache": f"{tmp_path}/one/../run"}
    with pytest.raises(UserError, match=r"distillation.cache is .*run, the run's own folder"):
        distill(with_values(config, named), folder, run)
    assert not run.exists()


def test_a_cache_that_says_nothing_of_its_teacher_is_refused(
    make_folder: Callable[..., Path], tiny_config: Callable[..., Config], tmp_path: Path
) -> None:
    folder = scan_folder(make_folder())
    config = tiny_config({"distillation.alpha": 0.5})
    with pytest.raises(UserError, match=r"or a finished cache as distillation\.cache"):
        distill(config, folder, tmp_path / "run")
    cache = answered(folder, config, tmp_path / "one").folder
    named = with_values(config, {"distillation.cache": str(cache)})
    distill(named, folder, tmp_path / "run")
    about = cache / "teacher_cache.json"
    about.write_text(json.dumps({**json.loads(about.read_text()), "done": 1}))
    with pytest.raises(UserError, match=r"is unfinished and teacher\.init is empty"):
        distill(named, folder, tmp_path / "run2")
