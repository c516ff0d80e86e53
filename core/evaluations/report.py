"""Stored. All that the answers of one finished run say: marks with intervals, calibration, slices, mistakes, advice."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from core import run_reports, runs
from core.errors import Conflict, NotFound
from core.evaluations import advice, answers, calibration, intervals, slices
from core.evaluations.advice import Advice
from core.evaluations.answers import Answers
from core.evaluations.calibration import Calibration
from core.evaluations.intervals import Interval
from core.evaluations.slices import Slice
from core.workbench import Workbench


@dataclass(frozen=True)
class Report:
    run_id: int
    split: str
    answers: Answers
    accuracy: Interval
    """Wilson's interval."""
    macro_f1: Interval
    """By the bootstrap over images."""
    calibration: Calibration
    slices: tuple[Slice, ...]
    mistakes: tuple[tuple[str, str, int], ...]
    """(true label, what the model said, images), the most frequent first."""
    advice: tuple[Advice, ...]
    """What would help next, the most promising first."""


def of_run(wb: Workbench, run_id: int, split: str = "test") -> Report:
    """Raises NotFound; Conflict where the run has no result, or kept no answers to single images."""
    run = runs.get(wb, run_id)
    if run.result is None:
        raise Conflict("Run {id} has no result; only a finished run can be judged.", id=run_id)
    found = answers.of_run(wb, run, split)
    if found is None:
        raise NotFound(
            "Run {id} did not keep its answers to single images of “{split}”.", id=run_id, split=split
        )
    right, k = found.right, len(found.labels)
    confusion = np.bincount(found.truth * k + found.predicted, minlength=k * k).reshape(k, k)
    parts = tuple(slices.slices(right, *answers.facts(wb, found.ids)))
    wrong = Counter(zip(found.truth[~right].tolist(), found.predicted[~right].tolist(), strict=True))
    mistakes = tuple((found.labels[true], found.labels[said], n) for (true, said), n in wrong.most_common())
    sure = calibration.calibration(found.probabilities, found.truth)
    accuracy = intervals.wilson(int(right.sum()), len(right))
    return Report(
        run_id,
        split,
        found,
        accuracy,
        intervals.macro_f1(confusion.tolist()),
        sure,
        parts,
        mistakes,
        tuple(
            advice.advise(
                advice.Facts(
                    labels=found.labels,
                    trained={
                        name: run.snapshot_counts.get("train", {}).get(name, 0) for name in found.labels
                    },
                    right=right,
                    truth=found.truth,
                    confidence=found.confidence,
                    accuracy=accuracy,
                    mistakes=mistakes,
                    slices=parts,
                    calibration=sure,
                    best_epoch=int(run.result["best_epoch"]),
                    epochs=int(run.result["epochs_run"]),
                    train_accuracy=_last(run_reports.metrics(wb, run.id).get("train_accuracy")),
                )
            )
        ),
    )


def images_of(report: Report, true: str, said: str) -> list[int]:
    """Ids of the images of one label that were called another (or rightly the same)."""
    found = report.answers
    if true not in found.labels or said not in found.labels:
        return []
    rows = (found.truth == found.labels.index(true)) & (found.predicted == found.labels.index(said))
    ids: list[int] = found.ids[rows].tolist()
    return ids


def _last(series: Any) -> float | None:
    return float(series[-1][2]) if series else None
