"""A/B tests for programs: plan, start, assign, log, results, end."""

from __future__ import annotations

from datetime import datetime
from types import ModuleType
from typing import Annotated, Any, Literal

from fastapi import Body, File, Form, Query, Request, UploadFile
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from api import problems
from api.deps import Bench, Id, Labeler, Trainer, Viewer
from api.router import Router
from core import i18n, production
from core.ab import assigning, assignment, gateway, interactions, lost, trials
from core.ab.assigning import Assigned
from core.ab.assignment import MAX_UNIT
from core.ab.trials import Trial
from core.errors import TooLarge
from core.settings import MIB

router = Router(prefix="/v1/admin/ab-tests", tags=["A/B tests"])

MAX_IMAGE = 50 * MIB


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Create(_In):
    theme_id: int = Field(ge=1, le=2**63 - 1)
    name: str
    plan: dict[str, Any]
    """versions (ids, the first is A), weights, coverage, primary, minimum, guardrails, segments, alpha,
    planned_users, days, holdout, exclusion."""


class Change(_In):
    name: str | None = None
    plan: dict[str, Any] | None = None
    coverage: float | None = None
    weights: list[float] | None = None


class Assign(_In):
    unit: str | None = None
    """The user's id, always the same one; it must be there."""
    force: str | None = None
    """For testers: this variant, who are then not counted."""
    peek: bool = False
    """Only say what it would be; record nothing."""


class Rating(_In):
    rating: int
    feedback: str | None = None


class Stop(_In):
    reason: str


class Conclude(Stop):
    winner: str
    promote: bool = False
    """Also put the winner into production, if the registry's gate lets it."""


class TestOut(BaseModel):
    id: int
    theme_id: int
    name: str
    status: str
    plan: dict[str, Any]
    variants: list[str]
    seal: str | None
    intact: bool
    """False where the stored plan is no longer the one that was sealed."""
    phase: int
    coverage: float | None
    weights: list[float]
    outcome: dict[str, Any] | None
    created_at: datetime
    started_at: datetime | None
    planned_end: datetime | None
    ended_at: datetime | None


class PromotionOut(BaseModel):
    promoted: bool
    why_not: str | None
    ledger_entry: int | None


class ConcludedOut(TestOut):
    promotion: PromotionOut | None
    """null: it was not asked for."""


class AssignedOut(BaseModel):
    unit: str
    variant: str | None
    """null: this unit takes no part."""
    version_id: int | None
    phase: int | None
    forced: bool
    new: bool


class RefusedOut(BaseModel):
    index: int
    detail: str


class LoggedOut(BaseModel):
    added: int
    known: int
    keys: list[str | None]
    refused: list[RefusedOut]


class SentOut(BaseModel):
    added: int
    known: int
    """Images that the theme has already; they were left as they are."""
    without: int
    """Conversations without an image."""
    refused: int


class AnswerOut(BaseModel):
    key: str
    variant: str | None
    label: str | None
    confidence: float | None
    probabilities: dict[str, float]
    error: str | None


def _report() -> ModuleType:
    """core.ab.report, loaded at its first use: its statistics bring 45 MiB that an idle app need not hold."""
    from core.ab import report

    return report


def _test(trial: Trial) -> TestOut:
    return TestOut(
        **{
            name: getattr(trial, name)
            for name in (
                "id", "theme_id", "name", "status", "seal", "intact", "outcome", "created_at", "started_at",
                "planned_end", "ended_at",
            )
        },
        plan=trial.plan.model_dump(mode="json"),
        variants=list(trial.plan.names),
        phase=trial.phase.number if trial.phase else 0,
        coverage=trial.phase.coverage if trial.phase else None,
        weights=list(trial.phase.weights if trial.phase else trial.plan.weights),
    )  # fmt: skip


def _assigned(unit: str, found: Assigned | None) -> AssignedOut:
    if found is None:
        return AssignedOut(unit=unit, variant=None, version_id=None, phase=None, forced=False, new=False)
    return AssignedOut.model_validate(found, from_attributes=True)


def _logged(request: Request, found: interactions.Report) -> LoggedOut:
    problems.speak(request)
    refused = [RefusedOut(index=index, detail=error.text(i18n.gettext)) for index, error in found.refused]
    return LoggedOut(added=found.added, known=found.known, keys=found.keys, refused=refused)


@router.post("", status_code=201, summary="Draft a test")
def create(wb: Bench, user: Trainer, body: Create) -> TestOut:
    return _test(trials.create(wb, user, body.theme_id, body.name, body.plan))


@router.get("", summary="Tests, newest first")
def listed(wb: Bench, _user: Viewer, theme: int | None = None, after: int | None = None) -> list[TestOut]:
    return [_test(trial) for trial in trials.listed(wb, theme, after=after)]


@router.get("/{test_id}", summary="One test")
def get(wb: Bench, _user: Viewer, test_id: Id) -> TestOut:
    return _test(trials.get(wb, test_id))


@router.patch("/{test_id}", summary="Change a draft; ramp or re-weigh a running test")
def change(wb: Bench, user: Trainer, test_id: Id, body: Change) -> TestOut:
    weights = tuple(body.weights) if body.weights is not None else None
    return _test(
        trials.update(
            wb, user, test_id, name=body.name, plan=body.plan, coverage=body.coverage, weights=weights
        )
    )


@router.delete("/{test_id}", status_code=204, summary="Throw a draft away")
def discard(wb: Bench, user: Trainer, test_id: Id) -> None:
    trials.discard(wb, user, test_id)


@router.post("/{test_id}/start", summary="Seal the plan and let users in")
def start(wb: Bench, user: Trainer, test_id: Id) -> TestOut:
    return _test(trials.start(wb, user, test_id))


@router.post("/{test_id}/assign-variant", summary="The variant of a unit")
def assign(wb: Bench, _user: Labeler, test_id: Id, body: Assign) -> AssignedOut:
    unit = body.unit or ""
    assignment.position("", unit)  # refuses one that is missing or not usable, for testers too
    if body.peek:
        return _assigned(unit, assigning.peek(wb, test_id, unit))
    return _assigned(unit, assigning.assign(wb, test_id, unit, force=body.force))


@router.post("/{test_id}/logs", status_code=201, summary="Log one interaction")
def log(wb: Bench, _user: Labeler, test_id: Id, body: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
    found = interactions.log(wb, test_id, [body])
    if found.refused:
        raise found.refused[0][1]
    return {"key": found.keys[0], "added": found.added, "known": found.known}


@router.post("/{test_id}/logs/batch", summary="Log many; each good one is kept, each bad one named")
def log_batch(
    request: Request,
    wb: Bench,
    _user: Labeler,
    test_id: Id,
    body: Annotated[list[dict[str, Any]], Body(max_length=interactions.MAX_BATCH)],
) -> LoggedOut:
    return _logged(request, interactions.log(wb, test_id, body))


@router.post("/{test_id}/logs/{key}/rating", summary="A rating that comes late")
def rate(wb: Bench, _user: Labeler, test_id: Id, key: str, body: Rating) -> dict[str, str]:
    interactions.rate(wb, test_id, key, body.rating, body.feedback)
    return {"key": key}


@router.get("/{test_id}/logs", summary="Interactions, newest first")
def logs(
    wb: Bench,
    _user: Viewer,
    test_id: Id,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 50,
    after_at: datetime | None = None,
    after_key: str | None = None,
) -> list[dict[str, Any]]:
    trial = trials.get(wb, test_id)
    after = (after_at, after_key) if after_at is not None and after_key is not None else None
    found = interactions.logged(wb, test_id, limit=limit, after=after)
    return [{**row, "variant": trial.plan.names[row.pop("arm")]} for row in found]


@router.post("/{test_id}/answer", summary="Ask the unit's variant for one image, and log it")
async def answer(
    wb: Bench,
    user: Labeler,
    test_id: Id,
    unit: Annotated[str, Form(min_length=1, max_length=MAX_UNIT)],
    image: Annotated[UploadFile, File()],
    key: Annotated[str | None, Form(max_length=interactions.MAX_KEY)] = None,
) -> AnswerOut:
    from fastapi.concurrency import run_in_threadpool

    data = await image.read(MAX_IMAGE + 1)
    if len(data) > MAX_IMAGE:
        raise TooLarge("The image is larger than {limit} MB; send a smaller one.", limit=MAX_IMAGE // MIB)
    name = image.filename or "image"
    found = await run_in_threadpool(gateway.answer, wb, user, test_id, unit, (name, data), key=key)
    return AnswerOut(
        key=found.key,
        variant=found.variant,
        label=found.prediction.label,
        confidence=found.prediction.confidence,
        probabilities=found.prediction.probabilities,
        error=found.prediction.error,
    )


@router.get("/{test_id}/results", summary="Verdict, comparisons, health")
def results(request: Request, wb: Bench, _user: Viewer, test_id: Id) -> JSONResponse:
    problems.speak(request)
    return JSONResponse(_report().make(wb, test_id))


@router.get("/{test_id}/report", summary="The report as a file; every format has the same figures")
def report_file(
    request: Request,
    wb: Bench,
    _user: Viewer,
    test_id: Id,
    format: Literal["json", "csv", "html", "pdf"] = "json",
) -> Response:
    problems.speak(request)
    made = _report().make(wb, test_id, conversations=True)
    named = _named(f"ab-test-{test_id}.{format}")
    if format == "csv":
        return Response(_report().as_csv(made), media_type="text/csv; charset=utf-8", headers=named)
    if format == "html":
        return Response(_report().as_html(made), media_type="text/html; charset=utf-8", headers=named)
    if format == "pdf":
        return Response(_report().as_pdf(made), media_type="application/pdf", headers=named)
    return JSONResponse(made, headers=named)


@router.post("/{test_id}/stop", summary="End without a winner")
def stop(wb: Bench, user: Trainer, test_id: Id, body: Stop) -> TestOut:
    return _test(_report().stop(wb, user, test_id, body.reason))


@router.post("/{test_id}/conclude", summary="End with a winner; the verdict is sealed with it")
def conclude(request: Request, wb: Bench, user: Trainer, test_id: Id, body: Conclude) -> ConcludedOut:
    """The test ends in any case; a promotion that the gate refuses says why."""
    problems.speak(request)
    trial = _report().conclude(wb, user, test_id, body.winner, body.reason)
    promotion = None
    if body.promote:
        made = production.promote_winner(wb, user, trial)
        promotion = PromotionOut(
            promoted=made.entry is not None,
            why_not=made.refusal.text(i18n.gettext) if made.refusal else None,
            ledger_entry=made.entry.id if made.entry else None,
        )
    return ConcludedOut(**_test(trial).model_dump(), promotion=promotion)


@router.get("/{test_id}/monitoring", summary="Counts, pace, rates by hour or day, and alarms")
def monitoring(
    request: Request, wb: Bench, _user: Viewer, test_id: Id, per: Literal["hour", "day"] = "hour"
) -> JSONResponse:
    from core.ab import monitoring

    problems.speak(request)
    return JSONResponse(monitoring.now(wb, test_id, per))


@router.get("/{test_id}/lost/{variant}", summary="Answers of a variant that were rated 1 or 2, newest first")
def lost_answers(
    wb: Bench,
    _user: Viewer,
    test_id: Id,
    variant: str,
    format: Literal["json", "csv", "jsonl"] = "json",
    limit: Annotated[int, Query(ge=1, le=lost.MOST)] = 50,
) -> Response:
    found = lost.conversations(wb, test_id, variant, limit)
    named = _named(f"ab-test-{test_id}-{variant}-lost.{format}")
    if format == "csv":
        return Response(lost.as_csv(found), media_type="text/csv; charset=utf-8", headers=named)
    if format == "jsonl":
        return Response(lost.as_jsonl(found), media_type="application/x-ndjson", headers=named)
    return JSONResponse(found)


@router.post(
    "/{test_id}/lost/{variant}/to-labelling", summary="Add their images to the theme, to be labelled"
)
def lost_to_labelling(request: Request, wb: Bench, user: Trainer, test_id: Id, variant: str) -> SentOut:
    problems.speak(request)
    sent = lost.to_labelling(wb, user, test_id, variant)
    return SentOut(added=sent.added, known=sent.known, without=sent.without, refused=sent.refused)


def _named(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}
