"""The kernels' tests and their instruction counts on an emulated Cortex-M."""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from host_tools.mcu.bare_metal import (
    CORES,
    COUNTER,
    KERNELS,
    WARNINGS,
    build,
    get_core,
    kernel_sources,
    run,
)
from host_tools.mcu.interpreted import build_interpreted

HERE = Path(__file__).parent
SHARED = ["cases.c", "cases_window.c", "cases_elementwise.c", "random.c", "reference.c"]


def sources_of(variant: str, main: str) -> list[Path]:
    pack = f"pack_{variant.removesuffix('_m7')}.c"  # both DSP variants have one order of weights
    return [HERE / name for name in [main, pack, *SHARED]]


def build_host(program: Path, rounds: int, variant: str = "portable") -> None:
    """One variant's tests for the PC, under the address and undefined sanitizers."""
    sanitize = ["-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    files = [*sources_of(variant, "test_main.c"), HERE / "counter_host.c"]
    files += kernel_sources(variant)
    command = ["gcc", *WARNINGS, *sanitize, f"-DROUNDS={rounds}", f"-I{KERNELS}", f"-I{HERE}"]
    command += [f"-I{COUNTER}", *map(str, files), "-o", str(program)]
    subprocess.run(command, check=True)


def build_pie(program: Path, rounds: int) -> None:
    """The ESP32-S3's kernels for the PC, their assembly interpreted."""
    own = [HERE / name for name in ("lanes.c", "pack_pie_lanes.c", "counter_host.c")]
    sources = [*sources_of("pie", "test_main.c"), *own]
    flags = [f"-DROUNDS={rounds}", f"-I{HERE}", f"-I{COUNTER}", "-lm"]
    build_interpreted(program, sources, flags)


def run_on(
    variant: str, core_name: str, rounds: int, main: str = "test_main.c", kernels: Path = KERNELS
) -> tuple[int, str]:
    """Exit status and text of the tests (or with bench_main.c the counts) on an emulated core."""
    core = get_core(core_name)
    with TemporaryDirectory() as folder:
        program = Path(folder) / "program.elf"
        flags = [f"-DROUNDS={rounds}", f"-I{HERE}"]
        build(core, program, kernel_sources(variant, kernels), sources_of(variant, main), flags)
        return run(core, program)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("variant", choices=["portable", "dsp", "dsp_m7", "helium"])
    parser.add_argument("core", choices=CORES)
    parser.add_argument("--main", default="bench_main.c", help="bench_main.c or test_main.c")
    parser.add_argument("--rounds", type=int, default=100, help="random cases of each kernel")
    args = parser.parse_args(argv)
    status, text = run_on(args.variant, args.core, args.rounds, args.main)
    print(text, end="")
    return status


if __name__ == "__main__":
    sys.exit(main())
