"""What fit.py says before building is what the linker says after, and shortages are named."""

import contextlib
import dataclasses
import math
import re
from pathlib import Path

import pytest
from tiny_run import make_run

from host_tools import flash
from host_tools.boards.build import build_firmware
from host_tools.boards.needs import (
    FIRMWARE_FLASH_BYTES,
    Need,
    activation_bytes,
    check_fit,
    fit,
    measure,
)
from host_tools.boards.table import Memory, get_board
from host_tools.inputs import Model, load_model
from host_tools.link.protocol import max_run_count
from swin2mcu.common.cli import UserError
from tinyml.aot.compiler import compile_graph
from tinyml.aot.pack import CORES
from tinyml.format.tflite import read


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_model(str(make_run(tmp_path_factory.mktemp("runs") / "tiny")))


def test_each_memory_is_counted_where_the_board_keeps_it() -> None:
    need = Need(arena_bytes=30_000, weights_bytes=1_500_000)
    apart = dataclasses.replace(get_board("qemu-m7"), weights_bytes=2_000_000)
    assert fit(need, apart).weights_need == 1_500_000
    assert fit(need, apart).flash_need == FIRMWARE_FLASH_BYTES
    in_flash = (Memory("flash", "flash", "ram"),)
    together = dataclasses.replace(apart, weights_bytes=0, memories=in_flash)
    assert fit(need, together).flash_need == FIRMWARE_FLASH_BYTES + 1_500_000
    assert not fit(need, together).shortages


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"flash_bytes": 50_000}, r"flash \d+ KiB needed, 49 KiB there"),
        ({"ram_bytes": 40_000}, "RAM .* needed, 39 KiB there"),
        ({"weights_bytes": 1_000}, "memory for weights .* 1 KiB there"),
    ],
)
def test_a_shortage_names_its_memory(model: Model, change: dict[str, int], named: str) -> None:
    board = dataclasses.replace(get_board("qemu-m7"), **change)
    with pytest.raises(UserError, match=rf"tiny does not fit qemu-m7: {named}.*zoo"):
        check_fit(model, measure(model, board.core), board)


def test_each_choice_of_memory_says_what_lies_where_and_what_is_fetched() -> None:
    board = get_board("esp32s3")
    need = Need(arena_bytes=30_000, weights_bytes=1_500_000, activation_bytes=900_000)
    fits = {memory.name: fit(need, board, memory.name) for memory in board.memories}
    assert board.memory().name == "flash"
    assert {name: one.psram_need for name, one in fits.items()} == {
        "flash": 0,
        "psram-weights": 1_500_000,
        "psram-arena": 30_000,
        "psram": 1_530_000,
    }
    assert fits["flash"].ram_need - fits["psram-arena"].ram_need == 30_000
    assert fits["psram-weights"].ram_need == fits["flash"].ram_need
    assert {one.flash_need for one in fits.values()} == {fits["flash"].flash_need}
    assert fits["flash"].fetch_bytes == {"flash": 1_500_000, "ram": 900_000}
    assert fits["psram-weights"].fetch_bytes == {"psram": 1_500_000, "ram": 900_000}
    assert fits["psram"].fetch_bytes == {"psram": 2_400_000}


def test_activations_are_counted_once_for_every_operator_that_touches_them(model: Model) -> None:
    graph = read(model.int8)
    first = graph.operators[0]
    alone = dataclasses.replace(graph, operators=(first,))
    (image,) = graph.inputs
    sizes = [math.prod(graph.tensors[index].shape) for index in (image, *first.outputs)]
    assert activation_bytes(alone) == sum(sizes)
    twice = dataclasses.replace(graph, operators=(first, first))
    assert activation_bytes(twice) == 2 * sum(sizes)


def test_an_arena_too_large_for_ram_is_told_the_memory_that_holds_it(model: Model) -> None:
    board = get_board("esp32s3")
    need = Need(arena_bytes=300_000, weights_bytes=1_500_000)
    with pytest.raises(
        UserError, match=r"does not fit esp32s3 \(flash\): RAM .* it fits with --memory psram-arena"
    ):
        check_fit(model, need, board)
    check_fit(model, need, board, "psram-arena")
    with pytest.raises(UserError, match="no memory choice tape: choose one of flash, psram-w"):
        board.memory("tape")


def test_flash_refuses_a_choice_of_memory_that_there_is_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert flash.main(["--board", "qemu-m7", "--memory", "psram"]) == 2
    said = capsys.readouterr().err
    assert said == "error: qemu-m7 has no memory choice psram: choose one of apart\n"


def test_flash_refuses_before_it_builds(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    board = dataclasses.replace(get_board("qemu-m7"), ram_bytes=20_000)

    def built(*_: object) -> None:
        raise AssertionError("was built all the same")

    monkeypatch.setattr(flash, "build_firmware", built)
    with pytest.raises(UserError, match="does not fit"):
        flash.build(model, board, "aot")


@pytest.mark.parametrize("core", CORES)
def test_all_constants_of_the_generated_c_are_counted(core: str, model: Model) -> None:
    """As they are packed: ESP32-S3's groups and grouped convolutions are larger than the file's."""
    compiled = compile_graph(read(model.int8), model.sha256, core, model.card.classes)
    kinds = {"int8_t": 1, "int32_t": 4}
    found = re.findall(
        r"^static const (int\w+) (\w+)\[(\d+)\]", compiled.source.model_data_h, re.MULTILINE
    )
    weights = other = 0
    for kind, name, count in found:
        if re.fullmatch(r"(weights|bias)\d+", name):
            weights += kinds[kind] * int(count)
        else:
            other += kinds[kind] * int(count)
    assert weights <= compiled.weights_bytes <= weights + 32 * len(found)
    assert other < compiled.constant_bytes < 1.5 * other + 64 * len(model.card.classes)


def test_more_classes_than_an_answer_holds_are_refused(model: Model) -> None:
    board = get_board("qemu-m7")
    need = measure(model, board.core)
    names = [str(number) for number in range(1013)]
    for count, refused in ((1012, False), (1013, True)):
        card = dataclasses.replace(model.card, classes=names[:count])
        named = dataclasses.replace(model, card=card)
        assert (max_run_count(count) < 1) is refused
        with pytest.raises(UserError) if refused else contextlib.nullcontext():
            check_fit(named, need, board)


def test_an_mlperf_session_keeps_an_image_beside_the_arena(model: Model) -> None:
    board = get_board("qemu-m7")
    need = measure(model, board.core)
    more = fit(need, get_board("qemu-m7-mlperf")).ram_need - fit(need, board).ram_need
    assert more == 224 * 224 * 3


@pytest.mark.parametrize("name", ["qemu-m7", "qemu-xtensa", "qemu-m55", "qemu-m7-mlperf"])
def test_the_linker_agrees(name: str, model: Model, tmp_path: Path) -> None:
    board = get_board(name)
    compiled = compile_graph(read(model.int8), model.sha256, board.core, model.card.classes)
    (tmp_path / "model.c").write_text(compiled.source.model_c)
    (tmp_path / "model_data.h").write_text(compiled.source.model_data_h)
    real = build_firmware(board, "aot", tmp_path, tmp_path / "build")
    said = fit(measure(model, board.core), board)
    assert real.flash_bytes <= said.flash_need
    assert real.ram_bytes <= said.ram_need
    assert real.weights_bytes <= said.weights_need <= 1.05 * real.weights_bytes
