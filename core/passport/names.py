"""Pure. Words that several sections of a passport use."""

from __future__ import annotations

from datetime import UTC, datetime

from core.i18n import gettext as _
from core.ledger import ARCHIVED, PRODUCTION, STAGING
from core.settings import MIB


def cards() -> dict[str, str]:
    """The sections of a model card."""
    return {
        "details": _("Model details"),
        "use": _("Intended use"),
        "factors": _("Factors"),
        "metrics": _("Metrics"),
        "tested": _("Evaluation data"),
        "learnt": _("Training data"),
        "analyses": _("Quantitative analyses"),
        "ethics": _("Ethical considerations"),
        "caveats": _("Caveats and recommendations"),
    }


def minute(at: datetime) -> str:
    """A moment to the minute, in UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def megabytes(size: int) -> str:
    return f"{size / MIB:.1f} MB" if size >= MIB / 10 else f"{size / 1024:.1f} kB"


def split(name: str) -> str:
    return {"train": _("train"), "valid": _("valid"), "test": _("test")}.get(name, name)


def stage(name: str) -> str:
    return {STAGING: _("staging"), PRODUCTION: _("production"), ARCHIVED: _("archived")}[name]
