"""What deployments are asked and answer, for programs."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from api.deps import Bench, Id, Viewer
from api.router import Router
from core import serving
from core.monitoring import report
from core.monitoring.counts import CONFIDENCES, Counts
from core.quality.drift import Feature

router = Router(prefix="/v1/admin", tags=["monitoring"])


class CountsOut(BaseModel):
    requests: int
    errors: int
    """Answers with status 500 and above."""
    refused: int
    """Answers with status 400 to 499."""
    p50: float | None
    """Seconds, as the two after it; to within 19 %."""
    p95: float | None
    p99: float | None
    images: int
    unread: int
    mean_confidence: float | None
    confidence: list[int]
    """Answers in each twentieth of 0–1."""
    classes: dict[str, int]


class PointOut(CountsOut):
    at: datetime


class DriftOut(BaseModel):
    name: str
    level: Literal["same", "some", "much"]
    psi: float | None
    statistic: float
    """Kolmogorov and Smirnov's D, chi-square of the answers."""
    p: float
    """Corrected for all features."""


class MonitoringOut(BaseModel):
    deployment_id: int
    since: datetime
    until: datetime
    step: int
    """Seconds of one point."""
    total: CountsOut
    points: list[PointOut]
    """Those without a request are left out."""
    drift: list[DriftOut] | None
    """null: the training's snapshot is not there."""


def _counts(counts: Counts) -> dict[str, object]:
    return {
        "requests": counts.requests,
        "errors": counts.errors,
        "refused": counts.refused,
        "p50": counts.percentile(0.5),
        "p95": counts.percentile(0.95),
        "p99": counts.percentile(0.99),
        "images": counts.images,
        "unread": counts.unread,
        "mean_confidence": counts.mean_confidence,
        "confidence": [counts.confidence[place] for place in range(CONFIDENCES)],
        "classes": dict(counts.classes),
    }


def _drift(feature: Feature) -> DriftOut:
    return DriftOut.model_validate(
        {
            "name": feature.name,
            "level": feature.level,
            "psi": feature.psi,
            "statistic": feature.statistic,
            "p": feature.adjusted,
        }
    )


@router.get("/deployments/{deployment_id}/monitoring", summary="Requests, answers and drift over time")
def monitoring(
    wb: Bench, _user: Viewer, deployment_id: Id, range: Literal["1h", "24h", "7d", "30d"] = "24h"
) -> MonitoringOut:
    found = report.of(wb, [serving.get(wb, deployment_id)], range)
    return MonitoringOut(
        deployment_id=deployment_id,
        since=found.since,
        until=found.until,
        step=found.step,
        total=CountsOut.model_validate(_counts(found.total)),
        points=[PointOut.model_validate(_counts(each) | {"at": at}) for at, each in found.points.items()],
        drift=None if found.drift is None else [_drift(each) for each in found.drift.features],
    )
