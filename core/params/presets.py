"""Pure. Ready-made settings: a fast look, a balanced and the best training, fitted to how many images there are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel

from core.params.auguments import Auguments
from core.params.changes import Translate
from core.params.fields import N_, form_fields, with_values
from core.params.models import Params
from core.params.text import check

Model = TypeVar("Model", bound=BaseModel)

FEW, MANY = 500, 5_000
"""Training images below and from which other settings suit a theme."""


@dataclass(frozen=True)
class Preset:
    """Some settings of both files; all others stay as they are."""

    name: str
    """`fast`, `balanced` or `best`."""
    title: str
    text: str
    """What it is for. Title and text are gettext messages."""
    reason: str
    """Why these values for this many images: a gettext message with the fields `fields`."""
    fields: Mapping[str, Any]
    settings: Mapping[str, Any]
    """Value by dotted name."""

    def because(self, translate: Translate = str) -> str:
        return translate(self.reason).format(**self.fields)

    def applied(self, params: Params, auguments: Auguments) -> tuple[Params, Auguments]:
        """The parameters with this preset's settings. Raises InvalidInput where they do not go with the others."""
        return _with(params, self.settings), _with(auguments, self.settings)


def presets(images: int) -> tuple[Preset, ...]:
    """The three presets for a theme with so many training images."""
    batch = 16 if images < FEW else 64
    fast, balanced, best = (
        _passes(images, batch, steps, low, high)
        for steps, low, high in ((150, 2, 10), (1_500, 8, 40), (6_000, 20, 100))
    )
    return (
        Preset(
            "fast",
            N_("Fast look"),
            N_("Tells in the shortest time whether the labels can be learned at all; not for use."),
            N_(
                "{passes} passes over {images:,} images in batches of {batch}: {steps:,} steps, enough to see a trend."
            ),
            _counts(images, batch, fast),
            _common(batch, fast)
            | {
                "model.architecture": "resnet18",
                "data.image_size": 64,
                "early_stopping.enabled": False,
                "training.label_smoothing": 0.0,
                "augmentation.trivial_augment.enabled": False,
            },
        ),
        Preset(
            "balanced",
            N_("Balanced"),
            N_("A good model in reasonable time; right for most work."),
            _BALANCED[_size(images)],
            _counts(images, batch, balanced),
            _common(batch, balanced)
            | {
                "model.architecture": "resnet18",
                "data.image_size": 64,
                "early_stopping.enabled": True,
                "early_stopping.patience": 5,
                "training.label_smoothing": 0.0,
                "augmentation.trivial_augment.enabled": False,
            },
        ),
        Preset(
            "best",
            N_("Best"),
            N_("Takes many times as long, for the last points of accuracy."),
            _BEST[_size(images)],
            _counts(images, batch, best),
            _common(batch, best)
            | {
                "model.architecture": "efficientnet_b0" if images >= MANY else "resnet18",
                "data.image_size": 128,
                "early_stopping.enabled": True,
                "early_stopping.patience": 10,
                "training.label_smoothing": 0.1,
                "augmentation.trivial_augment.enabled": True,
            },
        ),
    )


_BALANCED = {
    "few": N_(
        "{images:,} images are few: small batches give enough steps ({steps:,} in {passes} passes), and training "
        "stops when it no longer gets better, before the images are learned by heart."
    ),
    "some": N_(
        "{passes} passes over {images:,} images are {steps:,} steps, which a network of this size can use."
    ),
    "many": N_("With {images:,} images {passes} passes are enough: they are {steps:,} steps already."),
}
_BEST = {
    "few": N_(
        "{images:,} images are few, so a larger network would learn them by heart: the small one stays, and "
        "strong random changes stand in for the images that are missing. More images would help more."
    ),
    "some": N_(
        "Larger images show more detail, and strong random changes let the network look at {images:,} images "
        "{passes} times before it knows them by heart."
    ),
    "many": N_("{images:,} images are enough for a larger network and larger images, in {passes} passes."),
}


def _size(images: int) -> str:
    return "few" if images < FEW else "some" if images < MANY else "many"


def _passes(images: int, batch: int, steps: int, low: int, high: int) -> int:
    """So many passes that there are about so many steps, between `low` and `high`."""
    return min(max(round(steps / _steps(images, batch)), low), high)


def _steps(images: int, batch: int) -> int:
    return max(math.ceil(images / batch), 1)


def _counts(images: int, batch: int, passes: int) -> dict[str, int]:
    return {"images": images, "batch": batch, "passes": passes, "steps": passes * _steps(images, batch)}


def _common(batch: int, passes: int) -> dict[str, Any]:
    return {"training.epochs": passes, "training.batch_size": batch}


def _with(model: Model, settings: Mapping[str, Any]) -> Model:
    values = {field.path: settings.get(field.name, field.value(model)) for field in form_fields(type(model))}
    return check(with_values(type(model), values), type(model))
