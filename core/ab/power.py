"""Pure. How many users a test needs, and what it would miss."""

from __future__ import annotations

import math
from collections.abc import Callable

from scipy import optimize, stats

from core.errors import InvalidInput

MOST = 1e12


def means(n: float, delta: float, sd: float, alpha: float = 0.05) -> float:
    """Power of the two-sided t-test with n users an arm.

    Counts, as is usual, only wins on the side of `delta`: what R's power.t.test gives.
    """
    if n <= 1 or sd <= 0:
        raise InvalidInput("Power needs at least two users an arm and a spread above 0.")
    df = 2 * (n - 1)
    shift = abs(delta) / sd * math.sqrt(n / 2)
    return float(stats.nct.sf(stats.t.ppf(1 - alpha / 2, df), df, shift))


def means_n(delta: float, sd: float, power: float = 0.8, alpha: float = 0.05) -> float:
    """Users an arm for that power. Raises InvalidInput for a difference of 0."""
    if not delta or sd <= 0:
        raise InvalidInput("The smallest difference that matters and the spread must both be above 0.")
    # The normal approximation is a user or two short; the t-test's answer lies beside it.
    guess = 2 * ((stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(power)) * sd / delta) ** 2
    if guess > 1e6:
        return float(guess)
    return _solve(lambda n: means(n, delta, sd, alpha), power, 1.0001)


def shares(n: float, p1: float, p2: float, alpha: float = 0.05) -> float:
    """Power of the two-sided z-test of two shares with n users an arm (R's power.prop.test)."""
    if not (0 <= p1 <= 1 and 0 <= p2 <= 1) or n <= 0:
        raise InvalidInput("Shares lie between 0 and 1, and each arm needs users.")
    middle = (p1 + p2) / 2
    null = math.sqrt(2 * middle * (1 - middle))
    own = math.sqrt(p1 * (1 - p1) + p2 * (1 - p2))
    z = (math.sqrt(n) * abs(p1 - p2) - float(stats.norm.ppf(1 - alpha / 2)) * null) / own
    return float(stats.norm.cdf(z))


def shares_n(p1: float, p2: float, power: float = 0.8, alpha: float = 0.05) -> float:
    """Users an arm for that power. Raises InvalidInput for equal shares."""
    if p1 == p2:
        raise InvalidInput("The smallest difference that matters and the spread must both be above 0.")
    return _solve(lambda n: shares(n, p1, p2, alpha), power, 1e-6)


def baseline_n(baseline: float, change: float, power: float = 0.8, alpha: float = 0.05) -> float:
    """Users an arm to see a share move from its baseline by `change`, no difference meaning both at the baseline.

    The usual planner's formula (Miller, “Sample size calculator”): only the baseline is known beforehand.
    """
    after = baseline + change
    if not (0 < baseline < 1 and 0 <= after <= 1 and change):
        raise InvalidInput("Shares lie between 0 and 1, and the change must not be 0.")
    null = float(stats.norm.ppf(1 - alpha / 2)) * math.sqrt(2 * baseline * (1 - baseline))
    own = float(stats.norm.ppf(power)) * math.sqrt(baseline * (1 - baseline) + after * (1 - after))
    return ((null + own) / change) ** 2


def detectable(n: float, sd: float, power: float = 0.8, alpha: float = 0.05) -> float:
    """The smallest difference that n users an arm find with that power."""
    if n <= 1 or sd <= 0:
        raise InvalidInput("Power needs at least two users an arm and a spread above 0.")
    z = float(stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(power))
    rough = z * sd * math.sqrt(2 / n)
    return float(optimize.brentq(lambda d: means(n, d, sd, alpha) - power, rough / 10, rough * 100))


def _solve(of: Callable[[float], float], power: float, low: float) -> float:
    if not 0 < power < 1:
        raise InvalidInput("Power lies between 0 and 1; {x} does not.", x=power)
    high = 2.0
    while of(high) < power:
        high *= 2
        if high > MOST:
            raise InvalidInput("No number of users is enough for this; look for a larger difference.")
    return float(optimize.brentq(lambda n: of(n) - power, low, high, xtol=1e-9))
