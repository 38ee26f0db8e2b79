"""Average the cached outputs of several teachers, so that a student learns from an ensemble.

    python -m pytorch_side.distillation.ensemble CACHE CACHE … --out DIR [--first-maps]
                                                 [--over-augmentations]

All caches must hold the same augmentations of the same images. Attention maps are averaged too;
maps of other stages, sizes or kinds have no mean: --first-maps keeps those of the first teacher.
With --over-augmentations the logits are averaged over a photo's augmentations too, which all have
this mean then. It is right more often than the answer to one augmentation, so it suits photos
without a label. A student's config names the result as `distillation.cache` and leaves
`teacher.init` empty. A finished ensemble is opened and not averaged again.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pytorch_side.distillation.teacher_store import (
    TeacherCache,
    about_path,
    check_alike,
    open_teacher_cache,
    read_about,
    write_teacher_cache,
)
from swin2mcu.common.cli import Parser, UserError, run_command
from swin2mcu.common.dataset.trained import OF_A_RUN, check_place, write_trained

FIRST_MAPS, OVER_AUGMENTATIONS = "first maps", "over augmentations"  # in a cache's file


def average(
    caches: Sequence[TeacherCache], first_maps: bool = False, over_augmentations: bool = False
) -> dict[str, npt.NDArray[Any]]:
    """The means of logits and of maps, as a cache stores them.

    `first_maps`: the maps are the first cache's. `over_augmentations`: all augmentations of a photo
    have the mean of their logits.
    Raises UserError where two caches were made for different images or augmentations, or have maps
    that cannot be averaged.
    """
    first = caches[0]
    for other in caches[1:]:
        check_alike(first, other, ("split", "classes", "views", "crop", "photos"))
        if not np.array_equal(first.seeds, other.seeds):
            raise UserError(f"{other.folder} was made of other augmentations than {first.folder}")
        if not first_maps and not _maps_alike(first, other):
            raise UserError(
                f"{other.folder} has maps of other stages, sizes or kinds than {first.folder}: add "
                f"--first-maps to keep those of {first.folder}"
            )
    logits = _mean([cache.logits for cache in caches])
    if over_augmentations:
        logits[:] = logits.mean(axis=1, keepdims=True)
    arrays: dict[str, npt.NDArray[Any]] = {
        "seeds": np.asarray(first.seeds),
        "logits": logits.astype(np.float16),
    }
    if first_maps:
        return arrays | {f"maps-{stage}": np.asarray(maps) for stage, maps in first.maps.items()}
    for stage in first.maps:
        mean = _mean([cache.maps[stage] for cache in caches])
        top = np.maximum(mean.max(axis=(2, 3), keepdims=True), 1e-6)
        arrays[f"maps-{stage}"] = np.rint(mean / top * 255).astype(np.uint8)
    return arrays


def _maps_alike(first: TeacherCache, other: TeacherCache) -> bool:
    return first.about["map"] == other.about["map"] and all(
        other.maps[stage].shape == maps.shape for stage, maps in first.maps.items()
    )


def _mean(arrays: Sequence[npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
    total = np.zeros(arrays[0].shape, dtype=np.float32)
    for array in arrays:
        total += array
    return total / np.float32(len(arrays))


def make_ensemble(
    folders: Sequence[Path], out: Path, first_maps: bool = False, over_augmentations: bool = False
) -> TeacherCache:
    """Average finished caches into a new one, as `average` does; one that is there is opened.

    Raises UserError where the one that is there has other teachers or was averaged otherwise, and
    where a new one would be written into a run's folder.
    """
    caches = [open_teacher_cache(folder, {}) for folder in folders]
    about = {**caches[0].about, "teacher": [cache.about["teacher"] for cache in caches]}
    if first_maps:
        about[FIRST_MAPS] = True
    if over_augmentations:
        about[OVER_AUGMENTATIONS] = True
    if (found := read_about(out)) and found != about:
        raise UserError(
            f"{out} holds the answers of other teachers, or averaged otherwise: name another "
            "folder, or remove it"
        )
    if found:
        return open_teacher_cache(out, {})
    check_place(out, OF_A_RUN)
    arrays = average(caches, first_maps, over_augmentations)
    write_trained(out, (), [str(about_path(folder)) for folder in folders])
    write_teacher_cache(out, about, arrays, list(caches[0].row))
    return open_teacher_cache(out, {})


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(description=__doc__.partition("\n")[0])
    parser.add_argument("caches", nargs="+", type=Path, metavar="CACHE", help="finished caches")
    parser.add_argument("--out", type=Path, required=True, help="folder of the new cache")
    parser.add_argument(
        "--first-maps",
        action="store_true",
        help="average logits alone, take the first cache's maps",
    )
    parser.add_argument(
        "--over-augmentations",
        action="store_true",
        help="average logits over a photo's augmentations too",
    )
    arguments = parser.parse_args(argv)

    def command() -> None:
        if len({cache.resolve() for cache in arguments.caches}) < 2:
            raise UserError("an ensemble has two teachers or more: name their caches")
        made = make_ensemble(
            arguments.caches, arguments.out, arguments.first_maps, arguments.over_augmentations
        )
        count = len(arguments.caches)
        print(f"{arguments.out}: the mean of {count} teachers, {len(made.row)} images")

    return run_command(command)


if __name__ == "__main__":
    raise SystemExit(main())
