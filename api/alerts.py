"""Alerts for programs: the rules and whether they fire."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from api.deps import Bench, Id, Trainer, Viewer
from api.router import Router
from core.alerts import alerts
from core.alerts.alerts import Alert

router = Router(prefix="/v1/admin/alerts", tags=["monitoring"])


class NewAlert(BaseModel):
    """About a model or one deployment."""

    model_config = ConfigDict(extra="forbid")

    model_id: int | None = None
    deployment_id: int | None = None
    rule: dict[str, Any]
    """metric (error_rate, p95, requests, confidence, share, drift), label, above, threshold, window_minutes,
    hold_minutes, emails."""


class AlertChange(BaseModel):
    model_config = ConfigDict(extra="forbid")

    rule: dict[str, Any] | None = None
    active: bool | None = None


class AlertOut(BaseModel):
    id: int
    model_id: int
    deployment_id: int | None
    rule: dict[str, Any]
    active: bool
    firing: bool
    since: datetime
    value: float | None
    looked_at: datetime | None


def _out(alert: Alert) -> AlertOut:
    return AlertOut(
        id=alert.id,
        model_id=alert.model_id,
        deployment_id=alert.deployment_id,
        rule=alert.rule.model_dump(mode="json"),
        active=alert.active,
        firing=alert.firing,
        since=alert.state.since,
        value=alert.value,
        looked_at=alert.looked_at,
    )


@router.get("", summary="All alerts, those that fire first")
def every(wb: Bench, _user: Viewer, theme: int | None = None) -> list[AlertOut]:
    return [_out(alert) for alert in alerts.every(wb, theme)]


@router.post("", status_code=201, summary="Add a rule")
def create(wb: Bench, user: Trainer, body: NewAlert) -> AlertOut:
    made = alerts.create(wb, user, body.rule, model_id=body.model_id, deployment_id=body.deployment_id)
    return _out(made)


@router.patch("/{alert_id}", summary="Change a rule, or switch it")
def change(wb: Bench, user: Trainer, alert_id: Id, body: AlertChange) -> AlertOut:
    return _out(alerts.change(wb, user, alert_id, raw=body.rule, active=body.active))


@router.delete("/{alert_id}", status_code=204, summary="Remove a rule")
def delete(wb: Bench, user: Trainer, alert_id: Id) -> None:
    alerts.delete(wb, user, alert_id)
