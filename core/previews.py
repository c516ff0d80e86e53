"""Stored. What parameters do to a theme's own images, asked of a warm worker while a person waits."""

from __future__ import annotations

import base64
import itertools
from dataclasses import dataclass

from core import images, warm
from core.errors import InvalidInput
from core.image_filter import Filter
from core.params import Auguments, Params, check_together
from core.spec import PreviewSpec
from core.workbench import Workbench

ENTRY = "jobs.preview.run"
SHOWN = 9
"""Pictures of the grid."""
COMPARED = 3
"""Images that are shown before and after preprocessing."""


@dataclass(frozen=True)
class Picture:
    image_id: int
    file_name: str
    png: bytes


@dataclass(frozen=True)
class Preview:
    augmented: tuple[Picture, ...]
    """SHOWN pictures as a training would see them; with few images they come again with other chance."""
    before: tuple[Picture, ...]
    """Brought to size, nothing else."""
    after: tuple[Picture, ...]


def ask(wb: Workbench, theme_id: int, params: Params, auguments: Auguments, dice: int) -> Preview | None:
    """The theme's newest images under these parameters; None where it has none.

    Another `dice` is another chance. Images that cannot be read are left out, as a training leaves them out.
    Raises Unavailable when no worker answers in time, InvalidInput where the parameters contradict each other or
    no image can be read.
    """
    check_together(params, auguments)
    found = images.page(wb, theme_id, Filter(split="train"), limit=SHOWN).items
    found = found or images.page(wb, theme_id, limit=SHOWN).items
    if not found:
        return None
    spec = PreviewSpec(
        params=params.model_dump(mode="json"),
        auguments=auguments.model_dump(mode="json"),
        image_ids=tuple(image.id for image in found),
        paths=tuple(image.image_path for image in found),
        labels=tuple(image.label_id or 0 for image in found),
        shown=SHOWN,
        compared=COMPARED,
        dice=dice,
        max_pixels=wb.settings.max_pixels,
    )
    answer = warm.ask(wb, ENTRY, spec.model_dump_json())
    if not answer["readable"]:
        raise InvalidInput("None of the theme's newest images can be read; check the file store.")
    readable = [found[place] for place in answer["readable"]]

    def pictures(name: str) -> tuple[Picture, ...]:
        return tuple(
            Picture(image.id, image.file_name, base64.b64decode(text))
            for text, image in zip(answer[name], itertools.cycle(readable), strict=False)
        )

    return Preview(pictures("augmented"), pictures("before"), pictures("after"))
