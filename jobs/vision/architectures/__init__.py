"""The networks, one file each; the file's name is the architecture's name, as in `core.params.ARCHITECTURES`.

A file says `SMALLEST` (side in pixels of the smallest images), `LAYERS` (beginnings of the weights' names in groups
from the input to the output, the last group being the layer that answers) and `build(labels, image_size)`, which
gives the network with random weights. It may say `adapted(state, image_size)`, where weights of another image size
are changed to fit. It imports nothing of this repository: each model version carries the file of its network.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType

FOLDER = Path(__file__).parent


def registered() -> list[str]:
    """The names of all architectures."""
    return sorted(module.name for module in iter_modules([str(FOLDER)]))


def get(name: str) -> ModuleType:
    """An architecture's file as a module."""
    return import_module(f"{__name__}.{name}")
