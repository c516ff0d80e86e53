"""Pure. Do the arms hold as many users as the weights say? If not, nothing else may be believed.

Who looks often decides by `sequential`, which stays right; `fixed` is right for one look only. A test has
several counts of its users; `any_time` and `once` are the same for the worst of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import special

from core.errors import InvalidInput

ALARM = 0.001
"""p below which a split is broken."""


def fixed(users: Sequence[int], weights: Sequence[float]) -> float:
    """p of chi-square over the arms whose weight is above 0, for one look; 1 without users."""
    found, shares = _shares(users, weights)
    if not found.sum():
        return 1.0
    expected = found.sum() * shares
    # Not from scipy.stats, whose import takes a second that every start of the app would wait.
    return float(special.chdtrc(len(found) - 1, ((found - expected) ** 2 / expected).sum()))


def log_bayes_factor(
    users: Sequence[int], weights: Sequence[float], prior: Sequence[float] | None = None
) -> float:
    """ln of the Bayes factor against the planned split; its reciprocal is a p at every look.

    Multinomial with a Dirichlet prior (all ones when not given): Lindon and Malek (arXiv:2011.03567).
    """
    found, shares = _shares(users, weights)
    a = np.ones(len(found)) if prior is None else np.asarray(prior, dtype=float)[np.asarray(weights) > 0]
    log = special.gammaln(a.sum()) - special.gammaln(a.sum() + found.sum())
    log += float((special.gammaln(a + found) - special.gammaln(a)).sum())
    return float(log - (found * np.log(shares)).sum())


def sequential(users: Sequence[int], weights: Sequence[float], before: float = 1.0) -> float:
    """Always-valid p: the smallest 1/BF at any look; `before` is its value at the last look."""
    return min(1.0, before, math.exp(min(0.0, -log_bayes_factor(users, weights))))


def any_time(counts: Sequence[Sequence[int]], weights: Sequence[float], before: float = 1.0) -> float:
    """`sequential` for several counts of the same users: the smallest p, times their number (Bonferroni).

    `before` is what this came to at the last look.
    """
    return min(before, len(counts) * min(sequential(users, weights) for users in counts), 1.0)


def once(counts: Sequence[Sequence[int]], weights: Sequence[float]) -> float:
    """`fixed` for several counts of the same users: the smallest p, times their number (Bonferroni)."""
    return min(len(counts) * min(fixed(users, weights) for users in counts), 1.0)


def _shares(users: Sequence[int], weights: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    counts, shares = np.asarray(users, dtype=float), np.asarray(weights, dtype=float)
    if counts.shape != shares.shape or (shares < 0).any() or not shares.sum() or (counts < 0).any():
        raise InvalidInput("Give one count and one weight an arm, none below 0, and one weight above 0.")
    used = shares > 0
    return counts[used], shares[used] / shares[used].sum()
