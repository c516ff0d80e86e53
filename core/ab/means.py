"""Pure. Differences of means between two arms, and of several arms at once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from core.ab.moments import Moments
from core.errors import InvalidInput


@dataclass(frozen=True)
class Difference:
    """How far B is from A, with an interval. `se`, `df` are those of the estimate."""

    est: float
    se: float
    df: float
    low: float
    high: float
    p: float

    @property
    def t(self) -> float:
        return self.est / self.se if self.se else math.copysign(math.inf, self.est) if self.est else 0.0


@dataclass(frozen=True)
class Equivalence:
    """Two one-sided tests: `p` below α says that the difference lies within the margin."""

    p: float
    low: float
    high: float
    """The 1 − 2α interval that decides: within the margin exactly when p < α."""


def welch(a: Moments, b: Moments, alpha: float = 0.05) -> Difference:
    """Difference of means, with variances that may differ (Welch 1947).

    Raises InvalidInput where an arm has fewer than two users.
    """
    _enough(a, b)
    return _difference(b.mean - a.mean, a.error + b.error, _df(a, b), alpha)


def relative(a: Moments, b: Moments, alpha: float = 0.05) -> Difference:
    """Lift of B over A as a share of |A|, by the delta method, with Welch's degrees of freedom.

    Raises InvalidInput for arms that are too small, and where A's own interval comes near zero:
    then the lift has no meaning (Fieller's interval would be unbounded).
    """
    _enough(a, b)
    _away_from_zero(a)
    lift = (b.mean - a.mean) / abs(a.mean)
    return _difference(lift, relative_error(a, b), _df(a, b), alpha)


def relative_error(a: Moments, b: Moments) -> float:
    """Variance of the relative lift: v_B/ȳ_A² + v_A ȳ_B²/ȳ_A⁴."""
    return b.error / a.mean**2 + a.error * b.mean**2 / a.mean**4


def pooled(a: Moments, b: Moments, alpha: float = 0.05) -> Difference:
    """Student's t with one common variance; for comparing with other tools only: see `welch`."""
    _enough(a, b)
    df = a.n + b.n - 2
    variance = (a.deviation + b.deviation) / df
    return _difference(b.mean - a.mean, variance * (1 / a.n + 1 / b.n), df, alpha)


def paired(a: Sequence[float], b: Sequence[float], alpha: float = 0.05) -> Difference:
    """Mean of B − A of the same units under both. Raises InvalidInput for lists of unlike length."""
    if len(a) != len(b):
        raise InvalidInput("There are {a} values beside {b}; each user needs both.", a=len(a), b=len(b))
    gaps = Moments.of([y - x for x, y in zip(a, b, strict=True)])
    _enough(gaps)
    return _difference(gaps.mean, gaps.error, gaps.n - 1, alpha)


def equivalence(a: Moments, b: Moments, margin: float, alpha: float = 0.05) -> Equivalence:
    """TOST: is the difference smaller than `margin` either way (Schuirmann 1987)?"""
    found = welch(a, b)
    return within(found.est, found.se, found.df, margin, alpha)


def within(est: float, se: float, df: float, margin: float, alpha: float = 0.05) -> Equivalence:
    """TOST for any estimate; infinite `df` for one that is normal. Raises InvalidInput for a margin of 0."""
    if margin <= 0:
        raise InvalidInput("The smallest difference that matters is {x}; make it more than 0.", x=margin)
    of = stats.t(df) if math.isfinite(df) else stats.norm
    reach = float(of.ppf(1 - alpha)) * se
    if not se:
        return Equivalence(float(abs(est) >= margin), est, est)
    p = max(of.sf((est + margin) / se), of.cdf((est - margin) / se))
    return Equivalence(float(p), est - reach, est + reach)


def not_worse(a: Moments, b: Moments, margin: float, higher_is_better: bool) -> float:
    """p of one-sided non-inferiority: small says that B is worse than A by less than `margin`."""
    found = welch(a, b)
    gain = found.est if higher_is_better else -found.est
    if not found.se:
        return float(gain <= -margin)
    return float(stats.t.sf((gain + margin) / found.se, found.df))


def effect_size(a: Moments, b: Moments) -> tuple[float, float]:
    """(Cohen's d, Hedges' g): the difference in units of the pooled SD; g takes d's small-sample bias away."""
    _enough(a, b)
    df = a.n + b.n - 2
    d = (b.mean - a.mean) / math.sqrt((a.deviation + b.deviation) / df)
    exact = math.exp(math.lgamma(df / 2) - math.lgamma((df - 1) / 2)) / math.sqrt(df / 2)
    return d, d * exact


def anova(arms: Mapping[str, Sequence[float]]) -> tuple[float, float]:
    """(F, p): do any means differ? One-way analysis of variance."""
    found = stats.f_oneway(*arms.values())
    return float(found.statistic), float(found.pvalue)


def welch_anova(arms: Sequence[Moments]) -> tuple[float, float]:
    """(F, p) without equal variances, from moments alone (Welch, Biometrika 38:330, 1951).

    Raises InvalidInput where an arm is too small; NaN and 1 where no arm has any spread.
    """
    _enough(*arms)
    if any(not arm.error for arm in arms):
        return math.nan, 1.0
    k = len(arms)
    weights = [1 / arm.error for arm in arms]
    total = math.fsum(weights)
    middle = math.fsum(w * arm.mean for w, arm in zip(weights, arms, strict=True)) / total
    between = math.fsum(w * (arm.mean - middle) ** 2 for w, arm in zip(weights, arms, strict=True)) / (k - 1)
    lean = math.fsum((1 - w / total) ** 2 / (arm.n - 1) for w, arm in zip(weights, arms, strict=True))
    f = between / (1 + 2 * (k - 2) / (k * k - 1) * lean)
    return f, float(stats.f.sf(f, k - 1, (k * k - 1) / (3 * lean)))


def tukey(arms: Mapping[str, Sequence[float]]) -> dict[tuple[str, str], float]:
    """p of each pair (later, earlier) of arms, for all pairs at once."""
    found = stats.tukey_hsd(*arms.values()).pvalue
    names = list(arms)
    return {
        (names[j], names[i]): float(found[j][i]) for i in range(len(names)) for j in range(i + 1, len(names))
    }


def dunnett(arms: Mapping[str, Sequence[float]], control: str) -> dict[str, float]:
    """p of each arm against the control, for all of them at once (Dunnett 1955).

    The integral is computed by chance with a fixed seed: good to three decimals. Raises InvalidInput.
    """
    if control not in arms:
        raise InvalidInput("“{name}” is not one of the arms; name one that is.", name=control)
    others = {name: values for name, values in arms.items() if name != control}
    found = stats.dunnett(*others.values(), control=arms[control], rng=np.random.default_rng(1))
    return dict(zip(others, map(float, found.pvalue), strict=True))


def _difference(est: float, variance: float, df: float, alpha: float) -> Difference:
    se = math.sqrt(variance)
    reach = float(stats.t.ppf(1 - alpha / 2, df)) * se
    p = 2 * float(stats.t.sf(abs(est) / se, df)) if se else float(est == 0)
    return Difference(est, se, df, est - reach, est + reach, p)


def _df(a: Moments, b: Moments) -> float:
    total = a.error + b.error
    if not total:
        return float(a.n + b.n - 2)
    return float(total**2 / (a.error**2 / (a.n - 1) + b.error**2 / (b.n - 1)))


def _enough(*arms: Moments) -> None:
    for arm in arms:
        if arm.n < 2:
            raise InvalidInput(
                "A group has {n} users with a value; a comparison needs at least two.", n=arm.n
            )


def _away_from_zero(a: Moments) -> None:
    if abs(a.mean) <= stats.norm.ppf(0.975) * math.sqrt(a.error):
        raise InvalidInput(
            "A's mean is too near zero for a difference in percent; look at the difference itself."
        )
