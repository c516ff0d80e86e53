"""Pure. Whether a model is as often right as it is sure.

Guo, Pleiss, Sun, Weinberger, “On Calibration of Modern Neural Networks”, ICML 2017: expected
calibration error over bins of equal width; Brier, Monthly Weather Review 78 (1950) 1–3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.evaluations.intervals import Interval, wilson

BINS = 15


@dataclass(frozen=True)
class Bin:
    """Images whose confidence lies in one part of 0–1."""

    n: int
    confidence: float
    """Their mean confidence."""
    right: Interval
    """The share of them that is right."""


@dataclass(frozen=True)
class Calibration:
    ece: float
    """Mean distance between confidence and share of right answers, 0–1, over all images."""
    overconfidence: float
    """Mean confidence minus the share of right answers: above 0 it promises too much."""
    brier: float
    """Mean squared error of all probabilities, 0–2."""
    bins: tuple[Bin, ...]
    """Those with images, by confidence."""


def calibration(probabilities: np.ndarray, truth: np.ndarray, bins: int = BINS) -> Calibration:
    """Of n ≥ 1 images: `probabilities` (n, k), `truth` (n,) the column that is right."""
    n = len(truth)
    predicted = probabilities.argmax(axis=1)
    confidence = probabilities.max(axis=1)
    right = predicted == truth
    # A confidence on an edge belongs to the lower bin, as in the paper's (low, high].
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    found = []
    for number in range(bins):
        inside = place == number
        if count := int(inside.sum()):
            found.append(
                Bin(count, float(confidence[inside].mean()), wilson(int(right[inside].sum()), count))
            )
    exact = np.zeros_like(probabilities)
    exact[np.arange(n), truth] = 1.0
    return Calibration(
        ece=sum(each.n * abs(each.right.value - each.confidence) for each in found) / n,
        overconfidence=float(confidence.mean() - right.mean()),
        brier=float(((probabilities - exact) ** 2).sum(axis=1).mean()),
        bins=tuple(found),
    )
