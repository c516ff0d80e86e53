"""Stored. Batches of images that a model version predicts in the background: made, listed, deleted.

A batch collects images (core.prediction_intake) until its job is started (core.prediction_jobs); what the job
answered is read in core.prediction_answers.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from core import audit, auth, registry, side_jobs
from core.db.batch_tables import prediction_batch_parts, prediction_batches
from core.db.engine import next_ids
from core.db.tables import finetuning_jobs, themes, users
from core.errors import InvalidInput, NotAllowed, NotFound
from core.events import ENDED, Status
from core.labels import name_problem, normal
from core.prediction_files import folder
from core.registry import Version
from core.workbench import Workbench

KIND = "predict"
OPEN, SEALED, GONE = "open", "sealed", "gone"
"""States of a batch's images; `gone`: the batch was deleted, and so were its files."""
MAX_NAME = 200
MAX_PAGE = 100


@dataclass(frozen=True)
class Batch:
    id: int
    name: str
    version: Version
    """Also one that was taken off the list since."""
    images: int
    refused: int
    """Files that could not be taken."""
    created_by: str
    creator_id: int
    created_at: datetime
    run_id: int | None
    """Of its job; None while images are collected."""
    status: str
    """open, else that of its job, see core.events.Status."""
    attempt: int
    rq_job_id: str | None
    progress: dict[str, Any] | None
    """Payload of the job's newest `progress` event."""
    result: dict[str, Any] | None
    """What core.prediction_files.Tally tells, once the job is done."""
    error: dict[str, Any] | None
    """{"kind", "message", "next_step", "id"} where the job failed."""
    started_at: datetime | None
    ended_at: datetime | None

    @property
    def active(self) -> bool:
        """True while its job waits for a worker or one has it."""
        return self.status != OPEN and Status(self.status) not in ENDED

    @property
    def done(self) -> bool:
        """True once there are answers."""
        return self.status == Status.SUCCEEDED and self.result is not None


def create(wb: Workbench, actor: auth.User, version_id: int, name: str = "") -> Batch:
    """A batch without images, for this version; named by the moment where no name is given.

    Raises InvalidInput, NotFound, NotAllowed, Conflict for a version that takes no images.
    """
    auth.require(actor, auth.VIEWER)
    version = registry.get(wb, version_id)
    registry.require_images(version)
    now = datetime.now(UTC)
    name = _name(name) or f"{now:%Y-%m-%d %H:%M} UTC"

    def work(connection: sa.Connection) -> int:
        [batch_id] = next_ids(connection, "prediction_batches_id_seq", 1)
        connection.execute(
            prediction_batches.insert().values(
                id=batch_id,
                theme_id=version.theme_id,
                version_id=version.id,
                name=name,
                state=OPEN,
                images=0,
                refused=0,
                created_by=actor.id,
                created_at=now,
            )
        )
        detail = {"version": version.id, "name": name}
        audit.record(connection, actor, "predict.create", f"batch {batch_id}", detail)
        return batch_id

    return get(wb, wb.db.write(work))


def get(wb: Workbench, batch_id: int) -> Batch:
    """Raises NotFound where there is none or it was deleted."""
    with wb.db.read() as connection:
        found = _found(connection, _select().where(prediction_batches.c.id == batch_id))
    if not found:
        raise missing(batch_id)
    return found[0]


def page(
    wb: Workbench, theme_id: int | None = None, *, limit: int = 20, before: int | None = None
) -> list[Batch]:
    """Batches, newest first; of versions of one theme or of all; with `before`, those with smaller ids."""
    column = prediction_batches.c
    query = _select().order_by(column.id.desc()).limit(max(1, min(limit, MAX_PAGE)))
    if theme_id is not None:
        query = query.where(column.theme_id == theme_id)
    if before is not None:
        query = query.where(column.id < before)
    with wb.db.read() as connection:
        return _found(connection, query)


def some(wb: Workbench, ids: Collection[int]) -> list[Batch]:
    """Those of them that there are, newest first."""
    column = prediction_batches.c
    with wb.db.read() as connection:
        return _found(connection, _select().where(column.id.in_(ids)).order_by(column.id.desc()))


def collecting(wb: Workbench, actor: auth.User, theme_id: int | None = None) -> Batch | None:
    """The person's newest batch that still takes images; for a version of one theme or of any."""
    column = prediction_batches.c
    query = _select().where(column.state == OPEN, column.created_by == actor.id)
    if theme_id is not None:
        query = query.where(column.theme_id == theme_id)
    with wb.db.read() as connection:
        found = _found(connection, query.order_by(column.id.desc()).limit(1))
    return found[0] if found else None


def may_change(actor: auth.User, batch: Batch) -> bool:
    """Whether the person may add to the batch, start, stop and delete it: who made it, and trainers."""
    return actor.may(auth.TRAINER) or (actor.may(auth.VIEWER) and actor.id == batch.creator_id)


def changeable(wb: Workbench, actor: auth.User, batch_id: int) -> Batch:
    """The batch, for a person who may change it. Raises NotFound, NotAllowed."""
    auth.require(actor, auth.VIEWER)
    batch = get(wb, batch_id)
    if not may_change(actor, batch):
        raise NotAllowed(
            "The batch “{name}” is {who}'s; they and trainers may change it.",
            name=batch.name,
            who=batch.created_by,
        )
    return batch


def parts(wb: Workbench, batch_id: int) -> list[str]:
    """Keys of what came into the batch, each a file of core.prediction_files.GIVEN, in the order in which it came."""
    column = prediction_batch_parts.c
    query = sa.select(column.path).where(column.batch_id == batch_id).order_by(column.number)
    with wb.db.read() as connection:
        return list(connection.execute(query).scalars())


def lock(connection: sa.Connection, batch_id: int) -> Mapping[Any, Any]:
    """The batch's row; who changes it takes turns until the transaction ends. Raises NotFound.

    DuckDB has one writer anyway.
    """
    column = prediction_batches.c
    query = sa.select(prediction_batches).where(column.id == batch_id, column.deleted_at.is_(None))
    if connection.dialect.name == "postgresql":
        query = query.with_for_update()
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise missing(batch_id)
    return row


def delete(wb: Workbench, actor: auth.User, batch_id: int) -> None:
    """Take the batch off every screen, its job stopped; `tend` then deletes its images and answers.

    Raises NotFound, NotAllowed, Unavailable where its job cannot be stopped without the queue.
    """
    batch = changeable(wb, actor, batch_id)
    if batch.active and batch.run_id is not None:
        side_jobs.cancel_one(wb, actor, KIND, batch.run_id, batch.rq_job_id)

    def work(connection: sa.Connection) -> None:
        lock(connection, batch_id)
        column = prediction_batches.c
        connection.execute(
            prediction_batches.update().where(column.id == batch_id).values(deleted_at=datetime.now(UTC))
        )
        detail = {"name": batch.name, "images": batch.images}
        audit.record(connection, actor, "predict.delete", f"batch {batch_id}", detail)

    wb.db.write(work)


def tend(wb: Workbench) -> None:
    """Delete the files of deleted batches whose jobs have ended. Called by the collector, often."""
    column, job = prediction_batches.c, finetuning_jobs.c
    over = sa.or_(column.run_id.is_(None), job.status.in_([status.value for status in ENDED]))
    query = (
        sa.select(column.id, column.run_id)
        .outerjoin(finetuning_jobs, job.id == column.run_id)
        .where(column.deleted_at.is_not(None), column.state != GONE, over)
    )
    with wb.db.read() as connection:
        rows = connection.execute(query).all()
    for row in rows:
        clear(wb, row.id)
        if row.run_id is not None:
            for name in ("parts", "model"):
                left = wb.settings.artifacts_dir / "runs" / str(row.run_id) / name
                shutil.rmtree(left, ignore_errors=True)

        def work(connection: sa.Connection, batch_id: int = row.id) -> None:
            connection.execute(prediction_batches.update().where(column.id == batch_id).values(state=GONE))

        wb.db.write(work)


def clear(wb: Workbench, batch_id: int) -> None:
    """Delete the batch's files; images of a theme are the theme's and stay."""
    wb.files.remove(folder(batch_id))


def missing(batch_id: int) -> NotFound:
    return NotFound("There is no batch {id}; it may have been deleted.", id=batch_id)


def _name(name: str) -> str:
    name = normal(name)
    match name_problem(name, MAX_NAME):
        case "long":
            raise InvalidInput(
                "The batch's name has {n} characters; use at most {limit}.", n=len(name), limit=MAX_NAME
            )
        case "control":
            raise InvalidInput("The batch's name has a control character or line break in it; remove it.")
    return name


def _select() -> sa.Select[Any]:
    column, job = prediction_batches.c, finetuning_jobs.c
    of_job = ("status", "attempt", "rq_job_id", "progress", "result", "error", "started_at", "ended_at")
    return (
        sa.select(
            column.id, column.name, column.version_id, column.state, column.images, column.refused,
            column.run_id, column.created_by, column.created_at, users.c.name.label("person"),
            *(job[name] for name in of_job),
        )
        .join(themes, themes.c.id == column.theme_id)
        .outerjoin(finetuning_jobs, job.id == column.run_id)
        .outerjoin(users, users.c.id == column.created_by)
        .where(column.deleted_at.is_(None), themes.c.deleted_at.is_(None))
    )  # fmt: skip


def _found(connection: sa.Connection, query: sa.Select[Any]) -> list[Batch]:
    rows: Sequence[Mapping[Any, Any]] = connection.execute(query).mappings().all()
    versions = registry.some(connection, {row["version_id"] for row in rows}, deleted=True)
    return [
        Batch(
            id=row["id"],
            name=row["name"],
            version=versions[row["version_id"]],
            images=row["images"],
            refused=row["refused"],
            created_by=row["person"] or "",
            creator_id=row["created_by"],
            created_at=row["created_at"],
            run_id=row["run_id"],
            status=row["status"] or OPEN,
            attempt=row["attempt"] or 0,
            rq_job_id=row["rq_job_id"],
            progress=row["progress"],
            result=row["result"],
            error=row["error"],
            started_at=row["started_at"],
            ended_at=row["ended_at"],
        )
        for row in rows
    ]
