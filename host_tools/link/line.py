"""A serial line as bytes in and out; the one place that touches pyserial."""

from __future__ import annotations

import contextlib
import errno
from typing import Protocol
from urllib.parse import urlsplit

import serial
from serial.tools import list_ports

from swin2mcu.common.cli import UserError

POLL_S = 0.02
OPEN_ERRORS: tuple[type[Exception], ...] = (serial.SerialException, OSError, ValueError)
with contextlib.suppress(ImportError):  # there is none on Windows
    import termios

    # pyserial does not translate it where a port goes away while it is opened.
    OPEN_ERRORS += (termios.error,)


class LineLost(Exception):
    """The line is gone: an unplugged cable, an emulator that has ended."""


class Line(Protocol):
    def read(self) -> bytes:
        """What has arrived; waits up to POLL_S for a first byte. Raises LineLost."""
        ...

    def write(self, data: bytes) -> None:
        """Raises LineLost."""
        ...

    def close(self) -> None: ...


class SerialLine:
    """A device name (`/dev/ttyACM0`, `COM5`) or a URL that pyserial knows (`socket://host:port`)."""

    def __init__(self, port: str, baud: int) -> None:
        self.port = port
        _check_address(port)
        try:
            self._serial = serial.serial_for_url(
                port, baudrate=baud, timeout=POLL_S, write_timeout=10, do_not_open=True
            )
            if "://" not in port:
                self._serial.exclusive = True
            self._serial.open()
        except OPEN_ERRORS as error:
            raise UserError(explain_open_error(port, error)) from error

    def read(self) -> bytes:
        try:
            data: bytes = self._serial.read(max(1, self._serial.in_waiting))
            return data
        except (serial.SerialException, OSError, TypeError) as error:
            # TypeError: pyserial's answer to a port that another thread of the system took away.
            raise LineLost(f"{self.port}: {error}") from error

    def write(self, data: bytes) -> None:
        try:
            self._serial.write(data)
        except (serial.SerialException, OSError) as error:
            raise LineLost(f"{self.port}: {error}") from error

    def close(self) -> None:
        self._serial.close()


def _check_address(port: str) -> None:
    """Raises UserError for a socket's URL without a host or a port number from 1 to 65535.

    pyserial takes a query for options, of which none is of use here, and refuses in its own words.
    """
    if not port.startswith("socket://"):
        return
    try:
        parts = urlsplit(port)
        right = bool(parts.hostname) and bool(parts.port)
    except ValueError:  # a number beyond 65535
        right = False
    if right and "?" in port:
        raise UserError(f"{port}: write the address alone, without {port[port.index('?') :]!r}")
    if not right:
        raise UserError(f"{port} is no address: write socket://HOST:NUMBER, 1 to 65535")


def usb_ports() -> list[tuple[str, str]]:
    """(device, "vid:pid" in lower case) of every serial port that is a USB device."""
    return [
        (port.device, f"{port.vid:04x}:{port.pid:04x}")
        for port in list_ports.comports()
        if port.vid is not None
    ]


def explain_open_error(port: str, error: Exception) -> str:
    text = str(error)
    number = getattr(error, "errno", None)
    if "exclusively lock" in text or number in (errno.EBUSY, errno.EAGAIN):
        return f"{port} is in use by another program: close that one (a serial monitor?) first"
    if number == errno.EACCES or "Permission denied" in text:
        return f"{port} may not be opened by you: join its group (often dialout) or run with sudo"
    if "refused" in text:
        return (
            f"nothing listens at {port}: start the board with `python host_tools/flash.py MODEL "
            "--board NAME`, or name another --port"
        )
    if number == errno.ENOENT or "No such file" in text:
        return f"there is no port {port}: `python host_tools/flash.py --list` shows what is there"
    return f"cannot open {port}: {text}"
