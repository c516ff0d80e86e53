"""Runs of every kind for programs: start, list, pause, resume, stop, and follow as they go."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Header, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from api.deps import Admin, Bench, Id, Trainer, Viewer
from api.router import Router
from core import repeats, run_control, run_growth, run_reports, runs, waiting
from core.events import Status, Wish
from core.runs import Run

router = Router(tags=["runs"])
JOBS = "/v1/admin/finetuning/jobs"

LOOK_SECONDS = 0.5
"""How often the stream of events looks for new ones."""
QUIET_SECONDS = 15.0
"""A comment is sent after so long without events, so that no proxy takes the line for dead."""


class JobIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    theme_id: int
    override: str = ""
    """Why to train although the dataset gate fails; administrators only."""


class StopIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    how: str = Wish.CANCEL.value
    """`finish` ends after this epoch and `keep` now, both with the best model so far; `cancel` now, without."""


class ExtendIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    epochs: Annotated[int, Field(ge=1, le=999)]
    """That are added to those it has run."""


class StartFromIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    kind: Literal["last", "best"]


class JobOut(BaseModel):
    id: int
    kind: str
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
    result: dict[str, Any] | None
    parameters: dict[str, Any]
    repeats: int | None
    """The run whose data and parameters these are."""

    @classmethod
    def of(cls, run: Run) -> JobOut:
        own = {name: getattr(run, name) for name in cls.model_fields if name not in ("parameters", "repeats")}
        return cls(**own, parameters=runs.flat_parameters(run.spec), repeats=run.spec.repeats)


class JobsOut(BaseModel):
    items: list[JobOut]
    next_before: int | None
    """Ask with this `before` for the next page; null at the end."""


class LogOut(BaseModel):
    at: datetime
    level: str
    message: str


class CheckpointOut(BaseModel):
    path: str
    sha256: str
    epoch: int
    step: int
    metric: float | None
    kind: str
    created_at: datetime
    size: int | None


class EntryOut(BaseModel):
    id: int
    kind: str
    status: str
    queue: str
    place: int | None
    about: str
    created_by: str
    created_at: datetime
    fraction: float
    expected: datetime | None
    """When a waiting job may start, or a running one may end."""


class WorkerOut(BaseModel):
    name: str
    host: str
    queues: tuple[str, ...]
    device: str
    run_id: int | None


class QueueOut(BaseModel):
    entries: list[EntryOut]
    workers: list[WorkerOut]


class MoveIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    to: waiting.Move


@router.get("/v1/admin/finetuning/queue", summary="Running and waiting jobs in their order, and the workers")
def waiting_jobs(wb: Bench, _user: Viewer) -> QueueOut:
    found = waiting.overview(wb)
    return QueueOut(
        entries=[
            EntryOut(**{name: getattr(each, name) for name in EntryOut.model_fields})
            for each in found.entries
        ],
        workers=[WorkerOut(**asdict(each)) for each in found.workers],
    )


@router.post(JOBS + "/{run_id}/move", status_code=204, summary="Change a waiting job's place in its queue")
def move(wb: Bench, user: Admin, run_id: Id, body: MoveIn) -> None:
    waiting.move(wb, user, run_id, body.to)


@router.post(JOBS, status_code=201, summary="Train a theme")
def start(wb: Bench, user: Trainer, body: JobIn) -> JobOut:
    return JobOut.of(runs.start(wb, user, body.theme_id, override=body.override))


@router.get(JOBS, summary="Runs, newest first")
def listed(
    wb: Bench,
    _user: Viewer,
    theme_id: Annotated[int | None, Query(ge=1)] = None,
    before: Annotated[int | None, Query(ge=1, description="only runs with a smaller number")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> JobsOut:
    found = runs.history(wb, theme_id, limit + 1, before)
    return JobsOut(
        items=[JobOut.of(run) for run in found[:limit]],
        next_before=found[limit - 1].id if len(found) > limit else None,
    )


@router.get(JOBS + "/{run_id}", summary="One run")
def one(wb: Bench, _user: Viewer, run_id: Id) -> JobOut:
    return JobOut.of(runs.get(wb, run_id))


@router.post(JOBS + "/{run_id}/stop", summary="End a run early")
def stop(wb: Bench, user: Trainer, run_id: Id, body: StopIn | None = None) -> JobOut:
    return JobOut.of(run_control.stop(wb, user, run_id, (body or StopIn()).how))


@router.post(JOBS + "/{run_id}/pause", summary="Save a checkpoint and make room")
def pause(wb: Bench, user: Trainer, run_id: Id) -> JobOut:
    return JobOut.of(run_control.pause(wb, user, run_id))


@router.post(JOBS + "/{run_id}/resume", summary="Go on with a paused, failed or cancelled run")
def resume(wb: Bench, user: Trainer, run_id: Id) -> JobOut:
    return JobOut.of(run_control.resume(wb, user, run_id))


@router.post(JOBS + "/{run_id}/repeat", status_code=201, summary="Train again from the frozen specification")
def repeat(wb: Bench, user: Trainer, run_id: Id) -> JobOut:
    return JobOut.of(repeats.start(wb, user, run_id))


@router.post(JOBS + "/{run_id}/extend", status_code=201, summary="A new run that goes on for some epochs")
def extend(wb: Bench, user: Trainer, run_id: Id, body: ExtendIn) -> JobOut:
    return JobOut.of(run_growth.extend(wb, user, run_id, body.epochs))


@router.post(JOBS + "/{run_id}/start-from", summary="Let the theme's next training start with its weights")
def start_from(wb: Bench, user: Trainer, run_id: Id, body: StartFromIn) -> dict[str, str]:
    return {"weights": run_growth.start_from(wb, user, run_id, body.kind)}


@router.get(JOBS + "/{run_id}/logs", summary="The end of a run's log, oldest line first")
def logs(
    wb: Bench,
    _user: Viewer,
    run_id: Id,
    tail: Annotated[int, Query(ge=1, le=10_000)] = 200,
    search: Annotated[str, Query(max_length=200, description="only lines that contain this")] = "",
) -> list[LogOut]:
    runs.get(wb, run_id)
    return [LogOut(**asdict(line)) for line in run_reports.logs(wb, run_id, tail, search)]


@router.get(JOBS + "/{run_id}/validations", summary="F1 of each label and the worst images, by epoch")
def validations(wb: Bench, _user: Viewer, run_id: Id) -> list[dict[str, Any]]:
    runs.get(wb, run_id)
    return run_reports.validations(wb, run_id)


@router.get(JOBS + "/{run_id}/metrics", summary="Series of (step, epoch, value) by metric")
def metrics(wb: Bench, _user: Viewer, run_id: Id) -> dict[str, list[tuple[int, float, float]]]:
    runs.get(wb, run_id)
    return run_reports.metrics(wb, run_id)


@router.get(JOBS + "/{run_id}/checkpoints", summary="Checkpoints that are still on disk, newest first")
def checkpoints(wb: Bench, _user: Viewer, run_id: Id) -> list[CheckpointOut]:
    return [CheckpointOut(**asdict(each)) for each in run_control.checkpoints(wb, run_id)]


@router.delete(JOBS + "/{run_id}/checkpoints", summary="Free the disk of an ended run's checkpoints")
def remove_checkpoints(wb: Bench, user: Trainer, run_id: Id) -> dict[str, int]:
    return {"bytes": run_control.remove_checkpoints(wb, user, run_id)}


@router.get("/runs/{run_id}/events", response_class=StreamingResponse, summary="Follow a run (SSE)")
def follow(
    request: Request,
    wb: Bench,
    _user: Viewer,
    run_id: Id,
    last_event_id: Annotated[int, Header(ge=0, le=2**62)] = 0,
) -> StreamingResponse:
    """Server-sent events, one for each event of the run from the one after `Last-Event-ID` on.

    The last is `end`, with the run's status; a run that is paused or waits goes on being followed.
    """
    runs.get(wb, run_id)

    async def stream() -> AsyncIterator[str]:
        number, said = last_event_id, time.monotonic()
        while not await request.is_disconnected():
            status = (await run_in_threadpool(runs.get, wb, run_id)).status
            found = await run_in_threadpool(run_reports.told, wb, run_id, number)
            for each in found:
                data = json.dumps({"at": each.at.isoformat(), **each.payload}, ensure_ascii=False)
                yield f"id: {each.number}\nevent: {each.type}\ndata: {data}\n\n"
                number = each.number
            if found:
                said = time.monotonic()
                continue
            if status in (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED):
                yield f"event: end\ndata: {json.dumps({'status': status})}\n\n"
                return
            if time.monotonic() - said > QUIET_SECONDS:
                said = time.monotonic()
                yield ": still there\n\n"
            await asyncio.sleep(LOOK_SECONDS)

    return StreamingResponse(
        stream(),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )
