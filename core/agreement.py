"""Pure. How far people who labelled the same images agree, beyond what chance would give."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

Votes = Mapping[int, Mapping[int, int]]
"""{image: {person: label}}."""


@dataclass(frozen=True)
class Pair:
    a: int
    b: int
    n: int
    """Images that both labelled."""
    same: int
    kappa: float | None
    """Cohen's; None where it is not defined."""


@dataclass(frozen=True)
class LabelAgreement:
    label: int
    n: int
    """Pairs of votes of which at least one says this label."""
    same: int
    """… and both do."""


def pairs(votes: Votes) -> list[Pair]:
    """Every two people with images in common, those with most first."""
    common: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for given in votes.values():
        for a, b in combinations(sorted(given), 2):
            common.setdefault((a, b), []).append((given[a], given[b]))
    found = [
        Pair(a, b, len(both), sum(x == y for x, y in both), cohen(both)) for (a, b), both in common.items()
    ]
    return sorted(found, key=lambda pair: (-pair.n, pair.a, pair.b))


def by_label(votes: Votes) -> list[LabelAgreement]:
    """For each label, how often two votes of which one says it agree; the least agreed on first."""
    n: Counter[int] = Counter()
    same: Counter[int] = Counter()
    for given in votes.values():
        for x, y in combinations(given.values(), 2):
            n.update({x, y})
            if x == y:
                same[x] += 1
    found = [LabelAgreement(label, n[label], same[label]) for label in n]
    return sorted(found, key=lambda each: (each.same / each.n, -each.n, each.label))


def cohen(both: list[tuple[int, int]]) -> float | None:
    """Cohen's kappa (1960) of two people's labels of the same images, by scikit-learn; None where undefined."""
    if not both or len({label for pair in both for label in pair}) < 2:
        return None
    from sklearn.metrics import cohen_kappa_score

    value = float(cohen_kappa_score([x for x, _ in both], [y for _, y in both]))
    return value if np.isfinite(value) else None


def fleiss(counts: np.ndarray) -> float | None:
    """Fleiss' kappa (1971) of an images × labels table of votes, each row with the same sum n ≥ 2."""
    counts = np.asarray(counts, dtype=np.float64)
    if not len(counts) or counts[0].sum() < 2:
        return None
    raters = counts[0].sum()
    observed = ((counts**2).sum(axis=1) - raters) / (raters * (raters - 1))
    expected = float(((counts.sum(axis=0) / counts.sum()) ** 2).sum())
    return None if expected >= 1 else float((observed.mean() - expected) / (1 - expected))


def fleiss_of(votes: Votes) -> float | None:
    """Fleiss' kappa over the images with the commonest number (two or more) of votes."""
    sizes = Counter(len(given) for given in votes.values() if len(given) >= 2)
    if not sizes:
        return None
    size = max(sizes, key=lambda n: (sizes[n], n))
    chosen = [given for given in votes.values() if len(given) == size]
    return fleiss(_table(chosen))


def krippendorff(votes: Votes) -> float | None:
    """Krippendorff's alpha (2011) for nominal data; images with any number of votes, missing ones allowed."""
    table = _table([given for given in votes.values() if len(given) >= 2])
    if not table.size:
        return None
    each = table.sum(axis=1)
    disagreeing = (each**2 - (table**2).sum(axis=1)) / (each - 1)
    totals = table.sum(axis=0)
    n = totals.sum()
    expected = (n**2 - (totals**2).sum()) / (n - 1)
    return None if expected == 0 else float(1 - disagreeing.sum() / expected)


def chance(votes: Votes) -> float | None:
    """How often two votes would agree if labels were dealt by their frequency alone."""
    totals = Counter(label for given in votes.values() if len(given) >= 2 for label in given.values())
    n = sum(totals.values())
    return sum((count / n) ** 2 for count in totals.values()) if n else None


def _table(chosen: list[Mapping[int, int]]) -> np.ndarray:
    labels = {label: at for at, label in enumerate(sorted({x for given in chosen for x in given.values()}))}
    table = np.zeros((len(chosen), len(labels)))
    for row, given in enumerate(chosen):
        for label in given.values():
            table[row, labels[label]] += 1
    return table
