"""Stored. Looks after runs: workers that fell silent, jobs the queue forgot, cancellations nobody heard."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from core import audit, events, queue, runs
from core.db.tables import audit_log, finetuning_jobs, run_events
from core.errors import VeritrainError
from core.events import ENDED, Status, Type
from core.notices import outbox
from core.spec import job_spec
from core.workbench import Workbench

log = logging.getLogger(__name__)

LOST_SECONDS = 12.0
"""A run without heartbeat for this long is lost; a little more than the heartbeat key lives."""
UNSEEN_SECONDS = 15.0
"""A waiting run that neither the queue nor a worker knows for this long is queued again."""
FRUITLESS_ATTEMPTS = 4
"""Attempts in a row that may be lost without saving a checkpoint; then a person must press Resume."""
CANCEL_GRACE_SECONDS = 20.0
"""Time a job has to stop by itself after Cancel before its process is ended."""

Row = Mapping[Any, Any]


class RunWatch:
    """`turn` looks once at every run that has not ended; `take_in` stores what its event file says."""

    def __init__(self, wb: Workbench, take_in: Callable[[Row], None]) -> None:
        self.wb = wb
        self._take_in = take_in
        self._since = time.monotonic()
        self._cancel_seen: dict[int, float] = {}
        self._unseen: dict[int, float] = {}

    def begin(self) -> None:
        """After a pause of the broker or of this app every job first gets the time to be heard again."""
        self._since = time.monotonic()
        self._cancel_seen.clear()
        self._unseen.clear()

    def turn(self) -> None:
        rows = unfinished(self.wb)
        going = {row["id"] for row in rows}
        self._cancel_seen = {run: since for run, since in self._cancel_seen.items() if run in going}
        self._unseen = {run: since for run, since in self._unseen.items() if run in going}
        if not rows:
            return
        queue.sweep(self.wb)
        for row in rows:
            try:
                self._look_after(row)
            except VeritrainError as error:
                log.warning("run %s: %s", row["id"], error)

    def _look_after(self, row: Row) -> None:
        run_id, status = row["id"], Status(row["status"])
        state = queue.state(self.wb, row["rq_job_id"] or "")
        died = state in queue.DIED
        alive = not died and queue.alive(self.wb, run_id)
        if queue.wish_of(self.wb, run_id) == "cancel":
            self._see_to_cancel(row, alive, died)
            return
        if status is Status.RUNNING:
            seen = row["heartbeat_at"] or row["started_at"] or row["created_at"]
            silent = min(time.monotonic() - self._since, (datetime.now(UTC) - seen).total_seconds())
            if died or (not alive and silent > LOST_SECONDS):
                self._lost(row)
            return
        if alive or state == "queued":
            self._unseen.pop(run_id, None)
            return
        since = self._unseen.setdefault(run_id, time.monotonic())
        if not died and time.monotonic() - since < UNSEEN_SECONDS:
            return
        self._unseen.pop(run_id, None)
        self._take_in(row)
        with self.wb.db.read() as connection:
            if not _still(connection, row):
                return
        if state is None:
            queue.enqueue(self.wb, job_spec(row["spec"]), row["attempt"])
        else:
            self._lost(row)  # a worker took it and died before the job could speak

    def _see_to_cancel(self, row: Row, alive: bool, died: bool) -> None:
        run_id = row["id"]
        since = self._cancel_seen.setdefault(run_id, time.monotonic())
        waited = time.monotonic() - since
        if alive and waited > CANCEL_GRACE_SECONDS:
            queue.kill(self.wb, row["rq_job_id"] or "")
        if died or (not alive and waited > events.ALIVE_SECONDS):
            self._cancel_seen.pop(run_id, None)
            queue.withdraw(self.wb, row["rq_job_id"] or "")
            self._take_in(row)

            def work(connection: sa.Connection) -> None:
                if _still(connection, row):
                    _end(connection, run_id, status=Status.CANCELLED.value)

            self.wb.db.write(work)

    def _lost(self, row: Row) -> None:
        run_id, attempt = row["id"], row["attempt"]
        self._take_in(row)

        def work(connection: sa.Connection) -> bool:
            if not _still(connection, row):
                return False
            audit.record(connection, None, "run.lost", f"run {run_id}", {"attempt": attempt})
            fruitless = _fruitless(connection, run_id, attempt)
            if fruitless < FRUITLESS_ATTEMPTS:
                runs.requeue(connection, run_id, attempt + 1, Status.LOST)
                return True
            error = {
                "kind": "environment",
                "message": f"The worker was lost {fruitless} times before it came to a checkpoint.",
                "next_step": "Look whether memory or power fails, then press Resume.",
                "id": "",
            }
            _end(connection, run_id, status=Status.FAILED.value, error=error)
            if row["kind"] == runs.KIND:
                outbox.tell_of_run(connection, run_id, row["theme_id"], Status.FAILED.value)
            return False

        if self.wb.db.write(work):
            log.warning("run %s lost its worker; attempt %s waits", run_id, attempt + 1)
            queue.enqueue(self.wb, job_spec(row["spec"]), attempt + 1)


def unfinished(wb: Workbench) -> list[Row]:
    """The rows of all jobs that were made ready for the queue, have not ended and are not paused."""
    column = finetuning_jobs.c
    going = column.status.not_in([status.value for status in (*ENDED, Status.PAUSED)])
    return rows_where(wb, sa.and_(going, column.rq_job_id.is_not(None)))


def rows_where(wb: Workbench, which: sa.ColumnElement[bool]) -> list[Row]:
    with wb.db.read() as connection:
        return list(connection.execute(sa.select(finetuning_jobs).where(which)).mappings())


def _still(connection: sa.Connection, row: Row) -> bool:
    """True while the run is in the attempt that `row` knows and has not ended."""
    column = finetuning_jobs.c
    now = connection.execute(sa.select(column.status, column.attempt).where(column.id == row["id"])).one()
    return Status(now.status) not in (*ENDED, Status.PAUSED) and now.attempt == row["attempt"]


def _end(connection: sa.Connection, run_id: int, **values: Any) -> None:
    connection.execute(
        finetuning_jobs.update()
        .where(finetuning_jobs.c.id == run_id)
        .values(ended_at=datetime.now(UTC), **values)
    )


def _fruitless(connection: sa.Connection, run_id: int, attempt: int) -> int:
    """How many attempts, `attempt` the last of them, came to no checkpoint since a person began or resumed the run."""
    events_of = sa.select(sa.func.max(run_events.c.attempt)).where(
        run_events.c.run_id == run_id, run_events.c.type == Type.CHECKPOINT.value
    )
    resumed = sa.select(audit_log.c.detail).where(
        audit_log.c.action == "run.resume", audit_log.c.object == f"run {run_id}"
    )
    saved = connection.execute(events_of).scalar() or 0
    begun = max((detail["attempt"] for detail in connection.execute(resumed).scalars()), default=1)
    return int(attempt - max(saved, begun - 1))
