"""Stored. What the monitoring screen shows of one deployment or of all of a theme."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from core import serving
from core.errors import InvalidInput
from core.monitoring import minutes, reference
from core.monitoring.counts import Counts
from core.quality.drift import Drift
from core.serving import Deployment
from core.workbench import Workbench

RANGES = {"1h": (3_600, 60), "24h": (86_400, 600), "7d": (7 * 86_400, 3_600), "30d": (30 * 86_400, 6 * 3_600)}
"""By its name: how many seconds back, and how many are one point of a chart."""
KEPT = 50
"""Of the newest deployments so many can be chosen."""


@dataclass(frozen=True)
class Report:
    """Counts of some time up to now."""

    since: datetime
    until: datetime
    step: int
    """Seconds of one point."""
    points: dict[datetime, Counts]
    """By when they begin; those without any request are left out."""
    total: Counts
    drift: Drift | None
    """None where deployments of several versions were counted, or the training's snapshot is not there."""
    snapshot_id: int | None
    reference: int
    """Images of the training."""


def of(wb: Workbench, found: Sequence[Deployment], name: str = "24h", now: datetime | None = None) -> Report:
    """The deployments together over one of RANGES. Raises InvalidInput for another name."""
    if name not in RANGES:
        raise InvalidInput("The time range is one of: {all}.", all=", ".join(RANGES))
    seconds, step = RANGES[name]
    until = minutes.minute_of(now or datetime.now(UTC), step) + timedelta(seconds=step)
    since = until - timedelta(seconds=seconds)
    points = minutes.series(wb, [each.id for each in found], since, until, step)
    total = minutes.total(points)
    versions = {each.version.id: each.version for each in found}
    learnt = reference.of(wb, next(iter(versions.values()))) if len(versions) == 1 else None
    return Report(
        since,
        until,
        step,
        points,
        total,
        reference.compare(learnt, total) if learnt is not None else None,
        learnt.snapshot_id if learnt is not None else None,
        learnt.images if learnt is not None else 0,
    )


def watched(wb: Workbench, theme_id: int | None = None) -> list[Deployment]:
    """Deployments that can be looked at, newest first: those that are up or should be, and the last ones that were."""
    return serving.deployments(wb, theme_id, live_only=False)[:KEPT]
