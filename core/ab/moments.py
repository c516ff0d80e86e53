"""Pure. What an arm's users amount to: count, mean and spread, from values or from sums.

Sums add up, so arms are read as aggregates straight from SQL and parts of them may be merged.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.errors import InvalidInput


@dataclass(frozen=True)
class Moments:
    """Count, mean and sum of squared deviations from the mean of one value a user."""

    n: int
    mean: float
    deviation: float
    ddof: int = 1
    """What the variance divides by is n − ddof: 1, or 0 for yes/no values, as is usual for them."""

    @classmethod
    def of(cls, values: Sequence[float]) -> Moments:
        found = _finite(values)
        if not len(found):
            return cls(0, math.nan, 0.0)
        mean = float(found.mean())
        return cls(len(found), mean, float(((found - mean) ** 2).sum()))

    @classmethod
    def of_sums(cls, n: int, total: float, squares: float) -> Moments:
        """From a count, a sum and a sum of squares.

        Raises InvalidInput where no values can have these sums.
        """
        if n < 1:
            raise InvalidInput("A group without users cannot be compared; wait until each has some.")
        mean = total / n
        deviation = squares - total * mean
        if deviation < -1e-9 * max(1.0, squares):
            raise InvalidInput("A sum of squares is smaller than its sum allows; check the three numbers.")
        return cls(n, mean, max(0.0, deviation))

    @classmethod
    def of_counts(cls, n: int, successes: int) -> Moments:
        """From how many of n said yes; the variance is p(1 − p). Raises InvalidInput."""
        if not 0 <= successes <= n or n < 1:
            raise InvalidInput("There are {x} successes of {n}; there can be 0 to {n}.", x=successes, n=n)
        share = successes / n
        return cls(n, share, n * share * (1 - share), ddof=0)

    @property
    def variance(self) -> float:
        """Of one user's value; NaN where there are too few users for one."""
        return self.deviation / (self.n - self.ddof) if self.n > self.ddof else math.nan

    @property
    def sd(self) -> float:
        return math.sqrt(self.variance)

    @property
    def error(self) -> float:
        """Variance of the mean, v = s²/n."""
        return self.variance / self.n if self.n else math.nan

    def __add__(self, other: Moments) -> Moments:
        """Both groups as one (Chan, Golub, LeVeque 1979)."""
        if not self.n or not other.n:
            return self if self.n else other
        n = self.n + other.n
        gap = other.mean - self.mean
        return Moments(
            n,
            self.mean + gap * other.n / n,
            self.deviation + other.deviation + gap * gap * self.n * other.n / n,
            self.ddof,
        )


@dataclass(frozen=True)
class Pairs:
    """Moments of two values a user, x and y, with how they move together."""

    x: Moments
    y: Moments
    together: float
    """Sum of the products of both deviations."""

    @classmethod
    def of(cls, x: Sequence[float], y: Sequence[float]) -> Pairs:
        """Raises InvalidInput where the two lists differ in length."""
        first, second = _finite(x), _finite(y)
        if len(first) != len(second):
            raise InvalidInput(
                "There are {a} values beside {b}; each user needs both.", a=len(first), b=len(second)
            )
        together = float(((first - first.mean()) * (second - second.mean())).sum()) if len(first) else 0.0
        return cls(Moments.of(x), Moments.of(y), together)

    @classmethod
    def of_sums(cls, n: int, x: float, y: float, xx: float, yy: float, xy: float) -> Pairs:
        return cls(Moments.of_sums(n, x, xx), Moments.of_sums(n, y, yy), xy - x * y / n)

    @property
    def covariance(self) -> float:
        return self.together / (self.x.n - 1) if self.x.n > 1 else math.nan

    def __add__(self, other: Pairs) -> Pairs:
        if not self.x.n or not other.x.n:
            return self if self.x.n else other
        gaps = (other.x.mean - self.x.mean) * (other.y.mean - self.y.mean)
        n = self.x.n + other.x.n
        return Pairs(
            self.x + other.x,
            self.y + other.y,
            self.together + other.together + gaps * self.x.n * other.x.n / n,
        )


def _finite(values: Sequence[float]) -> np.ndarray:
    found = np.asarray(values, dtype=float)
    if found.ndim != 1 or not np.isfinite(found).all():
        raise InvalidInput("Values must be a list of finite numbers; one is not.")
    return found
