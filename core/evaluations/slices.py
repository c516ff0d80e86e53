"""Pure. Kinds of images on which a model does worse or better than on the others.

Each kind is tested against all other images (Fisher's exact test, two-sided); because many are
tested at once, p is Holm's (Scandinavian Journal of Statistics 6, 1979, 65–70).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from core.ab.many import holm
from core.evaluations.intervals import Interval, wilson

LEAST = 20
"""Images that a kind must have; fewer tell nothing."""
MOST_KINDS = 12
"""Kinds shown of one feature, the largest."""
LEVEL = 0.05
THIRDS = ("low", "middle", "high")


@dataclass(frozen=True)
class Slice:
    feature: str
    kind: str
    """A category, or one of THIRDS of a measured feature."""
    bounds: tuple[float, float] | None
    """Lowest and highest value of a third."""
    n: int
    right: Interval
    others: float
    """Share of right answers among all other images."""
    p: float
    """Holm-adjusted over all slices."""
    rows: np.ndarray
    """Places of its images, (n,)."""

    @property
    def differs(self) -> bool:
        """More than chance would make it."""
        return self.p < LEVEL

    @property
    def missed(self) -> float:
        """Wrong answers that would be right if this kind were as easy as the others."""
        return max(0.0, (self.others - self.right.value) * self.n)


def slices(
    right: np.ndarray, numbers: Mapping[str, np.ndarray], categories: Mapping[str, Sequence[str | None]]
) -> list[Slice]:
    """Of n images, `right` (n,) bool: by thirds of each number (n,), NaN left out, and by category, None left out.

    Those that differ first, worst first; a kind that all images share is none.
    """
    from scipy.stats import fisher_exact

    found: list[tuple[str, str, tuple[float, float] | None, np.ndarray]] = []
    for feature, values in numbers.items():
        known = np.flatnonzero(np.isfinite(values))
        if len(known) and values[known].min() < values[known].max():
            edges = np.quantile(values[known], [1 / 3, 2 / 3])
            thirds = np.searchsorted(edges, values[known], side="left")
            for number, kind in enumerate(THIRDS):
                rows = known[thirds == number]
                if len(rows):
                    found.append((feature, kind, (values[rows].min(), values[rows].max()), rows))
    for feature, names in categories.items():
        by_kind: dict[str, list[int]] = {}
        for row, name in enumerate(names):
            if name is not None:
                by_kind.setdefault(name, []).append(row)
        largest = sorted(by_kind.items(), key=lambda each: (-len(each[1]), each[0]))[:MOST_KINDS]
        found += [(feature, kind, None, np.array(rows)) for kind, rows in largest]
    found = [each for each in found if LEAST <= len(each[3]) < len(right)]
    if not found:
        return []
    total, chances, shares = int(right.sum()), [], []
    for *_rest, rows in found:
        inside = int(right[rows].sum())
        others = len(right) - len(rows)
        table = [[inside, len(rows) - inside], [total - inside, others - total + inside]]
        chances.append(float(fisher_exact(table).pvalue))
        shares.append((inside, (total - inside) / others))
    adjusted = holm(chances)
    made = [
        Slice(feature, kind, bounds, len(rows), wilson(inside, len(rows)), others, p, rows)
        for (feature, kind, bounds, rows), (inside, others), p in zip(found, shares, adjusted, strict=True)
    ]
    return sorted(made, key=lambda each: (not each.differs, each.right.value - each.others))
