"""Stored. Starts and stops the pre-flight of a theme."""

from __future__ import annotations

import contextlib
from typing import Literal

import sqlalchemy as sa

from core import audit, auth, queue, runs, side_jobs, themes
from core.db.engine import next_ids
from core.db.tables import finetuning_jobs
from core.errors import Conflict, VeritrainError
from core.preflight import fingerprint
from core.spec import PreflightSpec
from core.workbench import Workbench

KIND: Literal["preflight"] = "preflight"


def start(wb: Workbench, actor: auth.User, theme_id: int) -> int:
    """Try what `runs.start` would train on a few images; returns the job's id.

    Raises the first of `runs.preconditions`, Conflict while one is going, Unavailable without the queue.
    """
    auth.require(actor, auth.TRAINER)
    for error, _fix in runs.preconditions(wb, theme_id):
        raise error
    queue.ping(wb)
    about = fingerprint(wb, theme_id)
    theme = themes.get(wb, theme_id)
    frozen = runs.freeze(wb, actor, theme)

    def work(connection: sa.Connection) -> PreflightSpec:
        themes.lock(connection, theme_id)
        _subject, waiting = side_jobs.unfinished(KIND, theme_id)
        if connection.execute(sa.select(finetuning_jobs.c.id).where(_subject, waiting)).first():
            raise Conflict("A pre-flight of this theme is going on already; wait for its end.")
        [run_id] = next_ids(connection, "finetuning_jobs_id_seq", 1)
        spec = PreflightSpec(
            run_id=run_id,
            kind=KIND,
            theme_id=theme_id,
            trial=frozen.model_copy(update={"run_id": run_id}),
            about=about,
            code=frozen.code,
            created_by=actor.name,
        )
        connection.execute(
            finetuning_jobs.insert().values(
                **side_jobs.row(KIND, run_id, theme_id, actor.id),
                spec=spec.model_dump(mode="json"),
                rq_job_id=f"run-{run_id}-1",
            )
        )
        audit.record(
            connection, actor, "preflight.start", f"theme {theme_id}", {"snapshot": frozen.snapshot.hash}
        )
        return spec

    spec = wb.db.write(work)
    # The job is accepted: should the broker go away in between, the run watch enqueues it later.
    with contextlib.suppress(VeritrainError):
        queue.enqueue(wb, spec, 1)
    return spec.run_id


def cancel(wb: Workbench, actor: auth.User, theme_id: int) -> None:
    """Stop the theme's pre-flight that has not ended. Raises NotAllowed, Unavailable without the queue."""
    side_jobs.cancel(wb, actor, KIND, theme_id)
