"""Trust nothing on the wire: libFuzzer with sanitizers over the decoder and both sessions.

The corpus is replayed each time; the slow test looks for more.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIB = ROOT / "firmware" / "lib"
FUZZ = Path(__file__).resolve().parent / "fuzz"
BINARY = [LIB / "wire" / "wire.cc", *sorted((LIB / "session").glob("*.cc"))]
MLPERF = [LIB / "session_mlperf" / "session_mlperf.cc", LIB / "session_mlperf" / "text.cc"]
TARGETS = {"wire": BINARY, "session": BINARY, "mlperf": MLPERF}
SECONDS_EACH = 420  # 21 minutes in all
MLPERF_INPUT_BYTES = 8 * 16 * 3  # exactly what the fake model takes
FOLDERS = ("wire", "session", "session_mlperf", "vision", "board", "engine")


def compiler() -> str:
    found = next((c for n in ("clang++-14", "clang++") if (c := shutil.which(n))), None)
    if found is None:
        pytest.fail("clang++ is not installed: `./setup.sh dev` installs it")
    return found


def vision_objects(folder: Path) -> list[Path]:
    """firmware/lib/vision is C, so it is compiled apart."""
    sanitize = ["-fsanitize=fuzzer-no-link,address,undefined", "-fno-sanitize-recover=all"]
    objects = []
    for source in sorted((LIB / "vision").glob("*.c")):
        target = folder / f"{source.stem}.o"
        command = [compiler(), "-x", "c", "-std=c11", "-g", "-O1", *sanitize, "-c", str(source)]
        subprocess.run([*command, "-Wall", "-Wextra", "-Werror", "-o", str(target)], check=True)
        objects.append(target)
    return objects


def build(target: str, sources: list[Path], program: Path) -> Path:
    objects = vision_objects(program.parent) if target in ("wire", "session") else []
    command = [
        compiler(), "-std=c++17", "-fno-exceptions", "-g", "-O1", "-Wall", "-Wextra", "-Wshadow",
        "-Werror", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all",
        f"-DMLPERF_INPUT_BYTES={MLPERF_INPUT_BYTES}", f"-I{FUZZ}",
        *(f"-I{LIB / name}" for name in FOLDERS),
        *map(str, [*sources, *objects]), str(FUZZ / "fake.cc"), str(FUZZ / f"{target}_target.cc"),
        "-o", str(program),
    ]  # fmt: skip
    subprocess.run(command, check=True)
    return program


def fuzz(program: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, f"-artifact_prefix={program.parent}/", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("target", TARGETS)
def test_the_corpus_finds_nothing(target: str, tmp_path: Path) -> None:
    corpus = sorted((FUZZ / "corpus" / target).iterdir())
    program = build(target, TARGETS[target], tmp_path / target)
    done = fuzz(program, "-runs=0", str(FUZZ / "corpus" / target))
    assert done.returncode == 0, done.stderr[-3000:]
    runs = re.search(r"Done (\d+) runs", done.stderr)
    assert runs and int(runs[1]) > len(corpus)  # and the empty input


# A check taken out of a copy of the source: the corpus must see what it kept away.
MISSING_CHECKS = {
    "Load may write behind the input": (
        "session",
        "offset > capacity || size > capacity - offset",
        "offset > capacity",
    ),
    "a frame's row may be longer than its buffer": (
        "session",
        "row_bytes > kRowBytes",
        "row_bytes > 4 * kRowBytes",
    ),
    "an answer may be longer than its buffer": (
        "session",
        "size > capacity_ - size_",
        "size > 2 * capacity_",
    ),
    "the decoder may write behind its body": ("wire", "if (size_ < kMaxBody) {", "if (true) {"),
    "db may write behind the image": (
        "mlperf",
        "if (count / 2 > engine::InputBytes(model) - loaded)",
        "if (count > kMaxCommand)",
    ),
    "a command may be longer than its buffer": (
        "mlperf",
        "if (command_size < kMaxCommand)",
        "if (true)",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", MISSING_CHECKS)
def test_the_corpus_sees_a_missing_check(fault: str, tmp_path: Path) -> None:
    target, check, weaker = MISSING_CHECKS[fault]
    sources = []
    for source in TARGETS[target]:
        copy = tmp_path / source.name
        copy.write_text(source.read_text().replace(check, weaker))
        sources.append(copy)
    texts = [source.read_text() for source in TARGETS[target]]
    assert any(check in text for text in texts)
    program = build(target, sources, tmp_path / target)
    assert fuzz(program, "-runs=0", str(FUZZ / "corpus" / target)).returncode != 0


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_a_long_search_finds_nothing(target: str, tmp_path: Path) -> None:
    program = build(target, TARGETS[target], tmp_path / target)
    found = tmp_path / "found"
    found.mkdir()
    done = fuzz(
        program,
        f"-max_total_time={SECONDS_EACH}",
        "-max_len=4096",
        "-timeout=60",
        str(found),
        str(FUZZ / "corpus" / target),
    )
    assert done.returncode == 0, done.stderr[-3000:]
