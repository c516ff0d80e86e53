"""Contrast-limited adaptive histogram equalisation of the brightness, part by part.

Zuiderveld, “Contrast Limited Adaptive Histogram Equalization”, Graphics Gems IV (1994).
"""

import numpy as np
from PIL import Image

GRADES = 256


def apply(pixels: np.ndarray, limit: float, tiles: int) -> np.ndarray:
    """`limit` is how many times the mean count a grade may have; `tiles` how many parts a side is divided into."""
    light, *colour = Image.fromarray(pixels).convert("YCbCr").split()
    even = Image.fromarray(_equalized(np.asarray(light), limit, tiles))
    return np.asarray(Image.merge("YCbCr", (even, *colour)).convert("RGB"))


def _equalized(light: np.ndarray, limit: float, tiles: int) -> np.ndarray:
    """(h, w) of uint8."""
    tiles = min(tiles, *light.shape)
    edges = [np.linspace(0, side, tiles + 1).round().astype(int) for side in light.shape]
    tables = np.empty((tiles, tiles, GRADES))
    for row in range(tiles):
        for column in range(tiles):
            part = light[edges[0][row] : edges[0][row + 1], edges[1][column] : edges[1][column + 1]]
            tables[row, column] = _table(part, limit)
    # Between the middles of four parts the four tables' answers are mixed by distance.
    (top, bottom, down), (left, right, across) = (
        _between((edge[:-1] + edge[1:] - 1) / 2, side) for edge, side in zip(edges, light.shape, strict=True)
    )
    down, across = down[:, None], across[None, :]
    upper = (1 - across) * tables[top[:, None], left, light] + across * tables[top[:, None], right, light]
    lower = (1 - across) * tables[bottom[:, None], left, light] + across * tables[
        bottom[:, None], right, light
    ]
    return np.rint((1 - down) * upper + down * lower).astype(np.uint8)


def _table(part: np.ndarray, limit: float) -> np.ndarray:
    """(256,): the new brightness of each old one, from 0 to 255."""
    counts = np.bincount(part.ravel(), minlength=GRADES).astype(float)
    most = max(limit * part.size / GRADES, 1.0)
    above = np.maximum(counts - most, 0.0).sum()
    counts = np.minimum(counts, most) + above / GRADES
    return counts.cumsum() * (255.0 / part.size)


def _between(middles: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each of `side` places the parts before and after it, and how far it is from the first to the second."""
    places = np.arange(side)
    after = np.searchsorted(middles, places)
    first = np.clip(after - 1, 0, len(middles) - 1)
    second = np.clip(after, 0, len(middles) - 1)
    gap = np.where(second > first, middles[second] - middles[first], 1.0)
    return first, second, np.where(second > first, (places - middles[first]) / gap, 0.0)
