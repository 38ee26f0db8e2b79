"""Any set of results.json files → the rows, ratios and sentences that report and terminal share."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from host_tools.report.counts import with_counts
from host_tools.report.foreign import check_targets, is_text
from host_tools.results import RESULTS_NAME, Results, described_teacher, load_results
from swin2mcu.common.accuracy import show_accuracy
from swin2mcu.common.card import Card, load_card
from swin2mcu.common.cli import UserError
from tinyml.format.facts import open_card
from tinyml.parity.record import read_parity

PLACES = {"pc": "PC", "phone": "phone", "board": "board", "estimate": "estimate"}
SWIN_LARGE = "pc-torch-swin-large-float32"
STUDENT_TORCH = "pc-torch-float32"

BUSY = 1.25  # clock time divided by CPU time; above this, other programs were running


@dataclass(frozen=True)
class Entry:
    """One model's folder: its results, and what lies beside them."""

    folder: Path
    results: Results
    card: Card | None
    parity: dict[str, Any] | None  # parity.json

    @property
    def name(self) -> str:
        return self.results.name


@dataclass(frozen=True)
class Row:
    """One target of one model, ready to be shown."""

    name: str
    target: dict[str, Any]
    of_large: float | None  # share of Swin-L's time, measured in the same run

    @property
    def place(self) -> str:
        return PLACES.get(str(self.target.get("kind")), str(self.target.get("kind")))

    @property
    def subject(self) -> str:
        if self.name.startswith(SWIN_LARGE):
            return "Swin-L"
        return "teacher" if "-torch-teacher-" in self.name else "student"

    @property
    def described(self) -> str:
        """A teacher's description from its note."""
        return described_teacher(self.target)

    @property
    def engine(self) -> str:
        threads = self.target.get("threads") or 1
        engine = str(self.target.get("engine", ""))
        return f"{engine}, {threads} threads" if threads > 1 else engine

    @property
    def top1(self) -> float | None:
        accuracy = self.target.get("accuracy")
        return accuracy["top1"] if accuracy else None

    @property
    def cost(self) -> dict[str, Any]:
        return self.target.get("cost") or {}

    @property
    def milliseconds(self) -> float | None:
        """The median where a real clock measured it; instructions have no milliseconds."""
        return self.cost["p50"] / 1000 if self.cost.get("unit") == "us" else None


def load_entries(paths: Sequence[Path]) -> tuple[list[Entry], list[str]]:
    """All readable results among files and folders (searched), and one line for each that is not.

    The smallest model comes first.

    Raises UserError when nothing at all can be shown.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            found = sorted(path.rglob(RESULTS_NAME))
            if not found:
                raise UserError(f"{path} holds no {RESULTS_NAME}: run bench_pc.py first")
            files += found
        else:
            files.append(path)
    entries, complaints = [], []
    for file in dict.fromkeys(files):
        try:
            entries.append(_load_entry(file))
        except UserError as error:
            complaints.append(str(error))
    if not entries:
        raise UserError("; ".join(complaints))
    entries.sort(key=lambda entry: (entry.card.macs or 0) if entry.card else 0)
    return _told_apart(entries), complaints


def _told_apart(entries: Sequence[Entry]) -> list[Entry]:
    """Entries of equal names get their folder behind it."""
    times = Counter(entry.name for entry in entries)
    return [
        entry if times[entry.name] == 1 else replace(entry, results=replace(
            entry.results, name=f"{entry.name} ({entry.folder})"
        ))
        for entry in entries
    ]  # fmt: skip


def _load_entry(file: Path) -> Entry:
    results, folder = load_results(file), file.parent
    check_targets(file, results.targets)
    if not is_text(results.name):
        raise UserError(f"{file}: its name is no text that can be shown: measure again")
    card = _card_of(folder)
    if card is not None and card.sha256 not in (None, results.model_sha256):
        raise UserError(
            f"{file} holds results of another model than the card beside it: measure again"
        )
    record = folder / "parity.json"
    parity = read_parity(record) if record.is_file() else None
    return Entry(folder, with_counts(results), card, parity)


def _card_of(folder: Path) -> Card | None:
    """The folder's card, checked against the model beside it."""
    path, model = folder / "card.json", folder / "model_int8.tflite"
    if not path.is_file():
        return None
    return open_card(path, model) if model.is_file() else load_card(path)


def rows_of(entry: Entry) -> list[Row]:
    """The targets, teachers first, then PC, phone, board; fastest first within a place."""
    targets = entry.results.targets
    rows = [Row(name, target, _of_large(name, target, targets)) for name, target in targets.items()]
    subjects, places = ("Swin-L", "teacher", "student"), ("PC", "phone", "board", "estimate")
    return sorted(
        rows,
        key=lambda row: (
            subjects.index(row.subject),
            places.index(row.place) if row.place in places else len(places),
            row.cost.get("p50", 0.0),
        ),
    )


def _of_large(name: str, target: dict[str, Any], targets: dict[str, Any]) -> float | None:
    """Only times of one run with equal threads are divided: on another day the machine differs."""
    if target.get("kind") != "pc" or name.startswith(SWIN_LARGE):
        return None
    threads = target.get("threads") or 1
    large = targets.get(SWIN_LARGE if threads == 1 else f"{SWIN_LARGE}-{threads}t")
    if not large or not large.get("session") or large["session"] != target.get("session"):
        return None
    if not (_is_timed(large) and _is_timed(target)):
        return None
    return work_us(target) / work_us(large)


def _is_timed(target: dict[str, Any]) -> bool:
    """Whether its work is more than 0; a coarse clock may have measured 0."""
    return bool(target.get("cost")) and work_us(target) > 0


def work_us(target: dict[str, Any]) -> float:
    """What ratios are computed from: CPU time if one thread was measured, else clock time."""
    cost = target["cost"]
    alone = (target.get("threads") or 1) == 1 and "cpu_p50" in cost
    return float(cost["cpu_p50"] if alone else cost["p50"])


def remarks(entry: Entry) -> list[str]:
    """What a reader must know before comparing these numbers."""
    targets = {name: one for name, one in entry.results.targets.items() if _is_timed(one)}
    teachers = dict.fromkeys(row.described for row in rows_of(entry) if row.described)
    said = [f"The teacher is {described}." for described in teachers]
    large, student = targets.get(SWIN_LARGE), targets.get(STUDENT_TORCH)
    if large and student and large.get("session") == student.get("session"):
        runtime = work_us(large) / work_us(student)
        macs, fewer = (one.get("model", {}).get("macs") for one in (large, student))
        work = f" and 1/{macs / fewer:,.0f} of its multiply-accumulates" if macs and fewer else ""
        said.append(
            f"Within one runtime (PyTorch ÷ PyTorch) the student needs 1/{runtime:,.0f} of "
            f"Swin-L's time{work}. Ratios beyond that are the runtime's share, not the student's."
        )
    if large and large["cost"]["p50"] > BUSY * work_us(large):
        said.append(
            f"The machine was busy: Swin-L took {large['cost']['p50'] / work_us(large):.1f} times "
            "its CPU time. Ratios are of CPU time, which waiting does not lengthen; the "
            "milliseconds are the clock's, so measure again on an idle machine."
        )
    said += [line for name, target in targets.items() if (line := camera_cost(name, target))]
    for name, target in targets.items():
        other = targets.get(name.replace("-int8", "-float32"))
        if "-int8" not in name or not other or target["cost"]["unit"] != other["cost"]["unit"]:
            continue
        if any(target.get(key) != other.get(key) for key in ("session", "hardware")):
            continue  # times of another day or machine
        factor = work_us(target) / work_us(other)
        if factor > 1:
            said.append(
                f"{name}: int8 is {factor:.1f} times slower than float32 here "
                f"({target.get('hardware', 'this machine')}). It saves memory, not time."
            )
    if any(target["cost"]["unit"] == "instructions" for target in targets.values()):
        said.append(
            "Emulated boards (qemu-...) are counted in instructions. That is a measure of work, "
            "not a time: no clock ran."
        )
    return said


def camera_cost(name: str, target: dict[str, Any]) -> str:
    """What a camera's frames cost in accuracy; empty for a target that was sent prepared images."""
    frames, photos, mine = (target.get(key) for key in ("frames", "photos", "accuracy"))
    if not (frames and photos and mine):
        return ""
    points = 100 * (mine["top1"] - photos["top1"])
    after, before = (show_accuracy(one["top1"], one["images"]) for one in (mine, photos))
    return (
        f"{name}: frames of {frames} that the board prepares change top-1 by {points:+.2f} "
        f"points, to {after} from {before} of the same {photos['images']:,} photos prepared on the "
        f"PC; {photos['changed']:,} answers changed."
    )


def most_images(rows: Sequence[Row]) -> int:
    """The largest number of images of any score."""
    return max(
        (row.target["accuracy"]["images"] for row in rows if row.top1 is not None), default=0
    )


def show_top1(row: Row, most: int) -> str:
    """A score ± its error; with its number of images where another target was scored on more."""
    if row.top1 is None:
        return ""
    images = row.target["accuracy"]["images"]
    if images == most:
        return show_accuracy(row.top1, images)
    return f"{show_accuracy(row.top1, images, 1)} of {images:,}"


def show_cost(row: Row, percentile: str = "p50") -> str:
    """A cost with its unit: milliseconds of a real clock, or millions of instructions."""
    value = row.cost.get(percentile)
    if value is None:
        return "not measured"
    if row.cost["unit"] == "us":
        return f"{three_digits(value / 1000)} ms"
    return f"{three_digits(value / 1e6)} M {row.cost['unit']}"


def show_memory(row: Row) -> str:
    """The figure that limits this kind of target: a board's RAM, a process's peak."""
    memory = row.target.get("memory") or {}
    if "arena_bytes" in memory:
        return f"{memory['arena_bytes'] / 1024:.1f} KiB arena"
    if "peak_rss_bytes" in memory:
        return f"{memory['peak_rss_bytes'] / 1e6:.0f} MB process"
    return ""


def show_parity(row: Row) -> str:
    """How this target's logits differ from its reference's, in one sentence."""
    parity = row.target.get("parity")
    if not parity:
        return ""
    images, parts = f"{parity['images']:,} images", []
    if "same_top1" in parity:
        parts.append(f"same top-1 for {parity['same_top1']:,}")
    if "identical" in parity:
        parts.append(f"byte-identical logits for {parity['identical']:,}")
    if "max_lsb" in parity:
        parts.append(f"at most {parity['max_lsb']} LSB off")
    if "max_logit" in parity:
        parts.append(f"at most {parity['max_logit']:.2g} off")
    return f"Against {parity['reference']}, {images}: {', '.join(parts)}."


def missing(entry: Entry) -> list[str]:
    """How to get what has not been measured yet."""
    measured = {row.place for row in rows_of(entry)}
    return [
        f"No {place} result yet: python host_tools/{tool} {shlex.quote(str(entry.folder))}"
        for place, tool in (("PC", "bench_pc.py"), ("phone", "bench_phone.py"))
        if place not in measured
    ]


def show_file(row: Row) -> str:
    size = (row.target.get("memory") or {}).get("file_bytes")
    return f"{size / 1e6:.2f} MB" if size else ""


def three_digits(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
