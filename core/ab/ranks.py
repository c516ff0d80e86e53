"""Pure. Ordered answers such as 1–5 stars, where only greater and smaller count."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from core.errors import InvalidInput


@dataclass(frozen=True)
class Ordinal:
    """How often B is above A: `superiority` is P(B>A) + ½P(B=A)."""

    superiority: float
    low: float
    high: float
    statistic: float
    df: float
    p: float


@dataclass(frozen=True)
class RankSum:
    """Mann–Whitney: U of the second group, z without continuity correction, two-sided p."""

    u_b: float
    z: float
    p: float


def brunner_munzel(a: Sequence[int], b: Sequence[int], alpha: float = 0.05) -> Ordinal:
    """Test and interval from two histograms over the same ordered values, lowest first.

    Brunner and Munzel 2000 (Biometrical Journal 42:17). Works from counts alone, so ten
    million ratings cost as much as ten. Raises InvalidInput for fewer than two answers an arm.
    """
    first, second = _counts(a, b)
    n_a, n_b = first.sum(), second.sum()
    # Placements: for a value of one arm, how much of the other lies below it (ties count half).
    below_a = (np.cumsum(first) - first / 2) / n_a
    below_b = (np.cumsum(second) - second / 2) / n_b
    superiority = float((second * below_a).sum() / n_b)
    s_a = float((first * (below_b - (1 - superiority)) ** 2).sum() / (n_a - 1))
    s_b = float((second * (below_a - superiority) ** 2).sum() / (n_b - 1))
    variance = s_a / n_a + s_b / n_b
    if not variance:
        return Ordinal(superiority, superiority, superiority, math.nan, math.nan, float(superiority == 0.5))
    df = float(variance**2 / ((s_a / n_a) ** 2 / (n_a - 1) + (s_b / n_b) ** 2 / (n_b - 1)))
    se = math.sqrt(variance)
    w = (superiority - 0.5) / se
    reach = float(stats.t.ppf(1 - alpha / 2, df)) * se
    p = 2 * float(stats.t.sf(abs(w), df))
    return Ordinal(superiority, max(0.0, superiority - reach), min(1.0, superiority + reach), w, df, p)


def mann_whitney_counts(a: Sequence[int], b: Sequence[int]) -> RankSum:
    """From two histograms over the same ordered values, with the variance corrected for ties."""
    first, second = _counts(a, b)
    n_a, n_b = float(first.sum()), float(second.sum())
    n = n_a + n_b
    u_b = float((second * (np.cumsum(first) - first / 2)).sum())
    ties = first + second
    variance = n_a * n_b / 12 * (n + 1 - float((ties**3 - ties).sum()) / (n * (n - 1)))
    z = (u_b - n_a * n_b / 2) / math.sqrt(variance) if variance else 0.0
    return RankSum(u_b, z, 2 * float(stats.norm.sf(abs(z))))


def histogram(values: Sequence[float], levels: Sequence[float]) -> list[int]:
    """How often each level occurs among the values."""
    return [int(sum(value == level for value in values)) for level in levels]


def _counts(a: Sequence[int], b: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    first, second = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if first.shape != second.shape or first.ndim != 1 or (first < 0).any() or (second < 0).any():
        raise InvalidInput("Two histograms must count the same values, with no count below 0.")
    if first.sum() < 2 or second.sum() < 2:
        raise InvalidInput(
            "A group has {n} users with a value; a comparison needs at least two.",
            n=int(min(first.sum(), second.sum())),
        )
    return first, second
