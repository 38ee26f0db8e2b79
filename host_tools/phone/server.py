"""The small web server that a phone's browser talks to: a fixed set of files and one place to post.

    GET  /<token>/<name>     one of the files it was given, nothing else on this machine
    POST /<token>/post       a JSON object, handed to `receive`; the answer is JSON

A request without the token gets 404. The size of bodies, the number of connections and their
duration are limited. A connection that only waits is closed when a new one needs its place, so
nobody can block the others.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import re
import secrets
import shutil
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from swin2mcu.common.cli import UserError

INDEX = "index.html"  # what the bare address shows
MAX_BODY_BYTES = 4 << 20  # the logits of a thousand images of ten classes are a quarter of that
IDLE_S = 10.0  # a connection that sends nothing for this long is closed
CONNECTION_S = 120.0  # and none lasts longer than this, however slowly it sends
MAX_CONNECTIONS = 48
MAX_PER_ADDRESS = 16  # browsers open six


@dataclass(frozen=True)
class Served:
    """One file: from memory, or from disk where it is too large to hold twice."""

    kind: str  # Content-Type
    content: bytes | Path


@dataclass
class Open:
    """A connection: whose it is, when its time is up (monotonic), whether its request is whole."""

    address: str
    deadline: float
    answering: bool = False


class BadPost(Exception):
    """A post that cannot be taken; its message is sent back."""


Receive = Callable[[dict[str, Any]], dict[str, Any]]


class PhoneServer(ThreadingHTTPServer):
    """Binds to `host` alone. `files` maps names ("page.js", "npm/…") to what is served."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self,
        host: str,
        port: int,
        files: Mapping[str, Served],
        receive: Receive,
        tls: ssl.SSLContext | None = None,
        body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        self.files, self.body_bytes = files, body_bytes
        self.receive = receive
        self.opened = False  # whether a phone has opened the page
        self.token = secrets.token_urlsafe(12)
        self.isolated = tls is not None
        self.policy = content_policy(files)
        self.idle_s, self.connection_s = IDLE_S, CONNECTION_S
        self._open: dict[socket.socket, Open] = {}
        self._lock = threading.Lock()
        try:
            super().__init__((host, port), PhoneHandler)
        except OSError as error:
            raise UserError(
                f"cannot listen on {host}:{port}: {error.strerror}; try another --host or --port"
            ) from error
        if tls is not None:
            # The handshake waits for the connection's own thread: here it would stop everyone.
            self.socket = tls.wrap_socket(
                self.socket, server_side=True, do_handshake_on_connect=False
            )

    def url(self, host: str | None = None) -> str:
        """Where the phone goes; `host` replaces the address by a name that leads to it."""
        address, port = self.server_address[:2]
        scheme = "https" if self.isolated else "http"
        return f"{scheme}://{host or str(address)}:{port}/{self.token}/"

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Make room for one more: close the connection that has waited longest for a whole
        request."""
        address = client_address[0]
        with self._lock:
            late = self._to_close(address)
            if late is not None:
                del self._open[late]
            self._open[request] = Open(address, time.monotonic() + self.connection_s)
        if late is not None:
            with contextlib.suppress(OSError):
                late.shutdown(socket.SHUT_RDWR)
        return True

    def _to_close(self, address: str) -> socket.socket | None:
        """Which connection is one too many; None while there is room."""
        held = Counter(one.address for one in self._open.values())
        if held[address] >= MAX_PER_ADDRESS:
            crowd = address
        elif len(self._open) >= MAX_CONNECTIONS:
            crowd = held.most_common(1)[0][0]
        else:
            return None
        mine = [(request, one) for request, one in self._open.items() if one.address == crowd]
        # In order of arrival, but those that are being answered come last.
        return min(mine, key=lambda pair: pair[1].answering)[0]

    def answering(self, request: Any) -> None:
        """The whole request has come: this connection is not one that only waits."""
        with self._lock:
            if request in self._open:
                self._open[request].answering = True

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Called twice a second: ends the connections that have had their time."""
        now = time.monotonic()
        with self._lock:
            late = [one for one, held in self._open.items() if held.deadline < now]
        for one in late:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing: a client may break off at any time."""


class PhoneHandler(BaseHTTPRequestHandler):
    """One connection, one request (HTTP/1.0): nothing to keep alive, nothing to confuse."""

    server_version, sys_version = "swin2mcu", ""

    @property
    def phones(self) -> PhoneServer:
        return cast(PhoneServer, self.server)

    def setup(self) -> None:
        self.request.settimeout(self.phones.idle_s)
        super().setup()

    def do_GET(self) -> None:
        self.phones.answering(self.request)
        served = self.phones.files.get(self._name())
        self.phones.opened |= self._name() == INDEX
        if served is None:
            self._send(404, "text/plain", b"not found\n")
        elif isinstance(served.content, bytes):
            self._send(200, served.kind, served.content)
        else:
            self._head(200, served.kind, served.content.stat().st_size)
            with served.content.open("rb") as file:
                shutil.copyfileobj(file, self.wfile)

    def do_POST(self) -> None:
        if self._name() != "post":
            return self._send(404, "text/plain", b"not found\n")
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch(r"[0-9]{1,9}", length):
            return self._reply(411, {"error": "a post needs its Content-Length"})
        if int(length) > self.phones.body_bytes:
            return self._reply(413, {"error": f"more than {self.phones.body_bytes} bytes"})
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            return None  # the phone has gone
        self.phones.answering(self.request)
        try:
            message = json.loads(body)
            if not isinstance(message, dict):
                raise BadPost("a post is a JSON object")
            return self._reply(200, self.phones.receive(message))
        except BadPost as error:
            return self._reply(400, {"error": str(error)})
        except (ValueError, RecursionError):
            return self._reply(400, {"error": "this is no JSON"})

    def _name(self) -> str:
        """The part of the path behind the token; "?" (no file's name) for whoever lacks it."""
        first, _, rest = urlsplit(self.path).path.lstrip("/").partition("/")
        if not hmac.compare_digest(first.encode(), self.phones.token.encode()):
            return "?"
        return rest or INDEX

    def _reply(self, status: int, message: dict[str, Any]) -> None:
        self._send(status, "application/json", json.dumps(message).encode())

    def _send(self, status: int, kind: str, content: bytes) -> None:
        self._head(status, kind, len(content))
        self.wfile.write(content)

    def _head(self, status: int, kind: str, length: int) -> None:
        self.send_response(status)
        headers = {
            "Content-Type": kind,
            "Content-Length": str(length),
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",  # the token is in the address
            "Content-Security-Policy": self.phones.policy,
        }
        if self.phones.isolated:  # what browsers ask for before they allow threads
            headers["Cross-Origin-Opener-Policy"] = "same-origin"
            headers["Cross-Origin-Embedder-Policy"] = "require-corp"
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing: a line per request would hide the tool's own messages."""


def content_policy(files: Mapping[str, Served]) -> str:
    """What the page may load: its own files. The inline import map is allowed by its hash."""
    index = files.get(INDEX)
    page = index.content if index else b""
    text = page.read_bytes() if isinstance(page, Path) else page
    maps = re.findall(rb'<script type="importmap">(.*?)</script>', text, re.DOTALL)
    hashes = "".join(
        f" 'sha256-{base64.b64encode(hashlib.sha256(one).digest()).decode()}'" for one in maps
    )
    return (
        f"default-src 'none'; script-src 'self' 'wasm-unsafe-eval'{hashes}; style-src 'self'; "
        "connect-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
        "worker-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def local_address() -> str:
    """The address other devices of the local network reach this machine by."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(
                ("192.0.2.1", 9)
            )  # a documentation address: chooses a route, sends nothing
            return str(probe.getsockname()[0])
        except OSError as error:
            raise UserError(
                "this machine is on no network: join the phone's, or give --host"
            ) from error
