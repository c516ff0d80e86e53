"""Pure. One rule: a figure, a limit, how long it must hold; and when its alert begins and ends."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from core.errors import InvalidInput

ERRORS, P95, REQUESTS, CONFIDENCE, SHARE, DRIFT = METRICS = (
    "error_rate",
    "p95",
    "requests",
    "confidence",
    "share",
    "drift",
)
"""Share of errors (0–1), seconds, requests a minute, mean confidence (0–1), share of one label (0–1), largest
stability index of what moved by more than chance."""
SHARES = frozenset({ERRORS, CONFIDENCE, SHARE})
MARGIN = 0.1
"""An alert ends only when the value has come back past its limit by this share of it."""
OK, FIRING = "ok", "firing"
MAX_EMAILS = 10

Email = Annotated[str, StringConstraints(pattern=r"^[^@\s,;<>]+@[^@\s,;<>]+$", max_length=200)]


class Rule(BaseModel):
    """Alert while `metric` over the last `window_minutes` is above (or below) `threshold` for `hold_minutes`."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    metric: Literal["error_rate", "p95", "requests", "confidence", "share", "drift"]
    label: str | None = Field(None, max_length=100)
    """Of a share: which label."""
    above: bool = True
    threshold: float = Field(ge=0, le=1e9, allow_inf_nan=False)
    window_minutes: int = Field(5, ge=1, le=1_440)
    hold_minutes: int = Field(2, ge=0, le=1_440)
    emails: tuple[Email, ...] = Field((), max_length=MAX_EMAILS)

    @model_validator(mode="after")
    def _whole(self) -> Rule:
        if (self.metric == SHARE) != bool(self.label):
            raise ValueError("a share needs a label, and nothing else has one")
        if self.metric in SHARES and self.threshold > 1:
            raise ValueError("a share lies between 0 and 1")
        return self


def parsed(raw: Any) -> Rule:
    """Raises InvalidInput naming the field."""
    try:
        return Rule.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "rule"
        raise InvalidInput(
            "“{field}” of the alert is not right: {reason}.", field=field, reason=first["msg"]
        ) from error


@dataclass(frozen=True)
class State:
    """Of an alert."""

    name: str
    """ok or firing."""
    since: datetime
    turning: datetime | None = None
    """Since when the value speaks for the other one."""


def after(state: State, rule: Rule, value: float | None, now: datetime) -> State:
    """The state once `value` was seen; None, because nobody asked anything, is no reason for an alert."""
    against = not calm(rule, value) if state.name == OK else back(rule, value)
    if not against:
        return State(state.name, state.since)
    began = state.turning or now
    if now - began < timedelta(minutes=rule.hold_minutes):
        return State(state.name, state.since, began)
    return State(FIRING if state.name == OK else OK, now)


def calm(rule: Rule, value: float | None) -> bool:
    """Whether the value is within the limit."""
    if value is None:
        return True
    return value <= rule.threshold if rule.above else value >= rule.threshold


def back(rule: Rule, value: float | None) -> bool:
    """Whether it is within it by the margin, so that a value at the limit does not begin and end alerts."""
    if value is None:
        return True
    if rule.above:
        return value <= rule.threshold * (1 - MARGIN)
    limit = rule.threshold * (1 + MARGIN)
    return value >= (min(limit, (rule.threshold + 1) / 2) if rule.metric in SHARES else limit)
