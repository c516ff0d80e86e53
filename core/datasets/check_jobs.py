"""Stored. The job that checks a version of a text dataset: started, watched, its result applied."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import sqlalchemy as sa

from core import audit, auth, codeversion, queue, side_jobs
from core.datasets import decisions, findings, store
from core.datasets.store import Version
from core.db.engine import DATABASE_AWAY, next_ids
from core.db.tables import finetuning_jobs
from core.db.text_tables import training_dataset_versions
from core.errors import Conflict, NotFound, VeritrainError
from core.quality.texts.foundfile import CHECKS
from core.quality.texts.rules import Rules
from core.spec import TextCheckSpec
from core.workbench import Workbench

log = logging.getLogger(__name__)

KIND: Literal["text-check"] = "text-check"

_V = training_dataset_versions.c


@dataclass(frozen=True)
class State:
    running: bool
    progress: float
    """Share of the running check that is done, 0–1."""
    error: dict[str, Any] | None
    """Why the newest check failed, if it did."""
    version_id: int | None
    """Of the version that the newest check is of; None where there was none."""


def start(wb: Workbench, actor: auth.User, dataset_id: int, *, anew: bool = False) -> int:
    """Have the newest version checked; returns the job's id. What earlier checks saw is not looked at again.

    `anew`: judge all pairs together again, also where only few came.

    Raises Conflict while a check runs, NotFound, NotAllowed, Unavailable without the queue.
    """
    auth.require(actor, auth.LABELER)
    dataset = store.get(wb, dataset_id)
    version = dataset.newest
    queue.ping(wb)
    rules = findings.rules(wb, dataset_id)
    before = _before(wb, version, rules)

    def work(connection: sa.Connection) -> TextCheckSpec:
        decisions.lock(connection, dataset_id)
        if connection.execute(side_jobs.going(KIND, dataset_id)).first() is not None:
            raise Conflict("This dataset is being checked already; wait for the end of it.")
        [run_id] = next_ids(connection, "finetuning_jobs_id_seq", 1)
        spec = TextCheckSpec(
            run_id=run_id,
            kind=KIND,
            dataset_id=dataset_id,
            version_id=version.id,
            rows=version.path,
            shape=dataset.shape,
            rules=rules.model_dump(),
            before=before[:2] if before else None,
            learnt=before[2] if before else None,
            anew=anew,
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
        audit.record(connection, actor, "dataset.check", f"dataset {dataset_id}", {"version": version.number})
        return spec

    spec = wb.db.write(work)
    # The job is accepted: should the broker go away in between, the run watch enqueues it later.
    with contextlib.suppress(VeritrainError):
        queue.enqueue(wb, spec, 1)
    return spec.run_id


def cancel(wb: Workbench, actor: auth.User, dataset_id: int) -> None:
    """Stop a check that runs. Raises NotFound, NotAllowed, Unavailable without the queue."""
    store.get(wb, dataset_id)
    side_jobs.cancel(wb, actor, KIND, dataset_id)


def state(wb: Workbench, dataset_id: int) -> State:
    with wb.db.read() as connection:
        newest = side_jobs.newest(connection, KIND, dataset_id)
        running = connection.execute(side_jobs.going(KIND, dataset_id)).first() is not None
    return State(
        running=running,
        progress=((newest["progress"] or {}).get("fraction", 0.0) if newest and running else 0.0),
        error=newest["error"] if newest and not running else None,
        version_id=newest["spec"]["version_id"] if newest else None,
    )


def tend(wb: Workbench) -> None:
    """Apply results of finished checks. Called by the collector, often."""
    for row in side_jobs.to_apply(wb, KIND):
        try:
            _apply(wb, row)
        except DATABASE_AWAY:
            raise
        except Exception:  # what one result holds must not keep the collector from everything else
            log.exception("the result of check %s cannot be applied", row["id"])
            _mark(wb, row["id"], {**row["result"], "done": "failed"}, error=_UNREADABLE)


def _apply(wb: Workbench, row: Any) -> None:
    run_id, result, spec = row["id"], row["result"], TextCheckSpec.model_validate(row["spec"])
    try:
        versions = store.versions(wb, spec.dataset_id)
        version = next(each for each in versions if each.id == spec.version_id)
        checked = {
            "findings": result["findings"],
            "seen": result["seen"],
            "learnt": result.get("learnt"),
            "summary": result["summary"],
            "checks": result["checks"],
            "rules": Rules.model_validate(spec.rules).of_findings(),
            "at": row["created_at"].isoformat(),
        }
        decisions.settle(
            wb,
            version,
            row["created_by"],
            "check",
            {name: result["summary"][name] for name in ("rows", "looked_at")},
            checked=checked,
            act=lambda connection: side_jobs.set_result(connection, run_id, {**result, "done": "applied"}),
        )
    except NotFound:  # the dataset was deleted
        _mark(wb, run_id, {**result, "done": "superseded"})
    except (OSError, pa.ArrowInvalid):
        log.exception("the result of check %s cannot be read", run_id)
        _mark(wb, run_id, {**result, "done": "failed"}, error=_UNREADABLE)


def _before(wb: Workbench, version: Version, rules: Rules) -> tuple[str, str, str | None] | None:
    """Files of the newest check that counts for rows alone: of this version, or of one before it."""
    query = (
        sa.select(_V.found)
        .where(_V.dataset_id == version.dataset_id, _V.number <= version.number, _V.found.is_not(None))
        .order_by(_V.number.desc())
        .limit(1)
    )
    with wb.db.read() as connection:
        found = connection.execute(query).scalar()
    if found is None or found["checks"] != CHECKS:
        return None
    if {name: found["rules"].get(name) for name in rules.of_rows()} != rules.of_rows():
        return None
    return found["findings"], found["seen"], found.get("learnt")


def _mark(wb: Workbench, run_id: int, result: dict[str, Any], **values: Any) -> None:
    wb.db.write(lambda connection: side_jobs.set_result(connection, run_id, result, **values))


_UNREADABLE = {
    "kind": "environment",
    "message": "The file with the check's findings cannot be read.",
    "next_step": "Look whether the file store answers, then check again.",
    "id": "",
}
