"""What each fusion of the compiler saves: a model counted without it. A table of docs/ENGINE.md."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from host_tools.mcu.count_model import Count, CountedModel, count_model
from tinyml.aot.fuse import FUSIONS

CORES = ("m7", "m55")
# Streaming and overlays can save the same bytes, so they are also left out together.
WITHOUT: tuple[tuple[str, ...], ...] = (
    (),
    *((name,) for name in FUSIONS),
    ("stream", "overlay"),
    FUSIONS,
)


def count_without(model: CountedModel, jobs: Iterable[tuple[tuple[str, ...], str]]) -> list[Count]:
    """A count for each (fusions left out, core)."""
    everything = frozenset(FUSIONS)
    return [count_model(model, core, everything - frozenset(left)) for left, core in jobs]


def fusion_jobs() -> list[tuple[tuple[str, ...], str]]:
    return [(left, core) for left in WITHOUT for core in CORES]


def fusions_table(counts: Sequence[Count]) -> list[str]:
    """Lines of Markdown; `counts` are those of fusion_jobs()."""
    lines = [
        "| without | M7 instructions | modeled cycles | arena "
        "| M55 instructions | modeled cycles | arena |",
        "|---|---|---|---|---|---|---|",
    ]
    for left, m7, m55 in zip(WITHOUT, counts[::2], counts[1::2], strict=True):
        names = ", ".join(f"`{name}`" for name in left) or "none"
        cells = [names if left != FUSIONS else "all"]
        for count in (m7, m55):
            cells += [
                f"{count.instructions / 1e6:.2f} M",
                f"{count.modeled_cycles / 1e6:.2f} M",
                f"{count.arena_bytes:,}",
            ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines
