"""timm is imported beside a torchvision whose operators are registered, and beside another."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAKE_STUDENT = (
    "from pytorch_side.nets.models import timm_package; "
    "print(timm_package().create_model('tf_mobilenetv3_small_minimal_100').num_classes)"
)
# What a torchvision that matches torch does when it is imported.
MATCHING = """
import torch
library = torch.library.Library("torchvision", "DEF")
library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
"""
# What one does whose library did not load: it registers a shape function for a missing operator.
MISMATCHED = """
import torch
torch.library.register_fake("torchvision::nms")(lambda dets, scores, iou_threshold: dets)
torch.library.register_fake("torchvision::qnms")(lambda dets, scores, iou_threshold: dets)
"""


def with_torchvision(source: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Make a network in another process, in which torchvision is `source` and empty classes."""
    package = folder / "torchvision"
    package.mkdir()
    (package / "__init__.py").write_text(source + EMPTY)
    return subprocess.run(
        [sys.executable, "-c", STAND_IN + MAKE_STUDENT],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
    )


# Every attribute of the stand-in and of its modules is a class whose every attribute is one, too.
EMPTY = """
class Empty(type):
    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Empty(name, (), {})
def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return Empty(name, (), {})
"""
STAND_IN = """
import importlib.abc, importlib.machinery, sys
class Rest(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path, target=None):
        if name.startswith("torchvision."):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
    def exec_module(self, module):
        import torchvision
        module.__getattr__ = torchvision.__getattr__
sys.meta_path.insert(0, Rest())
"""


@pytest.mark.parametrize("source", [MATCHING, MISMATCHED], ids=["matching", "mismatched"])
def test_a_network_is_made_beside_either_torchvision(source: str, tmp_path: Path) -> None:
    done = with_torchvision(source, tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == "1000"


def test_another_failure_of_torchvision_is_not_hidden(tmp_path: Path) -> None:
    done = with_torchvision("raise RuntimeError('no such driver')", tmp_path)
    assert done.returncode and "no such driver" in done.stderr
