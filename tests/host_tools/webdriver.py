"""A few words of the W3C WebDriver protocol: a real headless Chromium, driven over plain HTTP."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from host_tools.phone.chromium import NAMES

CHROMIUM_ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-dev-shm-usage",
]
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


class Browser:
    def __init__(self, base: str, session: str) -> None:
        self.base = f"{base}/session/{session}"

    def open(self, url: str) -> None:
        self._post("url", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        return self._post("execute/sync", {"script": script, "args": list(arguments)})

    def click(self, selector: str) -> None:
        self._post(f"element/{self._find(selector)}/click", {})

    def type(self, selector: str, text: str) -> None:
        self._post(f"element/{self._find(selector)}/value", {"text": text})

    def text(self, selector: str) -> str:
        return str(self.run("return document.querySelector(arguments[0]).textContent", selector))

    def wait(self, script: str, seconds: float = 60) -> Any:
        """Until the script returns something true; fails with the page's own words."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := self.run(script):
                return found
            time.sleep(0.1)
        raise AssertionError(f"never true: {script}\n{self.run('return document.body.innerText')}")

    def requests(self) -> list[str]:
        """The addresses asked for since the last call."""
        entries = self._post("se/log", {"type": "performance"})
        events = [json.loads(entry["message"])["message"] for entry in entries]
        return [
            event["params"]["request"]["url"]
            for event in events
            if event["method"] == "Network.requestWillBeSent"
        ]

    def before_scripts(self, script: str) -> None:
        """Run `script` in each page opened from now on, before the page's own."""
        command = "Page.addScriptToEvaluateOnNewDocument"
        self._post("goog/cdp/execute", {"cmd": command, "params": {"source": script}})

    def resize(self, width: int, height: int) -> None:
        """The size of the page itself; windows have a smallest width, pages have none."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": True}
        command = "Emulation.setDeviceMetricsOverride"
        self._post("goog/cdp/execute", {"cmd": command, "params": size})

    def screenshot(self, path: Path) -> None:
        with urllib.request.urlopen(f"{self.base}/screenshot", timeout=60) as answer:
            path.write_bytes(base64.b64decode(json.load(answer)["value"]))

    def _find(self, selector: str) -> str:
        found = self._post("element", {"using": "css selector", "value": selector})
        return str(found[ELEMENT])

    def _post(self, command: str, body: dict[str, Any]) -> Any:
        return post(f"{self.base}/{command}", body)


def post(url: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)["value"]
    except urllib.error.HTTPError as error:
        raise AssertionError(json.load(error)["value"]["message"]) from error


@contextlib.contextmanager
def browser(*arguments: str, insecure: bool = False) -> Iterator[Browser]:
    """A Chromium of its own profile, gone at the end. A missing one is an error, not a skip."""
    driver = shutil.which("chromedriver")
    program = next(filter(None, map(shutil.which, NAMES)), None)
    assert driver and program, "chromium or chromedriver is missing: apt install chromium-driver"
    with tempfile.TemporaryDirectory() as profile:
        process = subprocess.Popen(
            [driver, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        try:
            assert process.stdout is not None
            port = next(
                line.split("port ")[1].strip(". \n")
                for line in process.stdout
                if "successfully on port" in line
            )
            base = f"http://127.0.0.1:{port}"
            wanted = {
                "browserName": "chrome",
                "acceptInsecureCerts": insecure,
                "goog:loggingPrefs": {"performance": "ALL"},
                "goog:chromeOptions": {
                    "binary": program,
                    "args": [*CHROMIUM_ARGUMENTS, f"--user-data-dir={profile}", *arguments],
                },
            }
            session = post(f"{base}/session", {"capabilities": {"alwaysMatch": wanted}})
            try:
                yield Browser(base, session["sessionId"])
            finally:
                urllib.request.urlopen(
                    urllib.request.Request(
                        f"{base}/session/{session['sessionId']}", method="DELETE"
                    ),
                    timeout=30,
                )
        finally:
            process.terminate()
            process.wait(10)
