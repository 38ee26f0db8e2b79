"""What the README shows is what the commands print, and what it names exists."""

import importlib.util
import json
import os
import re
import shlex
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from host_tools.report.__main__ import main as report
from swin2mcu.__main__ import MODULES
from swin2mcu.research.data_audit import (
    background_lines,
    mistakes_lines,
    recall_section,
    split_lines,
    unknown_lines,
)
from swin2mcu.research.demo_spread import sentence
from swin2mcu.research.pages import with_published
from swin2mcu.research.small_sets import table as few_photos
from swin2mcu.research.zoo import int8_lines, models_lines

ROOT = Path(__file__).resolve().parent.parent
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_results_table_is_the_zoos(capsys: pytest.CaptureFixture[str]) -> None:
    shown = README.partition("<!-- results -->")[2].partition("<!-- /results -->")[0].strip()
    assert report([str(ROOT / "tinyml" / "zoo"), "--markdown"]) == 0
    assert shown == capsys.readouterr().out.strip(), (
        "paste what `python -m host_tools.report tinyml/zoo --markdown` prints"
    )


def test_the_demos_sample_is_of_this_demo() -> None:
    """What needs no training to know: the board, the images, and that its figures are one run's."""
    shown = README.partition("<!-- demo -->")[2].partition("<!-- /demo -->")[0]
    demo = MAKEFILE.partition("\ndemo: ")[2].partition("\n\n")[0]
    board = re.search(r"^BOARD \?= (\S+)", MAKEFILE, re.MULTILINE)[1]
    name, top1, images, same, of = re.search(
        r"^(\S+): top-1 ([\d.]+%) ± [\d.]+% of (\d+) images \(.*?\); (\d+) of (\d+) byte-identical",
        shown,
        re.MULTILINE,
    ).groups()
    assert name == f"{board}-aot"
    assert images == same == of == re.search(r"LIMIT=(\d+)", demo)[1]
    targets = dict(re.findall(r"^((?:pc|qemu)-[a-z0-9-]+) +([\d.]+%)", shown, re.MULTILINE))
    assert set(targets) == {"pc-litert-float32", "pc-litert-int8", "pc-tflm-int8", name}
    # TFLite Micro's bytes are the board's.
    assert targets[name] == targets["pc-tflm-int8"] == top1
    # The demo's student is the published small-96's network: weights hardly change what it costs.
    (counted,) = (
        c["instructions"]
        for c in json.loads((ROOT / "firmware/counts.json").read_text())
        if (c["model"], c["core"], c["engine"]) == ("small-96", board.removeprefix("qemu-"), "aot")
    )
    told = int(re.search(r"instructions p50 ([\d,]+)", shown)[1].replace(",", ""))
    assert abs(told / counted - 1) < 5e-3


def test_the_tables_of_results_are_the_zoos() -> None:
    """Those that need no run: figures of published models, data audit, recall."""
    results = (ROOT / "docs/RESULTS.md").read_text(encoding="utf-8")
    tables = {
        "models": models_lines(ROOT / "tinyml/zoo", Path("nothing"), ROOT / "configs"),
        "audit": split_lines(ROOT / "docs/data"),
        "backgrounds": background_lines(ROOT / "docs/data"),
        "unknown": unknown_lines(ROOT / "docs/data"),
        "mistakes": mistakes_lines(ROOT / "docs/data"),
    }
    for name, lines in tables.items():
        text = results.partition(f"<!-- {name} -->\n")[2].partition("<!-- end -->")[0]
        assert lines and text == "\n".join(lines) + "\n", (
            f"{name}: write it by `python -m swin2mcu.research --report --write docs/RESULTS.md`"
        )
    recall = (ROOT / "docs/results/recall.md").read_text(encoding="utf-8")
    assert recall == "\n".join(recall_section(ROOT / "tinyml/zoo")) + "\n"
    published = int8_lines(ROOT / "tinyml/zoo")
    for page in (ROOT / "docs/results").glob("*.md"):
        assert f"](results/{page.name})" in results, f"RESULTS.md does not link to {page.name}"
        text = page.read_text(encoding="utf-8")
        assert with_published(text, published) == text, f"{page} has another int8 accuracy"
    assert results.count("\n") <= 100, "RESULTS.md is a page that a reader finishes"


def test_pictures_are_small() -> None:
    suffixes = {".svg", ".png", ".jpg", ".jpeg", ".gif", ".webp"}
    tops = ("docs", "firmware", "host_tools", "pytorch_side", "swin2mcu", "tests", "tinyml")
    pictures = [p for top in tops for p in (ROOT / top).rglob("*") if p.suffix in suffixes]
    assert len(pictures) > 5
    assert not [path.name for path in pictures if path.stat().st_size > 60_000]


PAGES = [str(path.relative_to(ROOT)) for path in sorted(ROOT.glob("docs/**/*.md"))]


@pytest.mark.parametrize("page", ["README.md", *PAGES])
def test_links_lead_somewhere(page: str) -> None:
    path = ROOT / page
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (path.parent / target).exists(), f"{page} links to {target}"


@pytest.mark.parametrize("page", ["README.md", *PAGES])
def test_targets_and_scripts_that_are_named_exist(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"(?:^    |`|&& )make ([a-z-]+)", text, re.MULTILINE):
        assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), f"make {target}"
    for script in re.findall(
        r"(?<![\w/])(?:host_tools|swin2mcu|tinyml|pytorch_side|tests)/[\w/]+\.py", text
    ):
        assert (ROOT / script).is_file(), script
    for module in re.findall(r"-m ((?:pytorch_side|tinyml|host_tools|swin2mcu)[\w.]*\w)", text):
        place = ROOT / module.replace(".", "/")
        assert place.with_suffix(".py").is_file() or (place / "__main__.py").is_file(), module


# What `--help` prints of each verb; tests/swin2mcu/test_command.py compares the page with it.
HELP = dict(
    re.findall(
        r"^### ([a-z-]+)\n\n```\n(.*?)\n```$",
        (ROOT / "docs/CLI.md").read_text(encoding="utf-8"),
        re.MULTILINE | re.DOTALL,
    )
)


def commands_in(text: str) -> list[tuple[str, str]]:
    """(verb, the rest of the line) of every command in code, its continued lines joined."""
    verbs = {f"python {module.replace('.', '/')}.py": verb for verb, module in MODULES.items()}
    verbs |= {f"python -m {module}": verb for verb, module in MODULES.items()}
    verbs |= {f"swin2mcu {verb}": verb for verb in MODULES}
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        pieces = [line] if line.startswith("    ") else re.findall(r"`([^`]+)`", line)
        for piece in pieces:
            command = piece.partition(" #")[0].strip()
            if name := re.match(r"(?:swin2mcu|python -m|python) [\w./-]+", command):
                own = name[0].startswith("swin2mcu ") and name[0] != "swin2mcu VERB"
                assert name[0] in verbs or not own, f"{name[0]}: no such command"
                if name[0] in verbs:
                    found.append((verbs[name[0]], command[name.end() :]))
    return found


@pytest.mark.parametrize("page", ["README.md", *PAGES])
def test_commands_in_documents_have_these_options(page: str) -> None:
    for verb, rest in commands_in((ROOT / page).read_text(encoding="utf-8")):
        if verb != "evaluate":  # each of its subcommands has a help of its own
            for option in re.findall(r"(?<=\s)--[a-z][a-z0-9-]*", rest):
                assert re.search(rf"{option}\b(?!-)", HELP[verb]), f"{verb} has no {option}"


def test_documents_without_commands_would_be_noticed() -> None:
    readme = commands_in(README)
    assert len(readme) > 12 and {verb for verb, _ in readme} > {"train", "flash", "predict"}
    assert ("serial-eval", " runs/mine") in readme


def make(folder: Path, *words: str) -> str:
    """What make prints, without the variables of the make that runs the tests."""
    done = subprocess.run(
        ["make", *words],
        cwd=folder,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def recipe(*words: str) -> list[str]:
    return make(ROOT, "--dry-run", *words).splitlines()


@pytest.mark.parametrize(
    "target",
    ["demo", "board", "reproduce", "teacher", "test-board", "board-table", "bench-check", "soak"],
)
def test_recipes_name_commands_and_options_that_exist(target: str) -> None:
    verbs = {module: verb for verb, module in MODULES.items()}
    commands = [words for line in recipe(target) if (words := shlex.split(line))]
    commands = [words[1:] for words in commands if words[0].endswith("bin/python")]
    assert commands
    for first, *words in commands:
        module = words[0] if first == "-m" else first.removesuffix(".py").replace("/", ".")
        assert importlib.util.find_spec(module), f"make {target}: {module}"
        options = {word for word in words if word.startswith("--")}
        if module not in verbs and options:
            said = subprocess.run(
                [sys.executable, "-m", module, "--help"], cwd=ROOT, capture_output=True, text=True
            ).stdout
        else:
            said = HELP[verbs[module]] if options else ""
        for option in options:
            assert re.search(rf"{option}\b(?!-)", said), f"make {target}: {module} has no {option}"


@pytest.mark.parametrize(
    ("target", "names"),
    [
        ("board", ["RUN", "BOARD", "COPIES", "LIMIT"]),
        ("test-board", ["RUN", "PORT", "IMAGES"]),
        ("reproduce", ["MODEL", "WEIGHTS", "BOARD", "LIMIT"]),
        ("demo", ["SEED", "BOARD"]),
    ],
)
def test_a_value_given_to_make_is_one_word_of_a_command(target: str, names: list[str]) -> None:
    """A folder may be called `my leaves`, and a port may hold a `&`."""
    values = [f"my{name} {name}&" for name in names]
    given = [f"{name}={value}" for name, value in zip(names, values, strict=True)]
    words = [word for line in recipe(target, *given) for word in shlex.split(line)]
    for name, value in zip(names, values, strict=True):
        holding = [word for word in words if f"my{name}" in word]
        assert holding and all(value in word for word in holding), name


def test_the_quick_board_leaves_swin_l_out() -> None:
    benches = []
    for quick in ([], ["QUICK=1"]):
        (line,) = (one for one in recipe("board", "RUN=mine", *quick) if "bench_pc.py" in one)
        benches.append(shlex.split(line))
    whole, short = benches
    assert "--only" not in whole
    chosen = short[short.index("--only") + 1 :]
    assert chosen and not any(part in "pc-torch-swin-large-float32" for part in chosen)
    assert all(any(part in name for part in chosen) for name in ("pc-litert-int8", "pc-tflm-int8"))


def test_a_demo_of_another_seed_has_runs_of_its_own() -> None:
    """A run resumes with its own config alone."""
    made = []
    for seed in ([], ["SEED=1"]):
        trained = [one for one in recipe("demo", *seed) if "configs/demo-" in one]
        teacher, student = map(shlex.split, trained)
        folder = teacher[teacher.index("--out") + 1]
        assert f"teacher.init={folder}/teacher.safetensors" in student
        made.append({folder, student[student.index("--out") + 1]})
    assert made[0] == {"runs/demo-teacher", "runs/demo"} and not made[0] & made[1]


def test_cleaning_keeps_what_the_user_measured(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text(MAKEFILE, encoding="utf-8")
    for name in ("measured/small-96/results.json", "firmware/program.elf", "log"):
        (tmp_path / "build" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "build" / name).touch()
    make(tmp_path, "clean")
    assert [path.name for path in (tmp_path / "build").iterdir()] == ["measured"]
    assert (tmp_path / "build/measured/small-96/results.json").is_file()
    make(tmp_path, "clean")


def test_the_demos_spread_is_what_several_demos_gave() -> None:
    demos = json.loads((ROOT / "docs/data/demo.json").read_text(encoding="utf-8"))
    shown = README.partition("<!-- demo-spread -->\n")[2].partition("\n<!-- end -->")[0]
    assert shown == sentence(demos)
    assert {d["threads"] for d in demos} == {1, 2}
    # A budget at which one demo says what another one would.
    assert statistics.stdev(d["val_top1"] for d in demos) <= 0.015
    assert all(d["board_identical"] == d["board_images"] for d in demos)


def test_what_few_photos_give_is_what_was_measured() -> None:
    trainings = json.loads((ROOT / "docs/data/small_sets.json").read_text(encoding="utf-8"))
    shown = (
        (ROOT / "docs/DATA.md").read_text(encoding="utf-8").partition("<!-- small-sets -->\n")[2]
    )
    assert shown.partition("\n<!-- end -->")[0] == "\n".join(few_photos(trainings))
    # Nobody lands at chance: of ten classes, seven photos each give more than half.
    assert min(one["val_top1_int8"] for one in trainings if one["photos"] == 7) > 0.5
