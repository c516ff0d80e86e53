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


def _unit(vector: np.ndarray) -> np.ndarray:
    length = float(np.linalg.norm(vector))
    return vector / length if length > 1e-9 else vector
