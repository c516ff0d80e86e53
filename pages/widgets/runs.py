"""How runs are spoken of: status words, durations, short summaries."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from core.i18n import gettext as _
from core.runs import Run

COLORS = {
    "queued": "gray",
    "running": "blue",
    "paused": "orange",
    "lost": "orange",
    "succeeded": "green",
    "failed": "red",
    "cancelled": "gray",
}


def status_text(status: str) -> str:
    """The word for a run's status, as people say it."""
    return {
        "queued": _("waiting"),
        "running": _("running"),
        "paused": _("paused"),
        "lost": _("worker lost, waiting for another"),
        "succeeded": _("finished"),
        "failed": _("failed"),
        "cancelled": _("cancelled"),
    }.get(status, status)


def badge(status: str) -> str:
    """The status as a coloured Markdown badge."""
    return f":{COLORS.get(status, 'gray')}-badge[{status_text(status)}]"


def phase_text(phase: str) -> str:
    return {
        "prepare": _("preparing the images"),
        "train": _("training"),
        "evaluate": _("measuring"),
        "register": _("registering the model"),
    }.get(phase, phase)


def duration(seconds: float | None) -> str:
    """Seconds as people say them: 45 s, 12 min, 3 h 05 min."""
    if seconds is None:
        return "–"
    whole = round(seconds)
    if whole < 90:
        return _("{n} s").format(n=whole)
    if whole < 5400:
        return _("{n} min").format(n=round(whole / 60))
    return _("{h} h {m:02d} min").format(h=whole // 3600, m=whole % 3600 // 60)


def took(run: Run) -> str:
    """How long the run has been running, or ran."""
    if run.started_at is None:
        return "–"
    return duration(((run.ended_at or datetime.now(UTC)) - run.started_at).total_seconds())


def accuracy(run: Run, split: str = "test") -> float | None:
    """Share of right answers on a split (0–1), None before the end."""
    metrics: dict[str, Any] = (run.result or {}).get("metrics", {})
    value = metrics.get(split, {}).get("accuracy")
    return float(value) if value is not None else None


def percent(share: float | None) -> str:
    return "–" if share is None else f"{share * 100:.1f} %"


def when(moment: datetime | None) -> str:
    """A moment in UTC, to the minute."""
    return "–" if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M")
