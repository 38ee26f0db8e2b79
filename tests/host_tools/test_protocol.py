"""Both ends of the protocol: the same constants, the same bytes as an independent COBS."""

from __future__ import annotations

import re
import struct
import subprocess
import zlib
from pathlib import Path

import pytest
from cobs import cobs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from host_tools.link import protocol
from host_tools.link.protocol import Decoder, Frame, NackCode, Type, encode

# A busy machine is slow, and no example of these is.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
WIRE = Path(__file__).resolve().parents[2] / "firmware" / "lib" / "wire"

# (name, type, seq, payload): fed to both ends, compared with the `cobs` package's bytes.
VECTORS = [
    ("empty", 0x01, 0, b""),
    ("zeros", 0x02, 1, bytes(300)),
    ("no zero", 0x05, 255, bytes([7]) * 1024),
    ("full block", 0x05, 9, bytes([9]) * (254 - 2 - 4)),
    ("block and one", 0x05, 9, bytes([9]) * (255 - 2 - 4)),
    ("ends with zero", 0x82, 3, b"abc\0"),
    ("every byte", 0x85, 128, bytes(range(256)) * 4),
]


def independent(type_: int, seq: int, payload: bytes) -> bytes:
    body = bytes((type_, seq)) + payload
    return cobs.encode(body + struct.pack("<I", zlib.crc32(body))) + b"\0"


def cpp_values(name: str) -> dict[str, int]:
    """An enum of wire.h: {name: value}, in the host's spelling."""
    text = re.sub(r"//.*", "", (WIRE / "wire.h").read_text())
    body = re.search(rf"enum {name} : uint8_t {{(.*?)}};", text, re.DOTALL)
    assert body
    values: dict[str, int] = {}
    constants = {"kAnswerBit": 0x80}
    for key, expression in re.findall(r"(k\w+)\s+=\s+([^,}]+)", body[1]):
        value = 0
        for term in expression.split("|"):
            term = term.strip()
            value |= constants[term] if term in constants else int(term, 0)
        constants[key] = value
        values[re.sub(r"(?<!^)(?=[A-Z])", "_", key[1:]).upper()] = value
    return values


def test_the_enums_of_both_languages_are_equal() -> None:
    assert cpp_values("Type") == {t.name: t.value for t in Type}
    assert cpp_values("NackCode") == {c.name: c.value for c in NackCode}


@pytest.mark.parametrize(
    ("cpp", "ours"),
    [
        ("kProtocolVersion = (\\d+)", protocol.PROTOCOL_VERSION),
        ("kMaxPayload = (\\d+)", protocol.MAX_PAYLOAD),
        ("kHeaderSize = (\\d+)", protocol.HEADER_SIZE),
        ("kCrcSize = (\\d+)", protocol.CRC_SIZE),
    ],
)
def test_the_sizes_of_both_languages_are_equal(cpp: str, ours: int) -> None:
    found = re.search(cpp, (WIRE / "wire.h").read_text())
    assert found and int(found[1]) == ours


@pytest.mark.parametrize(("name", "type_", "seq", "payload"), VECTORS)
def test_frames_are_those_of_an_independent_cobs(
    name: str, type_: int, seq: int, payload: bytes
) -> None:
    frame = encode(type_, seq, payload)
    assert frame == independent(type_, seq, payload)
    assert len(frame) <= protocol.MAX_FRAME
    decoder = Decoder()
    one_by_one = [f for byte in frame for f in decoder.feed(bytes([byte]))]
    assert one_by_one == list(Decoder().feed(frame)) == [Frame(type_, seq, payload)]


@pytest.fixture(scope="module")
def cpp_wire(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that decodes hex frames and encodes what it decoded, with sanitizers."""
    folder = tmp_path_factory.mktemp("wire")
    program = folder / "wire"
    source = Path(__file__).resolve().parents[1] / "firmware" / "wire_main.cc"
    command = [
        "g++", "-std=c++17", "-Wall", "-Wextra", "-Wshadow", "-Werror", "-g", "-O1",
        "-fsanitize=address,undefined", "-fno-sanitize-recover=all", f"-I{WIRE}",
        str(source), str(WIRE / "wire.cc"), "-o", str(program),
    ]  # fmt: skip
    subprocess.run(command, check=True)
    return program


def run_wire(program: Path, stream: bytes, step: int) -> list[str]:
    """What the firmware's decoder makes of a stream that comes in pieces of `step` bytes."""
    done = subprocess.run(
        [program, str(step)], input=stream, capture_output=True, check=True, timeout=20
    )
    return done.stdout.decode().split()


@pytest.mark.parametrize("step", [1, 7, 4096])
def test_the_firmware_decodes_and_encodes_the_same_bytes(cpp_wire: Path, step: int) -> None:
    frames = [independent(*vector[1:]) for vector in VECTORS]
    assert run_wire(cpp_wire, b"\0".join(frames), step) == [frame.hex() for frame in frames]


def test_the_firmware_names_damaged_and_endless_frames(cpp_wire: Path) -> None:
    good = encode(Type.ECHO, 1, b"fine")
    damaged = bytearray(encode(Type.ECHO, 1, b"other"))
    damaged[4] ^= 1
    cut = good[:3] + b"\0"
    endless = b"\x05" * 5000 + b"\0"
    stream = bytes(damaged) + good + cut + good + endless + good
    assert run_wire(cpp_wire, stream, 64) == ["bad", good.hex()] * 3


@patient
@given(st.binary(max_size=1100))
def test_any_bytes_survive_cobs(data: bytes) -> None:
    assert protocol.cobs_encode(data) == cobs.encode(data)
    assert protocol.cobs_decode(protocol.cobs_encode(data)) == data


@patient
@given(st.binary(max_size=3000))
def test_no_bytes_trouble_the_hosts_decoder(data: bytes) -> None:
    decoder = Decoder()
    for frame in decoder.feed(data):
        assert frame is None or len(frame.payload) <= protocol.MAX_PAYLOAD


@pytest.mark.parametrize("byte", [b"x", b"\0"])  # zeros make a frame shorter
def test_a_right_frame_that_is_too_long_is_dropped(byte: bytes) -> None:
    longest = byte * protocol.MAX_PAYLOAD
    frames = [encode(Type.ECHO, 1, data) for data in (longest, longest + byte, b"fine")]
    whole, dropped, after = Decoder().feed(b"".join(frames))
    assert whole and whole.payload == longest
    assert dropped is None
    assert after and after.payload == b"fine"


@patient
@given(st.binary(max_size=200))
def test_no_message_troubles_the_host(payload: bytes) -> None:
    for parse in (protocol.parse_info, protocol.parse_result, protocol.parse_profile):
        try:
            parse(payload)
        except protocol.ProtocolError:
            continue
