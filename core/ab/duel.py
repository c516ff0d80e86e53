"""Pure. Duels: who wins when both answer the same question (Bradley and Terry 1952)."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from core.errors import InvalidInput

ELO = 400 / math.log(10)
"""Elo points a unit of ability."""
DRAWS = 20_000
"""Draws of the bootstrap: the interval's ends are then right to about 0.002."""
FEW = 10
"""Judged items below which no preference is claimed, whatever the interval says."""

Tally = tuple[int, int, int]
"""Judgements of one item: how many preferred A, neither, B."""


@dataclass(frozen=True)
class Preference:
    """How often B is preferred to A, as a share of the items from 0 to 1; a tie counts half."""

    items: int
    win: float
    low: float
    high: float

    @property
    def winner(self) -> str | None:
        """“A” or “B” where the interval leaves one side alone and there are items enough, else None."""
        if self.items < FEW or self.low <= 0.5 <= self.high:
            return None
        return "B" if self.low > 0.5 else "A"

    @property
    def elo(self) -> tuple[float, float, float]:
        """The gap in Elo points (estimate, low, high), B minus A; infinite where a share is 0 or 1."""
        return elo(self.win), elo(self.low), elo(self.high)


def elo(share: float) -> float:
    """Elo points by which a side leads that wins this share: Bradley and Terry's gap of two, times ELO."""
    if not 0 < share < 1:
        return math.inf if share >= 1 else -math.inf
    return ELO * math.log(share / (1 - share))


def preference(items: Iterable[Tally], *, alpha: float = 0.05, seed: int = 0) -> Preference:
    """The share of items in which B is preferred, with an interval that holds 1 − alpha of the bootstrap.

    The unit is the item: its judges' mean is one value, so a second judge who says the same
    adds nothing. The bootstrap is Rubin's (1981, Annals of Statistics 9:130), with half an
    imagined item won by either side. Where each item is judged once and no tie occurs it is
    therefore Jeffreys' interval, and where one side won everything it still gives a bound
    (Brown, Cai, DasGupta 2001, Statistical Science 16:101). Exchanging A and B mirrors it.
    Raises InvalidInput where nothing is judged.
    """
    scores = Counter(Fraction(2 * b + tie, 2 * (a + tie + b)) for a, tie, b in items if a + tie + b)
    if not scores:
        raise InvalidInput("Nothing has been judged yet.")
    seen = sorted(scores.items())
    mirrored = sorted((1 - score, n) for score, n in seen)
    # One of the two mirror images is drawn for both, so that they get the same numbers.
    low, high = _bounds(min(seen, mirrored), alpha, seed)
    if seen == mirrored:
        reach = (high - low) / 2
        low, high = 0.5 - reach, 0.5 + reach
    elif mirrored < seen:
        low, high = 1 - high, 1 - low
    n = scores.total()
    return Preference(n, float(sum(score * times for score, times in seen) / n), low, high)


def _bounds(seen: Sequence[tuple[Fraction, int]], alpha: float, seed: int) -> tuple[float, float]:
    weights = np.random.default_rng(seed).standard_gamma(
        [*(float(n) for _, n in seen), 0.5, 0.5], size=(DRAWS, len(seen) + 2)
    )
    shares = weights @ np.array([*(float(score) for score, _ in seen), 0.0, 1.0]) / weights.sum(axis=1)
    low, high = np.quantile(shares, [alpha / 2, 1 - alpha / 2])
    return (0.0 if seen[-1][0] == 0 else float(low)), (1.0 if seen[0][0] == 1 else float(high))


def a_is_left(salt: str, item: int, judge: int) -> bool:
    """Whether this judge sees A's answer to this item on the left: by chance, but the same at each look."""
    return hashlib.sha256(f"{salt}\0{item}\0{judge}".encode()).digest()[0] % 2 == 0


def bradley_terry(wins: Sequence[Sequence[float]], reference: int) -> list[float]:
    """Abilities on the log-odds scale, the reference's being 0; wins[i][j] is how often i beat j.

    Ties count half to either. Maximum likelihood by Newton's method on the concave likelihood.
    Raises InvalidInput where it has no maximum: somebody, or a group, never lost or never won.
    """
    won = np.asarray(wins, dtype=float)
    n = len(won)
    if won.shape != (n, n) or (won < 0).any() or not 0 <= reference < n:
        raise InvalidInput("Wins must be a square table without numbers below 0.")
    _connected(won)
    games = won + won.T
    free = [i for i in range(n) if i != reference]
    ability = np.zeros(n)
    for _ in range(100):
        chance = 1 / (1 + np.exp(ability[None, :] - ability[:, None]))
        gradient = (won.sum(1) - (games * chance).sum(1))[free]
        weight = games * chance * (1 - chance)
        np.fill_diagonal(weight, 0)
        information = (np.diag(weight.sum(1)) - weight)[np.ix_(free, free)]
        step = np.linalg.solve(information, gradient)
        ability[free] += step / max(1.0, float(np.abs(step).max()))
        if float(np.abs(step).max()) < 1e-12:
            break
    return [float(value) for value in ability]


def _connected(won: np.ndarray) -> None:
    """Everybody must be reachable from everybody along wins (Ford 1957)."""
    n = len(won)
    reach = (won > 0) | np.eye(n, dtype=bool)
    for k in range(n):
        reach |= reach[:, [k]] & reach[[k], :]
    if not reach.all():
        raise InvalidInput(
            "One side has won, or lost, every duel so far, so its lead has no upper bound; judge some more."
        )
