"""Findings about text datasets, their fixes, and the gate."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from fastapi import Query, Request
from pydantic import BaseModel, ConfigDict, Field

from api import problems
from api.deps import Admin, Bench, Id, Labeler, Trainer, Viewer
from api.labelling import Number
from api.router import Router
from core.datasets import check_jobs, decisions, findings, permits, repair, store, vault, words
from core.datasets.store import Version
from core.i18n import gettext
from core.quality.texts import gate, kinds
from core.workbench import Workbench

router = Router(prefix="/v1/admin/training/datasets/{dataset_id}", tags=["dataset quality"])

MOST_ROWS = 100_000
"""Row ids that one request names; leave them out to mean all."""
VersionNumber = Annotated[
    int | None, Query(ge=1, le=2**31 - 1, description="of the version; the newest if left out")
]
Seen = Annotated[int | None, Field(ge=1, le=2**31 - 1)]
Ids = Annotated[list[Number] | None, Field(max_length=MOST_ROWS)]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Keep(_In):
    kind: str
    ids: Ids = None
    """Rows; all with an open finding of the kind when left out."""
    keep: bool = True
    """False takes it back."""


class Fix(_In):
    kind: str | None = None
    """Only this finding; `remove` needs it."""
    ids: Ids = None
    """Only these rows; all with the finding when left out."""
    best: str = repair.FIRST
    """Of copies: which row of a group stays, the “first” or the “longest”."""
    version: Seen = None
    """Number of the version that was previewed: refused where a newer one is there."""


class Edit(_In):
    texts: dict[str, str]
    """By field: instruction, input, output, system; in conversations turn 1, turn 2, …"""
    version: Seen = None


class Reason(_In):
    reason: str


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


class KindOut(BaseModel):
    kind: str
    severity: str
    title: str
    meaning: str
    advice: str
    fix: str
    """What repairs it, beside editing by hand."""
    may_be_fine: bool
    rows: int
    """With an open finding."""
    kept: int
    """That somebody called fine."""


class OverrideOut(BaseModel):
    at: datetime
    person: str | None
    reason: str
    stands: bool
    """False where a further line fails since, or a check has found something else: it counts no longer."""
    said: str

    @classmethod
    def of(cls, given: permits.Override) -> OverrideOut:
        return cls(
            at=given.at,
            person=given.person,
            reason=given.reason,
            stands=given.stands,
            said=words.allowed(given),
        )


class CheckOut(BaseModel):
    running: bool
    progress: float
    error: dict[str, Any] | None


class QualityOut(BaseModel):
    version: int
    passed: bool
    score: int
    stale: bool
    """The version was not checked, or by other rules than today's."""
    checked_at: datetime | None
    lines: list[LineOut]
    findings: list[KindOut]
    broken: int
    """Rows of the uploads that could not be read and that nobody said to leave out."""
    not_checked: list[str]
    together: int
    """Pairs, each different one once, that were judged together."""
    since: int
    """That came or went after that: those that came were judged by what was learnt then."""
    languages: dict[str, dict[str, int]]
    rules: dict[str, float]
    override: OverrideOut | None
    """Why an administrator allowed a training although the gate fails."""
    override_void: OverrideOut | None
    """One that counts no longer."""
    check: CheckOut


class FoundOut(BaseModel):
    row_id: int
    kind: str
    severity: str
    where: str
    said: str
    fields: dict[str, Any]
    group: int | None


class FoundPageOut(BaseModel):
    items: list[FoundOut]
    total: int


class ExampleOut(BaseModel):
    row_id: int
    before: dict[str, str]
    after: dict[str, str] | None
    """None where the row goes. Personal data is veiled in both."""


class PreviewOut(BaseModel):
    version: int
    removed: int
    changed: int
    left: int
    """Rows that this fix cannot change."""
    examples: list[ExampleOut]


class MadeOut(BaseModel):
    version: int
    """Number of the new version; of the old one where there was nothing to do."""
    rows: int
    change: dict[str, Any]


class ChangedOut(BaseModel):
    changed: int


class GroupOut(BaseModel):
    rows: list[int]
    best: int


class RowOut(BaseModel):
    row_id: int
    texts: dict[str, str]


class EntryOut(BaseModel):
    at: datetime
    person: str | None
    action: str
    version: int | None
    score: int | None
    passed: bool | None
    detail: dict[str, Any]


def _out(request: Request, wb: Workbench, dataset_id: int, number: int | None = None) -> QualityOut:
    problems.speak(request)
    found = findings.standing(wb, store.version(wb, dataset_id, number))
    counts = found.counts or gate.Counts(rows=found.version.row_count)
    given = permits.given(wb, found.version)
    return QualityOut(
        version=found.version.number,
        passed=found.gate.passed,
        score=found.gate.score,
        stale=found.stale,
        checked_at=found.checked_at,
        lines=[
            LineOut(
                name=line.name,
                passed=line.passed,
                value=line.value,
                limit=line.limit,
                weight=line.weight,
                title=gate.title(line),
                said=gate.said(line, counts),
                advice="" if line.passed else gate.advice(line, counts),
            )
            for line in found.gate.lines
        ],
        findings=[
            KindOut(
                kind=kind.name,
                severity=kind.severity,
                title=kinds.title(kind.name),
                meaning=kinds.meaning(kind.name),
                advice=kinds.advice(kind.name),
                fix=kind.fix,
                may_be_fine=kind.may_be_fine,
                rows=found.open.get(kind.name, 0),
                kept=found.kept.get(kind.name, 0),
            )
            for kind in kinds.KINDS.values()
            if kind.name in found.open or kind.name in found.kept
        ],
        broken=found.broken,
        not_checked=[gettext(sentence) for sentence in found.not_checked],
        together=found.together,
        since=found.since,
        languages=found.languages,
        rules=found.rules.model_dump(),
        override=OverrideOut.of(given) if given and given.stands else None,
        override_void=OverrideOut.of(given) if given and not given.stands else None,
        check=CheckOut(**asdict(check_jobs.state(wb, dataset_id))),
    )


def _made(version: Version) -> MadeOut:
    return MadeOut(version=version.number, rows=version.row_count, change=version.change)


def _parent(wb: Workbench, dataset_id: int, number: int | None) -> int | None:
    return None if number is None else store.version(wb, dataset_id, number).id


@router.post("/validate", status_code=201, summary="Check the newest version in a job")
def validate(request: Request, wb: Bench, user: Labeler, dataset_id: Id, anew: bool = False) -> QualityOut:
    """Rows that an earlier check has seen are not looked at again; with `anew`, all pairs are judged together."""
    check_jobs.start(wb, user, dataset_id, anew=anew)
    return _out(request, wb, dataset_id)


@router.post("/validate/cancel", summary="Stop the check")
def cancel(request: Request, wb: Bench, user: Labeler, dataset_id: Id) -> QualityOut:
    check_jobs.cancel(wb, user, dataset_id)
    return _out(request, wb, dataset_id)


@router.get("/quality", summary="The gate, and findings by kind")
def standing(
    request: Request, wb: Bench, _user: Viewer, dataset_id: Id, version: VersionNumber = None
) -> QualityOut:
    return _out(request, wb, dataset_id, version)


@router.get("/quality/findings", summary="Findings, row by row; never the text itself")
def found(
    request: Request,
    wb: Bench,
    _user: Viewer,
    dataset_id: Id,
    kind: str | None = None,
    kept: bool = False,
    version: VersionNumber = None,
    offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
    limit: Annotated[int, Query(ge=1, le=store.MAX_PAGE)] = 50,
) -> FoundPageOut:
    problems.speak(request)
    which = store.version(wb, dataset_id, version)
    page = findings.found(wb, which, kind, kept=kept, offset=offset, limit=limit)
    return FoundPageOut(
        items=[
            FoundOut(
                row_id=each.row_id,
                kind=each.kind,
                severity=each.severity,
                where=each.where,
                said=each.text(gettext),
                fields=each.fields,
                group=each.group,
            )
            for each in page.items
        ],
        total=page.total,
    )


@router.get("/quality/rows/{kind}", summary="Ids of the rows with a finding")
def rows(wb: Bench, _user: Viewer, dataset_id: Id, kind: str, version: VersionNumber = None) -> list[int]:
    return findings.rows(wb, store.version(wb, dataset_id, version), kind)


@router.get("/quality/copies", summary="Groups of copies, each with the row that would stay")
def copies(wb: Bench, _user: Viewer, dataset_id: Id, best: str = repair.FIRST) -> list[GroupOut]:
    newest = store.get(wb, dataset_id).newest
    return [
        GroupOut(rows=list(group.rows), best=group.best) for group in repair.groups(wb, newest, best=best)
    ]


@router.post("/quality/keep", summary="Say that findings are fine as they are")
def keep(wb: Bench, user: Labeler, dataset_id: Id, body: Keep) -> ChangedOut:
    changed = decisions.keep(wb, user, dataset_id, body.kind, body.ids, keep=body.keep)
    return ChangedOut(changed=changed)


@router.post("/quality/leave-out", summary="Say that broken rows of the uploads are left out for good")
def leave_out(wb: Bench, user: Labeler, dataset_id: Id) -> ChangedOut:
    return ChangedOut(changed=decisions.leave_out(wb, user, dataset_id))


@router.patch("/quality/rules", summary="Change thresholds of findings and gate")
def rules(request: Request, wb: Bench, user: Trainer, dataset_id: Id, body: dict[str, Any]) -> QualityOut:
    decisions.set_rules(wb, user, dataset_id, body)
    return _out(request, wb, dataset_id)


@router.post("/quality/fix/{fix}/preview", summary="What a fix would do, with examples")
def preview(wb: Bench, _user: Labeler, dataset_id: Id, fix: str, body: Fix | None = None) -> PreviewOut:
    """Fixes are remove, copies, mask, clean and leaks."""
    body = body or Fix()
    shown = repair.preview(wb, dataset_id, fix, body.kind, ids=body.ids, best=body.best)
    return PreviewOut(
        version=shown.version.number,
        removed=shown.removed,
        changed=shown.changed,
        left=shown.left,
        examples=[ExampleOut(**asdict(each)) for each in shown.examples],
    )


@router.post("/quality/fix/{fix}", status_code=201, summary="Repair findings in a new version")
def apply(wb: Bench, user: Labeler, dataset_id: Id, fix: str, body: Fix | None = None) -> MadeOut:
    """Fixes are remove, copies, mask, clean and leaks. Check the new version to see the finding gone."""
    body = body or Fix()
    parent = _parent(wb, dataset_id, body.version)
    return _made(
        repair.apply(wb, user, dataset_id, fix, body.kind, ids=body.ids, best=body.best, parent=parent)
    )


@router.patch("/rows/{row_id}", summary="Write texts of one row anew, in a new version")
def edit(wb: Bench, user: Labeler, dataset_id: Id, row_id: Id, body: Edit) -> MadeOut:
    parent = _parent(wb, dataset_id, body.version)
    return _made(repair.edit(wb, user, dataset_id, row_id, body.texts, parent=parent))


@router.post("/rows/{row_id}/unmask", summary="See a row as it was before it was masked")
def unmask(wb: Bench, user: Admin, dataset_id: Id, row_id: Id, version: VersionNumber = None) -> RowOut:
    """Who looked at which row stays in the audit log."""
    row = vault.unmask(wb, user, dataset_id, row_id, version)
    return RowOut(row_id=row.row_id, texts=dict(row.record.texts()))


@router.post("/quality/override", status_code=201, summary="Let this version be trained on all the same")
def override(request: Request, wb: Bench, user: Admin, dataset_id: Id, body: Reason) -> OverrideOut:
    """It counts for the lines that fail now; a further one that fails later needs a reason of its own."""
    problems.speak(request)
    return OverrideOut.of(permits.override(wb, user, dataset_id, body.reason))


@router.get("/quality/log", summary="Checks, fixes and decisions, newest first")
def log(wb: Bench, _user: Viewer, dataset_id: Id) -> list[EntryOut]:
    return [EntryOut(**asdict(entry)) for entry in findings.entries(wb, dataset_id)]
