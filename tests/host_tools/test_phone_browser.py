"""The phone's page in a real browser, under a host name that is not localhost."""

from __future__ import annotations

import contextlib
import json
import re
import struct
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from tiny_run import make_images, make_run
from webdriver import Browser, browser

from host_tools.phone.assets import install_runtime
from host_tools.report.entries import load_entries
from swin2mcu.common.card import Calibration, load_card, save_card
from swin2mcu.predict import main as predict
from tinyml.format.tflite import read

TOOL = Path(__file__).resolve().parents[2] / "host_tools" / "bench_phone.py"
MAPPED = "--host-resolver-rules=MAP phone.test 127.0.0.1"
FAKE_CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
FINISHED = "return document.querySelector('#status').textContent.startsWith('Done')"
NO_CAMERA = """
navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("", "NotFoundError"));
"""
TROUBLE = "return document.querySelector('#trouble').textContent"


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_images(tmp_path_factory.mktemp("images") / "leaves", per_class=40)


@contextlib.contextmanager
def tool(run: Path, images: Path, *arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """bench_phone.py at work; yields the address it shows."""
    command = [sys.executable, str(TOOL), str(run), "--data", str(images), "--host", "127.0.0.1"]
    process = subprocess.Popen(
        [*command, "--name", "phone.test", *arguments], stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if "open this page" in line:
                yield line.split()[-1], process
                break
        else:
            raise AssertionError("".join(said))
    finally:
        process.terminate()
        process.communicate(timeout=20)


def never_sure(run: Path) -> None:
    """A card that has the file's own output quantization, and a threshold that nothing reaches."""
    graph = read(run / "model_int8.tflite")
    output = graph.tensors[graph.outputs[0]]
    card = replace(
        load_card(run / "card.json"),
        output_scale=float(output.scales[0]),
        output_zero_point=int(output.zero_points[0]),
        calibration=Calibration(1.0, 700.0, 0.0, 20),
    )
    save_card(card, run / "card.json")


def ready(page: Browser, url: str) -> None:
    page.open(url)
    page.wait("return !document.querySelector('#start').disabled")


SEEN = """const seen = document.querySelector("#seen");
return [...seen.getContext("2d").getImageData(9, 9, 1, 1).data]"""


def swapped() -> bytes:
    """An ICC profile whose red and green are exchanged: https://www.color.org/ICC1v42_2006-05.pdf"""

    def fixed(*numbers: float) -> bytes:
        return struct.pack(f">{len(numbers)}i", *(round(number * 65536) for number in numbers))

    tags = {
        name: b"XYZ " + bytes(4) + fixed(*values)
        for name, values in (
            (b"gXYZ", (0.4361, 0.2225, 0.0139)),
            (b"rXYZ", (0.3851, 0.7169, 0.0971)),
            (b"bXYZ", (0.1431, 0.0606, 0.7141)),
            (b"wtpt", (0.9642, 1.0, 0.8249)),
        )
    }
    curve = b"para" + bytes(4) + struct.pack(">HH", 0, 0) + fixed(2.2)
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    word = "x".encode("utf-16-be")
    text = b"mluc" + bytes(4) + struct.pack(">II", 1, 12) + b"enUS"
    text += struct.pack(">II", len(word), 28) + word + bytes(2)
    tags |= dict.fromkeys((b"desc", b"cprt"), text)
    table, body, start = b"", b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    data = struct.pack(">I", len(tags)) + table + body
    head = struct.pack(">I", 128 + len(data)) + bytes(4) + b"\x04\x00\x00\x00mntrRGB XYZ "
    head += (
        struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + fixed(0.9642, 1.0, 0.8249)
    )
    return head.ljust(128, b"\0") + data


def violations(page: Browser) -> list[str]:
    """What axe-core finds wrong for people who see or move differently."""
    page.run((install_runtime(development=True) / "axe-core" / "axe.min.js").read_text())
    return list(page.run("return axe.run().then(r => r.violations.map(v => v.id + v.help))"))


def test_over_http_one_thread_and_photos_from_a_file(
    tmp_path: Path, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(tmp_path / "run")
    never_sure(run)
    photo = next(images.glob("*/*.png"))
    with tool(run, images, "--runs", "20", "--keep") as (url, process), browser(MAPPED) as page:
        assert url.startswith("http://phone.test:")
        ready(page, url)
        assert page.run("return isSecureContext") is False
        assert violations(page) == []
        page.type("#file", str(photo))  # before anything was measured
        page.wait("return document.querySelectorAll('#answer li').length === 3")
        first = page.run("return document.querySelector('#answer li').textContent")
        assert page.text("#verdict") == "not sure" and violations(page) == []
        assert re.fullmatch(r"[\d.]+ ms for the network on this phone", page.text("#took"))
        assert page.text("#uncalibrated") == ""
        capsys.readouterr()
        assert predict([str(run), str(photo)]) == 0
        said = capsys.readouterr().out
        # The browser rounds otherwise, so the shares may differ by a point.
        assert f"not sure ({first.rpartition(' ')[0]} " in said
        # As pixels.py, the page takes a photo's numbers as they are, whatever its color profile.
        plain, wide = tmp_path / "plain.jpg", tmp_path / "wide.jpg"
        Image.new("RGB", (64, 64), (80, 150, 60)).save(plain, quality=98)
        Image.new("RGB", (64, 64), (80, 150, 60)).save(wide, quality=98, icc_profile=swapped())
        seen = []
        for path in (plain, wide):
            page.run("document.querySelector('#took').textContent = ''")
            page.type("#file", str(path))
            page.wait("return document.querySelector('#took').textContent !== ''")
            seen.append(page.run(SEEN))
        assert seen[0] == seen[1]
        page.click("#start")
        page.wait(FINISHED)
        assert page.run("return document.querySelector('#camera').hidden") is True
        page.type("#file", str(photo))
        page.wait("return document.querySelectorAll('#answer li').length === 3")
        page.type("#file", str(run / "card.json"))
        page.wait(TROUBLE)
        assert "no picture" in page.text("#trouble")
        assert violations(page) == []
        asked = [one for one in page.requests() if one.startswith(("http", "ws"))]
        assert asked and all(one.startswith(url) for one in asked)
        assert process.poll() is None
    (entry,), _ = load_entries([run / "results.json"])
    for precision in ("int8", "float32"):
        target = entry.results.targets[f"phone-browser-{precision}"]
        assert target["accuracy"]["images"] == target["parity"]["images"] == 200
        assert target["parity"]["same_top1"] >= 198
        assert target["cost"]["runs"] >= 20 and target["threads"] == 1
    assert "max_lsb" in entry.results.targets["phone-browser-int8"]["parity"]


def test_over_https_threads_and_the_live_camera(tmp_path: Path, images: Path) -> None:
    run = make_run(tmp_path / "run")
    with (
        tool(run, images, "--https", "--images", "20", "--runs", "10", "--keep") as (url, _),
        browser(MAPPED, *FAKE_CAMERA, insecure=True) as page,
    ):
        assert url.startswith("https://phone.test:")
        ready(page, url)
        assert page.run("return isSecureContext && crossOriginIsolated") is True
        cores = page.run("return Math.min(navigator.hardwareConcurrency, 4)")
        page.click("#start")
        page.wait(FINISHED)
        page.run(NO_CAMERA)
        page.click("#camera")
        page.wait(TROUBLE)
        assert "choose a photo instead" in page.text("#trouble")
        page.run("delete navigator.mediaDevices.getUserMedia")
        page.click("#camera")
        page.wait("return document.querySelectorAll('#answer li').length === 3")
        assert violations(page) == [] and page.text("#trouble") == ""
        assert page.text("#uncalibrated").startswith("Not calibrated: ")
    targets = json.loads((run / "results.json").read_text())["targets"]
    assert cores == 1 or f"phone-browser-int8-{cores}t" in targets
    assert targets["phone-browser-int8"]["threads"] == 1


def test_a_pc_that_goes_away_is_told_on_the_phone(tmp_path: Path, images: Path) -> None:
    run = make_run(tmp_path / "run")
    with tool(run, images) as (url, process), browser(MAPPED) as page:
        ready(page, url)
        process.terminate()
        process.wait(20)
        page.click("#start")
        page.wait(TROUBLE)
        assert not page.run("return document.querySelector('#start').disabled"), "try again"
        page.open("about:blank")


def test_a_phone_that_leaves_keeps_what_it_measured(tmp_path: Path, images: Path) -> None:
    run = make_run(tmp_path / "run")
    with tool(run, images, "--images", "2000", "--runs", "10") as (url, _), browser(MAPPED) as page:
        ready(page, url)
        page.click("#start")
        end = time.monotonic() + 60
        while not (run / "results.json").exists() and time.monotonic() < end:
            time.sleep(0.02)
        page.open("about:blank")
    targets = json.loads((run / "results.json").read_text())["targets"]
    assert targets["phone-browser-float32"]["cost"]["p50"] > 0


def test_a_browser_without_simd_is_told(tmp_path: Path, images: Path) -> None:
    run = make_run(tmp_path / "run")
    with tool(run, images) as (url, process), browser(MAPPED) as page:
        page.before_scripts("WebAssembly.validate = () => false")
        page.open(url)
        page.wait(TROUBLE)
        assert "no WebAssembly SIMD" in page.text("#trouble")
        assert process.wait(20) == 2, "the tool ends, saying what the phone said"


def test_with_keep_the_page_outlives_a_phone_that_fails(tmp_path: Path, images: Path) -> None:
    run = make_run(tmp_path / "run")
    with tool(run, images, "--keep") as (url, process):
        here = url.replace("phone.test", "127.0.0.1")

        def post(**message: object) -> dict[str, str]:
            request = urllib.request.Request(here + "post", json.dumps(message).encode())
            with urllib.request.urlopen(request, timeout=20) as reply:
                return dict(json.loads(reply.read()))

        phone = post(kind="hello", agent="x", cores=1)["phone"]
        post(kind="failed", phone=phone, text="no memory")
        assert process.stderr is not None
        said = [next(process.stderr) for _ in range(4)]
        assert "the phone could not finish (no memory)" in "".join(said), said
        assert "still serving" in said[-1] and process.poll() is None
        assert post(kind="hello", agent="x", cores=1)["phone"], "it may try again"
