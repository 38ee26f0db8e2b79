"""Data audit as Markdown: near-duplicates, backgrounds, unknown things, mistakes, recall."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from swin2mcu.common.accuracy import show_accuracy
from swin2mcu.common.answer import auroc_error
from swin2mcu.common.cli import UserError
from swin2mcu.research.text import line, read_json, table
from swin2mcu.research.zoo import exact_accuracy

NOT_SURE = "not-sure"  # the page of unknown_section
SPLITS = {"given": "as given", "random": "the same photos, random split"}


def split_lines(evaluated: Path) -> list[str]:
    """Compare the given split with a random one: near-duplicates, and accuracy from the background.

    Reads the files of `evaluate audit` and `probe`; [] without them, and without a test split.
    """
    audit: Any
    probe: Any
    audit, probe = (
        next((read_json(path) for path in sorted(evaluated.glob(f"*-{kind}.json"))), {})
        for kind in ("audit", "probe")
    )
    pairs = {
        split: pair
        for split in SPLITS
        for pair in audit.get(split, [])
        if (pair["first"], pair["second"]) == ("test", "train")
    }
    if len(pairs) < len(SPLITS) or not probe:
        return []
    # Older files call a region a view.
    regions = [found.get("region", found.get("view")) for found in probe["given"]]
    lines = []
    for split, name in SPLITS.items():
        seen = [f"{p['test_top1']:.1%} ± {p['test_standard_error']:.1%}" for p in probe[split]]
        lines.append(line(name, f"{pairs[split]['near']} of {pairs[split]['photos']}", *seen))
    heads = " | ".join(f"told from {region}" for region in regions)
    return [
        "Test photos with a near-duplicate in train (at most "
        f"{audit['near_bits']} bits of a perceptual hash differ, in any of eight orientations), "
        "and the test accuracy of a linear classifier that sees the border alone, or a small "
        "picture of the whole photo. The largest class alone gives "
        f"{probe['given'][0]['majority_top1']:.1%}.",
        *table(f"split | near-duplicates | {heads}", lines),
    ]


def background_lines(evaluated: Path) -> list[str]:
    """Accuracy of each model on swapped backgrounds, from the files of `swin2mcu backgrounds`."""
    reports = [read_json(path) for path in sorted(evaluated.glob("*-backgrounds-*.json"))]
    if not reports:
        return []
    kinds = list(reports[0]["top1"])
    lines = [
        line(
            f"{one['model']}, {one['images']:,} leaves of {one['split']}",
            *(f"{one['top1'][kind]:.1%} ± {one['standard_error'][kind]:.1%}" for kind in kinds),
        )
        for one in reports
    ]
    failed = " or ".join(str(count) for count in sorted({one["not_cut"] for one in reports}))
    return [
        "Top-1 of the int8 models when each leaf is cut out and set on another background "
        f"(photos whose leaf could not be cut out: {failed}):",
        *table(" | ".join(["model", *kinds]), lines),
    ]


def unknown_lines(evaluated: Path) -> list[str]:
    """In a sentence, what the calibrated models refuse; `unknown_section` has each model."""
    found = _unknown(evaluated).values()
    if not found:
        return []
    told = [
        f"{_range([one['unknown'][name]['not_sure'] / photos for one in found], 0)} of {photos} "
        f"{name}"
        for name, photos in _kinds(found).items()
    ]
    tests = [one["test"] for one in found]
    told.append(f"{_range([t['refused'] for t in tests])} of {tests[0]['images']:,} test photos")
    answered = _range([test["top1_answered"] for test in tests])
    return [
        f"The calibrated models are *not sure* of {', of '.join(told[:-1])} and of {told[-1]}; of "
        f"the answered test photos {answered} are right ([each model](results/{NOT_SURE}.md))."
    ]


def unknown_section(evaluated: Path) -> list[str]:
    """A page with what each model refuses, from the files of `swin2mcu calibrate --test --json`."""
    found = _unknown(evaluated)
    if not found:
        return []
    kinds, lines = _kinds(found.values()), []
    for model, one in found.items():
        test = one["test"]
        answered = round(test["images"] * (1 - test["refused"]))
        cells = [
            cell
            for kind in (one["unknown"][name] for name in kinds)
            for cell in _cells(kind, test["images"])
        ]
        right = show_accuracy(test["top1_answered"], answered)
        lines.append(line(model, *cells, show_accuracy(test["refused"], test["images"]), right))
    heads = [head for name in kinds for head in (f"{name}, *not sure*", "AUROC")]
    errors = ", ".join(f"{50 / photos**0.5:.0f} points ({name})" for name, photos in kinds.items())
    return [
        "# When a model is not sure",
        "",
        "The threshold of each model is chosen on val. AUROC is the share of pairs of a test photo "
        "and such a photo in which the test photo has more evidence; 0.5 is chance. A share of so "
        f"few photos has a standard error of up to {errors}; ± is one standard error, that of an "
        "AUROC at most (Bamber 1975).",
        *table(
            " | ".join(["model", *heads, "test photos, *not sure*", "right of the answered"]), lines
        ),
    ]


def _cells(kind: dict[str, Any], known: int) -> tuple[str, str]:
    """Of one model and one kind of unknown photos, beside so many known ones."""
    share, photos = kind["auroc"], kind["photos"]
    error = auroc_error(share, known, photos)
    return f"{kind['not_sure']} of {photos}", f"{share:.2f} ± {error:.2f}"


def _unknown(evaluated: Path) -> dict[str, Any]:
    """What `swin2mcu calibrate --json` wrote, by the model's name."""
    paths = sorted(evaluated.glob("*-unknown-*.json"))
    return {path.stem.partition("-unknown-")[2]: read_json(path) for path in paths}


def _kinds(found: Iterable[dict[str, Any]]) -> dict[str, int]:
    """The kinds of unknown photos that all models were asked, and how many photos each has."""
    first, *others = found
    counts = {name: int(kind["photos"]) for name, kind in first["unknown"].items()}
    if any(_kinds([one]) != counts for one in others):
        raise UserError("the models were calibrated with other unknown photos: calibrate all again")
    return counts


def _range(shares: Sequence[float], digits: int = 1) -> str:
    low, high = min(shares), max(shares)
    return f"{low:.{digits}%} to {high:.{digits}%}" if low < high else f"{low:.{digits}%}"


def mistakes_lines(evaluated: Path) -> list[str]:
    """What most models get wrong, from the files of `swin2mcu mistakes --json`."""
    told = []
    for path in sorted(evaluated.glob("*-mistakes.json")):
        one = read_json(path)
        wrong, images = one["wrong_in_most"], one["images"]
        if not wrong:
            continue
        label, most = Counter(photo["label"] for photo in one["photos"]).most_common(1)[0]
        names = ", ".join(model["model"] for model in one["models"])
        told.append(
            f"{wrong} of the {images:,} {one['split']} photos are wrong in more than half of "
            f"{len(one['models'])} models ({names}), {one['wrong_in_all']} in all of them; "
            f"{most} of the {wrong} are labeled {label}. All other photos are "
            f"{show_accuracy(1 - wrong / images, images)}."
        )
    return told


def recall_section(zoo: Path) -> list[str]:
    """Recall of each class on test, of the published models in the board's own integers."""
    found: dict[str, dict[str, float]] = {}
    counts: dict[str, int] = {}
    cards = sorted(
        (read_json(path) | {"folder": path.parent} for path in zoo.glob("*/card.json")),
        key=lambda card: int(card["macs"]),
    )
    for card in cards:
        targets: dict[str, Any] = read_json(card["folder"] / "results.json").get("targets", {})
        accuracy = exact_accuracy(targets)
        if accuracy and "per_class_recall" in accuracy:
            name = f"{card['folder'].name}, {accuracy['images']:,} images"
            found[name] = accuracy["per_class_recall"]
            sizes = map(sum, accuracy["confusion"])
            counts |= dict(zip(card["classes"], sizes, strict=True))
    if not found:
        return []
    classes = sorted({name for recall in found.values() for name in recall})
    worst = sorted(classes, key=lambda name: min(recall.get(name, 1) for recall in found.values()))
    lines = [
        line(
            name,
            counts[name],
            *(
                show_accuracy(recall[name], counts[name], 1) if name in recall else ""
                for recall in found.values()
            ),
        )
        for name in worst
    ]
    return [
        "# Recall of each class",
        "",
        "Recall of each class on test, in int8, the worst first. ± is one standard error.",
        *table(" | ".join(["class", "test photos", *found]), lines),
    ]
