"""Stored. The job that splits a large text dataset: started, watched, its result made a version."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from core import audit, auth, codeversion, queue, side_jobs
from core.datasets import decisions, findings, splitting, store
from core.datasets.store import Version
from core.db.engine import DATABASE_AWAY, next_ids
from core.db.tables import finetuning_jobs
from core.errors import Conflict, NotAllowed, NotFound, VeritrainError
from core.quality.texts.dealing import Dealt
from core.spec import TextSplitSpec
from core.splits import RATIOS, SEED
from core.workbench import Workbench

log = logging.getLogger(__name__)

KIND: Literal["text-split"] = "text-split"


@dataclass(frozen=True)
class State:
    running: bool
    progress: float
    """Share of the running split that is done, 0–1."""
    error: dict[str, Any] | None
    """Why the newest split failed, if it did."""
    version_id: int | None
    """Of the version that the newest split made; None where there is none."""
    torn: int
    """Rows that the newest split left out, since what belongs with them lies in two splits already."""


def start(
    wb: Workbench,
    actor: auth.User,
    dataset_id: int,
    *,
    ratios: Sequence[float] = RATIOS,
    seed: int = SEED,
) -> int:
    """Have the newest version split as `core.datasets.splitting.split` does; returns the job's id.

    Raises InvalidInput, NotFound, NotAllowed, Unavailable without the queue, and Conflict while one runs or
    where every row has a split.
    """
    auth.require(actor, auth.LABELER)
    shares = splitting.checked(ratios, seed)
    version = store.get(wb, dataset_id).newest
    if not splitting.waiting(version):
        raise Conflict("Every row has its split; there is nothing to deal.")
    queue.ping(wb)
    likeness = findings.rules(wb, dataset_id).likeness

    def work(connection: sa.Connection) -> TextSplitSpec:
        decisions.lock(connection, dataset_id)
        if connection.execute(side_jobs.going(KIND, dataset_id)).first() is not None:
            raise Conflict("This dataset is being split already; wait for the end of it.")
        [run_id] = next_ids(connection, "finetuning_jobs_id_seq", 1)
        spec = TextSplitSpec(
            run_id=run_id,
            kind=KIND,
            dataset_id=dataset_id,
            version_id=version.id,
            rows=version.path,
            ratios=shares,
            seed=seed,
            likeness=likeness,
            code=codeversion.current(wb.settings),
            created_by=actor.name,
        )
        connection.execute(
            finetuning_jobs.insert().values(
                **side_jobs.row(KIND, run_id, dataset_id, actor.id),
                spec=spec.model_dump(mode="json"),
                rq_job_id=f"run-{run_id}-1",
            )
        )
        audit.record(connection, actor, "dataset.split", f"dataset {dataset_id}", {"version": version.number})
        return spec

    spec = wb.db.write(work)
    # The job is accepted: should the broker go away in between, the run watch enqueues it later.
    with contextlib.suppress(VeritrainError):
        queue.enqueue(wb, spec, 1)
    return spec.run_id


def cancel(wb: Workbench, actor: auth.User, dataset_id: int) -> None:
    """Stop a split that runs. Raises NotFound, NotAllowed, Unavailable without the queue."""
    store.get(wb, dataset_id)
    side_jobs.cancel(wb, actor, KIND, dataset_id)


def state(wb: Workbench, dataset_id: int) -> State:
    with wb.db.read() as connection:
        newest = side_jobs.newest(connection, KIND, dataset_id)
        running = connection.execute(side_jobs.going(KIND, dataset_id)).first() is not None
    if newest is None:
        return State(False, 0.0, None, None, 0)
    done = newest["result"] or {}
    return State(
        running=running,
        progress=(newest["progress"] or {}).get("fraction", 0.0) if running else 0.0,
        error=None if running else newest["error"],
        version_id=done.get("version_id"),
        torn=done["torn"] if "version_id" in done else 0,
    )


def tend(wb: Workbench) -> None:
    """Make versions of finished splits. Called by the collector, often; the rows are a file already."""
    for row in side_jobs.to_apply(wb, KIND):
        try:
            _apply(wb, row)
        except DATABASE_AWAY:
            raise
        except Exception:  # what one result holds must not keep the collector from everything else
            log.exception("the result of split %s cannot be applied", row["id"])
            _mark(wb, row["id"], {**row["result"], "done": "failed"}, error=_UNREADABLE)


def _apply(wb: Workbench, row: Any) -> None:
    run_id, result, spec = row["id"], row["result"], TextSplitSpec.model_validate(row["spec"])

    def applied(connection: sa.Connection, version: Version) -> None:
        side_jobs.set_result(connection, run_id, {**result, "done": "applied", "version_id": version.id})

    try:
        actor = next(user for user in auth.list_users(wb) if user.id == row["created_by"])
        parent = next(each for each in store.versions(wb, spec.dataset_id) if each.id == spec.version_id)
        splitting.adopt(wb, actor, parent, spec.ratios, spec.seed, Dealt(**result), also=applied)
    except NotFound:  # the dataset was deleted
        _mark(wb, run_id, {**result, "done": "superseded"})
    except (Conflict, NotAllowed) as error:
        said = {"kind": "data", "message": error.text(), "next_step": "", "id": ""}
        _mark(wb, run_id, {**result, "done": "superseded"}, error=said)


def _mark(wb: Workbench, run_id: int, result: dict[str, Any], **values: Any) -> None:
    """What became of a result, unless another replica of the app was faster."""

    def work(connection: sa.Connection) -> None:
        column = finetuning_jobs.c
        if "done" not in connection.execute(sa.select(column.result).where(column.id == run_id)).scalar_one():
            side_jobs.set_result(connection, run_id, result, **values)

    wb.db.write(work)


_UNREADABLE = {
    "kind": "environment",
    "message": "What the split has dealt cannot be read.",
    "next_step": "Look whether the file store answers, then split again.",
    "id": "",
}
