"""Stored. What a run told as it went: its metrics, log, validations and events."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from core.db.tables import run_events, run_metrics
from core.events import Type
from core.workbench import Workbench

MAX_POINTS = 1_000
"""Points a chart draws per series; more cannot be told apart on a screen."""


@dataclass(frozen=True)
class LogLine:
    at: datetime
    level: str
    message: str


def metrics(
    wb: Workbench, run_id: int, max_points: int = MAX_POINTS
) -> dict[str, list[tuple[int, float, float]]]:
    """Series of (step, epoch, value) by metric name, each thinned to at most `max_points` points (4 or more).

    Thinning keeps the first and the last point and the lowest and highest value of every bucket between, so spikes
    stay visible. The database does it: a chart refreshes in a fraction of the time that reading all points takes.
    """
    column = run_metrics.c
    later = sa.func.min(column.step).over(partition_by=column.name, order_by=column.number, rows=(1, None))
    found = (
        sa.select(column.name, column.number, column.step, column.epoch, column.value, later.label("later"))
        .where(column.run_id == run_id, column.value.is_not(None))
        .cte("found")
    )
    # What a lost attempt had measured after its last checkpoint is measured again by the next one.
    each = found.c
    numbered = (
        sa.select(
            each.name,
            each.number,
            each.step,
            each.epoch,
            each.value,
            sa.func.row_number().over(partition_by=each.name, order_by=each.number).label("place"),
            sa.func.count().over(partition_by=each.name).label("total"),
        )
        .where(sa.or_(each.later.is_(None), each.later > each.step))
        .cte("numbered")
    )
    point = numbered.c
    inner = sa.func.floor(
        (point.place - 2) * float((max_points - 2) // 2) / sa.func.nullif(point.total - 2, 0)
    )
    bucket = sa.case(
        (point.total <= max_points, sa.cast(point.place, sa.Double)),
        (point.place == 1, -1.0),
        (point.place == point.total, -2.0),
        else_=inner,
    )
    dealt = sa.select(
        point.name, point.number, point.step, point.epoch, point.value, bucket.label("bucket")
    ).cte("dealt")
    each = dealt.c
    inside = (each.name, each.bucket)
    ranked = sa.select(
        each.name,
        each.number,
        each.step,
        each.epoch,
        each.value,
        sa.func.row_number().over(partition_by=inside, order_by=(each.value, each.number)).label("low"),
        sa.func.row_number()
        .over(partition_by=inside, order_by=(each.value.desc(), each.number))
        .label("high"),
    ).cte("ranked")
    kept = ranked.c
    query = (
        sa.select(kept.name, kept.step, kept.epoch, kept.value)
        .where(sa.or_(kept.low == 1, kept.high == 1))
        .order_by(kept.name, kept.number)
    )
    series: dict[str, list[tuple[int, float, float]]] = {}
    with wb.db.read() as connection:
        for name, step, epoch, value in connection.execute(query):
            series.setdefault(name, []).append((step, epoch, value))
    return series


def logs(wb: Workbench, run_id: int, tail: int = 200, search: str = "") -> list[LogLine]:
    """The last lines of a run's log that contain `search` in capitals or not, oldest first."""
    query = (
        sa.select(run_events.c.at, run_events.c.payload)
        .where(run_events.c.run_id == run_id, run_events.c.type == Type.LOG.value)
        .order_by(run_events.c.number.desc())
    )
    if not search:
        query = query.limit(tail)
    with wb.db.read() as connection:
        rows = connection.execute(query).all()
    lines = [LogLine(row.at, row.payload["level"], row.payload["message"]) for row in rows]
    if search:
        lines = [line for line in lines if search.lower() in line.message.lower()][:tail]
    return lines[::-1]


def validations(wb: Workbench, run_id: int) -> list[dict[str, Any]]:
    """What each epoch's validation found (payloads of `core.events.Type.VALIDATION`), in the order of the epochs."""
    query = (
        sa.select(run_events.c.payload)
        .where(run_events.c.run_id == run_id, run_events.c.type == Type.VALIDATION.value)
        .order_by(run_events.c.number)
    )
    with wb.db.read() as connection:
        rows = connection.execute(query).scalars().all()
    return list({row["epoch"]: row for row in rows}.values())  # an epoch done again counts once


@dataclass(frozen=True)
class Told:
    """One event of a run, as programs follow it."""

    number: int
    at: datetime
    type: str
    payload: dict[str, Any]


def told(wb: Workbench, run_id: int, after: int = 0, limit: int = 500) -> list[Told]:
    """Events and metrics with numbers above `after`, in their order; progress and heartbeats are not kept."""
    event, metric = run_events.c, run_metrics.c
    events = (
        sa.select(event.number, event.at, event.type, event.payload)
        .where(event.run_id == run_id, event.number > after)
        .order_by(event.number)
        .limit(limit)
    )
    measured = (
        sa.select(metric.number, metric.at, metric.name, metric.step, metric.epoch, metric.value)
        .where(metric.run_id == run_id, metric.number > after)
        .order_by(metric.number)
        .limit(limit)
    )
    with wb.db.read() as connection:
        said = connection.execute(events).all()
        values = connection.execute(measured).all()
    # What lies beyond the end of a full page comes with the next, or something in between would be missed.
    ends = [said[-1].number] if len(said) == limit else []
    ends += [values[-1].number - 1] if len(values) == limit else []
    found = {row.number: Told(row.number, row.at, row.type, row.payload) for row in said}
    for value in values:
        blank = Told(
            value.number, value.at, Type.METRIC, {"step": value.step, "epoch": value.epoch, "values": {}}
        )
        found.setdefault(value.number, blank).payload["values"][value.name] = value.value
    return [found[number] for number in sorted(found) if not ends or number <= min(ends)]
