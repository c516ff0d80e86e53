"""Pure. Accuracy against the number of labels: a fitted curve, its band, and what more labels should bring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

NEEDED = 3
"""Different numbers of labels from which a curve with three parameters is fitted."""
RESAMPLES = 100
BAND = (5, 95)
"""Percentiles of the band: nine in ten curves lie within."""
EXPONENTS = np.linspace(0.05, 2.0, 79)
"""Values of c that are tried."""
HARDLY = 0.005
"""A gain below half a point is called none."""


@dataclass(frozen=True)
class Point:
    """What one training found."""

    labels: int
    """Labelled images it was made from, all splits."""
    accuracy: float
    """On valid, 0–1."""
    n: int
    """Images of valid."""


@dataclass(frozen=True)
class Curve:
    """accuracy(n) = a − b·n^(−c), and the same for resampled points."""

    parameters: tuple[float, float, float]
    resampled: tuple[tuple[float, float, float], ...]

    def at(self, labels: Sequence[float] | np.ndarray) -> np.ndarray:
        """Accuracy for each number of labels, 0–1."""
        return _curve(np.asarray(labels, dtype=np.float64), *self.parameters)

    def band(self, labels: Sequence[float] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper end of the band for each number of labels."""
        x = np.asarray(labels, dtype=np.float64)
        all_ = np.array([_curve(x, *each) for each in self.resampled])
        low, high = np.percentile(all_, BAND, axis=0)
        middle = self.at(x)
        return np.minimum(low, middle), np.maximum(high, middle)


@dataclass(frozen=True)
class Forecast:
    """Accuracy now and with more labels, and the gain between them with its band; 0–1."""

    now: float
    then: float
    low: float
    high: float

    @property
    def gain(self) -> float:
        return self.then - self.now

    @property
    def hardly(self) -> bool:
        return self.high - self.now < HARDLY or self.gain < HARDLY


def fit(points: Sequence[Point]) -> Curve | None:
    """The curve through the points, or None for fewer than NEEDED different numbers of labels.

    An inverse power law (Cortes et al. 1993; Figueroa et al. 2012), each point weighted by the
    binomial spread of its accuracy; the band comes from refits to accuracies drawn anew from
    that spread, with a fixed seed.
    """
    if len({point.labels for point in points}) < NEEDED:
        return None
    return _fit(tuple(sorted(points, key=lambda point: (point.labels, point.accuracy, point.n))))


def forecast(curve: Curve, labels: int, more: int) -> Forecast:
    """What `more` labels should bring to a theme that has `labels`."""
    now, then = curve.at([labels, labels + more])
    low, high = curve.band([labels + more])
    return Forecast(float(now), float(then), float(low[0]), float(high[0]))


@lru_cache(maxsize=64)
def _fit(points: tuple[Point, ...]) -> Curve:
    x = np.array([point.labels for point in points], dtype=np.float64)
    y = np.array([point.accuracy for point in points])
    n = np.array([max(point.n, 1) for point in points])
    # Wilson's centre keeps the spread above 0 where all or none was right.
    centre = (y * n + 2) / (n + 4)
    spread = np.sqrt(centre * (1 - centre) / (n + 4))
    chance = np.random.default_rng(0)
    drawn = np.clip(chance.normal(y, spread, (RESAMPLES, len(y))), 0, 1)
    first, *rest = _solve(x, np.vstack([y, drawn]), 1 / spread**2)
    return Curve(first, tuple(rest))


def _solve(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> list[tuple[float, float, float]]:
    """(a, b, c) of the best curve through each row of y, with 0 ≤ a ≤ 1 and b ≥ 0.

    For a given c the curve is a straight line in u = −x^(−c), whose a and b have a closed form;
    c is searched for on a grid, so there is no start to choose and no local minimum to be caught in.
    """
    u = -(x ** -EXPONENTS[:, None])  # exponents × points
    total = weight.sum()
    u_mean = (u @ weight) / total
    y_mean = (y @ weight) / total
    centred = u - u_mean[:, None]
    slope = ((y - y_mean[:, None]) * weight) @ centred.T / (centred**2 @ weight)
    b = np.maximum(slope, 0)
    a = y_mean[:, None] - b * u_mean
    over = a > 1
    b = np.where(over, ((y - 1) * weight) @ u.T / (u**2 @ weight), b)
    a = np.where(over, 1.0, a)
    missed = y[:, None, :] - a[..., None] - b[..., None] * u
    best = ((missed**2) @ weight).argmin(axis=1)
    rows = np.arange(len(y))
    return [
        (float(a_), float(b_), float(c_))
        for a_, b_, c_ in zip(a[rows, best], b[rows, best], EXPONENTS[best], strict=True)
    ]


def _curve(x: np.ndarray, a: float, b: float, c: float) -> np.ndarray:
    return np.clip(a - b * np.maximum(x, 1) ** -c, 0, 1)
