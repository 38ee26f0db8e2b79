"""The adb way: Debian's adb without a phone, and a scripted stand-in for what a phone answers."""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny_run import make_run

from host_tools.bench_phone import main
from host_tools.phone.adb import big_cores, inference_us, middle_run
from swin2mcu.common.cli import UserError

# Answers like a Pixel with four small, three middle and one big core; logs what it was asked.
STAND_IN = """#!{python}
import pathlib, sys
here = pathlib.Path(__file__).parent
arguments = sys.argv[1:]
with (here / "log").open("a") as log:
    print(*arguments, file=log)
if arguments == ["devices"]:
    print("List of devices attached")
    print((here / "devices").read_text(), end="")
    sys.exit()
assert arguments[:2] == ["-s", "PHONE1"], arguments
command = " ".join(arguments[3:])
if "cpuinfo_max_freq" in command:
    if (here / "no frequencies").exists():  # as of the emulator: two of them, and none said after
        print("1803000\\n2348000")
        sys.exit()
    print("1803000\\n" * 4 + "2348000\\n" * 3 + "2850000\\nwhole")
elif "thermalservice" in command:
    count = (here / "log").read_text().count("thermalservice")
    print("IsStatusOverride: false\\nThermal Status:", 0 if count % 2 else 2)
elif "getprop" in command:
    print({{"ro.product.manufacturer": "Google", "ro.product.model": "Pixel 8"}}.get(
        command.split()[-1], ""))
elif "benchmark_model --graph" in command:
    runs = (here / "log").read_text().count("--graph")
    if runs > {breaks_after}:
        print("adb: device 'PHONE1' not found", file=sys.stderr)
        sys.exit(1)
    print("INFO: Running benchmark for at least 10 iterations", file=sys.stderr)
    print("INFO: count=10 first=9000 curr=2000 min=2000 max=9000 avg=3000 std=9", file=sys.stderr)
    print(f"INFO: count=50 first=1300 curr=1290 min={{1200 + runs}} max=1500 avg=1310.5 std=12"
          f" p5=1210 median={{1290 + runs}} p95=1400", file=sys.stderr)
"""


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return stand_in(tmp_path, monkeypatch, breaks_after=999)


def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, breaks_after: int) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    adb = folder / "adb"
    adb.write_text(STAND_IN.format(python=sys.executable, breaks_after=breaks_after))
    adb.chmod(adb.stat().st_mode | stat.S_IXUSR)
    (folder / "devices").write_text("PHONE1\tdevice\n")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def bench(tmp_path: Path, *more: str) -> int:
    run = make_run(tmp_path / "run")
    tool = tmp_path / "benchmark_model"
    tool.write_bytes(b"\x7fELF")
    return main([str(run), "--adb", str(tool), *more])


def results(tmp_path: Path) -> dict[str, dict]:
    return dict(json.loads((tmp_path / "run" / "results.json").read_text())["targets"])


def test_both_models_on_the_big_core_with_thermal_state(phone: Path, tmp_path: Path) -> None:
    assert bench(tmp_path) == 0
    targets = results(tmp_path)
    assert set(targets) == {"phone-adb-int8", "phone-adb-float32"}
    target = targets["phone-adb-int8"]
    assert target["cost"]["p50"] == 1293.0, "the middle one of five runs"
    assert target["cost"]["min"] == 1201.0 and target["cost"]["runs"] == 250
    assert target["hardware"].startswith("Google Pixel 8")
    assert "big cores 7" in target["note"] and "thermal state none → moderate" in target["note"]
    log = (phone / "log").read_text()
    assert "taskset 80 " in log and log.count("--graph") == 10


def test_without_the_cores_frequencies_android_chooses(phone: Path, tmp_path: Path) -> None:
    (phone / "no frequencies").touch()
    assert bench(tmp_path) == 0
    assert "big cores" not in results(tmp_path)["phone-adb-int8"]["note"]
    log = (phone / "log").read_text()
    assert "taskset" not in log and "2>/dev/null" in log and "|| true" in log


@pytest.mark.parametrize(
    ("devices", "arguments", "words"),
    [
        ("", (), "sees no phone"),
        ("PHONE1\tunauthorized\n", (), "unauthorized: confirm"),
        ("PHONE1\toffline\n", (), "is offline"),
        ("PHONE1\tdevice\nPHONE2\tdevice\n", (), "choose one with --serial"),
        ("PHONE1\tdevice\n", ("--serial", "PHONE9"), "no device PHONE9"),
    ],
)
def test_a_phone_that_cannot_be_used_is_one_line(
    phone: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    devices: str,
    arguments: tuple[str, ...],
    words: str,
) -> None:
    (phone / "devices").write_text(devices)
    assert bench(tmp_path, *arguments) == 2
    said = [line for line in capfd.readouterr().err.splitlines() if "error:" in line]
    assert len(said) == 1 and words in said[0]


def test_a_cable_pulled_between_models_keeps_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    stand_in(tmp_path, monkeypatch, breaks_after=7)
    assert bench(tmp_path) == 2
    assert "not found" in capfd.readouterr().err
    assert set(results(tmp_path)) == {"phone-adb-int8"}


@pytest.fixture
def own_adb_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """adb leaves a server running; this one has a port of its own and is ended."""
    adb = shutil.which("adb")
    assert adb, "adb is missing: apt install adb"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(probe.getsockname()[1]))
    yield
    subprocess.run([adb, "kill-server"], check=True, capture_output=True, timeout=30)


@pytest.mark.usefixtures("own_adb_server")
def test_the_real_adb_without_a_phone(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert bench(tmp_path) == 2
    assert "sees no phone" in capfd.readouterr().err


def test_a_missing_tool_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path / "run")
    assert main([str(run), "--adb", str(tmp_path / "nothing")]) == 2
    assert "name LiteRT's benchmark_model" in capfd.readouterr().err


def test_figures_of_benchmark_model() -> None:
    assert big_cores("1800\n1800\n2800\n2800\n") == [2, 3]
    assert big_cores("") == []
    warm_up, measured = "count=5 avg=900 min=1 max=2", "count=50 avg=120.5 min=110 max=300"
    figures = inference_us(f"{warm_up}\nInference timings in us: {measured}\n")
    assert figures == {"p50": 120.5, "p95": 300.0, "min": 110.0, "mean": 120.5, "runs": 50.0}
    assert middle_run([figures | {"p50": p50} for p50 in (5.0, 1.0, 3.0)])["p50"] == 3.0
    with pytest.raises(UserError, match="did not measure: Segmentation fault"):
        inference_us("loading\nSegmentation fault")
