"""Runs of a theme."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from fastapi import Request
from pydantic import BaseModel, ConfigDict

from api import problems
from api.deps import Bench, Id, Trainer, Viewer
from api.router import Router
from core import preflight, preflight_jobs, preflight_words, registry, run_control, run_reports, runs, themes
from core.errors import NotFound
from core.quality import effect_words, with_without
from core.runs import Run
from core.workbench import Workbench

router = Router(tags=["training"])


class Start(BaseModel):
    model_config = ConfigDict(extra="forbid")

    override: str = ""
    """Why to train although the dataset gate fails; administrators only."""


class PreflightOut(BaseModel):
    state: str
    """none, going, failed, stale (parameters or images changed since), red or green."""
    run_id: int | None
    at: datetime | None
    fraction: float
    lines: list[dict[str, Any]]
    """`name`, `state` (ok, warn or bad), `text`."""
    figures: dict[str, Any]


class RunOut(BaseModel):
    id: int
    theme_id: int
    theme_name: str
    status: str
    attempt: int
    created_by: str
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    progress: dict[str, Any] | None
    error: dict[str, Any] | None
    queue_place: int | None = None


class ProgressOut(RunOut):
    metrics: dict[str, list[tuple[int, float, float]]]
    """Series of (step, epoch, value)."""
    log: list[str]


class ResultOut(RunOut):
    spec: dict[str, Any]
    result: dict[str, Any] | None
    version_id: int | None


class PairedOut(BaseModel):
    n: int
    """Test images that both runs saw."""
    both: int
    only_after: int
    only_before: int
    before: float
    after: float
    difference: float
    low: float
    high: float
    """95 % interval of the difference (Newcombe 1998, method 10)."""
    p: float
    """McNemar's, exact."""


class EffectOut(BaseModel):
    run_id: int
    previous_id: int | None
    paired: PairedOut | None
    verdict: str | None
    """better, worse or unsure; null where nothing can be said."""
    why: str
    """first, no-answers or no-shared where nothing can be said."""
    sentences: list[str]
    tests: int
    changes: dict[str, int]
    repairs: dict[str, int]
    parameters: dict[str, tuple[Any, Any]]
    code: bool


def _out(run: Run) -> dict[str, Any]:
    return {name: getattr(run, name) for name in RunOut.model_fields if name != "queue_place"}


def _of_theme(wb: Workbench, theme_id: int, run_id: int) -> Run:
    run = runs.get(wb, run_id)
    if run.theme_id != theme_id:
        themes.get(wb, theme_id)
        raise NotFound("There is no run {id} in this theme.", id=run_id)
    return run


@router.post(
    "/theme/{theme_id}/training/preflight", status_code=202, summary="Try a training on a few images"
)
def preflight_start(request: Request, wb: Bench, user: Trainer, theme_id: Id) -> PreflightOut:
    preflight_jobs.start(wb, user, theme_id)
    return preflight_state(request, wb, user, theme_id)


@router.get("/theme/{theme_id}/training/preflight", summary="What the newest pre-flight found")
def preflight_state(request: Request, wb: Bench, _user: Viewer, theme_id: Id) -> PreflightOut:
    problems.speak(request)
    themes.get(wb, theme_id)
    found = preflight.standing(wb, theme_id)
    return PreflightOut(
        state=found.state,
        run_id=found.run_id,
        at=found.at,
        fraction=found.fraction,
        lines=[{"name": li.name, "state": li.state, "text": preflight_words.text(li)} for li in found.lines],
        figures=dict(found.figures or {}),
    )


@router.post("/theme/{theme_id}/training/start", status_code=201, summary="Train")
def start(wb: Bench, user: Trainer, theme_id: Id, body: Start | None = None) -> RunOut:
    return RunOut(**_out(runs.start(wb, user, theme_id, override=body.override if body else "")))


@router.get("/theme/{theme_id}/training/progress/{run_id}", summary="How far a run is")
def progress(wb: Bench, _user: Viewer, theme_id: Id, run_id: Id) -> ProgressOut:
    run = _of_theme(wb, theme_id, run_id)
    return ProgressOut(
        **_out(run),
        queue_place=runs.queue_place(wb, run_id),
        metrics=run_reports.metrics(wb, run_id),
        log=[line.message for line in run_reports.logs(wb, run_id, tail=50)],
    )


@router.get("/theme/{theme_id}/training/history", summary="The theme's runs, newest first")
def history(wb: Bench, _user: Viewer, theme_id: Id) -> list[RunOut]:
    themes.get(wb, theme_id)
    return [RunOut(**_out(run)) for run in runs.history(wb, theme_id)]


@router.get("/theme/{theme_id}/training/result/{run_id}", summary="What a run found, and from what")
def result(wb: Bench, _user: Viewer, theme_id: Id, run_id: Id) -> ResultOut:
    run = _of_theme(wb, theme_id, run_id)
    version = registry.of_run(wb, run_id)
    return ResultOut(
        **_out(run),
        spec=run.spec.model_dump(mode="json"),
        result=run.result,
        version_id=version.id if version else None,
    )


@router.get(
    "/theme/{theme_id}/training/result/{run_id}/effect",
    summary="The run beside the one before, on the test images that both saw",
)
def effect(request: Request, wb: Bench, _user: Viewer, theme_id: Id, run_id: Id) -> EffectOut:
    problems.speak(request)
    _of_theme(wb, theme_id, run_id)
    found = with_without.of_run(wb, run_id)
    said = [] if found.previous_id is None else [effect_words.before(found)]
    if found.paired is None:
        said.append(effect_words.why_not(found))
    else:
        said += [effect_words.mark(found, found.paired), effect_words.judged(found.paired)]
    said += filter(None, [effect_words.not_alone(found)])
    return EffectOut(
        **asdict(found),
        verdict=effect_words.verdict(found.paired) if found.paired else None,
        sentences=said,
    )


@router.post("/theme/{theme_id}/training/cancel/{run_id}", summary="Stop a run")
def cancel(wb: Bench, user: Trainer, theme_id: Id, run_id: Id) -> RunOut:
    _of_theme(wb, theme_id, run_id)
    return RunOut(**_out(run_control.stop(wb, user, run_id)))


@router.post("/theme/{theme_id}/training/resume/{run_id}", summary="Go on with a failed or cancelled run")
def resume(wb: Bench, user: Trainer, theme_id: Id, run_id: Id) -> RunOut:
    _of_theme(wb, theme_id, run_id)
    return RunOut(**_out(run_control.resume(wb, user, run_id)))
