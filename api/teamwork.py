"""Several people on one theme: rules, batches, disputes, agreement, and the theme as it was."""

from __future__ import annotations

from datetime import datetime

from fastapi import Response
from pydantic import AwareDatetime, BaseModel, ConfigDict

from api.deps import Bench, Id, Labeler, Trainer, Viewer
from api.labelling import Number
from api.router import Router
from core import teamwork, themes

router = Router(tags=["teamwork"])


class BatchOut(BaseModel):
    ids: list[int]


class DisputeOut(BaseModel):
    image_id: int
    file_name: str
    votes: dict[str, int]


class DisputesOut(BaseModel):
    items: list[DisputeOut]


class Settled(BaseModel):
    model_config = ConfigDict(extra="forbid")
    image_id: Number
    label_id: Number


class PersonOut(BaseModel):
    id: int
    name: str
    labelled: int
    today: int
    per_hour: float | None
    answers: int
    votes: int
    right: int


class PairOut(BaseModel):
    a: int
    b: int
    n: int
    same: int
    kappa: float | None


class LabelAgreementOut(BaseModel):
    label: int
    n: int
    same: int


class AgreementOut(BaseModel):
    images: int
    same: int
    chance: float | None
    pairs: list[PairOut]
    labels: list[LabelAgreementOut]
    fleiss: float | None
    krippendorff: float | None


class TeamOut(BaseModel):
    people: list[PersonOut]
    agreement: AgreementOut


class AsOfOut(BaseModel):
    at: datetime
    unlabelled: int
    by_label: dict[str, int]


@router.get("/theme/{theme_id}/team/rules")
def get_rules(wb: Bench, user: Viewer, theme_id: Id) -> teamwork.Rules:
    return teamwork.rules(wb, theme_id)


@router.put("/theme/{theme_id}/team/rules")
def put_rules(wb: Bench, user: Trainer, theme_id: Id, body: teamwork.Rules) -> teamwork.Rules:
    return teamwork.set_rules(wb, user, theme_id, **body.model_dump())


@router.post("/theme/{theme_id}/team/batch")
def next_batch(wb: Bench, user: Labeler, theme_id: Id) -> BatchOut:
    """Images that this person is to label now and nobody else gets. Send answers as actions with source `queue`."""
    return BatchOut(ids=teamwork.batch(wb, user, theme_id))


@router.get("/theme/{theme_id}/team/disputes")
def list_disputes(wb: Bench, user: Viewer, theme_id: Id) -> DisputesOut:
    themes.get(wb, theme_id)
    return DisputesOut(
        items=[
            DisputeOut(image_id=each.image.id, file_name=each.image.file_name, votes=each.votes)
            for each in teamwork.disputes(wb, theme_id)
        ]
    )


@router.post("/theme/{theme_id}/team/settle", status_code=204, response_class=Response)
def settle(wb: Bench, user: Labeler, theme_id: Id, body: Settled) -> None:
    teamwork.settle(wb, user, theme_id, body.image_id, body.label_id)


@router.get("/theme/{theme_id}/team")
def get_team(wb: Bench, user: Viewer, theme_id: Id) -> TeamOut:
    """What each person did and how far they agree."""
    themes.get(wb, theme_id)
    people = [PersonOut(**vars(person)) for person in teamwork.progress(wb, theme_id)]
    agreement = AgreementOut.model_validate(teamwork.agreement(wb, theme_id), from_attributes=True)
    return TeamOut(people=people, agreement=agreement)


@router.get("/theme/{theme_id}/team/as-of")
def as_of(wb: Bench, user: Viewer, theme_id: Id, at: AwareDatetime) -> AsOfOut:
    """Images by label as they were at a moment."""
    themes.get(wb, theme_id)
    found = teamwork.counts_as_of(wb, theme_id, at)
    by_label = {str(label): n for label, n in found.items() if label is not None}
    return AsOfOut(at=at, unlabelled=found.get(None, 0), by_label=by_label)
