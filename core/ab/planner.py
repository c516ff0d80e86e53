"""Pure. How many users and days a test needs, and what it would miss.

Power is that of the rule that decides, the confidence sequence at the planned number of users, not that
of a test with a fixed n; with several variants each gets its part of α, as in the analysis.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from core.ab import power, sequences
from core.ab.plan import MAX_USERS, MIN_USERS
from core.errors import InvalidInput

USUAL = {
    "rating": (3.5, 1.15),
    "satisfied": (0.6, 0.49),
    "error_rate": (0.05, 0.22),
    "response_time_ms": (300.0, 200.0),
    "cost": (1.0, 1.0),
}
"""(mean, SD a user) where nothing was logged yet; the ratings' SD is that of public star ratings."""
ENOUGH = 30
"""Users with a value from which on a theme's own logs replace the usual values."""
FOUND = 0.8
"""The share of tests in which a difference is found that the test is planned for."""
TRAP = 30
"""Users a variant that a rule of thumb calls enough."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Past:
    """Users of a theme's earlier tests. `values` has one array of shape (users, 2) a metric, the users in the
    order of their coming: of how many (x) each had how much (y), NaN for a user without a value.
    """

    users: int
    """All that were assigned, not only those in the sample."""
    users_a_day: float | None
    """Had the tests been open to all of the theme's users; None where they ran less than a day."""
    values: Mapping[str, Values]


@dataclass(frozen=True)
class Seen:
    """What one metric was like: mean and SD a user, and the share of users who had a value at all.

    `own` says that it was measured in this theme's tests; else they are usual values and everybody has one.
    """

    mean: float
    sd: float
    answering: float
    own: bool


@dataclass(frozen=True)
class Advice:
    users: int
    """With a value, all variants together."""
    people: int
    """Who must take part so that so many have a value."""
    days: int | None
    """None where it is not known how many come a day."""
    trap: float
    """The smallest difference that 30 users a variant find in 80 of 100 tests."""


def seen(past: Past, metric: str) -> Seen:
    """The metric over a theme's past users; the SD of a ratio is that of its linearised users."""
    values = past.values[metric]
    x, y = values[~np.isnan(values[:, 0])].T
    if len(x) < ENOUGH:
        return Seen(*USUAL[metric], 1.0, False)
    mean = float(y.sum() / x.sum())
    sd = float((y - mean * x).std(ddof=1) / x.mean())
    if not sd:
        return Seen(*USUAL[metric], 1.0, False)
    return Seen(mean, sd, len(x) / len(values), True)


def smallest(of: Seen, users: float, weights: Sequence[float], alpha: float = 0.05) -> float:
    """The difference that a test planned for so many users finds in 80 of 100 cases, whichever variant has it."""
    return max(_errors(weight, weights, alpha) for weight in weights[1:] if weight) * of.sd / math.sqrt(users)


def advise(
    of: Seen,
    minimum: float,
    weights: Sequence[float] = (0.5, 0.5),
    alpha: float = 0.05,
    users_a_day: float | None = None,
) -> Advice:
    """What it takes to find `minimum`; `users_a_day` are those who would take part.

    Raises InvalidInput where it takes more users than a plan may have.
    """
    exact = (smallest(of, 1, weights, alpha) / minimum) ** 2
    least = sequences.MIN_USERS / min(weight for weight in weights if weight)
    exact = max(exact, least, MIN_USERS)
    if exact > MAX_USERS:
        raise InvalidInput("No number of users is enough for this; look for a larger difference.")
    users = rounded(exact)
    people = rounded(users / of.answering)
    days = max(1, math.ceil(people / users_a_day)) if users_a_day else None
    return Advice(users, people, days, power.detectable(TRAP, of.sd))


def rounded(users: float) -> int:
    """Up to two digits: more would look surer than it is."""
    step = 10 ** max(0, math.floor(math.log10(users)) - 1)
    return math.ceil(users / step - 1e-9) * step


def _errors(weight: float, weights: Sequence[float], alpha: float) -> float:
    """The difference found in `FOUND` of cases with one user in all, in SDs of a user."""
    part = weights[0] + weight
    level = alpha / (len(weights) - 1)
    far = float(sequences.reach(part, 1.0, level)) + float(special.ndtri(FOUND))
    return far * math.sqrt(1 / weights[0] + 1 / weight)
