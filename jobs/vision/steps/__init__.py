"""Preprocessing step by step, one file each; the file's name is the step's name.

A file has `apply(pixels, **options)`: (s, s, 3) of uint8 in and out. It imports nothing of this repository: each
model version carries the files of its steps, so what it was trained with is what it is served with. A new step is a
new file here and its name in `core.params.auguments.STEPS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from core.params.auguments import STEPS, names
from jobs.vision.imaging import Step, bound

FOLDER = Path(__file__).parent
BUILT_IN = frozenset({"equalize", "clahe", "gamma", "grayscale"})
"""Steps that have settings of their own."""


def registered() -> list[str]:
    """The names of the steps that `Preprocessing.steps` may name."""
    return sorted(module.name for module in iter_modules([str(FOLDER)]) if module.name not in BUILT_IN)


def plan(preprocessing: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Names and options of what is done, in its order; `preprocessing` may lack settings that are newer than it."""
    clahe = preprocessing.get("clahe", {"enabled": False})
    gamma = preprocessing.get("gamma", 1.0)
    found: list[tuple[str, dict[str, Any]]] = []
    if preprocessing["equalize"]:
        found.append(("equalize", {}))
    if clahe["enabled"]:
        found.append(("clahe", {"limit": clahe["limit"], "tiles": clahe["tiles"]}))
    if gamma != 1.0:
        found.append(("gamma", {"gamma": gamma}))
    if preprocessing["grayscale"]:
        found.append(("grayscale", {}))
    return found + [(name, {}) for name in names(preprocessing.get("steps", "")) if name in STEPS]


def loaded(preprocessing: Mapping[str, Any]) -> list[Step]:
    """What is done to each image, ready for `imaging.prepare`."""
    return [bound(import_module(f"{__name__}.{name}"), options) for name, options in plan(preprocessing)]
