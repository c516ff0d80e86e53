"""Findings about a theme's images, their fixes, and the gate."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from fastapi import Query, Request
from pydantic import BaseModel, ConfigDict, Field

from api import problems
from api.deps import Bench, Id, Labeler, Trainer, Viewer
from api.labelling import Number
from api.router import Router
from core import image_filter, images
from core.quality import (
    check_jobs,
    decisions,
    findings,
    freezing,
    frozen,
    gate,
    groups,
    picks,
    repair,
    upright,
)
from core.workbench import Workbench

router = Router(tags=["quality"])


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Decide(_In):
    kind: str
    ids: list[Number] = Field(max_length=images.MAX_CHANGES)
    keep: bool = True
    """False takes it back."""


class KeepBest(_In):
    best: list[Number] | None = None
    """Only the clusters whose best image is named; all when left out."""


class LineOut(BaseModel):
    name: str
    passed: bool
    value: float
    limit: float
    weight: int
    title: str
    said: str
    advice: str
    """What to do; empty where the line passes."""


class CheckOut(BaseModel):
    running: bool
    progress: float
    checked_at: datetime | None
    accuracy: float | None
    upright: float | None
    together: int | None
    """Images whose labels and sides were judged together."""
    since: int
    """Images that came or went after that and before the check: new ones are judged by what was learnt then."""
    changed: int
    error: dict[str, Any] | None


class QualityOut(BaseModel):
    passed: bool
    score: int
    lines: list[LineOut]
    findings: dict[str, int]
    """Open ones by kind."""
    kept: dict[str, int]
    rules: dict[str, float | str]
    check: CheckOut


class FoundOut(BaseModel):
    ids: list[int]
    next: int | None
    """Give it as `after` for the following ones."""


class DecidedOut(BaseModel):
    changed: int
    ids: list[int]
    """Of the images that changed."""


class MoveOut(BaseModel):
    image_id: int
    old: str
    new: str | None
    """None: left out of every split."""


class CopiesOut(BaseModel):
    best: int
    rest: list[int]


class LookAlikesOut(BaseModel):
    """Look-alikes with different labels."""

    images: dict[int, int]
    """The label of each, by image id."""
    labels: tuple[int, ...]
    """That they have, the most frequent first."""
    likelier: int | None
    """null: none of them is likelier."""


class OneLabel(BaseModel):
    model_config = ConfigDict(extra="forbid")

    chosen: dict[int, int]
    """Label id by an image of each group that shall have it."""


class RelabelledOut(BaseModel):
    changed: int


class RemovedOut(BaseModel):
    removed: list[int]


class GroupOut(BaseModel):
    name: str
    images: int
    file_names: list[str]


class GroupsOut(BaseModel):
    """What a pattern would do; `given` counts images whose group an import brought."""

    images: int
    grouped: int
    given: int
    groups: int
    largest: list[GroupOut]
    alone: list[str]
    torn: int


class Freeze(_In):
    reason: str = ""
    """Needed once the test set is frozen."""


class ChangedOut(BaseModel):
    image_id: int
    file_name: str
    how: str


class FrozenOut(BaseModel):
    """All null, and no changes, where the test set is not frozen yet."""

    hash: str | None
    images: int | None
    at: datetime | None
    by: str | None
    reason: str | None
    changes: list[ChangedOut]


class Ids(_In):
    ids: list[Number] = Field(max_length=picks.MOST)


class PointsOut(BaseModel):
    """The pictures on the map, in one order; empty until a check drew it."""

    ids: list[int]
    labels: list[int | None]
    x: list[float]
    y: list[float]


class PickedOut(BaseModel):
    picked: str
    """Filter of the images, as `picked` in their address."""


class TurnedOut(BaseModel):
    images: dict[int, int]
    """The new image's id by the old one's."""


class EntryOut(BaseModel):
    at: datetime
    person: str | None
    action: str
    score: int | None
    passed: bool | None
    detail: dict[str, Any]


def _out(request: Request, wb: Workbench, theme_id: int) -> QualityOut:
    problems.speak(request)
    found = findings.standing(wb, theme_id)
    return QualityOut(
        passed=found.gate.passed,
        score=found.gate.score,
        lines=[
            LineOut(
                name=line.name,
                passed=line.passed,
                value=line.value,
                limit=line.limit,
                weight=line.weight,
                title=gate.title(line),
                said=gate.said(line, found.counts),
                advice="" if line.passed else gate.advice(line),
            )
            for line in found.gate.lines
        ],
        findings=found.findings,
        kept=found.kept,
        rules=findings.rules(wb, theme_id).model_dump(),
        check=CheckOut(**asdict(check_jobs.state(wb, theme_id))),
    )


@router.get("/theme/{theme_id}/quality", summary="The gate, and open findings by kind")
def standing(request: Request, wb: Bench, _user: Viewer, theme_id: Id) -> QualityOut:
    return _out(request, wb, theme_id)


@router.get("/theme/{theme_id}/quality/findings/{kind}", summary="Images with a finding")
def found(
    wb: Bench,
    _user: Viewer,
    theme_id: Id,
    kind: str,
    after: int | None = None,
    limit: Annotated[int, Query(ge=1, le=images.MAX_PAGE)] = 200,
) -> FoundOut:
    which = image_filter.from_query({"finding": kind})
    page = images.page(wb, theme_id, which, after=after, limit=limit)
    return FoundOut(ids=[image.id for image in page.items], next=page.next)


@router.post("/theme/{theme_id}/quality/decide", summary="Say that images are fine as they are")
def decide(wb: Bench, user: Labeler, theme_id: Id, body: Decide) -> DecidedOut:
    ids = decisions.decide(wb, user, theme_id, body.kind, body.ids, keep=body.keep)
    return DecidedOut(changed=len(ids), ids=ids)


@router.post("/theme/{theme_id}/quality/check", status_code=201, summary="Check labels and files in a job")
def check(request: Request, wb: Bench, user: Labeler, theme_id: Id, anew: bool = False) -> QualityOut:
    """With `anew`, labels and sides of all images are judged together again, also where only few came."""
    check_jobs.start(wb, user, theme_id, anew=anew)
    return _out(request, wb, theme_id)


@router.post("/theme/{theme_id}/quality/check/cancel", summary="Stop the check")
def cancel(request: Request, wb: Bench, user: Labeler, theme_id: Id) -> QualityOut:
    check_jobs.cancel(wb, user, theme_id)
    return _out(request, wb, theme_id)


@router.patch("/theme/{theme_id}/quality/rules", summary="Change thresholds of findings and gate")
def rules(request: Request, wb: Bench, user: Trainer, theme_id: Id, body: dict[str, Any]) -> QualityOut:
    findings.set_rules(wb, user, theme_id, body)
    return _out(request, wb, theme_id)


@router.get("/theme/{theme_id}/quality/one-side", summary="What putting look-alikes on one side would move")
def moves(wb: Bench, _user: Viewer, theme_id: Id) -> list[MoveOut]:
    return [MoveOut(**asdict(move)) for move in repair.moves(wb, theme_id)]


@router.post(
    "/theme/{theme_id}/quality/one-side", summary="Put look-alikes and groups on one side of the split"
)
def one_side(wb: Bench, user: Trainer, theme_id: Id) -> list[MoveOut]:
    return [MoveOut(**asdict(move)) for move in repair.one_side(wb, user, theme_id)]


@router.get("/theme/{theme_id}/quality/copies", summary="Clusters of look-alikes, each with its best image")
def copies(wb: Bench, _user: Viewer, theme_id: Id) -> list[CopiesOut]:
    return [CopiesOut(best=each.best, rest=list(each.rest)) for each in repair.copies(wb, theme_id)]


@router.post("/theme/{theme_id}/quality/copies", summary="Keep the best of each cluster, remove the rest")
def keep_best(wb: Bench, user: Trainer, theme_id: Id, body: KeepBest | None = None) -> RemovedOut:
    return RemovedOut(removed=repair.keep_best(wb, user, theme_id, body.best if body else None))


@router.get("/theme/{theme_id}/quality/one-label", summary="Look-alikes with different labels")
def labelled_otherwise(wb: Bench, _user: Viewer, theme_id: Id) -> list[LookAlikesOut]:
    return [LookAlikesOut(**asdict(each)) for each in repair.groups(wb, theme_id)]


@router.post("/theme/{theme_id}/quality/one-label", summary="Give each group of look-alikes one label")
def one_label(wb: Bench, user: Labeler, theme_id: Id, body: OneLabel | None = None) -> RelabelledOut:
    """The likelier one, or for some groups that which is chosen."""
    return RelabelledOut(changed=repair.one_label(wb, user, theme_id, body.chosen if body else None))


@router.get("/theme/{theme_id}/quality/groups", summary="What a group pattern would do")
def preview_groups(wb: Bench, _user: Viewer, theme_id: Id, pattern: str = "") -> GroupsOut:
    return GroupsOut.model_validate(asdict(groups.preview(wb, theme_id, pattern)))


@router.get("/theme/{theme_id}/quality/test-set", summary="The frozen test set, and what changed in it")
def test_set(wb: Bench, _user: Viewer, theme_id: Id) -> FrozenOut:
    found = frozen.get(wb, theme_id)
    names = ("hash", "images", "at", "by", "reason")
    changes = [ChangedOut(**asdict(each)) for each in frozen.changes(wb, theme_id)]
    return FrozenOut(**{name: getattr(found, name, None) for name in names}, changes=changes)


@router.post("/theme/{theme_id}/quality/test-set", status_code=201, summary="Freeze the test set")
def freeze(wb: Bench, user: Trainer, theme_id: Id, body: Freeze | None = None) -> FrozenOut:
    freezing.freeze(wb, user, theme_id, body.reason if body else "")
    return test_set(wb, user, theme_id)


@router.get("/theme/{theme_id}/quality/map", summary="The pictures as points, look-alikes near each other")
def points(wb: Bench, _user: Viewer, theme_id: Id) -> PointsOut:
    found = picks.points(wb, theme_id) or picks.Points([], [], [], [])
    return PointsOut(**asdict(found))


@router.post(
    "/theme/{theme_id}/quality/pick", status_code=201, summary="Keep a selection of images for an address"
)
def pick(wb: Bench, user: Viewer, theme_id: Id, body: Ids) -> PickedOut:
    return PickedOut(picked=picks.pick(wb, user, theme_id, body.ids))


@router.post("/theme/{theme_id}/quality/upright", summary="Turn pictures with that finding upright")
def turn_upright(wb: Bench, user: Labeler, theme_id: Id, body: Ids) -> TurnedOut:
    return TurnedOut(images=upright.turn(wb, user, theme_id, body.ids))


@router.get("/theme/{theme_id}/quality/log", summary="Checks, fixes and decisions, newest first")
def log(wb: Bench, _user: Viewer, theme_id: Id) -> list[EntryOut]:
    return [EntryOut(**asdict(entry)) for entry in findings.entries(wb, theme_id)]


@router.get("/theme/{theme_id}/quality/histogram/{kind}", summary="The measure behind a finding, in bins")
def histogram(wb: Bench, _user: Viewer, theme_id: Id, kind: str) -> list[tuple[float, int]]:
    return findings.histogram(wb, theme_id, kind)
