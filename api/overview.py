"""Where a theme's labelling stands, and checks of its labels."""

from __future__ import annotations

from datetime import date

from fastapi import Query
from pydantic import BaseModel, ConfigDict

from api.deps import Bench, Id, Labeler, Viewer
from api.labelling import Number
from api.router import Router
from api.themes import StatisticsOut, statistics_out
from core import label_checks, learning_curve, overview, themes

router = Router(tags=["overview"])


class PointOut(BaseModel):
    labels: int
    accuracy: float
    n: int


class ForecastOut(BaseModel):
    more: int
    now: float
    then: float
    low: float
    high: float


class PaceOut(BaseModel):
    day: date
    person: str
    labels: int


class RateOut(BaseModel):
    n: int
    wrong: int
    low: float
    high: float


class OverviewOut(BaseModel):
    statistics: StatisticsOut
    points: list[PointOut]
    forecast: ForecastOut | None
    pace: list[PaceOut]
    seconds_per_label: float | None
    label_errors: RateOut


class ChecksOut(BaseModel):
    ids: list[int]


class CheckIn(BaseModel):
    model_config = ConfigDict(extra="forbid")
    image_id: Number
    label_id: Number


class NotedOut(BaseModel):
    noted: int


@router.get("/theme/{theme_id}/overview")
def get_overview(
    wb: Bench, user: Viewer, theme_id: Id, more: int = Query(200, ge=1, le=1_000_000)
) -> OverviewOut:
    """Counts, what each training found, what `more` labels should bring, pace, and the rate of wrong labels."""
    themes.get(wb, theme_id)
    points = overview.curve_points(wb, theme_id)
    curve = learning_curve.fit(points)
    statistics = statistics_out(wb, theme_id)
    forecast = None
    if curve is not None:
        found = learning_curve.forecast(curve, statistics.labelled, more)
        forecast = ForecastOut(more=more, now=found.now, then=found.then, low=found.low, high=found.high)
    return OverviewOut(
        statistics=statistics,
        points=[PointOut(**vars(point)) for point in points],
        forecast=forecast,
        pace=[PaceOut(**vars(each)) for each in overview.pace(wb, theme_id)],
        seconds_per_label=overview.seconds_per_label(wb, theme_id),
        label_errors=RateOut(**vars(label_checks.rate(wb, theme_id))),
    )


@router.get("/theme/{theme_id}/checks")
def get_checks(wb: Bench, user: Labeler, theme_id: Id, n: int = Query(20, ge=1, le=500)) -> ChecksOut:
    """Images to look at without their label: show the file, ask for a label, post it."""
    themes.get(wb, theme_id)
    return ChecksOut(ids=label_checks.to_check(wb, user, theme_id, n))


@router.post("/theme/{theme_id}/checks")
def post_checks(wb: Bench, user: Labeler, theme_id: Id, body: list[CheckIn]) -> NotedOut:
    """Labels stay as they are; the answers tell how many of them are wrong."""
    answers = [(each.image_id, each.label_id) for each in body]
    return NotedOut(noted=label_checks.answer(wb, user, theme_id, answers))
