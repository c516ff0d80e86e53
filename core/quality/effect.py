"""Pure. What a repaired dataset changed: two runs on the same test images, and what differs between their data.

Newcombe, “Improved confidence intervals for the difference between binomial proportions based on
paired data”, Statistics in Medicine 17 (1998) 2635–2650, method 10; McNemar's test, exact.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

Row = tuple[int, str]
"""(label id, split)."""


@dataclass(frozen=True)
class Paired:
    """Right answers of two runs to the same images; shares 0–1."""

    n: int
    both: int
    """Images that both got right."""
    only_after: int
    only_before: int
    before: float
    after: float
    difference: float
    """After minus before."""
    low: float
    high: float
    """95 % interval of the difference."""
    p: float
    """Exact McNemar, two-sided: how often chance alone would favour one run so far."""


@dataclass(frozen=True)
class Changes:
    """What differs between two dataset versions, in images."""

    added: int = 0
    removed: int = 0
    relabelled: int = 0
    moved: int = 0
    """In another split than before."""

    @property
    def any(self) -> bool:
        return bool(self.added or self.removed or self.relabelled or self.moved)


def paired(before: np.ndarray, after: np.ndarray) -> Paired:
    """From whether each image was answered rightly (n, bool) by the run before and by this one; n ≥ 1."""
    from scipy.stats import binomtest

    before, after = np.asarray(before, dtype=bool), np.asarray(after, dtype=bool)
    both = int((before & after).sum())
    gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
    n = len(before)
    low, high = newcombe_paired(both, gained, lost, n - both - gained - lost)
    return Paired(
        n=n,
        both=both,
        only_after=gained,
        only_before=lost,
        before=(both + lost) / n,
        after=(both + gained) / n,
        difference=(gained - lost) / n,
        low=low,
        high=high,
        p=float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0,
    )


def newcombe_paired(both: int, first: int, second: int, neither: int) -> tuple[float, float]:
    """95 % interval of (first − second) / n: pairs in which both, only the first, only the second, neither is right.

    Newcombe (1998), method 10: Wilson's intervals of both shares, squared and added, with the
    correlation of the pairs corrected for continuity.
    """
    n = both + first + second + neither
    one, two = both + first, both + second
    (low_one, high_one), (low_two, high_two) = _wilson(one, n), _wilson(two, n)
    margins = one * (n - one) * two * (n - two)
    product = float(both * neither - first * second)
    if product > 0:
        product = max(0.0, product - n / 2)
    correlation = product / math.sqrt(margins) if margins else 0.0
    share_one, share_two = one / n, two / n
    difference = share_one - share_two
    down, up = (share_one - low_one, high_two - share_two), (high_one - share_one, share_two - low_two)
    return difference - _joined(*down, correlation), difference + _joined(*up, correlation)


def changes(before: Mapping[int, Row], after: Mapping[int, Row]) -> Changes:
    """Of two versions, each {image id: (label id, split)}."""
    shared = before.keys() & after.keys()
    return Changes(
        added=len(after.keys() - before.keys()),
        removed=len(before.keys() - after.keys()),
        relabelled=sum(before[each][0] != after[each][0] for each in shared),
        moved=sum(before[each][1] != after[each][1] for each in shared),
    )


def _joined(one: float, two: float, correlation: float) -> float:
    return math.sqrt(max(0.0, one * one - 2 * correlation * one * two + two * two))


def _wilson(successes: int, n: int) -> tuple[float, float]:
    from scipy.stats import binomtest

    found = binomtest(successes, n).proportion_ci(confidence_level=0.95, method="wilson")
    return float(found.low), float(found.high)
