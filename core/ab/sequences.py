"""Pure. Intervals and p-values that hold however often people look."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special

from core.ab import means
from core.ab.moments import Moments
from core.errors import InvalidInput

MIN_USERS = 100
"""An arm; below that the asymptotic sequence is not yet trustworthy."""


@dataclass(frozen=True)
class Sequence:
    """An estimate with an interval that covers the truth at all looks at once, with chance 1 − α."""

    est: float
    se: float
    low: float
    high: float
    p: float
    """At this look; the smallest over all looks so far is the always-valid p."""


def asymptotic(
    a: Moments, b: Moments, planned: float, alpha: float = 0.05, *, as_share: bool = False
) -> Sequence:
    """Asymptotic confidence sequence for the difference of means, or for the relative lift.

    `planned` is the number of users, both arms together, at which it should be narrowest.
    Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas (arXiv:2103.06476), Gaussian mixture boundary.
    Raises InvalidInput for arms that are too small or a plan of no users.
    """
    found = means.relative(a, b) if as_share else means.welch(a, b)
    low, high, p = boundary(found.est, found.se, a.n + b.n, planned, alpha)
    return Sequence(found.est, found.se, low, high, p)


def boundary(est: float, se: float, n: int, planned: float, alpha: float) -> tuple[float, float, float]:
    """(low, high, p) of the sequence around any asymptotically normal estimate from n users in all."""
    if planned <= 0:
        raise InvalidInput("The planned number of users is {n}; make it more than 0.", n=planned)
    if not se:
        return est, est, float(est == 0)
    half = se * float(reach(n, planned, alpha))
    rho2 = _rho2(planned, alpha)
    grown = n * rho2 + 1
    log_p = 0.5 * math.log(grown) - rho2 * n * (est / se) ** 2 / (2 * grown)
    return est - half, est + half, math.exp(min(0.0, log_p))


def reach(n: ArrayLike, planned: float, alpha: float) -> NDArray[np.float64]:
    """How many standard errors the sequence reaches to either side from n users in all; of any shape."""
    users = np.asarray(n, dtype=float)
    rho2 = _rho2(planned, alpha)
    grown = users * rho2 + 1
    found: NDArray[np.float64] = np.sqrt(2 * grown / (users * rho2) * np.log(np.sqrt(grown) / alpha))
    return found


def _rho2(planned: float, alpha: float) -> float:
    """The mixture's ρ² that makes the sequence narrowest at `planned` users."""
    return (-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / planned


def msprt(difference: float, n: float, variance: float, tau2: float) -> float:
    """Λ of the mixture sequential ratio test with n users an arm; 1/Λ, capped at 1, is its p.

    `variance` is s_A² + s_B², `tau2` the variance of the effects mixed over.
    Johari, Koomen, Pekelis, Walsh (Operations Research 70(3), arXiv:1512.04922).
    """
    grown = variance + n * tau2
    return math.sqrt(variance / grown) * math.exp(n * n * tau2 * difference**2 / (2 * variance * grown))


def msprt_halfwidth(n: float, variance: float, tau2: float, alpha: float = 0.05) -> float:
    """The difference at which Λ reaches 1/α."""
    grown = variance + n * tau2
    return math.sqrt(2 * variance * grown / (n * n * tau2) * math.log(math.sqrt(grown / variance) / alpha))


def normal_mixture_rho(v: float, alpha: float) -> float:
    """The ρ that makes the two-sided normal mixture's boundary narrowest at intrinsic time v.

    Howard, Ramdas, McAuliffe, Sekhon (Annals of Statistics 49(2), 2021, arXiv:1810.08240).
    """
    level = -2 * math.log(alpha)
    return v / (level + math.log1p(level))


def normal_mixture_bound(v: float, rho: float, alpha: float) -> float:
    """How far a sum with intrinsic time v strays from zero, at all times, with chance 1 − α."""
    return math.sqrt((v + rho) * (math.log1p(v / rho) - 2 * math.log(alpha)))


def log_normal_mixture(s: float, v: float, rho: float) -> float:
    """Logarithm of the mixture supermartingale at sum s and intrinsic time v."""
    return 0.5 * math.log(rho / (v + rho)) + s * s / (2 * (v + rho))


def bernoulli(successes: int, n: int, alpha: float = 0.05, narrow_at: float = 100) -> tuple[float, float]:
    """Confidence sequence for a share, exact at every n, narrowest about n = `narrow_at`.

    Two-sided beta-binomial mixture of Howard et al. 2021, proposition 7. Raises InvalidInput.
    """
    Moments.of_counts(n, successes)
    share = successes / n

    def excess(p: float) -> float:
        spread = p * (1 - p)
        r = max(normal_mixture_rho(narrow_at * spread, 0.05) - spread, 1e-3 * spread)
        a, b = r / (1 - p), r / p
        log_ratio = special.betaln(a + successes, b + n - successes) - special.betaln(a, b)
        log_ratio -= successes * math.log(p) + (n - successes) * math.log1p(-p)
        return float(log_ratio + math.log(alpha))

    edge = 1e-12
    low = optimize.brentq(excess, edge, share) if successes and excess(edge) > 0 else 0.0
    high = optimize.brentq(excess, share, 1 - edge) if successes < n and excess(1 - edge) > 0 else 1.0
    return float(low), float(high)
