"""Time a model on an Android phone with LiteRT's benchmark_model, over adb.

benchmark_model is built from LiteRT's sources: `bazel build -c opt --config=android_arm64
//tflite/tools/benchmark:benchmark_model`, or taken from its nightly builds. Name its path.
"""

from __future__ import annotations

import re
import shutil
import statistics
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from host_tools.inputs import Model
from host_tools.pc.tflite_backends import float_model
from host_tools.results import merge_target
from swin2mcu.common.cli import UserError
from swin2mcu.common.paths import ROOT

FOLDER = "/data/local/tmp/swin2mcu"
FREQUENCIES = "/sys/devices/system/cpu/cpu*/cpufreq/cpuinfo_max_freq"
WHOLE = "whole"  # said after the last of them
REPEATS = 5  # runs of the tool; the one with the median of their medians counts
RUNS = 50
TIMEOUT_S = 180
THERMAL = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")


def _frequencies(adb: Adb) -> str:
    """The highest frequency of each core; "" where one of them cannot be read."""
    found = adb.shell(f"cat {FREQUENCIES} 2>/dev/null && echo {WHOLE} || true")
    return found.replace(WHOLE, "") if WHOLE in found else ""


def bench_over_adb(
    model: Model, tool: Path, serial: str | None, say: Callable[[str], None]
) -> None:
    """Push, run and merge the int8 and the float32 model; each is kept once it is measured."""
    if not tool.is_file():
        raise UserError(f"{tool} is missing: name LiteRT's benchmark_model for Android")
    adb = Adb(_find_adb(), serial)
    device = adb.choose_device()
    hardware = f"{adb.property('ro.product.manufacturer')} {adb.property('ro.product.model')}"
    soc = adb.property("ro.soc.model") or adb.property("ro.board.platform")
    hardware = f"{hardware} ({soc}), Android {adb.property('ro.build.version.release')}"
    cores = big_cores(_frequencies(adb))
    say(f"{device}: {hardware}, {len(cores) or 'unknown'} big cores")
    adb.shell(f"mkdir -p {FOLDER}")
    adb.push(tool, f"{FOLDER}/benchmark_model")
    adb.shell(f"chmod 755 {FOLDER}/benchmark_model")
    work = ROOT / "build" / "bench_pc"
    work.mkdir(parents=True, exist_ok=True)
    float_path, note = float_model(model, work)
    for precision, path in (("int8", model.int8), ("float32", float_path)):
        name = f"phone-adb-{precision}"
        adb.push(path, f"{FOLDER}/model.tflite")
        before = thermal_status(adb)
        samples = []
        for _ in range(REPEATS):
            samples.append(inference_us(adb.shell(_command(cores), TIMEOUT_S)))
            say(f"{name}: {samples[-1]['p50'] / 1000:.2f} ms")
        after = thermal_status(adb)
        target = {
            "kind": "phone",
            "engine": "LiteRT benchmark_model (XNNPACK)",
            "precision": precision,
            "hardware": hardware,
            "versions": {},
            "threads": 1,
            "command": f"python host_tools/bench_phone.py {model.typed} --adb benchmark_model",
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "note": _note(cores, before, after, note if precision == "float32" else ""),
            "model": {"macs": model.card.macs, "parameters": model.card.parameters},
            "accuracy": None,
            "cost": middle_run(samples),
            "memory": {"file_bytes": path.stat().st_size},
            "parity": None,
        }
        merge_target(model.folder, model.sha256, model.card.name, name, target)


class Adb:
    """The adb client, with a device's serial number once one is chosen."""

    def __init__(self, program: str, serial: str | None) -> None:
        self.program = program
        self.serial = serial

    def choose_device(self) -> str:
        """The one connected device, or the one named. UserError says what is wrong with it."""
        listed = self._call(["devices"], 30)
        devices = dict(
            line.split("\t")[:2] for line in listed.splitlines()[1:] if line.count("\t") >= 1
        )
        if self.serial is not None and self.serial not in devices:
            raise UserError(f"adb knows no device {self.serial}: see `adb devices`")
        if not devices:
            raise UserError("adb sees no phone: connect one and switch USB debugging on")
        if self.serial is None and len(devices) > 1:
            raise UserError(f"several devices ({', '.join(devices)}): choose one with --serial")
        serial = self.serial or next(iter(devices))
        state = devices[serial]
        if state == "unauthorized":
            raise UserError(f"{serial} is unauthorized: confirm the question on the phone's screen")
        if state != "device":
            raise UserError(f"{serial} is {state}: plug it in again")
        self.serial = serial
        return serial

    def shell(self, command: str, timeout_s: float = 30) -> str:
        return self._call(["shell", command], timeout_s)

    def push(self, path: Path, target: str) -> None:
        self._call(["push", str(path), target], 120)

    def property(self, name: str) -> str:
        return self.shell(f"getprop {name}").strip()

    def _call(self, arguments: list[str], timeout_s: float) -> str:
        chosen = ["-s", self.serial] if self.serial and arguments != ["devices"] else []
        try:
            done = subprocess.run(
                [self.program, *chosen, *arguments],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise UserError(f"adb {arguments[0]} got no answer: is the phone awake?") from error
        if done.returncode:
            lines = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()
            raise UserError(f"adb {arguments[0]} failed: {lines[-1]}")
        return done.stdout + done.stderr  # benchmark_model logs to stderr


def _find_adb() -> str:
    program = shutil.which("adb")
    if program is None:
        raise UserError("adb is missing: apt install adb, or Android's platform-tools elsewhere")
    return program


def big_cores(frequencies: str) -> list[int]:
    """The cores with the highest top frequency, from one number per core in the kernel's order."""
    values = [int(line) for line in frequencies.split() if line.isdigit()]
    return [core for core, value in enumerate(values) if value == max(values)]


def thermal_status(adb: Adb) -> str:
    """Android's own term for how much it is throttled; "unknown" before Android 10."""
    match = re.search(r"Thermal Status:\s*(\d)", adb.shell("dumpsys thermalservice || true"))
    return THERMAL[min(int(match[1]), len(THERMAL) - 1)] if match else "unknown"


def inference_us(output: str) -> dict[str, float]:
    """The figures of one run of benchmark_model; its times are in microseconds.

    count=50 first=1203 curr=1190 min=1180 max=1300 avg=1195.2 std=20 p5=… median=1191 p95=1250
    The first such line is the warm-up's, the last one the measurement's.
    """
    lines = [line for line in output.splitlines() if "count=" in line and "avg=" in line]
    if not lines:
        last = (output.strip().splitlines() or ["no output"])[-1]
        raise UserError(f"benchmark_model did not measure: {last[:200]}")
    found = {key: float(value) for key, value in re.findall(r"(\w+)=([0-9.e+]+)", lines[-1])}
    middle = found.get("median", found["avg"])
    return {
        "p50": middle,
        "p95": found.get("p95", found.get("max", middle)),
        "min": found.get("min", middle),
        "mean": found["avg"],
        "runs": found.get("count", 0.0),
    }


def middle_run(samples: list[dict[str, float]]) -> dict[str, Any]:
    """The run whose median is the median of all; the fastest single time of all of them."""
    middle = sorted(samples, key=lambda sample: sample["p50"])[len(samples) // 2]
    return {
        "unit": "us",
        "p50": middle["p50"],
        "p95": middle["p95"],
        "p99": max(sample["p95"] for sample in samples),
        "min": min(sample["min"] for sample in samples),
        "mean": statistics.fmean(sample["mean"] for sample in samples),
        "runs": int(sum(sample["runs"] for sample in samples)),
    }


def _command(cores: list[int]) -> str:
    mask = sum(1 << core for core in cores)
    pinned = f"taskset {mask:x} " if mask else ""
    return (
        f"{pinned}{FOLDER}/benchmark_model --graph={FOLDER}/model.tflite --num_threads=1 "
        f"--use_xnnpack=true --num_runs={RUNS} --warmup_runs=10"
    )


def _note(cores: list[int], before: str, after: str, more: str) -> str:
    where = f"big cores {', '.join(map(str, cores))}" if cores else "cores chosen by Android"
    texts = [f"{where}; median of {REPEATS} runs of {RUNS}; thermal state {before} → {after}", more]
    return "; ".join(text for text in texts if text)
