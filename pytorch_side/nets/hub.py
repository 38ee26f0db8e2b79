"""timm's downloads from the Hugging Face Hub, without minutes of retries if there is no network."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

PROXIES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")  # they reach the server for us
WAIT_S = 3.0  # for all of the server's addresses together
WAIT_EACH_S = 1.0  # a firewall that drops packets keeps one address waiting


@contextlib.contextmanager
def hub_without_retries() -> Iterator[None]:
    """A context in which the Hub's library reads only its cache if its server is not reached.

    Otherwise it would try five times, wait up to 8 seconds after each try, and log each try twice.
    """
    from huggingface_hub import constants

    logger = logging.getLogger("huggingface_hub")
    level, offline = logger.level, constants.HF_HUB_OFFLINE
    logger.setLevel(logging.ERROR)
    constants.HF_HUB_OFFLINE = offline or not _is_reached(constants.ENDPOINT)
    try:
        yield
    finally:
        logger.setLevel(level)
        constants.HF_HUB_OFFLINE = offline


def _is_reached(url: str) -> bool:
    if any(os.environ.get(name) for name in PROXIES):
        return True
    server = urlsplit(url)
    end = time.monotonic() + WAIT_S
    try:
        port = server.port or (80 if server.scheme == "http" else 443)
        addresses = socket.getaddrinfo(server.hostname, port, type=socket.SOCK_STREAM)
    except (OSError, ValueError):  # ValueError: no such port
        return False
    for family, kind, protocol, _, address in addresses:
        left_s = min(WAIT_EACH_S, end - time.monotonic())
        if left_s <= 0:
            return False
        with contextlib.suppress(OSError), socket.socket(family, kind, protocol) as line:
            line.settimeout(left_s)
            line.connect(address)
            return True
    return False
