"""Stored. What people ask of a run: pause, stop, go on, clear away its checkpoints."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import redis
import sqlalchemy as sa

from core import audit, auth, queue, runs, themes
from core.db.tables import finetuning_jobs, training_checkpoints
from core.errors import Conflict, InvalidInput, VeritrainError
from core.events import Status, Wish
from core.files import sha256_of
from core.runs import Run, get
from core.spec import best_beside
from core.workbench import Workbench

STOPS = (Wish.FINISH, Wish.KEEP, Wish.CANCEL)
"""Ways to end a run early."""


@dataclass(frozen=True)
class Checkpoint:
    path: str
    sha256: str
    epoch: int
    step: int
    metric: float | None
    kind: str
    """last or best."""
    created_at: datetime
    size: int | None
    """Bytes; None where the file is gone."""


def pause(wb: Workbench, actor: auth.User, run_id: int) -> Run:
    """Have a run save a checkpoint and make room for others; `resume` goes on exactly there.

    One that still waits is paused at once. Raises NotFound, NotAllowed, Unavailable when the queue is away,
    Conflict when it has ended or is paused already.
    """
    auth.require(actor, auth.TRAINER)
    run = get(wb, run_id)
    if not run.active:
        raise Conflict("Run {id} is not under way; there is nothing to pause.", id=run_id)
    _ask(wb, actor, run, Wish.PAUSE, Status.PAUSED)
    return get(wb, run_id)


def stop(wb: Workbench, actor: auth.User, run_id: int, how: str = Wish.CANCEL) -> Run:
    """End a run early, as `core.events.Wish` says; one that waits or is paused is cancelled at once.

    Raises NotFound, NotAllowed, Unavailable when the queue is away, InvalidInput for another word, Conflict
    when it has ended.
    """
    auth.require(actor, auth.TRAINER)
    if how not in STOPS:
        raise InvalidInput("A run is stopped by one of: {all}.", all=", ".join(STOPS))
    run = get(wb, run_id)
    if run.status == Status.PAUSED:
        _set(wb, actor, run_id, "run.cancel", Status.CANCELLED)
    elif not run.active:
        raise Conflict("Run {id} has ended already; there is nothing to stop.", id=run_id)
    else:
        _ask(wb, actor, run, Wish(how), Status.CANCELLED)
    return get(wb, run_id)


def resume(wb: Workbench, actor: auth.User, run_id: int) -> Run:
    """Queue a paused, failed or cancelled run again; it goes on from its last checkpoint, from the same spec.

    Raises Conflict in any other state, NotFound where its theme was deleted, Unavailable when the queue is away.
    """
    auth.require(actor, auth.TRAINER)
    run = get(wb, run_id)
    if run.status not in (Status.PAUSED, Status.FAILED, Status.CANCELLED):
        raise Conflict("Only a paused, failed or cancelled run can be resumed; run {id} is none.", id=run_id)
    themes.get(wb, run.theme_id)
    queue.ask(wb, run_id, None)
    attempt = run.attempt + 1

    def work(connection: sa.Connection) -> None:
        audit.record(connection, actor, "run.resume", f"run {run_id}", {"attempt": attempt})
        runs.requeue(connection, run_id, attempt, Status.QUEUED)

    wb.db.write(work)
    queue.enqueue(wb, run.spec, attempt)
    return get(wb, run_id)


def wished(wb: Workbench, run_id: int) -> str | None:
    """What was asked of a run that is under way and not done yet; None also while the queue is away."""
    with contextlib.suppress(redis.RedisError, VeritrainError):
        return queue.wish_of(wb, run_id)
    return None


def checkpoints(wb: Workbench, run_id: int) -> list[Checkpoint]:
    """Those that are still on disk, newest first. Raises NotFound."""
    get(wb, run_id)
    column = training_checkpoints.c
    query = sa.select(training_checkpoints).where(column.run_id == run_id).order_by(column.id.desc())
    found: dict[str, Checkpoint] = {}
    with wb.db.read() as connection:
        for row in connection.execute(query):
            if row.path in found:
                continue  # an older one was written over
            file = wb.settings.artifacts_dir / row.path
            size = file.stat().st_size if file.exists() else None
            found[row.path] = Checkpoint(
                row.path, row.sha256, row.epoch, row.step, row.metric, row.kind, row.created_at, size
            )
    return [each for each in found.values() if each.size is not None]


def intact(wb: Workbench, checkpoint: Checkpoint) -> bool:
    """Whether the file on disk is, byte for byte, the one that was written. Reads all of it."""
    try:
        return sha256_of(wb.settings.artifacts_dir / checkpoint.path) == checkpoint.sha256
    except OSError:
        return False


def remove_checkpoints(wb: Workbench, actor: auth.User, run_id: int) -> int:
    """Delete what an ended run left to go on from, and what it began with; its registered model stays.

    Returns the bytes that came free. What another run that has not ended begins with is left.

    Raises Conflict while it is under way or paused, NotFound, NotAllowed.
    """
    auth.require(actor, auth.TRAINER)
    run = get(wb, run_id)
    if run.active or run.status == Status.PAUSED:
        raise Conflict("Run {id} still needs its checkpoints; stop it first.", id=run_id)
    folder = wb.settings.artifacts_dir / "runs" / str(run_id) / "checkpoints"
    files = [file for file in folder.glob("*") if file.is_file()] + _begun_with(wb, run)
    size = sum(file.stat().st_size for file in files if file.stat().st_nlink == 1)
    wb.db.write(lambda c: audit.record(c, actor, "run.checkpoints.remove", f"run {run_id}", {"bytes": size}))
    for file in files:
        file.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    return size


def _begun_with(wb: Workbench, run: Run) -> list[Path]:
    """The files of another run that this one went on from, where no run that has not ended needs them."""
    began = run.spec.continues
    if began is None:
        return []
    for other in runs.under_way(wb):
        if other.spec.continues and other.spec.continues.path == began.path:
            return []
    path = wb.settings.artifacts_dir / began.path
    return [file for file in (path, best_beside(path)) if file.exists()]


def _ask(wb: Workbench, actor: auth.User, run: Run, wish: Wish, waiting: Status) -> None:
    """Leave the wish for the job; a run that no worker has taken gets the status `waiting` at once."""
    queue.ask(wb, run.id, wish)
    withdrawn = run.rq_job_id is not None and queue.withdraw(wb, run.rq_job_id)
    action = f"run.{wish}"
    if withdrawn:
        _set(wb, actor, run.id, action, waiting)
    else:
        wb.db.write(lambda connection: audit.record(connection, actor, action, f"run {run.id}"))


def _set(wb: Workbench, actor: auth.User, run_id: int, action: str, status: Status) -> None:
    values: dict[str, Any] = {"status": status.value}
    if status is Status.CANCELLED:
        values["ended_at"] = datetime.now(UTC)

    def work(connection: sa.Connection) -> None:
        audit.record(connection, actor, action, f"run {run_id}")
        connection.execute(finetuning_jobs.update().where(finetuning_jobs.c.id == run_id).values(**values))

    wb.db.write(work)
