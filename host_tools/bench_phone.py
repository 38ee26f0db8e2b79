"""Time one model on a phone, in its browser or over adb, and check its answers against the PC.

python host_tools/bench_phone.py [RUN_OR_ZOO]              shows a code to scan with the phone
python host_tools/bench_phone.py --chromium                the same page in this PC's Chromium
python host_tools/bench_phone.py --adb BENCHMARK_MODEL     LiteRT's own tool on an Android phone
"""

from __future__ import annotations

import argparse
import math
import shlex
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import segno

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from host_tools.inputs import Model, add_model, load_model
from host_tools.pc.timing import MIN_RUNS
from host_tools.phone import assets
from host_tools.phone.adb import bench_over_adb
from host_tools.phone.chromium import ADDRESS, headless_chromium
from host_tools.phone.server import MAX_BODY_BYTES, PhoneServer, local_address
from host_tools.phone.session import PhoneSession
from host_tools.phone.tls import self_signed
from host_tools.report.entries import load_entries
from host_tools.report.terminal import print_entries
from host_tools.results import RESULTS_NAME, check_results
from swin2mcu.common.cli import Parser, UserError, run_command, status
from swin2mcu.common.dataset import name_of
from swin2mcu.common.hardware import hardware
from swin2mcu.common.paths import ROOT, data_folder

EVERY_ADDRESS = ("0.0.0.0", "::")
LOGIT_BYTES = 24  # of one number as JSON, at most
POLL_S = 0.2
SILENCE_S = 180.0  # a phone that has begun and sends nothing for this long counts as gone,
RUN_S = 0.1  # and for this long with each run of a network: it sends nothing between


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(description=__doc__.partition("\n")[0])
    add_model(parser)
    parser.add_argument("--data", type=Path, help="folder of class folders (or $SWIN2MCU_DATA)")
    parser.add_argument("--images", type=int, default=200, help="answers to check against the PC")
    parser.add_argument("--runs", type=int, default=MIN_RUNS, help="timed samples of each model")
    parser.add_argument("--host", help="address to listen on (default: the local network's)")
    parser.add_argument("--port", type=int, default=0, help="default: any free one")
    parser.add_argument("--name", help="a host name to show instead of the address")
    parser.add_argument("--https", action="store_true", help="adds threads and the live camera")
    parser.add_argument("--wait", type=float, default=600.0, help="seconds to wait for a phone")
    parser.add_argument(
        "--chromium", action="store_true", help="no phone: measure in this PC's headless Chromium"
    )
    parser.add_argument(
        "--keep",
        action="store_true",
        help="serve the page for photos until Ctrl-C",
    )
    parser.add_argument(
        "--adb", type=Path, metavar="BENCHMARK_MODEL", help="LiteRT's benchmark_model for Android"
    )
    parser.add_argument("--serial", help="which adb device, where several are connected")
    arguments = parser.parse_args(argv)
    return run_command(lambda: _bench(arguments))


def _bench(arguments: argparse.Namespace) -> None:
    if not 1 <= arguments.images <= 2000 or not 1 <= arguments.runs <= 5000:
        raise UserError("--images must be 1 to 2000, --runs 1 to 5000")
    if not 0 <= arguments.port <= 65535:
        raise UserError("--port must be 0 (any free one) to 65535")
    if not 0 < arguments.wait < math.inf:
        raise UserError("--wait must be a number of seconds above 0")
    if arguments.chromium and (arguments.adb is not None or arguments.keep or arguments.name):
        raise UserError("--chromium goes with neither --adb nor --keep nor --name")
    model = load_model(arguments.model, measured=True)
    check_results(model.folder, model.sha256)  # before a phone has measured anything
    if not model.contract.ours:
        raise UserError(
            f"{model.int8} is not fed (pixel - 128) / 128, and the phone page supports no other"
        )
    if arguments.adb is not None:
        bench_over_adb(model, arguments.adb, arguments.serial, status.print)
    else:
        _bench_in_browser(model, arguments)
    entries, _ = load_entries([model.folder / RESULTS_NAME])
    print_entries(entries)


def _bench_in_browser(model: Model, arguments: argparse.Namespace) -> None:
    modules = assets.install_runtime()
    models, notes = assets.model_files(model)
    data = _data(arguments.data)
    pixels, labels = assets.choose_images(model, data, arguments.images)
    expected = assets.expect(model, models, pixels, labels, name_of(data) if data else "noise")
    session = PhoneSession(
        model,
        expected,
        "LiteRT.js (WebAssembly)",
        status.print,
        notes,
        assets.runtime_version(modules),
        command_line(model, arguments),
        hardware() if arguments.chromium else None,
    )
    files = assets.page_files(modules)
    files |= assets.data_files(model, models, pixels, arguments.runs)
    host = arguments.host or (ADDRESS if arguments.chromium else local_address())
    # A phone cannot open the address that stands for all of this machine's.
    shown = arguments.name or (local_address() if host in EVERY_ADDRESS else None)
    tls, fingerprint = None, ""
    if arguments.https:
        tls, fingerprint = self_signed(shown or host, ROOT / "build" / "phone_page")
    most = max(MAX_BODY_BYTES, LOGIT_BYTES * len(pixels) * len(model.card.classes))
    server = PhoneServer(host, arguments.port, files, session.receive, tls, most)
    url = server.url(shown)
    if not arguments.chromium:
        _show_address(url, fingerprint)
    silence_s = SILENCE_S + RUN_S * max(len(pixels), 2 * arguments.runs)  # two precisions
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        if arguments.chromium:
            with headless_chromium(url) as browser:
                wait_for(
                    session, arguments.wait, silence_s, gone=lambda: browser.poll() is not None
                )
        else:
            wait_s = math.inf if arguments.keep else arguments.wait
            try:
                wait_for(session, wait_s, silence_s, opened=lambda: server.opened)
            except UserError as error:
                if not arguments.keep or session.error:
                    raise
                status.print(str(error))  # the page stays, also for another try
        if arguments.keep:
            status.print("still serving the page for photos; Ctrl-C ends it")
            threading.Event().wait()
    finally:
        server.shutdown()
        server.server_close()


def command_line(model: Model, arguments: argparse.Namespace) -> str:
    """The command that repeats this measurement, without what other computers name otherwise: the
    address and the image folder."""
    words = ["--images", str(arguments.images), "--runs", str(arguments.runs)]
    words += ["--https"] if arguments.https else []
    words += ["--chromium"] if arguments.chromium else []
    return f"python host_tools/bench_phone.py {model.typed} {shlex.join(words)}"


def _show_address(url: str, fingerprint: str) -> None:
    status.print(f"open this page on the phone (same network): {url}", markup=False)
    if sys.stderr and sys.stderr.isatty():
        segno.make(url).terminal(out=sys.stderr, compact=True)
    if fingerprint:
        status.print(f"the browser will warn; compare the certificate's SHA-256: {fingerprint}")


def wait_for(
    session: PhoneSession,
    wait_s: float,
    silence_s: float = SILENCE_S,
    gone: Callable[[], bool] = lambda: False,
    opened: Callable[[], bool] = lambda: False,
) -> None:
    """Wait until every phone that came is done, has failed or has left, and close the session.

    Raises UserError saying what was kept when none is done, or when results cannot be stored.
    """
    begun = time.monotonic()
    while True:
        time.sleep(POLL_S)
        kept = f"kept: {', '.join(session.targets)}" if session.targets else "nothing was measured"
        if session.error:
            raise UserError(f"{session.error}; {kept}")
        now, phones = time.monotonic(), list(session.phones.values())
        if any(not phone.over and now - phone.heard <= silence_s for phone in phones):
            if gone():
                raise UserError(f"the browser ended on its own; {kept}")
            continue
        if any(phone.done for phone in phones):
            session.closed = True
            return
        if gone():
            raise UserError(f"the browser ended on its own; {kept}")
        failures = [phone.failure for phone in phones if phone.failure is not None]
        if failures:
            raise UserError(f"the phone could not finish ({failures[-1]}); {kept}")
        if phones:
            raise UserError(f"the phone left half-way; {kept}; run it again for the rest")
        if now - begun > wait_s and opened():
            raise UserError(
                f"a phone opened the page and measured nothing within {wait_s:.0f} s; for photos "
                "alone serve it with --keep"
            )
        if now - begun > wait_s:
            raise UserError(f"no phone has come within {wait_s:.0f} s: is it on the same network?")


def _data(argument: Path | None) -> Path | None:
    try:
        return data_folder(argument)
    except UserError as error:
        status.print(f"noise instead of images, so no accuracy: {error}")
        return None


if __name__ == "__main__":
    raise SystemExit(main())
