"""Pure. What one look at an image's brightness, edges and colours measures; judged later, by thresholds."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

import numpy as np
from PIL import Image, ImageFilter

SIDE = 256
"""Pixels of the longer side at which images are measured: sharpness depends on it. Smaller ones stay as they are."""

_LEVELS = np.arange(256, dtype=np.float64)
_FROM_GREY = np.abs(np.arange(256) - 128)
_LAPLACE = ImageFilter.Kernel((3, 3), (0, 1, 0, 1, -4, 1, 0, 1, 0), scale=1, offset=128)


@dataclass(frozen=True)
class Measures:
    """Brightness 0–255 (luma of ITU-R BT.601), as most decoders give it."""

    shade: float
    """Brightness that 5 % of the pixels stay below."""
    light: float
    """Brightness that 99 % of the pixels stay below."""
    contrast: float
    """Standard deviation of the brightness."""
    entropy: float
    """Shannon entropy of the brightness, 0–8 bits."""
    sharpness: float
    """Variance of the Laplacian (Pech-Pacheco et al. 2000), with its values cut at ±128."""
    colour: float
    """Distance from grey (chroma, 0–128) that 99 % of the pixels stay below."""

    def as_row(self) -> dict[str, float]:
        return asdict(self)


NAMES = tuple(field.name for field in fields(Measures))


def measure(image: Image.Image) -> Measures:
    """Of an RGB or RGBA image whose longer side is at most SIDE pixels; about 0.1 ms at 32 × 32 pixels."""
    colours = image.convert("RGB").convert("YCbCr")
    luma = colours.getchannel(0)
    grey = np.asarray(luma.histogram(), dtype=np.float64)
    grey /= grey.sum()
    below = np.cumsum(grey)
    mean = float(grey @ _LEVELS)
    some = grey[grey > 0]
    edges = np.asarray(_inner(luma.filter(_LAPLACE)).histogram(), dtype=np.float64)
    edges /= edges.sum()
    edge_mean = float(edges @ _LEVELS)
    chroma = np.asarray(colours.histogram()[256:], dtype=np.float64).reshape(2, 256).sum(axis=0)
    distance = np.bincount(_FROM_GREY, weights=chroma, minlength=129)
    return Measures(
        shade=_quantile(below, 0.05),
        light=_quantile(below, 0.99),
        contrast=float(np.sqrt(grey @ (_LEVELS - mean) ** 2)),
        entropy=float(-(some * np.log2(some)).sum()) + 0.0,  # never −0
        sharpness=float(edges @ (_LEVELS - edge_mean) ** 2),
        colour=_quantile(np.cumsum(distance) / distance.sum(), 0.99),
    )


def _inner(filtered: Image.Image) -> Image.Image:
    """Without the border, which Pillow's filters leave as it was; blank where nothing else is there."""
    width, height = filtered.size
    if min(width, height) < 3:
        return Image.new("L", (1, 1))
    return filtered.crop((1, 1, width - 1, height - 1))


def _quantile(below: np.ndarray, share: float) -> float:
    """The least level that `share` of the pixels stay at or below."""
    return float(np.minimum(np.searchsorted(below, share - 1e-12), len(below) - 1))
