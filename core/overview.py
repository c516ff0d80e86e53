"""Stored. Where a theme's labelling stands: what each training found, and the pace of the people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import sqlalchemy as sa

from core import runs
from core.db.tables import label_history, users
from core.events import Status
from core.labelling import BY_HAND
from core.learning_curve import Point
from core.workbench import Workbench

DAYS = 14


@dataclass(frozen=True)
class Pace:
    """Labels that one person gave on one day (UTC)."""

    day: date
    person: str
    labels: int


def curve_points(wb: Workbench, theme_id: int) -> list[Point]:
    """One point for each finished training of the theme, oldest first."""
    found = []
    for run in reversed(runs.history(wb, theme_id)):
        valid = ((run.result or {}).get("metrics") or {}).get("valid") or {}
        if run.status != Status.SUCCEEDED or "accuracy" not in valid:
            continue
        labels = sum(sum(of.values()) for of in run.snapshot_counts.values())
        found.append(Point(labels, float(valid["accuracy"]), int(valid["n"])))
    return found


def pace(wb: Workbench, theme_id: int, days: int = DAYS) -> list[Pace]:
    """Labels given by hand in the last days, by day and person."""
    entry = label_history.c
    since = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days - 1)
    day = sa.cast(entry.at, sa.Date)
    query = (
        sa.select(day, users.c.name, sa.func.count())
        .join(users, users.c.id == entry.user_id)
        .where(
            entry.theme_id == theme_id,
            entry.at >= since,
            entry.to_label_id.is_not(None),
            entry.source.in_(BY_HAND),
        )
        .group_by(day, users.c.name)
        .order_by(day, users.c.name)
    )
    with wb.db.read() as connection:
        return [Pace(*row) for row in connection.execute(query)]


def seconds_per_label(wb: Workbench, theme_id: int) -> float | None:
    """Median time that a label took; None where no time is known."""
    entry = label_history.c
    query = sa.select(sa.func.percentile_cont(0.5).within_group(entry.seconds)).where(
        entry.theme_id == theme_id, entry.seconds.is_not(None), entry.to_label_id.is_not(None)
    )
    with wb.db.read() as connection:
        found = connection.execute(query).scalar()
    return None if found is None else float(found)
