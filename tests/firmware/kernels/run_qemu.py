"""Builds bare-metal C for an emulated Cortex-M (or the PC) and runs it; counts are instructions."""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).parent
KERNELS = HERE.parents[2] / "firmware/lib/kernels"
WARNINGS = ["-std=c11", "-Wall", "-Wextra", "-Wshadow", "-Werror"]


@dataclass(frozen=True)
class Core:
    machine: str
    flags: tuple[str, ...]
    code: int
    data: int


CORES = {
    "m4": Core(
        "mps2-an386", ("-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"), 0, 0x20000000
    ),
    "m7": Core(
        "mps2-an500", ("-mcpu=cortex-m7", "-mfloat-abi=hard", "-mfpu=fpv5-d16"), 0, 0x20000000
    ),
    # This machine starts in the secure state, whose memory is mirrored at +0x10000000.
    "m55": Core("mps3-an547", ("-mcpu=cortex-m55", "-mfloat-abi=hard"), 0x10000000, 0x31000000),
}
SHARED = ["cases.c", "cases_window.c", "cases_elementwise.c", "random.c", "reference.c"]


def sources(variant: str, main: str) -> list[Path]:
    """What one program consists of: its main, the shared test code and the variant's kernels."""
    pack = f"pack_{variant}.c"
    shared = [HERE / name for name in [main, pack, *SHARED]]
    return [*shared, KERNELS / "shared.c", *sorted((KERNELS / variant).glob("*.c"))]


def build_host(program: Path, files: list[Path], defines: Sequence[str] = ()) -> None:
    """Builds for the PC under the address and undefined-behaviour sanitizers."""
    sanitize = ["-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    files = [*files, HERE / "platform_host.c"]
    compile_with("gcc", [*sanitize, *defines], files, program)


def build_qemu(
    core_name: str, program: Path, files: list[Path], defines: Sequence[str] = ()
) -> None:
    """Builds the files, one of which has main(), for an emulated core."""
    core = CORES[core_name]
    memory = [f"-Wl,--defsym=CODE={core.code}", f"-Wl,--defsym=DATA={core.data}"]
    link = ["-nostartfiles", "--specs=nano.specs", "--specs=nosys.specs", f"-T{HERE}/link.ld"]
    flags = ["-O2", "-mthumb", *core.flags, *link, *memory, "-Wl,--gc-sections"]
    files = [*files, HERE / "platform_qemu.c"]
    compile_with("arm-none-eabi-gcc", [*flags, "-ffunction-sections", *defines], files, program)


def compile_with(compiler: str, flags: list[str], files: list[Path], program: Path) -> None:
    include = [f"-I{KERNELS}", f"-I{HERE}"]
    command = [compiler, *WARNINGS, *flags, *include, *map(str, files), "-o", str(program)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")


def run_qemu(core_name: str, program: Path, timeout_s: float = 120) -> tuple[int, str]:
    """Exit status and printed text. One instruction is one nanosecond of the machine's time."""
    command = [
        "qemu-system-arm", "-machine", CORES[core_name].machine, "-kernel", str(program),
        "-nographic", "-monitor", "none", "-serial", "none",
        "-semihosting-config", "enable=on,target=native", "-icount", "shift=0,sleep=off",
    ]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=timeout_s, stdin=subprocess.DEVNULL
    )
    return done.returncode, done.stdout + done.stderr


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("variant", choices=["portable", "dsp", "helium"])
    parser.add_argument("core", choices=CORES)
    parser.add_argument("--main", default="bench_main.c", help="bench_main.c or test_main.c")
    parser.add_argument("--rounds", type=int, default=100, help="random cases of each kernel")
    args = parser.parse_args(argv)
    with TemporaryDirectory() as folder:
        program = Path(folder) / "program.elf"
        defines = [f"-DROUNDS={args.rounds}"]
        build_qemu(args.core, program, sources(args.variant, args.main), defines)
        status, text = run_qemu(args.core, program)
    print(text, end="")
    return status


if __name__ == "__main__":
    sys.exit(main())
