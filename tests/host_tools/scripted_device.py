"""The other end of a line, as a script: it answers every request with whatever a test says."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from host_tools.inputs import Model
from host_tools.link.protocol import PROTOCOL_VERSION, Decoder, Frame, Type, encode

# A request → the bytes to send for it; None hangs up.
Script = Callable[[Frame], bytes | None]


@contextmanager
def scripted(script: Script) -> Iterator[str]:
    """The port of a device that lives until the test ends, and takes one host after another."""
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=_serve, args=(listener, script), daemon=True)
    thread.start()
    try:
        yield f"socket://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(timeout=5)


def _serve(listener: socket.socket, script: Script) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            try:
                _talk(connection, script)
            except OSError:  # the host hung up
                continue


def _talk(connection: socket.socket, script: Script) -> None:
    decoder = Decoder()
    while data := connection.recv(1 << 16):
        for frame in decoder.feed(data):
            answer = b"" if frame is None else script(frame)
            if answer is None:
                return
            connection.sendall(answer)


def info(model: Model, seq: int, board: bytes = b"scripted", sha256: str = "") -> bytes:
    """A right Info of `model`, but for what a test would have it say."""
    height, width, channels = model.card.input_shape
    sizes = (height, width, channels, len(model.card.classes), 1)
    prefix = bytes.fromhex((sha256 or model.sha256)[:16])
    head = struct.pack("<BBHHHHH8sIII", PROTOCOL_VERSION, 0, *sizes, prefix, 7, 1, 1)
    texts = b"".join(bytes([len(text)]) + text for text in (board, b"aot", b""))
    return encode(Type.INFO, seq, head + texts)
