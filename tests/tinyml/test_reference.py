"""Without TensorFlow Lite Micro's wheel the generated C stands in, and says so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_facts import PIXELS, classifier

from host_tools.scoring.reference import prepare_images
from swin2mcu.common.card import save_card
from swin2mcu.common.cli import UserError
from swin2mcu.common.paths import ROOT
from swin2mcu.common.test_access import read_accesses
from tinyml.format.facts import card_of, contract_of, open_card
from tinyml.format.writer import GraphWriter
from tinyml.runtimes.pc import load_pc
from tinyml.runtimes.reference import open_reference, reference_name
from tinyml.runtimes.tflite_micro import Micro

HIDE = """import sys
sys.modules["tflite_micro"] = None
"""
# The user's own emulated board and its record are left alone.
PRIVATE = """from pathlib import Path
from host_tools.boards import build, emulator
build.FLASHED = Path("flashed").resolve()
emulator.STATE_DIR = Path("emulated").resolve()
"""


sys.path.insert(0, str(ROOT / "tests" / "host_tools"))  # tiny_run


def without_the_wheel(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """A command as it runs on macOS, Windows or an ARM Linux, in all of its processes."""
    boards = PRIVATE if command[0].startswith(str(ROOT / "host_tools")) else ""
    (folder / "sitecustomize.py").write_text(HIDE + boards)
    path = os.pathsep.join((str(folder), str(ROOT)))
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(
        [sys.executable, *command], env=environment, capture_output=True, text=True, cwd=folder
    )


def test_with_the_wheel_it_is_the_reference() -> None:
    assert reference_name(classifier()) == "tflite-micro"
    assert isinstance(open_reference(classifier()), Micro)


@pytest.mark.parametrize("classes", [511, 512, 1000])
def test_where_the_interpreter_would_abort_generated_c_answers(
    classes: int, tmp_path: Path
) -> None:
    """A SOFTMAX over 512 equal logits ends the interpreter's process, without a word."""
    writer = GraphWriter()
    x = writer.input((1, 1, 1, classes), 0.002, 0)
    y = writer.softmax(x, writer.activation((1, 1, 1, classes), 1 / 256, -128))
    model, equal = writer.finish(y), np.zeros((1, 1, classes), np.int8)
    share = round(256 / classes) - 128
    name = "tflite-micro" if classes < 512 else "generated-c"
    assert reference_name(model) == name
    assert set(open_reference(model).run(equal).ravel().tolist()) == {share}
    (tmp_path / "m.tflite").write_bytes(model)
    _, run = load_pc(tmp_path / "m.tflite", "0" * 64, tmp_path, 1)
    assert set(run(equal).ravel().tolist()) == {share}
    if classes >= 512:
        with pytest.raises(UserError, match="ends the process for some images"):
            Micro(model)


ANSWER = """
import json
import os
import subprocess
import sys
from pathlib import Path
import numpy as np
from tinyml.runtimes.reference import open_reference, reference_name
from tinyml.runtimes.tflite_micro import arena_bytes
path = Path("m.tflite")
image = np.load("image.npy")
model = path.read_bytes()
print(reference_name(model), arena_bytes(path), *open_reference(model).run(image))
"""


@pytest.mark.parametrize("unsigned", [False, True])
def test_without_it_generated_c_answers_the_same(tmp_path: Path, unsigned: bool) -> None:
    model = classifier(unsigned=unsigned)
    image = np.random.default_rng(2).integers(-128, 128, (6, 6, 3)).astype(np.int8)
    (tmp_path / "m.tflite").write_bytes(model)
    np.save(tmp_path / "image.npy", image)
    done = without_the_wheel(tmp_path, "-c", ANSWER)
    assert done.returncode == 0, done.stderr
    expected = " ".join(map(str, Micro(model).run(image)))
    assert done.stdout.strip() == f"generated-c None {expected}"


def test_without_it_the_arena_is_the_cards_or_one_line(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(classifier())
    done = without_the_wheel(tmp_path, "-m", "tinyml.emit_c", "m.tflite", "--out", "out")
    assert done.returncode == 2 and not (tmp_path / "out").exists()
    assert "is not known: its wheel measures it" in done.stderr
    done = without_the_wheel(tmp_path, "-m", "tinyml.aot", "m.tflite", "--out", "out")
    assert done.returncode == 0 and (tmp_path / "out" / "model.c").is_file()


def test_without_it_the_stages_are_compared(tmp_path: Path) -> None:
    from tiny_run import make_images, make_run

    run, data = make_run(tmp_path / "runs" / "tiny"), make_images(tmp_path / "data")
    save_card(open_card(run / "card.json", run / "model_int8.tflite"), run / "card.json")
    place = ("--data", str(data), "--split", "test", "--limit", "3")
    done = without_the_wheel(tmp_path, "-m", "tinyml.parity", str(run), *place)
    assert done.returncode == 0, done.stderr
    stages = json.loads((run / "parity.json").read_text())["stages"]
    assert [(s["name"], s["against"]) for s in stages] == [
        ("generated-c", ""),
        ("litert-int8-reference", "generated-c"),
        ("end-to-end", "generated-c"),
    ]
    (access,) = read_accesses(run)
    assert access["target"] == "generated-c" and access["images"] == 3


def test_without_it_a_board_is_flashed_and_scored(tmp_path: Path) -> None:
    """The record says what the board's answers were compared with."""
    from tiny_run import make_images, make_run

    run = make_run(tmp_path / "runs" / "tiny")
    data = make_images(tmp_path / "data")
    tools = ROOT / "host_tools"
    flash = str(tools / "flash.py")
    done = without_the_wheel(tmp_path, flash, str(run), "--board", "host")
    try:
        assert done.returncode == 0, done.stderr
        score = (str(tools / "serial_eval.py"), str(run), "--board", "host", "--data", str(data))
        done = without_the_wheel(tmp_path, *score)
        assert done.returncode == 0, done.stderr
        check = (str(tools / "check_board.py"), str(run), "--board", "host")
        done = without_the_wheel(tmp_path, *check)
        assert "images byte-identical to generated-c on the PC" in done.stdout, done.stderr
    finally:
        without_the_wheel(tmp_path, flash, "--board", "host", "--stop")
    assert (tmp_path / "flashed" / "host.json").is_file()
    record = json.loads((run / "results.json").read_text())["targets"]["host-aot"]["parity"]
    assert record == {"reference": "generated-c", "images": 20, "identical": 20, "max_lsb": 0}


def test_images_are_prepared_by_the_models_contract(tmp_path: Path) -> None:
    """Gray, [0, 1]: the bytes for the board and the answers expected are the contract's."""
    from PIL import Image

    path, photo = tmp_path / "m.tflite", tmp_path / "p.png"
    path.write_bytes(classifier(1 / 255, -128, channels=1))
    Image.fromarray(PIXELS).save(photo)
    contract = contract_of(card_of(path, None, None))
    (prepared,) = prepare_images(path.read_bytes(), contract, [photo], 6, 6)
    assert not isinstance(prepared, str)
    stored = contract.stored(PIXELS)
    assert prepared.image == stored.tobytes() and stored.shape == (6, 6, 1)
    assert list(prepared.logits) == Micro(path.read_bytes()).run(stored).tolist()
