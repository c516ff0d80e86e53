"""Duels for programs and for the judge's screen: make, fill, judge blind, close, results."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from types import ModuleType
from typing import Annotated, Any, Literal

from fastapi import Body, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from api import problems
from api.deps import Bench, Id, Labeler, Trainer, Viewer
from api.images import NOT_SHOWN
from api.router import Router
from core import i18n
from core.ab import duels, judging
from core.ab.duel_items import Sample
from core.ab.duels import Duel

router = Router(prefix="/v1/duels", tags=["duels"])

Number = Annotated[int, Field(ge=1, le=2**63 - 1)]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Create(_In):
    test_id: Number | None = None
    """The A/B test; its A meets `variant`."""
    variant: str = "B"
    theme_id: Number | None = None
    versions: tuple[Number, Number] | None = None
    """Without a test: a theme and two of its model versions, A first."""
    sample: Sample | None = None
    """Draw the items; left out, they are sent to …/items."""


class Judgement(_In):
    choice: Literal["left", "right", "tie"]
    seconds: float | None = None
    """From seeing the item to choosing."""


class DuelOut(BaseModel):
    id: int
    theme_id: int
    test_id: int | None
    variant: str
    version_a: int
    version_b: int
    sample: dict[str, Any] | None
    status: str
    items: int
    same: int
    created_at: datetime
    closed_at: datetime | None


class RefusedOut(BaseModel):
    index: int
    detail: str


class AddedOut(BaseModel):
    added: int
    known: int
    same: int
    refused: list[RefusedOut]


class PictureOut(BaseModel):
    url: str
    width: int
    height: int


class BlindOut(BaseModel):
    number: int
    query: str | None
    picture: PictureOut | None
    left: str
    right: str
    left_confidence: float | None
    right_confidence: float | None


class ProgressOut(BaseModel):
    judged: int
    total: int
    status: str
    looked: bool
    last: int | None
    finished: bool


class NextOut(BaseModel):
    items: list[BlindOut]
    progress: ProgressOut


def _results() -> ModuleType:
    """core.ab.duel_results, loaded at its first use for the statistics it brings (see api.ab)."""
    from core.ab import duel_results

    return duel_results


def _duel(found: Duel) -> DuelOut:
    return DuelOut.model_validate(found, from_attributes=True)


def _progress(found: judging.Progress) -> ProgressOut:
    return ProgressOut(**asdict(found), finished=found.finished)


def _blind(item: judging.Blind) -> BlindOut:
    picture = None
    if item.picture is not None:
        suffix = "?as=png" if item.picture.format in NOT_SHOWN else ""
        url = f"/api/images/{item.picture.image_id}/file{suffix}"
        picture = PictureOut(url=url, width=item.picture.width, height=item.picture.height)
    return BlindOut(**{**asdict(item), "picture": picture})


@router.post("", status_code=201, summary="Make a duel, with a sample answered by both models or empty")
def create(wb: Bench, user: Trainer, body: Create) -> DuelOut:
    made = duels.create(
        wb,
        user,
        test_id=body.test_id,
        variant=body.variant,
        theme_id=body.theme_id,
        versions=body.versions,
        sample=body.sample,
    )
    return _duel(made)


@router.get("", summary="Duels, newest first")
def listed(
    wb: Bench,
    _user: Viewer,
    test: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
    theme: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
) -> list[DuelOut]:
    return [_duel(found) for found in duels.listed(wb, test_id=test, theme_id=theme)]


@router.get("/{duel_id}", summary="One duel")
def get(wb: Bench, _user: Viewer, duel_id: Id) -> DuelOut:
    return _duel(duels.get(wb, duel_id))


@router.post(
    "/{duel_id}/items", summary="Add queries with both answers; each good one is kept, each bad one named"
)
def add(
    request: Request,
    wb: Bench,
    user: Trainer,
    duel_id: Id,
    body: Annotated[list[dict[str, Any]], Body(max_length=duels.MAX_BATCH)],
) -> AddedOut:
    found = duels.add(wb, user, duel_id, body)
    problems.speak(request)
    refused = [RefusedOut(index=index, detail=error.text(i18n.gettext)) for index, error in found.refused]
    return AddedOut(added=found.added, known=found.known, same=found.same, refused=refused)


@router.get("/{duel_id}/next", summary="What to judge next; nothing says which model gave which answer")
def upcoming(
    wb: Bench,
    user: Labeler,
    duel_id: Id,
    after: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    limit: Annotated[int, Query(ge=1, le=judging.MAX_NEXT)] = 5,
) -> NextOut:
    items = judging.upcoming(wb, user, duel_id, after=after, limit=limit)
    return NextOut(
        items=[_blind(item) for item in items], progress=_progress(judging.progress(wb, user, duel_id))
    )


@router.post("/{duel_id}/items/{number}/judgement", summary="Choose a side; sending again changes nothing")
def judge(wb: Bench, user: Labeler, duel_id: Id, number: Id, body: Judgement) -> ProgressOut:
    return _progress(judging.judge(wb, user, duel_id, number, body.choice, body.seconds))


@router.delete("/{duel_id}/items/{number}/judgement", summary="Take one's last judgement back")
def take_back(wb: Bench, user: Labeler, duel_id: Id, number: Id) -> ProgressOut:
    return _progress(judging.take_back(wb, user, duel_id, number))


@router.post("/{duel_id}/close", summary="End the judging and show everybody the results")
def close(wb: Bench, user: Trainer, duel_id: Id) -> DuelOut:
    return _duel(duels.close(wb, user, duel_id))


@router.get("/{duel_id}/results", summary="Preference, agreement, and how that stands to the live test")
def results(request: Request, wb: Bench, user: Viewer, duel_id: Id) -> JSONResponse:
    problems.speak(request)
    return JSONResponse(_results().make(wb, user, duel_id))
