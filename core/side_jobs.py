"""Stored. Jobs beside the trainings (suggestions, checks): rows of `finetuning_jobs` that people do not see as runs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from core import audit, auth, queue
from core.db.tables import finetuning_jobs
from core.events import ENDED, Status
from core.workbench import Workbench

DONE: sa.ColumnElement[str | None] = sa.type_coerce(
    sa.literal_column("(finetuning_jobs.result ->> 'done')"), sa.String
)
"""What became of a result: applied, superseded or failed; NULL until then."""


SUBJECT = {"text-check": "dataset_id", "text-split": "dataset_id"}
"""The column that says what a kind of job is about, where that is no theme."""


def row(kind: str, run_id: int, subject_id: int, created_by: int) -> dict[str, Any]:
    """Columns of a job that starts; the specification and RQ's job id are the caller's."""
    return {
        "id": run_id,
        "kind": kind,
        SUBJECT.get(kind, "theme_id"): subject_id,
        "status": Status.QUEUED.value,
        "attempt": 1,
        "created_by": created_by,
        "created_at": datetime.now(UTC),
        "last_event": 0,
    }


def about(kind: str, subject_id: int) -> sa.ColumnElement[bool]:
    """The jobs of a kind about one theme or dataset."""
    column = finetuning_jobs.c
    return sa.and_(column.kind == kind, column[SUBJECT.get(kind, "theme_id")] == subject_id)


def unfinished(kind: str, subject_id: int) -> tuple[sa.ColumnElement[bool], ...]:
    ended = [status.value for status in ENDED]
    return about(kind, subject_id), finetuning_jobs.c.status.not_in(ended)


def going(kind: str, subject_id: int) -> sa.Select[tuple[int]]:
    """Jobs that have not ended, or whose result is not applied yet."""
    column = finetuning_jobs.c
    subject, waiting = unfinished(kind, subject_id)
    pending = sa.and_(column.result.is_not(None), DONE.is_(None))
    return sa.select(column.id).where(subject, sa.or_(waiting, pending)).order_by(column.id)


def to_apply(wb: Workbench, kind: str) -> list[Any]:
    """Rows whose result waits to be applied, oldest first."""
    column = finetuning_jobs.c
    query = sa.select(finetuning_jobs).where(column.kind == kind, column.result.is_not(None), DONE.is_(None))
    with wb.db.read() as connection:
        return list(connection.execute(query.order_by(column.id)).mappings())


def newest(connection: sa.Connection, kind: str, subject_id: int) -> Any | None:
    """The row of the subject's newest job of the kind."""
    query = sa.select(finetuning_jobs).where(about(kind, subject_id))
    return connection.execute(query.order_by(finetuning_jobs.c.id.desc()).limit(1)).mappings().first()


def newest_applied(connection: sa.Connection, kind: str, subject_id: int) -> dict[str, Any] | None:
    """Result of the subject's newest job of the kind that was applied."""
    column = finetuning_jobs.c
    query = sa.select(column.result).where(about(kind, subject_id), DONE == "applied")
    result: dict[str, Any] | None = connection.execute(query.order_by(column.id.desc()).limit(1)).scalar()
    return result


def cancel(wb: Workbench, actor: auth.User, kind: str, subject_id: int) -> None:
    """Stop the subject's jobs of the kind that have not ended. Raises NotAllowed, Unavailable without the queue."""
    auth.require(actor, auth.LABELER)
    column = finetuning_jobs.c
    query = sa.select(column.id, column.rq_job_id).where(*unfinished(kind, subject_id))
    with wb.db.read() as connection:
        rows = connection.execute(query).all()
    for found in rows:
        cancel_one(wb, actor, kind, found.id, found.rq_job_id)


def cancel_one(wb: Workbench, actor: auth.User, kind: str, run_id: int, rq_job_id: str | None) -> None:
    """Stop a job that has not ended; whether the person may is the caller's. Raises Unavailable without the queue."""
    queue.ask(wb, run_id, "cancel")
    waits = rq_job_id is None or queue.withdraw(wb, rq_job_id)

    def work(connection: sa.Connection) -> None:
        audit.record(connection, actor, f"{kind}.cancel", f"run {run_id}")
        if waits:
            end(connection, run_id, Status.CANCELLED)

    wb.db.write(work)


def end(connection: sa.Connection, run_id: int, status: Status, **values: Any) -> None:
    column = finetuning_jobs.c
    connection.execute(
        finetuning_jobs.update()
        .where(column.id == run_id, column.status.not_in([status.value for status in ENDED]))
        .values(status=status.value, ended_at=datetime.now(UTC), **values)
    )


def set_result(connection: sa.Connection, run_id: int, result: dict[str, Any], **values: Any) -> None:
    connection.execute(
        finetuning_jobs.update().where(finetuning_jobs.c.id == run_id).values(result=result, **values)
    )
