"""Pure. What would help a model next, from what its answers and its training show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from core.evaluations.calibration import Calibration
from core.evaluations.intervals import Interval
from core.evaluations.slices import Slice

MOST = 4
"""Pieces of advice given: more is read by nobody."""
GAP = 0.10
"""Train accuracy above test accuracy by this much: learnt by heart."""
SURE = 0.95
"""A wrong answer given with this confidence makes the label itself doubtful."""
LEAST_PAIR = 3
RARE = 0.75
"""A label with fewer training images than this share of the middle label's has few."""
WIDE = 0.10
"""An interval of accuracy this wide cannot tell most improvements from chance."""
OVERCONFIDENT = 0.05
LATE = 0.9
"""The best epoch lies in the last tenth: the training was still getting better."""


@dataclass(frozen=True)
class Facts:
    labels: Sequence[str]
    trained: Mapping[str, int]
    """Training images by label."""
    right: np.ndarray
    truth: np.ndarray
    confidence: np.ndarray
    accuracy: Interval
    mistakes: Sequence[tuple[str, str, int]]
    slices: Sequence[Slice]
    calibration: Calibration
    best_epoch: int
    epochs: int
    train_accuracy: float | None


@dataclass(frozen=True)
class Advice:
    """One thing to do. `kind` says what (see core.evaluations.words), `gain` how many test images it is about."""

    kind: str
    gain: float
    fields: Mapping[str, Any] = field(default_factory=dict)
    rows: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    """Places of the images to look at, (m,)."""


def advise(facts: Facts) -> list[Advice]:
    """At most MOST pieces, the one about most images first."""
    n = len(facts.right)
    wrong = n - int(facts.right.sum())
    found = [
        *_epochs(facts, wrong),
        *_by_heart(facts, n),
        *_weak_label(facts),
        *_mistaken(facts),
        *_slice(facts),
        *_doubtful(facts),
        *_overconfident(facts, n),
        *_few_tests(facts, n),
    ]
    return sorted(found, key=lambda each: -each.gain)[:MOST]


def _epochs(facts: Facts, wrong: int) -> list[Advice]:
    if facts.epochs < 3 or facts.best_epoch <= LATE * facts.epochs or not wrong:
        return []
    return [Advice("more-epochs", wrong / 2, {"best": facts.best_epoch, "epochs": facts.epochs})]


def _by_heart(facts: Facts, n: int) -> list[Advice]:
    if facts.train_accuracy is None:
        return []
    gap = facts.train_accuracy - facts.accuracy.value
    if gap < GAP:
        return []
    return [Advice("by-heart", gap * n / 2, {"train": facts.train_accuracy, "test": facts.accuracy.value})]


def _weak_label(facts: Facts) -> list[Advice]:
    """The label that misses most and has fewer training images than the middle label."""
    middle = float(np.median(list(facts.trained.values())))
    weak = []
    for place, label in enumerate(facts.labels):
        of_label = facts.truth == place
        tested = int(of_label.sum())
        missed = tested - int(facts.right[of_label].sum())
        rare = facts.trained[label] < RARE * middle
        if tested and rare and missed / tested > 1 - facts.accuracy.value:
            weak.append((missed, label, tested))
    if not weak:
        return []
    missed, label, tested = max(weak)
    fields = {"label": label, "trained": facts.trained[label], "middle": round(middle), "missed": missed}
    return [Advice("few-images", missed, {**fields, "tested": tested})]


def _mistaken(facts: Facts) -> list[Advice]:
    if not facts.mistakes:
        return []
    true, said, count = facts.mistakes[0]
    wrong = sum(n for *_pair, n in facts.mistakes)
    if count < LEAST_PAIR:
        return []
    return [Advice("mistaken", count, {"true": true, "said": said, "n": count, "wrong": wrong})]


def _slice(facts: Facts) -> list[Advice]:
    for each in facts.slices:
        if each.differs and each.missed >= 1:
            return [Advice("slice", each.missed, {"slice": each}, each.rows[~facts.right[each.rows]])]
    return []


def _doubtful(facts: Facts) -> list[Advice]:
    rows = np.flatnonzero(~facts.right & (facts.confidence >= SURE))
    if not len(rows):
        return []
    rows = rows[np.argsort(-facts.confidence[rows], kind="stable")]
    return [Advice("doubtful", len(rows), {"n": len(rows), "sure": SURE}, rows)]


def _overconfident(facts: Facts, n: int) -> list[Advice]:
    found = facts.calibration
    if found.overconfidence < OVERCONFIDENT:
        return []
    return [Advice("overconfident", found.overconfidence * n / 4, {"by": found.overconfidence})]


def _few_tests(facts: Facts, n: int) -> list[Advice]:
    width = facts.accuracy.high - facts.accuracy.low
    if width < WIDE:
        return []
    return [
        Advice("few-tests", width * n / 4, {"n": n, "low": facts.accuracy.low, "high": facts.accuracy.high})
    ]
