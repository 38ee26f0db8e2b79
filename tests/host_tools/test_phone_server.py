"""The phone's server against everybody who is not the phone."""

from __future__ import annotations

import json
import re
import select
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny_run import make_run

from host_tools import bench_phone
from host_tools.phone.server import MAX_BODY_BYTES, BadPost, PhoneServer, Served
from host_tools.phone.tls import self_signed
from swin2mcu.common.cli import UserError

received: list[dict[str, Any]] = []


def take(message: dict[str, Any]) -> dict[str, Any]:
    if message.get("kind") == "bad":
        raise BadPost("this is bad")
    received.append(message)
    return {"taken": len(received)}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PhoneServer]:
    received.clear()
    (tmp_path / "large.wasm").write_bytes(b"w" * 3_000_000)
    files = {
        "index.html": Served("text/html", b"<title>page</title>"),
        "npm/large.wasm": Served("application/wasm", tmp_path / "large.wasm"),
    }
    one = PhoneServer("127.0.0.1", 0, files, take)
    one.idle_s, one.connection_s = 0.5, 2.0
    thread = threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    yield one
    one.shutdown()
    one.server_close()
    thread.join(5)


def ask(url: str, body: bytes | None = None) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body), timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def cut_off(connections: list[socket.socket]) -> list[socket.socket]:
    """Those at whose other end nobody is any more; none of them is ever answered."""
    return select.select(connections, [], [], 0)[0]


def eventually(what: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not what():
        assert time.monotonic() < end, "not within 20 s"
        time.sleep(0.02)


def raw(server: PhoneServer, *parts: bytes, pause_s: float = 0.0) -> bytes:
    """What comes back until the server closes, for bytes that no proper client would send."""
    with socket.create_connection(server.server_address[:2], timeout=10) as connection:
        try:
            for part in parts:
                connection.sendall(part)
                time.sleep(pause_s)
            answer = b""
            while chunk := connection.recv(65536):
                answer += chunk
            return answer
        except (ConnectionResetError, BrokenPipeError):
            return b""


def test_its_own_files_and_nothing_else(server: PhoneServer) -> None:
    url = server.url()
    assert not server.opened
    assert ask(url) == (200, b"<title>page</title>")
    assert server.opened
    assert ask(url + "npm/large.wasm")[1] == b"w" * 3_000_000
    root = url.removesuffix(f"{server.token}/")
    for path in ("", "index.html", "post", "x" * 16 + "/", server.token[:-1] + "/index.html"):
        assert ask(root + path)[0] == 404, path
    for path in ("../etc/passwd", "%2e%2e/%2e%2e/etc/passwd", "npm/", "npm", "//etc/passwd"):
        assert ask(url + path)[0] == 404, path


def test_it_binds_to_the_address_it_shows_and_no_other(server: PhoneServer) -> None:
    assert server.url().startswith(f"http://127.0.0.1:{server.server_address[1]}/")
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.2", server.server_address[1]), timeout=2)


def test_a_post_needs_the_token_a_length_and_json(server: PhoneServer) -> None:
    url = server.url() + "post"
    assert ask(url, json.dumps({"kind": "hello"}).encode()) == (200, b'{"taken": 1}')
    for body in (b"", b"{", b"[1]", b"\xff\xfe", b"[" * 100_000, b'"text"', b"NaN"):
        status, answer = ask(url, body)
        assert status == 400 and "error" in json.loads(answer), body[:10]
    assert ask(url, b'{"kind": "bad"}') == (400, b'{"error": "this is bad"}')
    assert ask(url.replace(server.token, "guess"), b"{}")[0] == 404
    assert ask(server.url() + "index.html", b"{}")[0] == 404
    head = f"POST /{server.token}/post HTTP/1.0\r\n".encode()
    assert b" 411 " in raw(server, head + b"\r\n")
    for length in (b"-1", b"1e3", b"0x10", b"99999999999"):
        assert b" 411 " in raw(server, head + b"Content-Length: " + length + b"\r\n\r\n")
    large = str(MAX_BODY_BYTES + 1).encode()
    assert b" 413 " in raw(server, head + b"Content-Length: " + large + b"\r\n\r\n")
    assert received == [{"kind": "hello"}]


@pytest.mark.parametrize(
    "text",
    [
        b"\x00\xff\x00\xff\r\n\r\n",
        b"GET\r\n\r\n",
        b"A" * 70_000 + b"\r\n",
        b"PUT / HTTP/1.0\r\n\r\n",
    ],
)
def test_nonsense_is_refused_and_does_not_stop_it(server: PhoneServer, text: bytes) -> None:
    answer = raw(server, text)
    assert b" 200 " not in answer
    assert ask(server.url())[0] == 200


def test_slow_clients_are_cut_off_and_do_not_keep_others_out(server: PhoneServer) -> None:
    server.idle_s, server.connection_s = 3.0, 60.0
    silent = [socket.create_connection(server.server_address[:2], timeout=30) for _ in range(8)]
    head = f"POST /{server.token}/post HTTP/1.0\r\nContent-Length: 1000\r\n\r\n".encode()
    silent[0].sendall(head + b"{")
    assert ask(server.url())[0] == 200
    assert cut_off(silent) == [], "answered before any of them was cut off"
    for connection in silent:
        assert connection.recv(1000) == b"", "closed without an answer"
        connection.close()
    assert received == []


def test_a_client_that_trickles_has_its_time_limited(server: PhoneServer) -> None:
    server.idle_s = 60.0
    with (
        socket.create_connection(server.server_address[:2], timeout=30) as connection,
        pytest.raises((ConnectionResetError, BrokenPipeError)),
    ):
        for _ in range(60):  # a byte every 0.2 s is never idle
            connection.sendall(b"G")
            time.sleep(0.2)
    assert ask(server.url())[0] == 200
    eventually(lambda: server._open == {})


def test_one_address_cannot_take_all_connections(server: PhoneServer) -> None:
    server.idle_s = server.connection_s = 20.0
    held = [socket.create_connection(server.server_address[:2], timeout=10) for _ in range(40)]
    eventually(lambda: len(cut_off(held)) == 40 - 16)
    assert len(server._open) <= 16
    for connection in held:
        connection.close()
    eventually(lambda: server._open == {})
    assert ask(server.url())[0] == 200


@pytest.mark.parametrize("addresses", [1, 4])
def test_idle_connections_shut_nobody_out(server: PhoneServer, addresses: int) -> None:
    """Neither their own address, which may be the phone's too, nor everybody else."""
    server.idle_s = server.connection_s = 60.0
    held = [
        socket.create_connection(
            server.server_address[:2],
            timeout=10,
            source_address=(f"127.0.0.{1 + n % addresses}", 0),
        )
        for n in range(64)
    ]
    for _ in range(40):
        assert ask(server.url())[0] == 200
    assert len(server._open) <= 48
    for connection in held:
        connection.close()
    eventually(lambda: server._open == {})


def test_a_thousand_requests(server: PhoneServer) -> None:
    failures = []
    begun = threading.active_count()

    def many() -> None:
        for number in range(250):
            if number % 2:
                status = ask(server.url())[0]
            else:
                status = ask(server.url() + "post", b'{"kind": "hello"}')[0]
            if status != 200:
                failures.append(status)

    threads = [threading.Thread(target=many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == [] and len(received) == 500
    eventually(lambda: server._open == {} and threading.active_count() < begun + 20)


def test_an_address_that_is_not_ours_is_one_line() -> None:
    with pytest.raises(UserError, match="cannot listen"):
        PhoneServer("192.0.2.1", 0, {}, take)


@pytest.mark.parametrize("options", [["--port", "65536"], ["--port", "-1"], ["--images", "0"]])
def test_an_option_out_of_range_is_one_line(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench_phone.main(["small-96", *options]) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith(f"error: {options[0]} must be ") and "\n" not in error


def test_a_name_with_an_umlaut_has_a_certificate_and_no_name_is_one_line(tmp_path: Path) -> None:
    for host in ("m\u00fcller.local", "127.0.0.1"):
        _, fingerprint = self_signed(host, tmp_path)
        assert re.fullmatch(r"[0-9A-F:]{95}", fingerprint)
    with pytest.raises(UserError, match="is no name of a host"):
        self_signed("a" * 64 + ".local", tmp_path)


def test_the_address_that_stands_for_all_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No phone can open it."""
    monkeypatch.setattr(bench_phone, "local_address", lambda: "192.0.2.7")
    run = make_run(tmp_path / "run")
    assert bench_phone.main([str(run), "--host", "0.0.0.0", "--wait", "0.01"]) == 2
    said = capsys.readouterr().err
    assert "http://192.0.2.7:" in said and "//0.0.0.0" not in said


def test_the_answers_to_many_images_of_many_classes_may_be_posted(server: PhoneServer) -> None:
    for most, status in ((9, 413), (10, 200)):
        server.body_bytes = most
        assert ask(server.url() + "post", b'{"a": 123}')[0] == status
