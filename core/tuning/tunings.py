"""Stored. Tunings as people see them: start, stop, resume, list, take the best."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Literal

import sqlalchemy as sa

from core import audit, auth, params, queue, runs, themes
from core.db.engine import next_ids
from core.db.tables import finetuning_jobs, users
from core.errors import Conflict, InvalidInput, NotFound
from core.events import ENDED, Status, Wish
from core.runs import Run
from core.spec import TuneSpec
from core.workbench import Workbench

KIND: Literal["tune"] = "tune"
MAX_LISTED = 100


@dataclass(frozen=True)
class Tuning:
    id: int
    theme_id: int
    status: str
    """As a run's; it is `queued` until its first trial is there, and never paused."""
    spec: TuneSpec
    stopping: bool
    """A person wants no further trial; those that run are being ended."""
    created_by: str
    created_by_id: int
    created_at: datetime
    started_at: datetime
    """When it was begun or last gone on with; its hours count from here."""
    ended_at: datetime | None
    result: dict[str, Any] | None
    """{"best": {"run", "number", "value", "values", "params"}, "trials"}, see core.tuning.conductor."""
    error: dict[str, Any] | None
    mlflow_run_id: str | None

    @property
    def active(self) -> bool:
        return Status(self.status) not in ENDED

    @cached_property
    def search(self) -> params.OptunaParams:
        return params.OptunaParams.model_validate(self.spec.search)


def start(wb: Workbench, actor: auth.User, theme_id: int, *, override: str = "") -> Tuning:
    """Freeze the theme's images, parameters and search, and have trials begin soon.

    Raises as `core.runs.start`, InvalidInput where nothing is searched, Conflict where one is under way already.
    """
    auth.require(actor, auth.TRAINER)
    for error, _fix in runs.preconditions(wb, theme_id):
        raise error
    search = params.files(wb.settings, theme_id).model(params.OptunaParams)
    if not search.search:
        raise InvalidInput("Nothing is searched; choose at least one parameter and what may be tried for it.")
    for going in listed(wb, theme_id):
        if going.active:
            raise Conflict(
                "Tuning {id} of this theme is still under way; wait for it, or stop it.", id=going.id
            )
    runs.refuse_too_many(wb, actor)
    reason = runs.excuse(wb, actor, theme_id, override)
    theme = themes.get(wb, theme_id)
    base = runs.freeze(wb, actor, theme)
    chosen = params.check(base.params, params.Params)

    def work(connection: sa.Connection) -> int:
        [tuning_id] = next_ids(connection, "finetuning_jobs_id_seq", 1)
        spec = TuneSpec(
            run_id=tuning_id,
            kind=KIND,
            theme_id=theme_id,
            base=base,
            search=search.model_dump(mode="json"),
            metric=chosen.early_stopping.metric,
            seed=chosen.training.seed,
            created_by=actor.name,
        )
        connection.execute(
            finetuning_jobs.insert().values(
                id=tuning_id,
                kind=KIND,
                theme_id=theme_id,
                snapshot_id=base.snapshot.id,
                status=Status.QUEUED.value,
                spec=spec.model_dump(mode="json"),
                attempt=1,
                created_by=actor.id,
                created_at=datetime.now(UTC),
                started_at=datetime.now(UTC),
                last_event=0,
            )
        )
        audit.record(connection, actor, "tuning.start", f"tuning {tuning_id}", {"trials": search.trials})
        runs.note_begin(connection, actor, theme, reason, {"tuning": tuning_id})
        return tuning_id

    return get(wb, wb.db.write(work))


def stop(wb: Workbench, actor: auth.User, tuning_id: int) -> Tuning:
    """Begin no further trial and end those that run; the best so far is what comes out.

    Raises NotFound, NotAllowed, Conflict where it has ended.
    """
    auth.require(actor, auth.TRAINER)
    if not get(wb, tuning_id).active:
        raise Conflict("Tuning {id} has ended already; there is nothing to stop.", id=tuning_id)

    def work(connection: sa.Connection) -> None:
        change(connection, tuning_id, progress={"stopping": True})
        audit.record(connection, actor, "tuning.stop", f"tuning {tuning_id}")

    wb.db.write(work)
    return get(wb, tuning_id)


def resume(wb: Workbench, actor: auth.User, tuning_id: int) -> Tuning:
    """Go on with a tuning that was stopped or failed, with the trials that are left and what it has learnt.

    Raises NotFound, NotAllowed, Conflict where it is under way or has had all its trials.
    """
    auth.require(actor, auth.TRAINER)
    found = get(wb, tuning_id)
    themes.get(wb, found.theme_id)
    if found.active:
        raise Conflict("Tuning {id} is under way.", id=tuning_id)
    if found.status == Status.SUCCEEDED and len(trials(wb, tuning_id)) >= found.search.trials:
        raise Conflict("Tuning {id} has had all its trials; start a new one.", id=tuning_id)

    def work(connection: sa.Connection) -> None:
        change(
            connection,
            tuning_id,
            status=Status.RUNNING.value,
            progress=sa.null(),
            ended_at=None,
            started_at=datetime.now(UTC),
            error=sa.null(),
        )
        audit.record(connection, actor, "tuning.resume", f"tuning {tuning_id}")

    wb.db.write(work)
    return get(wb, tuning_id)


def use(wb: Workbench, actor: auth.User, tuning_id: int, run_id: int) -> None:
    """Save the parameters of one of its trials as the theme's own.

    Raises NotFound, NotAllowed, and as `core.params.save`.
    """
    auth.require(actor, auth.TRAINER)
    tuning = get(wb, tuning_id)
    chosen = next((run for run in trials(wb, tuning_id) if run.id == run_id), None)
    if chosen is None:
        raise NotFound("Tuning {id} has no trial that is run {run}.", id=tuning_id, run=run_id)
    params.save(wb.settings, tuning.theme_id, actor.name, *runs.parameters(chosen))
    wb.db.write(
        lambda connection: audit.record(
            connection, actor, "tuning.use", f"tuning {tuning_id}", {"run": run_id}
        )
    )


def take(wb: Workbench, run: Run) -> None:
    """Have the model of a finished trial measured on the test images and registered; it then is a run like others."""
    queue.ask(wb, run.id, None)  # it may have been given up just as it ended
    spec = run.spec.model_copy(update={"kind": runs.KIND})
    attempt = run.attempt + 1

    def work(connection: sa.Connection) -> None:
        change(connection, run.id, kind=runs.KIND, spec=spec.model_dump(mode="json"))
        runs.requeue(connection, run.id, attempt, Status.QUEUED)

    wb.db.write(work)
    queue.enqueue(wb, spec, attempt)


def get(wb: Workbench, tuning_id: int) -> Tuning:
    """Raises NotFound."""
    with wb.db.read() as connection:
        row = connection.execute(_select().where(finetuning_jobs.c.id == tuning_id)).mappings().one_or_none()
    if row is None:
        raise NotFound("There is no tuning {id}.", id=tuning_id)
    return _tuning(row)


def listed(wb: Workbench, theme_id: int) -> list[Tuning]:
    """The theme's tunings, newest first."""
    query = _select().where(finetuning_jobs.c.theme_id == theme_id)
    with wb.db.read() as connection:
        rows = connection.execute(query.order_by(finetuning_jobs.c.id.desc()).limit(MAX_LISTED)).mappings()
        return [_tuning(row) for row in rows]


def active(wb: Workbench) -> list[Tuning]:
    """All that have not ended, oldest first."""
    query = _select().where(finetuning_jobs.c.status.not_in([status.value for status in ENDED]))
    with wb.db.read() as connection:
        return [_tuning(row) for row in connection.execute(query.order_by(finetuning_jobs.c.id)).mappings()]


def trials(wb: Workbench, tuning_id: int) -> list[Run]:
    """Its trials in their order, also those whose model was taken."""
    with wb.db.read() as connection:
        query = sa.select(finetuning_jobs.c.id).where(finetuning_jobs.c.parent_id == tuning_id)
        ids = connection.execute(query.order_by(finetuning_jobs.c.id)).scalars().all()
    return runs.many(wb, ids)


def change(connection: sa.Connection, job_id: int, **values: Any) -> None:
    connection.execute(finetuning_jobs.update().where(finetuning_jobs.c.id == job_id).values(**values))


def end_trial(wb: Workbench, run: Run) -> None:
    """Ask a trial to end without a result."""
    queue.ask(wb, run.id, Wish.CANCEL)
    if run.rq_job_id is not None and queue.withdraw(wb, run.rq_job_id):
        wb.db.write(lambda c: change(c, run.id, status=Status.CANCELLED.value, ended_at=datetime.now(UTC)))


def _select() -> sa.Select[Any]:
    return (
        sa.select(finetuning_jobs, users.c.name.label("person"))
        .outerjoin(users, users.c.id == finetuning_jobs.c.created_by)
        .where(finetuning_jobs.c.kind == KIND)
    )


def _tuning(row: Mapping[Any, Any]) -> Tuning:
    return Tuning(
        id=row["id"],
        theme_id=row["theme_id"],
        status=row["status"],
        spec=TuneSpec.model_validate(row["spec"]),
        stopping=bool((row["progress"] or {}).get("stopping")),
        created_by=row["person"] or "",
        created_by_id=row["created_by"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        result=row["result"],
        error=row["error"],
        mlflow_run_id=row["mlflow_run_id"],
    )
