"""Weights of timm's hub: without a network one line says at once which file to name instead."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest
from huggingface_hub import constants

from pytorch_side.config import Config, with_values
from pytorch_side.nets.hub import PROXIES, hub_without_retries
from pytorch_side.nets.models import make_teacher, student_from, timm_package
from swin2mcu.common.cli import UserError

MINIMAL = "tf_mobilenetv3_small_minimal_100"
PRETRAINED = {"student.name": MINIMAL, "student.pretrained": True}


@pytest.fixture(autouse=True)
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    """People without a network often set HF_HUB_OFFLINE."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        ("student.init", PRETRAINED),
        (
            "teacher.init",
            {"teacher.name": "swin_tiny_patch4_window7_224", "teacher.pretrained": True},
        ),
        (
            "teacher.stem_init",
            {"teacher.name": "swin", "teacher.stem": MINIMAL, "teacher.pretrained": True},
        ),
    ],
)
def test_without_a_network_the_file_and_its_key_are_named_at_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    key: str,
    changes: dict[str, object],
) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
    config = with_values(Config(), changes)
    line = f"get model.safetensors of timm/.* and say {key}=FILE"
    with pytest.raises(UserError, match=line) as raised:
        if key == "student.init":
            student_from(config.student, 3)
        else:
            make_teacher(config.teacher, 3)
    assert ("train: --init FILE" in str(raised.value)) == (key == "student.init")
    assert "etry" not in capfd.readouterr().err
    assert constants.HF_HUB_OFFLINE is False


@pytest.mark.parametrize("port", ["closed", "filtered"])
def test_a_server_that_is_not_reached_is_told_within_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, port: str
) -> None:
    """Its name is known, so only a connection can tell; a firewall lets each address wait."""
    with socket.socket() as server, socket.socket() as first:
        server.bind(("127.0.0.1", 0))
        address = server.getsockname()
        if port == "filtered":  # the one place in its queue is taken: packets are dropped
            server.listen(0)
            first.connect(address)
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address)] * 12
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
        for name in PROXIES:
            monkeypatch.delenv(name, raising=False)
        timm_package()  # its import takes seconds
        begun = time.monotonic()
        with pytest.raises(UserError, match=r"get model.safetensors of timm/.*student.init=FILE"):
            student_from(with_values(Config(), PRETRAINED).student, 3)
        assert time.monotonic() - begun < 20


def test_a_server_that_is_reached_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        for name in PROXIES:
            monkeypatch.delenv(name, raising=False)
        with hub_without_retries():
            assert constants.HF_HUB_OFFLINE is False
        monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:99999")
        with hub_without_retries():
            assert constants.HF_HUB_OFFLINE is True
