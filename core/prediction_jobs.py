"""Stored. The job that predicts a batch: started, stopped, resumed from what it has already, its place in the queue."""

from __future__ import annotations

import contextlib
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from core import audit, auth, codeversion, prediction_batches, queue, registry, runs, side_jobs
from core.db.batch_tables import prediction_batch_parts
from core.db.batch_tables import prediction_batches as table
from core.db.engine import next_ids
from core.db.tables import finetuning_jobs
from core.errors import Conflict, InvalidInput, VeritrainError
from core.events import Status
from core.prediction_batches import OPEN, SEALED, Batch
from core.prediction_files import folder, packed
from core.spec import PredictSpec, VersionRef
from core.workbench import Workbench

KIND: Literal["predict"] = "predict"


def start(wb: Workbench, actor: auth.User, batch_id: int) -> Batch:
    """Seal the batch and put its job on the queue.

    Raises NotFound, also where the version was deleted; NotAllowed, Conflict where it was started already, InvalidInput
    for one without images, Unavailable without the queue.
    """
    batch = prediction_batches.changeable(wb, actor, batch_id)
    version = registry.get(wb, batch.version.id)
    if not batch.images:
        raise InvalidInput("The batch “{name}” has no images; add some first.", name=batch.name)
    queue.ping(wb)
    spec: PredictSpec | None = None
    while spec is None:  # again where somebody adds images meanwhile
        parts = prediction_batches.parts(wb, batch_id)
        spec = _sealed(wb, actor, batch, version, parts, _manifest(wb, batch_id, parts))
    # The job is accepted: should the broker go away in between, the run watch enqueues it later.
    with contextlib.suppress(VeritrainError):
        queue.enqueue(wb, spec, 1)
    return prediction_batches.get(wb, batch_id)


def cancel(wb: Workbench, actor: auth.User, batch_id: int) -> Batch:
    """Stop the batch's job; what it has is kept for `resume`.

    Raises NotFound, NotAllowed, Conflict where none is under way, Unavailable without the queue.
    """
    batch = prediction_batches.changeable(wb, actor, batch_id)
    if not batch.active or batch.run_id is None:
        raise Conflict(
            "The batch “{name}” is not being predicted; there is nothing to stop.", name=batch.name
        )
    side_jobs.cancel_one(wb, actor, KIND, batch.run_id, batch.rq_job_id)
    return prediction_batches.get(wb, batch_id)


def resume(wb: Workbench, actor: auth.User, batch_id: int) -> Batch:
    """Queue the job of a batch again that was stopped or failed; it goes on after what it has.

    Raises NotFound, NotAllowed, Conflict in any other state, Unavailable without the queue.
    """
    batch = prediction_batches.changeable(wb, actor, batch_id)
    if batch.status not in (Status.FAILED, Status.CANCELLED) or batch.run_id is None:
        raise Conflict(
            "Only a batch that was stopped or failed can go on; “{name}” is none.", name=batch.name
        )
    run_id, attempt = batch.run_id, batch.attempt + 1
    queue.ask(wb, run_id, None)

    def work(connection: sa.Connection) -> PredictSpec:
        prediction_batches.lock(connection, batch_id)
        audit.record(connection, actor, "run.resume", f"run {run_id}", {"attempt": attempt})
        runs.requeue(connection, run_id, attempt, Status.QUEUED)
        spec = sa.select(finetuning_jobs.c.spec).where(finetuning_jobs.c.id == run_id)
        return PredictSpec.model_validate(connection.execute(spec).scalar_one())

    queue.enqueue(wb, wb.db.write(work), attempt)
    return prediction_batches.get(wb, batch_id)


def place(wb: Workbench, batch: Batch) -> int | None:
    """Place of the batch's job in the queue, 1 = next; None where it does not wait or the queue is away."""
    waits = batch.status in (Status.QUEUED, Status.LOST) and batch.rq_job_id is not None
    return queue.place(wb, batch.rq_job_id) if waits and batch.rq_job_id else None


def _manifest(wb: Workbench, batch_id: int, parts: list[str]) -> str:
    """Write all that was given as one file; its key."""
    tables = []
    for path in parts:
        with wb.files.open(path) as file:
            tables.append(pq.read_table(file))
    return wb.files.put(packed(pa.concat_tables(tables)), f"{folder(batch_id)}/manifest", "parquet")


def _sealed(
    wb: Workbench,
    actor: auth.User,
    batch: Batch,
    version: registry.Version,
    parts: list[str],
    manifest: str,
) -> PredictSpec | None:
    """The job's specification, written; None where the batch has other parts by now."""

    def work(connection: sa.Connection) -> PredictSpec | None:
        row = prediction_batches.lock(connection, batch.id)
        if row["state"] != OPEN:
            raise Conflict("The batch “{name}” was started already.", name=batch.name)
        column = prediction_batch_parts.c
        known = sa.select(sa.func.count()).where(column.batch_id == batch.id)
        if connection.execute(known).scalar_one() != len(parts):
            return None
        [run_id] = next_ids(connection, "finetuning_jobs_id_seq", 1)
        spec = PredictSpec(
            run_id=run_id,
            kind=KIND,
            theme_id=version.theme_id,
            batch_id=batch.id,
            version=VersionRef(id=version.id, uri=version.uri),
            labels=version.labels,
            manifest=manifest,
            code=codeversion.current(wb.settings),
            created_by=actor.name,
        )
        connection.execute(
            finetuning_jobs.insert().values(
                **side_jobs.row(KIND, run_id, version.theme_id, actor.id),
                spec=spec.model_dump(mode="json"),
                rq_job_id=f"run-{run_id}-1",
            )
        )
        connection.execute(table.update().where(table.c.id == batch.id).values(state=SEALED, run_id=run_id))
        detail = {"version": version.id, "images": row["images"]}
        audit.record(connection, actor, "predict.start", f"batch {batch.id}", detail)
        return spec

    return wb.db.write(work)
