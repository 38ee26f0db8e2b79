"""Fuzzes the .tflite reader and the compiler behind it with atheris (coverage-guided mutations).

    python tests/tinyml/fuzz_tflite.py --seconds 600 --found DIR

Any exception but the two refusals is a finding; atheris writes the file that caused it to DIR.
What it learns (one file per new path) stays in DIR; tests/tinyml/fuzz_corpus holds a small
selection of those, which the ordinary tests replay.

It runs in rounds, each a process of its own that goes on from DIR: atheris's instrumentation keeps
some 400 bytes of every input (the same code without it keeps none), which would pass
for a leak of the reader's in a long one.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

CORPUS = HERE / "fuzz_corpus"
MEMORY_MIB = 512
SECONDS_PER_FILE = 10
SECONDS_PER_ROUND = 100


def check(data: bytes) -> None:
    """Reads the file; passes if it is read or refused, raises if anything else happens."""
    # Here and not above, so that main() can instrument them first.
    from swin2mcu.common.cli import UserError
    from tinyml.aot.lower import lower
    from tinyml.format.flatbuffer import MalformedError
    from tinyml.format.tflite import parse

    try:
        graph = parse(data)
    except MalformedError:
        return
    try:
        lower(graph)
    except UserError:
        return


def fuzz(seconds: int, found: Path) -> None:
    """One round; ends the process."""
    import atheris

    with atheris.instrument_imports(include=["tinyml"]):
        import tinyml.aot.lower  # noqa: F401  (brings the reader along)
    options = [
        sys.argv[0],
        f"-max_total_time={seconds}",
        f"-rss_limit_mb={MEMORY_MIB}",
        f"-timeout={SECONDS_PER_FILE}",
        "-max_len=16384",
        f"-artifact_prefix={found}/",
        str(found),
        str(CORPUS),
    ]
    atheris.Setup(options, check)
    atheris.Fuzz()


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--found", type=Path, required=True, help="folder for what it finds")
    args = parser.parse_args(argv)
    args.found.mkdir(parents=True, exist_ok=True)
    if args.seconds <= SECONDS_PER_ROUND:
        fuzz(args.seconds, args.found)
        return 0
    end = time.monotonic() + args.seconds
    while (left := end - time.monotonic()) > 0:
        seconds = max(1, min(SECONDS_PER_ROUND, round(left)))
        command = [sys.executable, __file__, "--seconds", str(seconds), "--found", str(args.found)]
        status = subprocess.run(command).returncode
        if status:
            return status
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
