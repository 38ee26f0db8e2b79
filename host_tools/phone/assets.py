"""Everything the phone's page is served: page, LiteRT's WebAssembly build, models, images."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt

from host_tools.inputs import Model, split_images
from host_tools.pc.tflite_backends import float_model, load_litert
from host_tools.phone.server import Served
from host_tools.phone.session import Expected
from swin2mcu.common.card import sha256_of
from swin2mcu.common.cli import UserError, write_atomic
from swin2mcu.common.paths import ROOT
from swin2mcu.common.pixels import load_pixels

PAGE = Path(__file__).resolve().parent / "page"
BUILD = ROOT / "build" / "phone_page"
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".wasm": "application/wasm",
}
INSTALL_S = 300


def install_runtime(development: bool = False) -> Path:
    """npm-install what page/package.json pins into the build folder; return node_modules."""
    modules = BUILD / "node_modules"
    pinned = json.loads((PAGE / "package.json").read_text(encoding="utf-8"))
    wanted = pinned["dependencies"] | (pinned["devDependencies"] if development else {})
    if all(_installed(modules / name) == version for name, version in wanted.items()):
        return modules
    npm = shutil.which("npm")
    if npm is None:
        raise UserError(
            "npm is missing, it brings LiteRT's WebAssembly build: install node and npm"
        )
    BUILD.mkdir(parents=True, exist_ok=True)
    shutil.copy(PAGE / "package.json", BUILD / "package.json")
    command = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"]
    command += ["--loglevel=error"] + ([] if development else ["--omit=dev"])
    try:
        done = subprocess.run(
            command, cwd=BUILD, capture_output=True, text=True, timeout=INSTALL_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise UserError("npm install does not finish: is there a network?") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise UserError(f"npm install failed: {lines[-1]}")
    return modules


def _installed(package: Path) -> str | None:
    manifest = package / "package.json"
    if not manifest.is_file():
        return None
    return str(json.loads(manifest.read_text(encoding="utf-8")).get("version"))


def runtime_version(modules: Path) -> dict[str, str]:
    return {"LiteRT.js": _installed(modules / "@litertjs/core") or "unknown"}


def page_files(modules: Path) -> dict[str, Served]:
    """The page itself and the runtime's files, by the names the page asks for."""
    files = {
        path.name: Served(KINDS[path.suffix], path.read_bytes())
        for path in sorted(PAGE.iterdir())
        if path.suffix in KINDS
    }
    for name in ("@litertjs/core/dist/index.js", "@litertjs/wasm-utils/dist/index.js"):
        files[f"npm/{name}"] = Served(KINDS[".js"], modules / name)
    for path in sorted((modules / "@litertjs/core/wasm").iterdir()):
        if path.suffix in KINDS and "jspi" not in path.name:
            files[f"npm/@litertjs/core/wasm/{path.name}"] = Served(KINDS[path.suffix], path)
    return files


def model_files(model: Model) -> tuple[dict[str, bytes], dict[str, str]]:
    """precision → .tflite with float32 ends, as the browser's runtime wants it; and notes."""
    from tinyml.format.variants import with_float_ends

    path, note = _float_model(model)
    models = {"float32": path.read_bytes(), "int8": with_float_ends(model.int8.read_bytes())}
    return models, {"float32": note}


def _float_model(model: Model) -> tuple[Path, str]:
    work = ROOT / "build" / "bench_pc"
    work.mkdir(parents=True, exist_ok=True)
    return float_model(model, work)


def choose_images(
    model: Model, data: Path | None, count: int
) -> tuple[npt.NDArray[np.uint8], list[int] | None]:
    """`count` test images of a seeded draw with their labels; noise without a data set."""
    generator = np.random.default_rng(0)
    size = model.size
    if data is None:
        return generator.integers(0, 256, (count, size, size, 3), dtype=np.uint8), None
    images = split_images(data, model.card, model.folder)
    pixels: list[npt.NDArray[np.uint8]] = []
    labels: list[int] = []
    for position in generator.permutation(len(images)):
        if len(pixels) == count:
            break
        path, label = images[position]
        try:
            pixels.append(load_pixels(path, size, size, model.card.split.crop))
        except UserError:
            continue
        labels.append(label)
    if not pixels:
        raise UserError(f"{data}: no test image can be read")
    return np.stack(pixels), labels


def expect(
    model: Model,
    models: dict[str, bytes],
    pixels: npt.NDArray[np.uint8],
    labels: Sequence[int] | None,
    data: str,
) -> Expected:
    """LiteRT's own answers on the PC, from the same files that the phone gets."""
    logits, work = {}, ROOT / "build" / "phone_page"
    for precision, content in models.items():
        path = work / f"{model.sha256[:16]}-{precision}.tflite"
        write_atomic(path, content)
        runner = load_litert(path, 1, model.contract)
        logits[precision] = np.stack([runner.run(runner.prepare(one)) for one in pixels])
    path, _ = _float_model(model)
    weights = {"int8": model.weights, "float32": (path.name, sha256_of(path))}
    scale = model.card.output_scale
    assert scale is not None  # open_card takes it from the file
    return Expected(logits, scale, labels, data, weights)


def data_files(
    model: Model, models: dict[str, bytes], pixels: npt.NDArray[np.uint8], runs: int
) -> dict[str, Served]:
    fitted = model.card.calibration
    setup = {
        "name": model.card.name,
        "size": model.size,
        "crop": model.card.split.crop,
        "classes": list(model.card.classes),
        "images": len(pixels),
        "runs": runs,
        "precisions": list(models),
        "calibration": asdict(fitted) if fitted else None,
        "gives_probabilities": model.card.gives_probabilities,
    }
    files = {
        "setup.json": Served("application/json", json.dumps(setup).encode()),
        "images.bin": Served("application/octet-stream", pixels.tobytes()),
    }
    for precision, content in models.items():
        files[f"model-{precision}.tflite"] = Served("application/octet-stream", content)
    return files
