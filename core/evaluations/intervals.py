"""Pure. How far chance alone may have moved a mark: the bootstrap over test images.

Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13 (percentile interval); the
number of images of each cell of the confusion matrix is then multinomial, so images need not be
drawn one by one. Wilson, JASA 22 (1927) 209–212, for a single share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

ROUNDS = 2_000
_CELLS = 4_000_000
"""Drawn numbers held at once: 32 MB."""


@dataclass(frozen=True)
class Interval:
    """A mark and its interval at 95 %."""

    value: float
    low: float
    high: float


def wilson(right: int, n: int) -> Interval:
    """A share of n ≥ 1 images; unlike the bootstrap it keeps its width where all or none are right."""
    from scipy.stats import binomtest

    found = binomtest(right, n).proportion_ci(confidence_level=0.95, method="wilson")
    return Interval(right / n, float(found.low), float(found.high))


def macro_f1(confusion: Sequence[Sequence[int]], rounds: int = ROUNDS, seed: int = 0) -> Interval:
    """Mean F1 over labels, a label without images counting as 0; `confusion` (k, k) has the truth in rows.

    The same matrix gives the same interval.
    """
    from scipy.sparse import csr_array

    matrix = np.asarray(confusion, dtype=np.int64)
    k, n = len(matrix), int(matrix.sum())
    truth, said = np.nonzero(matrix)
    cells = matrix[truth, said]
    at = np.arange(len(cells))
    in_row = csr_array((np.ones(len(cells)), (at, truth)), shape=(len(cells), k))
    in_column = csr_array((np.ones(len(cells)), (at, said)), shape=(len(cells), k))
    hit = csr_array((np.where(truth == said, 1.0, 0.0), (at, truth)), shape=(len(cells), k))

    def mean_f1(drawn: np.ndarray) -> np.ndarray:
        both = drawn @ in_row + drawn @ in_column
        return np.divide(2 * (drawn @ hit), both, out=np.zeros_like(both), where=both > 0).mean(axis=1)

    generator = np.random.default_rng(seed)
    step = max(1, _CELLS // len(cells))
    drawn = [
        mean_f1(generator.multinomial(n, cells / n, size=min(step, rounds - start)).astype(float))
        for start in range(0, rounds, step)
    ]
    low, high = np.quantile(np.concatenate(drawn), [0.025, 0.975])
    value = float(mean_f1(cells[None, :].astype(float))[0])
    return Interval(value, min(float(low), value), max(float(high), value))
