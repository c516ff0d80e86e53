"""Stored. Who waits for a worker, who has one, and in what order they go on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args

import sqlalchemy as sa

from core import audit, auth, queue
from core.db.tables import finetuning_jobs, users
from core.db.tables import themes as theme_rows
from core.db.text_tables import training_datasets
from core.errors import Conflict, InvalidInput, NotFound
from core.events import ENDED, Status
from core.queue import Serving
from core.workbench import Workbench

Move = Literal["first", "earlier", "later", "last"]
MOVES: tuple[Move, ...] = get_args(Move)
LEARNT_FROM = 200
"""Ended jobs from which the time of a waiting one is guessed."""


@dataclass(frozen=True)
class Entry:
    """One job that a worker has or that waits for one."""

    id: int
    kind: str
    """As in `core.spec`."""
    status: str
    queue: str
    """train or light."""
    place: int | None
    """1 is next; None while a worker has it."""
    theme_id: int | None
    dataset_id: int | None
    about: str
    """Name of the theme or text dataset."""
    parent_id: int | None
    created_by: str
    created_at: datetime
    fraction: float
    expected: datetime | None
    """When a waiting one may start, or a running one may end; None where nothing is known."""


@dataclass(frozen=True)
class Overview:
    entries: list[Entry]
    """Running ones first, then each queue in its order."""
    workers: list[Serving]


def overview(wb: Workbench) -> Overview:
    """Raises Unavailable when the broker is away."""
    order = queue.order(wb)
    workers = queue.workers(wb)
    with wb.db.read() as connection:
        rows = connection.execute(_unfinished()).mappings().all()
        usual = _usual_seconds(connection)
    now = datetime.now(UTC)
    places = {job: (name, place) for name, jobs in order.items() for place, job in enumerate(jobs, 1)}
    found: list[Entry] = []
    free: dict[str, list[float]] = {name: [] for name in order}
    """By queue: in how many seconds each worker may be free, infinity where nobody knows."""
    waiting: list[tuple[str, int, Any]] = []
    for row in rows:
        name, place = places.get(row["rq_job_id"], (queue.queue_of(row["kind"]), None))
        if place is None:
            left = _left(row, usual, now)
            free[name].append(left if left is not None else math.inf)
            ends = now + timedelta(seconds=left) if left is not None else None
            found.append(_entry(row, name, None, ends))
        else:
            waiting.append((name, place, row))
    for name, serving in ((name, sum(name in each.queues for each in workers)) for name in order):
        free[name] += [0.0] * max(serving - len(free[name]), 0)
    for name, place, row in sorted(waiting, key=lambda each: each[:2]):
        starts = None
        if free[name]:
            soonest = min(free[name])
            free[name].remove(soonest)
            starts = now + timedelta(seconds=soonest) if soonest < math.inf else None
            takes = usual.get((row["kind"], row["theme_id"]), usual.get(row["kind"], math.inf))
            free[name].append(soonest + takes)
        found.append(_entry(row, name, place, starts))
    return Overview(found, workers)


def move(wb: Workbench, actor: auth.User, job_id: int, to: Move) -> None:
    """Let a waiting job be taken earlier or later; administrators only.

    Raises NotFound, NotAllowed, InvalidInput for another word, Conflict where it does not wait any more,
    Unavailable when the broker is away.
    """
    auth.require(actor, auth.ADMIN)
    if to not in MOVES:
        raise InvalidInput("A job is moved to one of: {all}.", all=", ".join(MOVES))
    with wb.db.read() as connection:
        query = sa.select(finetuning_jobs.c.rq_job_id).where(finetuning_jobs.c.id == job_id)
        row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound("There is no job {id}.", id=job_id)
    if row.rq_job_id is None or not queue.move(wb, row.rq_job_id, to):
        raise Conflict("Job {id} does not wait any more; its place cannot be changed.", id=job_id)
    wb.db.write(lambda c: audit.record(c, actor, "queue.move", f"run {job_id}", {"to": to}))


def _unfinished() -> sa.Select[Any]:
    column = finetuning_jobs.c
    return (
        sa.select(
            finetuning_jobs,
            theme_rows.c.name.label("theme_name"),
            training_datasets.c.name.label("dataset_name"),
            users.c.name.label("person"),
        )
        .outerjoin(theme_rows, theme_rows.c.id == column.theme_id)
        .outerjoin(training_datasets, training_datasets.c.id == column.dataset_id)
        .outerjoin(users, users.c.id == column.created_by)
        .where(
            column.status.not_in([status.value for status in (*ENDED, Status.PAUSED)]),
            column.rq_job_id.is_not(None),
        )
        .order_by(column.id)
    )


def _usual_seconds(connection: sa.Connection) -> dict[Any, float]:
    """How long the newest ended job of a kind took, by (kind, theme) and by kind."""
    column = finetuning_jobs.c
    query = (
        sa.select(column.kind, column.theme_id, column.started_at, column.ended_at)
        .where(column.status == Status.SUCCEEDED.value, column.started_at.is_not(None))
        .order_by(column.id.desc())
        .limit(LEARNT_FROM)
    )
    found: dict[Any, float] = {}
    for row in connection.execute(query):
        if row.ended_at is not None:
            seconds = (row.ended_at - row.started_at).total_seconds()
            found.setdefault((row.kind, row.theme_id), seconds)
            found.setdefault(row.kind, seconds)
    return found


def _left(row: Any, usual: dict[Any, float], now: datetime) -> float | None:
    """Seconds until a running job may end: what it says itself, else what others took."""
    said = (row["progress"] or {}).get("eta_s")
    if said is not None:
        return float(said)
    seconds = usual.get((row["kind"], row["theme_id"]), usual.get(row["kind"]))
    if seconds is None:
        return None
    gone = (now - row["started_at"]).total_seconds() if row["started_at"] else 0.0
    return max(seconds - gone, 0.0)


def _entry(row: Any, name: str, place: int | None, expected: datetime | None) -> Entry:
    return Entry(
        id=row["id"],
        kind=row["kind"],
        status=row["status"],
        queue=name,
        place=place,
        theme_id=row["theme_id"],
        dataset_id=row["dataset_id"],
        about=row["theme_name"] or row["dataset_name"] or "",
        parent_id=row["parent_id"],
        created_by=row["person"] or "",
        created_at=row["created_at"],
        fraction=float((row["progress"] or {}).get("fraction", 0.0)),
        expected=expected,
    )
