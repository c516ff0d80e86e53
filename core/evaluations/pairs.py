"""Pure. Several models' answers to the same images: which is best, and whether that is more than chance.

Pairs are judged as in core.quality.effect (exact McNemar, Newcombe's interval); p is Holm's over
all pairs with the best, since the best was chosen by looking.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from core.ab.many import holm
from core.quality.effect import Paired, paired

LEVEL = 0.05


@dataclass(frozen=True)
class Pair:
    """The best model and another one: `paired` has the other as “before” and the best as “after”."""

    other: int
    paired: Paired
    p: float
    """Holm-adjusted."""
    agreement: float
    """Share of images to which both said the same, right or wrong."""

    @property
    def certain(self) -> bool:
        """More than chance would make it."""
        return self.p < LEVEL


@dataclass(frozen=True)
class Judged:
    n: int
    """Images that all have answered."""
    best: int
    pairs: tuple[Pair, ...]
    """The best with every other, the closest first."""

    @property
    def tied(self) -> tuple[int, ...]:
        """Others that may be as good: their distance to the best is within noise."""
        return tuple(pair.other for pair in self.pairs if not pair.certain)


def judge(answers: Mapping[int, np.ndarray], truth: np.ndarray) -> Judged:
    """Of at least two models by their id: `answers` (n,) and `truth` (n,) in one numbering of labels, n ≥ 1."""

    right = {number: said == truth for number, said in answers.items()}
    # Of equals the newest: it has seen what the others have.
    best = max(right, key=lambda number: (int(right[number].sum()), number))
    others = [number for number in right if number != best]
    found = [paired(right[number], right[best]) for number in others]
    adjusted = holm([each.p for each in found])
    pairs = [
        Pair(number, each, p, float((answers[number] == answers[best]).mean()))
        for number, each, p in zip(others, found, adjusted, strict=True)
    ]
    return Judged(
        len(truth), best, tuple(sorted(pairs, key=lambda pair: (pair.paired.difference, -pair.other)))
    )
