"""Pure. Several tests at once: p-values corrected, so that one of many does not win by chance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def holm(p: Sequence[float]) -> list[float]:
    """Adjusted p-values that keep the chance of any false winner below α (Holm 1979)."""
    found = np.asarray(p, dtype=float)
    order = np.argsort(found, kind="stable")
    steps = found[order] * np.arange(len(found), 0, -1)
    return _back(np.minimum(1.0, np.maximum.accumulate(steps)), order)


def benjamini_hochberg(p: Sequence[float]) -> list[float]:
    """Adjusted p-values that keep the expected share of false winners below α.

    Benjamini and Hochberg 1995 (JRSS B 57:289).
    """
    found = np.asarray(p, dtype=float)
    order = np.argsort(found, kind="stable")
    steps = found[order] * len(found) / np.arange(1, len(found) + 1)
    return _back(np.minimum(1.0, np.minimum.accumulate(steps[::-1])[::-1]), order)


def bonferroni(p: Sequence[float]) -> list[float]:
    """Each p times their number."""
    return [min(1.0, each * len(p)) for each in p]


def of_phase(alpha: float, phase: int) -> float:
    """What a phase, counted from 1, may spend: α, then half of it, a quarter, …

    Each phase counts its users anew and so has its own chance of a false winner. Over all phases they add
    up to `spent` by the union bound, below 2α however many there are; a test of one phase keeps α as planned.
    """
    return alpha / 2 ** (phase - 1)


def spent(alpha: float, phase: int) -> float:
    """The most that the chance of a false winner has come to in so many phases: (2 − 2^(1 − phase)) α."""
    return 2 * alpha - of_phase(alpha, phase)


def _back(values: np.ndarray, order: np.ndarray) -> list[float]:
    out = np.empty(len(values))
    out[order] = values
    return [float(value) for value in out]
