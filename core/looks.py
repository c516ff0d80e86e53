"""Pure. What an image looks like, without a model: a short vector of its shapes and colours."""

from __future__ import annotations

import numpy as np
from PIL import Image

SHAPE_SIDE = 12
COLOUR_SIDE = 4
SIZE = SHAPE_SIDE**2 + 2 * COLOUR_SIDE**2
"""Bytes of a look: one signed byte a dimension."""
COLOUR_WEIGHT = 0.5
"""Part of the whole that colour has beside shape; a grey image has none and is compared by shape."""
CUT_OFF = 1.0
"""Steps of a look (of 127) below its brightest part from which a part counts as not cut off."""
LEAST_BELOW = 0.35
"""Share of the parts that must not be cut off, so that there is something to compare."""
SAME_COLOUR = 0.9
"""Cosine of chroma between the parts that are not cut off."""
GREY = 0.1
"""Share of a look that its chroma has at most where the picture counts as grey."""


def look(image: Image.Image) -> bytes:
    """SIZE signed bytes of an RGB or RGBA image; the dot product of two is their likeness, as of unit vectors.

    Brightness on a 12 × 12 grid with its mean taken off, and chroma (YCbCr) on 4 × 4.
    """
    ycbcr = image.convert("RGB").convert("YCbCr")
    shape = np.asarray(
        ycbcr.getchannel(0).resize((SHAPE_SIDE, SHAPE_SIDE), Image.Resampling.BOX), dtype=np.float32
    ).ravel()
    colour = np.concatenate(
        [
            np.asarray(
                ycbcr.getchannel(channel).resize((COLOUR_SIDE, COLOUR_SIDE), Image.Resampling.BOX),
                dtype=np.float32,
            ).ravel()
            - 128
            for channel in (1, 2)
        ]
    )
    outline = _unit(shape - shape.mean()) * (1 - COLOUR_WEIGHT)
    # Weak colour must not be blown up to full weight: 64 of 128 steps of chroma count as full.
    strength = min(1.0, float(np.abs(colour).mean()) / 64)
    return to_bytes(np.concatenate([outline, _unit(colour) * COLOUR_WEIGHT * strength]))


def to_bytes(vector: np.ndarray) -> bytes:
    """A vector as signed bytes of a unit vector, scaled by 127."""
    return np.round(_unit(vector) * 127).astype(np.int8).tobytes()


def likeness(vectors: np.ndarray, one: np.ndarray) -> np.ndarray:
    """Cosine of each row of `vectors` (n × d, int8) with `one` (d), float32, in −1…1."""
    reference = _unit(one.astype(np.float32))
    result = np.empty(len(vectors), dtype=np.float32)
    for start in range(0, len(vectors), 65_536):  # bounded memory: bytes become floats part by part
        part = vectors[start : start + 65_536].astype(np.float32)
        lengths = np.linalg.norm(part, axis=1)
        result[start : start + len(part)] = (part @ reference) / np.maximum(lengths, 1e-9)
    return result


def units(vectors: np.ndarray) -> np.ndarray:
    """Rows (n × d) of length 1, float32; those of zeros stay."""
    found: np.ndarray = vectors.astype(np.float32)
    return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), np.float32(1e-9))


def same(one: np.ndarray, two: np.ndarray, likeness: float) -> np.ndarray:
    """Whether each two are one picture, from their looks (n × SIZE unit vectors, both): (n,) bool.

    Their cosine is at least `likeness`, or one is the other, made so bright that its brightest parts became plain white.
    """
    found: np.ndarray = (one * two).sum(axis=1) >= likeness
    [left] = np.nonzero(~found)
    one, two = one[left], two[left]
    found[left] = np.maximum(_brightened(one, two), _brightened(two, one)) >= likeness
    return found


def _brightened(dark: np.ndarray, bright: np.ndarray) -> np.ndarray:
    """Correlation of the shapes of `bright` with those of `dark` made lighter and cut off at the brightest; or 0.

    0 where hardly a part is below that, or where colours differ between the parts that are.
    """
    shapes, wanted = dark[:, : SHAPE_SIDE**2], bright[:, : SHAPE_SIDE**2]
    top = wanted.max(axis=1, keepdims=True)
    below = wanted < top - CUT_OFF / 127
    count = np.maximum(below.sum(axis=1, keepdims=True), 1)
    means = [(each * below).sum(axis=1, keepdims=True) / count for each in (shapes, wanted)]
    apart, wanted_apart = shapes - means[0], wanted - means[1]
    slope = (apart * wanted_apart * below).sum(axis=1) / np.maximum((apart**2 * below).sum(axis=1), 1e-9)
    lighter = np.minimum(slope[:, None] * apart + means[1], top)
    lighter, wanted = (each - each.mean(axis=1, keepdims=True) for each in (lighter, wanted))
    correlation = (units(lighter) * units(wanted)).sum(axis=1)

    cells = below.reshape(-1, COLOUR_SIDE, SHAPE_SIDE // COLOUR_SIDE, COLOUR_SIDE, SHAPE_SIDE // COLOUR_SIDE)
    coloured = np.tile(cells.mean(axis=(2, 4)).reshape(-1, COLOUR_SIDE**2) > 0.5, 2)
    own, other = (each[:, SHAPE_SIDE**2 :] * coloured for each in (dark, bright))
    grey = np.linalg.norm(other, axis=1) < GREY
    agree = grey | ((units(own) * units(other)).sum(axis=1) >= SAME_COLOUR)
    whole = (below.mean(axis=1) >= LEAST_BELOW) & (slope > 0) & agree
    found: np.ndarray = np.where(whole, correlation, 0.0)
    return found


def _unit(vector: np.ndarray) -> np.ndarray:
    length = float(np.linalg.norm(vector))
    return vector / length if length > 1e-9 else vector
