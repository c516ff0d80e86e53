"""Stored. The demonstration theme: the handwritten digits that scikit-learn ships."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator

from PIL import Image

from core import auth, images, splits, themes
from core.workbench import Workbench

NAME = "Handwritten digits"
DESCRIPTION = (
    "1,797 digits written by 13 people (UCI, as shipped with scikit-learn). "
    "300 of them are left unlabelled, for you to try the grid on."
)
UNLABELLED = 300
SEED = 42
ENLARGE = 4
"""The scans are 8 × 8 pixels; nearest-neighbour enlargement adds nothing that is not in them."""


def load(wb: Workbench, actor: auth.User) -> themes.Theme:
    """The demonstration theme, made, labelled and split if there is none yet. Raises NotAllowed."""
    auth.require(actor, auth.TRAINER)
    same = [card for card in themes.cards(wb, search=NAME) if card.theme.name == NAME]
    if same and same[0].images:
        return same[0].theme
    # A theme without images is what an interrupted load left behind.
    theme = (
        same[0].theme
        if same
        else themes.create(wb, actor, name=NAME, description=DESCRIPTION, labels=list("0123456789"))
    )
    images.add(wb, actor, theme.id, digits(), label_from_folder=True, source="demo")
    splits.split(wb, actor, theme.id, seed=SEED)
    return theme


def digits() -> Iterator[tuple[str, bytes]]:
    """(name, PNG) of each digit; the labelled ones lie in a folder named like their label."""
    from sklearn.datasets import load_digits  # here, because it costs the app's start a second

    found = load_digits()
    unlabelled = set(random.Random(SEED).sample(range(len(found.target)), UNLABELLED))
    for index, (scan, target) in enumerate(zip(found.images, found.target, strict=True)):
        grey = Image.fromarray((scan * (255 / 16)).round().astype("uint8"))
        grey = grey.resize((8 * ENLARGE, 8 * ENLARGE), Image.Resampling.NEAREST)
        png = io.BytesIO()
        grey.save(png, "PNG")
        name = f"digit-{index:04d}.png"
        yield (name if index in unlabelled else f"{target}/{name}"), png.getvalue()
