"""Labels that the newest model suggests for a theme's images."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from api.deps import Bench, Id, Labeler, Viewer
from api.router import Router
from api.themes import StatisticsOut, statistics_out
from core import images, suggestions
from core.workbench import Workbench

router = Router(tags=["suggestions"])


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Start(_In):
    version_id: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = None


class Chosen(_In):
    ids: list[Annotated[int, Field(ge=1, le=2**63 - 1)]] = Field(max_length=images.MAX_CHANGES)
    at_least: float = Field(suggestions.AT_LEAST, ge=0, le=1)


class Accept(Chosen):
    action_id: str = Field(min_length=1, max_length=suggestions.MAX_ACTION_ID)


class AuditOut(BaseModel):
    n: int
    right: int
    low: float
    high: float


class SuggestionsOut(BaseModel):
    version_id: int | None
    version: int | None
    at: datetime | None
    n_suggested: int
    confirmed: int
    overruled: int
    running: bool
    progress: float
    error: dict[str, Any] | None
    audit: AuditOut


class PreviewOut(BaseModel):
    by_label: dict[int, int]
    """Images by label id."""
    excluded: int


class AcceptedOut(BaseModel):
    updated: int
    statistics: StatisticsOut


def _out(wb: Workbench, theme_id: int) -> SuggestionsOut:
    state = suggestions.state(wb, theme_id)
    audit = AuditOut.model_validate(suggestions.audit(wb, theme_id), from_attributes=True)
    return SuggestionsOut(**vars(state), audit=audit)


@router.post("/theme/{theme_id}/suggestions", status_code=201, summary="Have a model suggest labels")
def start(wb: Bench, user: Labeler, theme_id: Id, body: Start | None = None) -> SuggestionsOut:
    """The newest version of the theme does it, unless `version_id` names another."""
    suggestions.start(wb, user, theme_id, body.version_id if body else None)
    return _out(wb, theme_id)


@router.get("/theme/{theme_id}/suggestions", summary="What is suggested, and how right it is")
def state(wb: Bench, _user: Viewer, theme_id: Id) -> SuggestionsOut:
    """`audit` counts images, one in 32, that people labelled without seeing a suggestion."""
    return _out(wb, theme_id)


@router.post("/theme/{theme_id}/suggestions/cancel", summary="Stop suggesting")
def cancel(wb: Bench, user: Labeler, theme_id: Id) -> SuggestionsOut:
    suggestions.cancel(wb, user, theme_id)
    return _out(wb, theme_id)


@router.post("/theme/{theme_id}/suggestions/preview", summary="What accepting would do")
def preview(wb: Bench, _user: Viewer, theme_id: Id, body: Chosen) -> PreviewOut:
    found = suggestions.preview(wb, theme_id, body.ids, body.at_least)
    return PreviewOut(by_label=found.by_label, excluded=found.excluded)


@router.post("/theme/{theme_id}/suggestions/accept", summary="Accept sure suggestions in bulk")
def accept(wb: Bench, user: Labeler, theme_id: Id, body: Accept) -> AcceptedOut:
    """Labelled images and those of the audit stay as they are; the same `action_id` twice does nothing more."""
    updated = suggestions.accept(wb, user, theme_id, body.ids, body.at_least, action_id=body.action_id)
    return AcceptedOut(updated=updated, statistics=statistics_out(wb, theme_id))
