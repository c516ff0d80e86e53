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
    """Series of (step, epoch, value) by metric name, each thinned to at most `max_points` points.

    Thinning keeps the lowest and highest value of every bucket, so spikes stay visible.
    """
    column = run_metrics.c
    query = (
        sa.select(column.name, column.step, column.epoch, column.value)
        .where(column.run_id == run_id, column.value.is_not(None))
        .order_by(column.name, column.number)
    )
    series: dict[str, list[tuple[int, float, float]]] = {}
    with wb.db.read() as connection:
        for name, step, epoch, value in connection.execute(query):
            series.setdefault(name, []).append((step, epoch, value))
    return {name: thin(points, max_points) for name, points in series.items()}


def thin(points: list[tuple[int, float, float]], limit: int) -> list[tuple[int, float, float]]:
    """At most `limit` of the points in their order: first, last, and each bucket's lowest and highest."""
    if len(points) <= limit or limit < 4:
        return points if len(points) <= limit else points[:limit]
    buckets = (limit - 2) // 2
    inner = points[1:-1]
    kept = [points[0]]
    for bucket in range(buckets):
        part = inner[bucket * len(inner) // buckets : (bucket + 1) * len(inner) // buckets]
        if part:
            low, high = min(part, key=lambda p: p[2]), max(part, key=lambda p: p[2])
            kept.extend(sorted({low, high}))
    return [*kept, points[-1]]


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
