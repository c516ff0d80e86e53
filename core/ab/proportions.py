"""Pure. Shares: intervals, tests and sizes for answers that are yes or no."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from core.ab.moments import Moments
from core.errors import InvalidInput

SMALL = 5
"""Where an expected count is below this, Fisher's exact test takes the place of chi-square."""


@dataclass(frozen=True)
class Table:
    """A test of a table of counts; `exact` says whether Fisher's test gave p."""

    chi2: float
    df: int
    p: float
    exact: bool = False


def wilson(successes: int, n: int, alpha: float = 0.05) -> tuple[float, float]:
    """Score interval of one share (Wilson 1927). Raises InvalidInput."""
    Moments.of_counts(n, successes)
    z = float(stats.norm.ppf(1 - alpha / 2))
    share, extra = successes / n, z * z / n
    middle = (share + extra / 2) / (1 + extra)
    reach = z / (1 + extra) * math.sqrt(share * (1 - share) / n + extra / (4 * n))
    low = 0.0 if successes == 0 else middle - reach
    high = 1.0 if successes == n else middle + reach
    return low, high


def newcombe(a: tuple[int, int], b: tuple[int, int], alpha: float = 0.05) -> tuple[float, float]:
    """Interval of B's share minus A's, from both Wilson intervals; each arm is (successes, n).

    Newcombe 1998 (Statistics in Medicine 17:873), method 10.
    """
    shares = a[0] / a[1], b[0] / b[1]
    (low_a, high_a), (low_b, high_b) = wilson(*a, alpha), wilson(*b, alpha)
    gap = shares[1] - shares[0]
    return (
        gap - math.hypot(shares[1] - low_b, high_a - shares[0]),
        gap + math.hypot(high_b - shares[1], shares[0] - low_a),
    )


def wald(a: tuple[int, int], b: tuple[int, int], alpha: float = 0.05) -> tuple[float, float, float]:
    """(low, high, p) of B's share minus A's with the unpooled normal error; for large arms only."""
    one, two = Moments.of_counts(a[1], a[0]), Moments.of_counts(b[1], b[0])
    gap, se = two.mean - one.mean, math.sqrt(one.error + two.error)
    reach = float(stats.norm.ppf(1 - alpha / 2)) * se
    return gap - reach, gap + reach, 2 * float(stats.norm.sf(abs(gap) / se)) if se else float(gap == 0)


def pooled_z(a: tuple[int, int], b: tuple[int, int]) -> tuple[float, float]:
    """(z, p) of B's share against A's with the error that holds when both are equal."""
    one, two = Moments.of_counts(a[1], a[0]), Moments.of_counts(b[1], b[0])
    share = (a[0] + b[0]) / (a[1] + b[1])
    se = math.sqrt(share * (1 - share) * (1 / a[1] + 1 / b[1]))
    z = (two.mean - one.mean) / se if se else 0.0
    return z, 2 * float(stats.norm.sf(abs(z)))


def chi_square(table: Sequence[Sequence[int]]) -> Table:
    """Pearson's test of independence, without continuity correction. Raises InvalidInput for empty rows."""
    counts = np.asarray(table, dtype=float)
    if counts.ndim != 2 or (counts < 0).any() or not counts.sum(0).all() or not counts.sum(1).all():
        raise InvalidInput("Every row and every column of the table needs at least one count.")
    found = stats.chi2_contingency(counts, correction=False)
    return Table(float(found.statistic), int(found.dof), float(found.pvalue))


def of_arms(arms: Sequence[tuple[int, int]]) -> Table:
    """Do the shares of several arms differ? Each is (successes, n)."""
    for successes, n in arms:
        Moments.of_counts(n, successes)
    return chi_square([[x for x, _ in arms], [n - x for x, n in arms]])


def two_arms(a: tuple[int, int], b: tuple[int, int]) -> Table:
    """Chi-square for two arms, or Fisher's exact p where an expected count is below five."""
    table = [[a[0], a[1] - a[0]], [b[0], b[1] - b[0]]]
    counts = np.asarray(table, dtype=float)
    expected = np.outer(counts.sum(1), counts.sum(0)) / counts.sum()
    if (expected < SMALL).any():
        return Table(math.nan, 1, fisher(table)[0], exact=True)
    return chi_square(table)


def fisher(table: Sequence[Sequence[int]]) -> tuple[float, float]:
    """(two-sided p, p that the odds ratio is below 1) of a 2×2 table, exact (Fisher 1934)."""
    return (
        float(stats.fisher_exact(table).pvalue),
        float(stats.fisher_exact(table, alternative="less").pvalue),
    )


def cohens_h(p1: float, p2: float) -> float:
    """Size of the difference of two shares on the arcsine scale (Cohen 1988): p1 against p2."""
    return 2 * math.asin(math.sqrt(p1)) - 2 * math.asin(math.sqrt(p2))
