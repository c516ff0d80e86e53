"""What a run's answers say, and several runs beside each other."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal

from fastapi import Request
from pydantic import BaseModel

from api import problems
from api.deps import Bench, Id, Viewer
from api.router import Router
from core.errors import InvalidInput
from core.evaluations import compared, report, words
from core.evaluations.compared import Comparison
from core.evaluations.intervals import Interval
from core.evaluations.report import Report

router = Router(tags=["training"])


class IntervalOut(BaseModel):
    """A mark and its interval at 95 %."""

    value: float
    low: float
    high: float


class SliceOut(BaseModel):
    feature: str
    kind: str
    bounds: tuple[float, float] | None
    n: int
    right: IntervalOut
    others: float
    p: float
    """Fisher's exact, Holm-adjusted over all slices."""


class EvaluationOut(BaseModel):
    run_id: int
    split: str
    n: int
    accuracy: IntervalOut
    macro_f1: IntervalOut
    ece: float
    """Expected calibration error, 15 bins."""
    brier: float
    reliability: list[dict[str, Any]]
    slices: list[SliceOut]
    mistakes: list[tuple[str, str, int]]
    """(true label, what the model said, images)."""
    advice: list[str]


class PairOut(BaseModel):
    other: int
    difference: float
    """The best run's mark minus this one's."""
    low: float
    high: float
    p: float
    """McNemar's, exact, Holm-adjusted."""
    agreement: float


class ComparisonOut(BaseModel):
    runs: list[int]
    n: int
    """Test images that all answered."""
    best: int | None
    sentence: str
    marks: dict[int, IntervalOut | None]
    pairs: list[PairOut]
    parameters: dict[str, list[Any]]
    code: bool
    data: dict[int, dict[str, int]]
    """What later runs' images have that the first's have not."""


def interval_out(found: Interval) -> IntervalOut:
    return IntervalOut(**asdict(found))


@router.get("/runs/compare", summary="Two to ten finished runs on the test images that all answered")
def compare(request: Request, wb: Bench, _user: Viewer, runs: str) -> ComparisonOut:
    """`runs` are their numbers with commas between."""
    problems.speak(request)
    try:
        ids = [int(part) for part in runs.split(",")]
    except ValueError:
        raise InvalidInput(
            "“{runs}” is no list of runs; write their numbers with commas between.", runs=runs[:80]
        ) from None
    return comparison_out(compared.of_runs(wb, ids))


def comparison_out(found: Comparison) -> ComparisonOut:
    """In the language that was last asked for."""
    judged = found.judged
    return ComparisonOut(
        runs=list(found.ids),
        n=len(found.shared),
        best=judged.best if judged else None,
        sentence=words.verdict(found),
        marks={mark.run.id: interval_out(mark.accuracy) if mark.accuracy else None for mark in found.marks},
        pairs=[
            PairOut(
                other=pair.other,
                difference=pair.paired.difference,
                low=pair.paired.low,
                high=pair.paired.high,
                p=pair.p,
                agreement=pair.agreement,
            )
            for pair in (judged.pairs if judged else ())
        ],
        parameters={name: list(values) for name, values in found.parameters.items()},
        code=found.code,
        data={run_id: asdict(changes) for run_id, changes in found.data.items()},
    )


@router.get("/runs/{run_id}/evaluation", summary="Marks with intervals, calibration, kinds of images, advice")
def evaluation(
    request: Request, wb: Bench, _user: Viewer, run_id: Id, split: Literal["test", "valid"] = "test"
) -> EvaluationOut:
    problems.speak(request)
    return evaluation_out(report.of_run(wb, run_id, split))


def evaluation_out(found: Report) -> EvaluationOut:
    """In the language that was last asked for."""
    return EvaluationOut(
        run_id=found.run_id,
        split=found.split,
        n=len(found.answers.ids),
        accuracy=interval_out(found.accuracy),
        macro_f1=interval_out(found.macro_f1),
        ece=found.calibration.ece,
        brier=found.calibration.brier,
        reliability=[asdict(each) for each in found.calibration.bins],
        slices=[
            SliceOut(
                feature=each.feature,
                kind=each.kind,
                bounds=each.bounds,
                n=each.n,
                right=interval_out(each.right),
                others=each.others,
                p=each.p,
            )
            for each in found.slices
        ],
        mistakes=list(found.mistakes),
        advice=[words.advice(each) for each in found.advice],
    )
