"""Stored. Runs: started from a theme and followed through the database. See core.run_control for the rest."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import sqlalchemy as sa

from core import audit, auth, codeversion, images, params, preflight, queue, snapshots, themes
from core.db.engine import next_ids
from core.db.tables import finetuning_jobs, users
from core.db.tables import snapshots as snapshot_rows
from core.db.tables import themes as theme_rows
from core.errors import InvalidInput, NotFound, TooMany, VeritrainError
from core.events import ENDED, Status
from core.quality import findings, freezing
from core.spec import RunSpec, SnapshotRef
from core.workbench import Workbench

KIND: Literal["vision"] = "vision"
"""Jobs of other kinds are no runs to a person: see core.suggestion_jobs."""
TRIAL: Literal["trial"] = "trial"
"""A run of a tuning: people look at it one by one, lists leave it out."""
MODEL_NAMES = "veritrain-theme-"
"""How the registered names in MLflow of what is trained here begin; the theme's id follows."""
MAX_HISTORY = 500


@dataclass(frozen=True)
class Run:
    id: int
    kind: str
    theme_id: int
    theme_name: str
    status: str
    spec: RunSpec
    attempt: int
    rq_job_id: str | None
    created_by: str
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    heartbeat_at: datetime | None
    progress: dict[str, Any] | None
    """Payload of the newest `progress` event."""
    result: dict[str, Any] | None
    """Payload of the `result` event, when the run succeeded."""
    error: dict[str, Any] | None
    """{"kind", "message", "next_step", "id"} when it failed."""
    mlflow_run_id: str | None
    snapshot_counts: dict[str, dict[str, int]]

    @property
    def active(self) -> bool:
        """True while the run waits for a worker or one has it; a paused one does neither."""
        return Status(self.status) not in ENDED and self.status != Status.PAUSED


def preconditions(wb: Workbench, theme_id: int) -> list[tuple[VeritrainError, str | None]]:
    """What keeps this theme from being trained, each with the screen that fixes it (`theme`, `parameters`)."""
    found: list[tuple[VeritrainError, str | None]] = []
    theme = themes.get(wb, theme_id)
    counts = images.statistics(wb, theme_id)
    used = [label for label in theme.labels if counts.by_label.get(label.id)]
    if len(used) < 2:
        found.append(
            (
                InvalidInput(
                    "Training needs images of at least two labels; this theme has labelled images of {n}. "
                    "Label some more.",
                    n=len(used),
                ),
                "theme",
            )
        )
    else:
        dealt = {split: 0 for split in images.SPLITS}
        trained = 0
        for label in used:
            by_split = counts.by_label_split.get(label.id, {})
            trained += 1 if by_split.get("train") else 0
            for split in dealt:
                dealt[split] += by_split.get(split, 0)
        empty = [split for split, n in dealt.items() if n == 0]
        if len(empty) == len(dealt):
            found.append(
                (
                    InvalidInput("The labelled images are not split yet. Press Split on the theme's page."),
                    "theme",
                )
            )
        elif empty:
            found.append(
                (
                    InvalidInput(
                        "No labelled image is in: {splits}. Label more images, then press Split again.",
                        splits=", ".join(empty),
                    ),
                    "theme",
                )
            )
        elif trained < 2:
            found.append(
                (
                    InvalidInput(
                        "The train split has images of only one label. Label more images, then press Split again."
                    ),
                    "theme",
                )
            )
    try:
        params.saved(wb.settings, theme_id)
    except VeritrainError as error:
        found.append((error, "parameters"))
    if codeversion.current(wb.settings) is None:
        found.append(
            (
                InvalidInput(
                    "The version of Veritrain's own code is unknown, so no model could be registered. "
                    "Start it from a git checkout or set VERITRAIN_GIT_COMMIT."
                ),
                None,
            )
        )
    return found


def start(wb: Workbench, actor: auth.User, theme_id: int, *, override: str = "") -> Run:
    """Freeze data and parameters and put a run on the queue.

    With `override`, an administrator's reason, also where the dataset gate fails; it stays in the log
    of checks. Raises the first of `preconditions`, Conflict where the gate or the pre-flight fails, Unavailable when the
    queue is away; then nothing is left behind.
    """
    auth.require(actor, auth.TRAINER)
    for error, _fix in preconditions(wb, theme_id):
        raise error
    preflight.refuse_red(wb, theme_id)
    refuse_too_many(wb, actor)
    queue.ping(wb)
    reason = excuse(wb, actor, theme_id, override)
    theme = themes.get(wb, theme_id)
    frozen = freeze(wb, actor, theme)

    def work(connection: sa.Connection) -> RunSpec:
        spec = enlist(connection, actor.id, frozen)
        run_id = spec.run_id
        audit.record(connection, actor, "run.start", f"run {run_id}", {"snapshot": spec.snapshot.hash})
        note_begin(connection, actor, theme, reason, {"run": run_id})
        return spec

    spec = wb.db.write(work)
    # From here the run is accepted: should the broker go away in between, the collector enqueues it later.
    with contextlib.suppress(VeritrainError):
        queue.enqueue(wb, spec, 1)
    return get(wb, spec.run_id)


def excuse(wb: Workbench, actor: auth.User, theme_id: int, override: str) -> str | None:
    """The reason why to train although the dataset gate fails; None where it passes.

    Raises Conflict and NotAllowed as `core.quality.findings.check_override`.
    """
    if findings.standing(wb, theme_id).gate.passed:
        return None
    findings.check_override(actor, override)
    return override.strip()


def note_begin(
    connection: sa.Connection,
    actor: auth.User,
    theme: themes.Theme,
    reason: str | None,
    began: dict[str, int],
) -> None:
    """What the first training of a theme brings with it, and a line in the log of checks where the gate failed."""
    freezing.freeze_first(connection, theme, actor)
    if reason is not None:
        findings.note(connection, theme, actor.id, "override", {"reason": reason, **began})


def refuse_too_many(wb: Workbench, actor: auth.User) -> None:
    """Raises TooMany where the person has as many runs under way as one may have. Trials count once, as a tuning."""
    most = wb.settings.runs_per_person
    if not most:
        return
    column = finetuning_jobs.c
    mine = sa.and_(
        column.created_by == actor.id,
        column.kind.in_((KIND, "tune")),
        column.status.not_in([status.value for status in (*ENDED, Status.PAUSED)]),
    )
    with wb.db.read() as connection:
        n = connection.execute(sa.select(sa.func.count()).where(mine)).scalar_one()
    if n >= most:
        raise TooMany(
            "You have {n} runs under way, and a person may have {most}; wait for one to end, or stop one.",
            n=n,
            most=most,
        )


def freeze(wb: Workbench, actor: auth.User, theme: themes.Theme) -> RunSpec:
    """What a training of the theme would be now, its images and parameters frozen; it has no number yet.

    For themes without `preconditions`; raises as these where one came up meanwhile.
    """
    snapshot = snapshots.freeze(wb, actor, theme.id)
    chosen, augmented = params.saved(wb.settings, theme.id)
    params.check_together(chosen, augmented)
    code = codeversion.current(wb.settings)
    assert code is not None
    return RunSpec(
        run_id=0,
        kind=KIND,
        theme_id=theme.id,
        theme_name=theme.name,
        model_name=f"{MODEL_NAMES}{theme.id}",
        labels=snapshot.labels,
        snapshot=SnapshotRef(id=snapshot.id, hash=snapshot.hash, path=snapshot.path),
        params=chosen.model_dump(mode="json"),
        auguments=augmented.model_dump(mode="json"),
        code=code,
        created_by=actor.name,
    )


def enlist(connection: sa.Connection, actor_id: int, frozen: RunSpec) -> RunSpec:
    """Give a frozen training its number and write its row; the caller puts it on the queue after that is durable."""
    [run_id] = next_ids(connection, "finetuning_jobs_id_seq", 1)
    spec = frozen.model_copy(update={"run_id": run_id})
    connection.execute(
        finetuning_jobs.insert().values(
            id=run_id,
            kind=spec.kind,
            theme_id=spec.theme_id,
            snapshot_id=spec.snapshot.id,
            parent_id=spec.trial.tuning if spec.trial else None,
            status=Status.QUEUED.value,
            spec=spec.model_dump(mode="json"),
            attempt=1,
            rq_job_id=f"run-{run_id}-1",
            created_by=actor_id,
            created_at=datetime.now(UTC),
            last_event=0,
        )
    )
    return spec


def begin_again(wb: Workbench, actor: auth.User, frozen: RunSpec, action: str, detail: dict[str, Any]) -> Run:
    """Put a training on the queue that comes from an earlier run, with the code of now, as one of no tuning.

    `action` and `detail` go to the audit log. Raises InvalidInput where the version of the code is unknown, TooMany,
    and Unavailable when the queue is away.
    """
    code = codeversion.current(wb.settings)
    if code is None:
        raise InvalidInput(
            "The version of Veritrain's own code is unknown, so no model could be registered. "
            "Start it from a git checkout or set VERITRAIN_GIT_COMMIT."
        )
    refuse_too_many(wb, actor)
    queue.ping(wb)
    own = {"kind": KIND, "code": code, "created_by": actor.name, "trial": None}

    def work(connection: sa.Connection) -> RunSpec:
        spec = enlist(connection, actor.id, frozen.model_copy(update=own))
        audit.record(connection, actor, action, f"run {spec.run_id}", detail)
        return spec

    spec = wb.db.write(work)
    # From here the run is accepted: should the broker go away in between, the run watch enqueues it later.
    with contextlib.suppress(VeritrainError):
        queue.enqueue(wb, spec, 1)
    return get(wb, spec.run_id)


def get(wb: Workbench, run_id: int) -> Run:
    """Raises NotFound."""
    found = many(wb, [run_id])
    if not found:
        raise NotFound("There is no run {id}.", id=run_id)
    return found[0]


def history(
    wb: Workbench, theme_id: int | None = None, limit: int = MAX_HISTORY, before: int | None = None
) -> list[Run]:
    """Runs, newest first; of one theme or of all that are not deleted; with `before`, those with smaller ids."""
    query = _select().where(theme_rows.c.deleted_at.is_(None), finetuning_jobs.c.kind == KIND)
    if theme_id is not None:
        query = query.where(finetuning_jobs.c.theme_id == theme_id)
    if before is not None:
        query = query.where(finetuning_jobs.c.id < before)
    return _read(wb, query.order_by(finetuning_jobs.c.id.desc()).limit(limit))


def many(wb: Workbench, ids: Sequence[int]) -> list[Run]:
    """The runs with these numbers, in the order of the numbers."""
    return _read(wb, _select().where(finetuning_jobs.c.id.in_(list(ids))).order_by(finetuning_jobs.c.id))


def under_way(wb: Workbench) -> list[Run]:
    """All runs and trials that have not ended, paused ones too, also of deleted themes; oldest first."""
    query = _select().where(finetuning_jobs.c.status.not_in([status.value for status in ENDED]))
    return _read(wb, query.order_by(finetuning_jobs.c.id))


def requeue(connection: sa.Connection, run_id: int, attempt: int, status: Status) -> None:
    """Write that a further attempt waits; the caller puts it on the queue after this is durable."""
    connection.execute(
        finetuning_jobs.update()
        .where(finetuning_jobs.c.id == run_id)
        .values(
            status=status.value,
            attempt=attempt,
            rq_job_id=f"run-{run_id}-{attempt}",
            ended_at=None,
            error=sa.null(),
        )
    )


def workers_busy(wb: Workbench) -> bool:
    """Whether as many runs wait or run as there are training workers, so that a further job would wait."""
    column = finetuning_jobs.c
    under_way = sa.and_(
        column.kind.in_((KIND, TRIAL)),
        column.status.not_in([status.value for status in (*ENDED, Status.PAUSED)]),
    )
    with wb.db.read() as connection:
        n = connection.execute(sa.select(sa.func.count()).where(under_way)).scalar_one()
    return int(n) >= wb.settings.workers


def queue_place(wb: Workbench, run_id: int) -> int | None:
    """Place in the queue, 1 = next; None when the run does not wait."""
    run = get(wb, run_id)
    waits = run.active and run.rq_job_id is not None
    return queue.place(wb, run.rq_job_id) if waits and run.rq_job_id else None


def parameters(run: Run) -> tuple[params.Params, params.Auguments]:
    """What the run was started with. Raises InvalidInput where that is of a format that is no longer read."""
    return params.check(run.spec.params, params.Params), params.check(run.spec.auguments, params.Auguments)


def flat_parameters(spec: RunSpec) -> dict[str, Any]:
    """Every parameter of a run by its dotted name: {"training.learning_rate": 0.001, …}."""
    flat: dict[str, Any] = {}

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for name, inner in value.items():
                walk(f"{prefix}.{name}" if prefix else str(name), inner)
        else:
            flat[prefix] = value

    walk("", spec.params)
    walk("", spec.auguments)
    return flat


def _select() -> sa.Select[Any]:
    return (
        sa.select(
            finetuning_jobs,
            theme_rows.c.name.label("theme_name"),
            users.c.name.label("person"),
            snapshot_rows.c.counts.label("counts"),
        )
        .select_from(finetuning_jobs)
        .outerjoin(theme_rows, theme_rows.c.id == finetuning_jobs.c.theme_id)
        .outerjoin(users, users.c.id == finetuning_jobs.c.created_by)
        .outerjoin(snapshot_rows, snapshot_rows.c.id == finetuning_jobs.c.snapshot_id)
        .where(finetuning_jobs.c.kind.in_((KIND, TRIAL)))
    )


def _read(wb: Workbench, query: sa.Select[Any]) -> list[Run]:
    """Somebody reads of these: those that go on are asked to tell how they are from now on, not some seconds late."""
    with wb.db.read() as connection:
        found = [_run(row) for row in connection.execute(query).mappings()]
    if going := [run.id for run in found if run.status == Status.RUNNING]:
        queue.watch(wb, going)
    return found


def _run(row: Mapping[Any, Any]) -> Run:
    return Run(
        id=row["id"],
        kind=row["kind"],
        theme_id=row["theme_id"],
        theme_name=row["theme_name"] or "",
        status=row["status"],
        spec=RunSpec.model_validate(row["spec"]),
        attempt=row["attempt"],
        rq_job_id=row["rq_job_id"],
        created_by=row["person"] or "",
        created_at=row["created_at"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        heartbeat_at=row["heartbeat_at"],
        progress=row["progress"],
        result=row["result"],
        error=row["error"],
        mlflow_run_id=row["mlflow_run_id"],
        snapshot_counts=row["counts"] or {},
    )
