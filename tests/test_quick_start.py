"""--help and a mistake in the arguments come before the heavy imports, which take seconds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("host_tools", "pytorch_side", "swin2mcu", "tinyml")
HEAVY = [
    "torch",
    "torchvision",
    "timm",
    "tensorflow",
    "keras",
    "onnx",
    "onnx2tf",
    "onnxruntime",
    "ai_edge_litert",
    "tflite_micro",
    "scipy",
    "matplotlib",
    "pandas",
]
# Commands that people give no arguments to: other commands start them.
INNER = (
    "host_tools/pc/memory.py",
    "swin2mcu/common/bound.py",
    "swin2mcu/soak/chain.py",
)

MISSING_RUN = (
    "host_tools/bench_pc.py runs/none",
    "host_tools/bench_phone.py runs/none",
    "host_tools/check_board.py runs/none",
    "host_tools/fit.py runs/none",
    "host_tools/flash.py runs/none --board host",
    "host_tools/publish.py runs/none small",
    "host_tools.report runs/none",
    "host_tools/serial_eval.py runs/none",
    "pytorch_side.distill --config runs/none.toml",
    "pytorch_side.evaluate score runs/none --data tests",
    "pytorch_side.export runs/none",
    "pytorch_side.evaluate.layer_error runs/none --data tests",
    "pytorch_side.qat runs/none",
    "pytorch_side.teacher --config runs/none.toml",
    "swin2mcu.calibrate runs/none",
    "swin2mcu.export_library runs/none --as cmake",
    "swin2mcu.predict runs/none photo.jpg",
    "swin2mcu.split runs/none",
    "tinyml.aot runs/none/model_int8.tflite --out build/none",
    "tinyml.convert runs/none",
    "tinyml.emit_c runs/none/model_int8.tflite --out build/none",
    "tinyml.parity runs/none --data tests",
)

# Runs each command line in this one process, with every heavy import refused.
DRIVER = """
import contextlib, io, json, runpy, sys

HEAVY, lines = json.loads(sys.argv[1])

class Refused(Exception):
    pass

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in HEAVY:
            raise Refused(name)

sys.meta_path.insert(0, Refuse())
for line in lines:
    sys.argv = line
    sys.modules.pop(line[0], None)  # as in a new process; another command may have imported it
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            if line[0].endswith(".py"):
                runpy.run_path(line[0], run_name="__main__")
            else:
                runpy.run_module(line[0], run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as stop:
        code = stop.code
    except Refused as stop:
        code = f"imports {stop}"
    print(json.dumps([code, said.getvalue()]))
"""


def commands() -> list[str]:
    """Every command as people start it: a script of host_tools, else a module."""
    found = []
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if '__name__ == "__main__"' not in path.read_text(encoding="utf-8") or name in INNER:
                continue
            script = path.parent == ROOT / "host_tools"
            module = name.removesuffix(".py").removesuffix("/__main__").replace("/", ".")
            found.append(name if script else module)
    return found


def run_all(lines: list[list[str]]) -> list[tuple[object, str]]:
    """(exit code or the heavy module that was imported, output) of every command line."""
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, json.dumps([HEAVY, lines])],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    results = [json.loads(line) for line in done.stdout.splitlines()]
    return [(code, said) for code, said in results]


def test_the_driver_sees_a_heavy_import(tmp_path: Path) -> None:
    slow = tmp_path / "slow.py"
    slow.write_text("import matplotlib\n")
    assert run_all([[str(slow), "--help"]]) == [("imports matplotlib", "")]


def test_help_and_an_unknown_option_import_nothing_heavy() -> None:
    names = commands()
    assert len(names) >= 20
    results = run_all([[name, option] for name in names for option in ("--help", "--no-such")])
    for name, (code, said) in zip(names, results[::2], strict=True):
        assert code == 0, (name, code)
        assert "usage:" in said, name
    for name, (code, said) in zip(names, results[1::2], strict=True):
        assert code == 2, (name, code)
        assert said.startswith("error: ") and said.count("\n") == 1, (name, said)


def test_a_missing_run_imports_nothing_heavy_and_makes_no_folder() -> None:
    lines = [line.split() for line in MISSING_RUN]
    for line, (code, said) in zip(lines, run_all(lines), strict=True):
        assert code == 2, (line, code)
        assert said.startswith("error: ") and said.count("\n") == 1, (line, said)
        assert "runs/none" in said, (line, said)
    assert not (ROOT / "runs/none").exists()
