"""Pure. Users who never rate: how different they would have to be for the verdict to turn.

A pattern-mixture model with a shift, its tipping point sought (Ratitch, O'Kelly, Tosiello, Pharmaceutical
Statistics 12:337, 2013): A's silent users are taken to be like A's raters, B's to differ from B's raters
by δ. The δ at which the always-valid interval no longer supports the verdict is told.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from scipy import optimize

from core.ab import proportions
from core.ab.findings import Estimate, Silence
from core.errors import InvalidInput

RATED = {"rating": (1.0, 5.0), "satisfied": (0.0, 1.0)}
"""The metrics that only raters have, with the ends of their scales."""


def tipping(
    metric: str,
    found: Estimate,
    minimum: float,
    value_b: float,
    a: tuple[int, int],
    b: tuple[int, int],
) -> Silence | None:
    """`a` and `b` are (users who rated, users); None for a metric that needs no rating, or before any users."""
    if metric not in RATED or not a[1] or not b[1]:
        return None
    share = 1 - b[0] / b[1]
    try:
        gap = proportions.two_arms(a, b).p
    except InvalidInput:  # all rated, or none
        gap = 1.0
    tip = math.nan
    if found.ready and share > 0:
        tip = _tip(found, minimum, share, b[1])
    low, high = RATED[metric]
    possible = math.isfinite(tip) and low <= value_b + tip <= high
    return Silence(a[0] / a[1], b[0] / b[1], gap, tip, possible)


def _tip(found: Estimate, minimum: float, share: float, users: int) -> float:
    """The smallest shift of B's silent users at which the interval crosses the line that decided."""
    reach = (found.high - found.low) / 2 / found.se

    def edges(shift: float) -> tuple[float, float]:
        # The shift also spreads B's users: a part δ away from the rest.
        se = math.sqrt(found.se**2 + shift**2 * share * (1 - share) / users)
        middle = found.est + share * shift
        return middle - reach * se, middle + reach * se

    if -minimum < found.low and found.high < minimum:
        # Practically the same: the nearer of both ends of the band.
        down = _root(lambda d: edges(-d)[0] + minimum)
        up = _root(lambda d: minimum - edges(d)[1])
        return -down if down <= up else up
    if found.low > 0:
        return -_root(lambda d: edges(-d)[0])
    if found.high < 0:
        return _root(lambda d: -edges(d)[1])
    return math.nan


def _root(of: Callable[[float], float]) -> float:
    """Where a function that starts above zero first falls to it; infinity where it never does."""
    high = 1e-6
    while of(high) > 0:
        high *= 2
        if high > 1e9:
            return math.inf
    return float(optimize.brentq(of, 0.0, high))
