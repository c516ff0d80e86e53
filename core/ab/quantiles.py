"""Pure. Quantiles, such as the response time that 95 of 100 stay below."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from core.errors import InvalidInput


@dataclass(frozen=True)
class Quantile:
    """An arm's quantile with its interval."""

    value: float
    low: float
    high: float

    def se(self, alpha: float = 0.05) -> float:
        """From the interval's width, as if it were normal."""
        return (self.high - self.low) / (2 * float(stats.norm.ppf(1 - alpha / 2)))


def ranks(n: int, q: float, alpha: float = 0.05) -> tuple[int, int]:
    """Ranks, counted from 1, whose values hold the q-quantile between them with chance ≥ 1 − α.

    Order statistics, so whatever the distribution (David and Nagaraja 2003, 7.1). The count below the
    quantile is Binomial(n, q). Raises InvalidInput where n is too small for any such ranks.
    """
    if not 0 < q < 1:
        raise InvalidInput("A quantile lies between 0 and 1; {q} does not.", q=q)
    lower, upper = int(stats.binom.ppf(alpha / 2, n, q)), int(stats.binom.ppf(1 - alpha / 2, n, q)) + 1
    if lower < 1 or upper > n:
        raise InvalidInput("{n} values are too few for an interval around this quantile.", n=n)
    return lower, upper


def quantile(values: Sequence[float], q: float, alpha: float = 0.05) -> Quantile:
    """The q-quantile of values, interpolated, and its interval."""
    found = np.sort(np.asarray(values, dtype=float))
    lower, upper = ranks(len(found), q, alpha)
    return Quantile(float(np.quantile(found, q)), float(found[lower - 1]), float(found[upper - 1]))


def difference(a: Quantile, b: Quantile, alpha: float = 0.05) -> tuple[float, float, float, float]:
    """(B − A, low, high, p) by the normal approximation, from both intervals."""
    gap = b.value - a.value
    se = math.hypot(a.se(alpha), b.se(alpha))
    reach = float(stats.norm.ppf(1 - alpha / 2)) * se
    return gap, gap - reach, gap + reach, 2 * float(stats.norm.sf(abs(gap) / se)) if se else float(gap == 0)


def clustered_error(values: Sequence[float], users: Sequence[int], q: float) -> float:
    """SE of a quantile where users come several times: spread of each user's share below it.

    Outer CDF method of Deng, Knoblich, Lu (KDD 2018, section 4.3): the SE on the scale of shares is
    that of a ratio metric, brought to the scale of values by the density around the quantile.
    """
    found, who = np.asarray(values, dtype=float), np.asarray(users)
    point = float(np.quantile(found, q))
    _, index = np.unique(who, return_inverse=True)
    below = np.bincount(index, found <= point)
    count = np.bincount(index).astype(float)
    n = len(count)
    if n < 2:
        raise InvalidInput("A group has {n} users with a value; a comparison needs at least two.", n=n)
    gaps = below - q * count
    share_se = math.sqrt(float((gaps**2).sum()) / (n - 1) / n) / float(count.mean())
    low, high = np.quantile(found, [max(0.0, q - share_se), min(1.0, q + share_se)])
    return float(high - low) / 2


def normal_reach(alpha: float = 0.05) -> float:
    """How many standard errors a two-sided interval reaches to either side."""
    return float(stats.norm.ppf(1 - alpha / 2))
