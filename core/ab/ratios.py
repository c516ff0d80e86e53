"""Pure. Metrics that are a ratio of two sums a user, and CUPED, which takes out what was so before."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import stats

from core.ab import means
from core.ab.means import Difference
from core.ab.moments import Moments, Pairs
from core.errors import InvalidInput


@dataclass(frozen=True)
class RatioDifference:
    """Two ratios, the variance of each, and their difference B − A with an interval."""

    ratio_a: float
    ratio_b: float
    var_a: float
    var_b: float
    z: float
    p: float
    low: float
    high: float

    @property
    def est(self) -> float:
        return self.ratio_b - self.ratio_a


@dataclass(frozen=True)
class Cuped:
    """The adjusted difference; `kept` is the share of the variance that remains."""

    theta: float
    adjusted: Difference
    kept: float
    a: Moments
    b: Moments


def ratio(of: Pairs) -> tuple[float, float]:
    """(R, Var R) of sum y over sum x, users being independent, their rows not.

    Deng, Knoblich, Lu (KDD 2018, arXiv:1803.06336). Raises InvalidInput where nothing was counted.
    """
    if of.x.n < 2 or not of.x.mean:
        raise InvalidInput("A ratio needs at least two users with something to divide by.")
    r = of.y.mean / of.x.mean
    spread = of.y.variance - 2 * r * of.covariance + r * r * of.x.variance
    return r, max(0.0, spread) / (of.x.n * of.x.mean**2)


def ratio_difference(a: Pairs, b: Pairs, alpha: float = 0.05) -> RatioDifference:
    (ratio_a, var_a), (ratio_b, var_b) = ratio(a), ratio(b)
    gap, se = ratio_b - ratio_a, math.sqrt(var_a + var_b)
    z = gap / se if se else 0.0
    reach = float(stats.norm.ppf(1 - alpha / 2)) * se
    p = 2 * float(stats.norm.sf(abs(z))) if se else float(gap == 0)
    return RatioDifference(ratio_a, ratio_b, var_a, var_b, z, p, gap - reach, gap + reach)


def theta(a: Pairs, b: Pairs) -> float:
    """cov(y, x) / var(x) over the users of both arms: one number, or the arms would be bent apart."""
    both = a + b
    return both.covariance / both.x.variance if both.x.variance else 0.0


def cuped(a: Pairs, b: Pairs, alpha: float = 0.05) -> Cuped:
    """Difference of y after what x, measured before the test, explains is taken out.

    Deng, Xu, Kohavi, Walker (WSDM 2013). x must be strictly from before the exposure.
    """
    factor = theta(a, b)
    middle = (a + b).x.mean
    after = [_without(arm, factor, middle) for arm in (a, b)]
    raw = a.y.error + b.y.error
    kept = (after[0].error + after[1].error) / raw if raw else 1.0
    return Cuped(factor, means.welch(after[0], after[1], alpha), kept, after[0], after[1])


def _without(arm: Pairs, factor: float, middle: float) -> Moments:
    deviation = arm.y.deviation - 2 * factor * arm.together + factor**2 * arm.x.deviation
    return Moments(arm.y.n, arm.y.mean - factor * (arm.x.mean - middle), max(0.0, deviation))
