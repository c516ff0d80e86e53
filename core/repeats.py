"""Stored. A run done again from its frozen specification, and whether the same came out."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from core import audit, auth, codeversion, queue, run_reports, runs, themes
from core.errors import Conflict, InvalidInput, VeritrainError
from core.runs import Run
from core.spec import RunSpec
from core.workbench import Workbench

ENVIRONMENT = ("device", "precision", "threads", "processes", "batch_parts")
"""What a result says of the machine; where one differs, other bits are to be expected."""
SPEED = ("images_per_second", "system/")
"""Metrics that begin so tell of the machine, not of the model."""


@dataclass(frozen=True)
class Difference:
    """Where the repetition first went another way: `metric` at `step`."""

    metric: str
    step: int
    before: float
    now: float


@dataclass(frozen=True)
class Verdict:
    """A repetition beside its original."""

    original: int
    identical: bool
    """The weights are the same to the last bit."""
    difference: Difference | None
    """None where all metrics are the same, or none can be compared."""
    environment: dict[str, tuple[Any, Any]]
    """(then, now) of what differs: `code`, ENVIRONMENT and versions of libraries."""


def start(wb: Workbench, actor: auth.User, run_id: int) -> Run:
    """Queue a run again with the same data and parameters, and with the code of now.

    Raises NotFound, also where its theme was deleted, NotAllowed, Unavailable when the queue is away, and
    Conflict where it has no result to compare with.
    """
    auth.require(actor, auth.TRAINER)
    original = runs.get(wb, run_id)
    if original.result is None:
        raise Conflict("Run {id} has no result that a repetition could be compared with.", id=run_id)
    themes.get(wb, original.theme_id)
    if not wb.files.exists(original.spec.snapshot.path):
        raise Conflict("The list of images that run {id} learnt from is gone from the file store.", id=run_id)
    code = codeversion.current(wb.settings)
    if code is None:
        raise InvalidInput(
            "The version of Veritrain's own code is unknown, so no model could be registered. "
            "Start it from a git checkout or set VERITRAIN_GIT_COMMIT."
        )
    runs.refuse_too_many(wb, actor)
    queue.ping(wb)

    changed = {"repeats": run_id, "trial": None, "code": code, "created_by": actor.name}
    frozen = original.spec.model_copy(update=changed)

    def work(connection: sa.Connection) -> RunSpec:
        spec = runs.enlist(connection, actor.id, frozen)
        audit.record(connection, actor, "run.repeat", f"run {spec.run_id}", {"original": run_id})
        return spec

    spec = wb.db.write(work)
    # From here the run is accepted: should the broker go away in between, the run watch enqueues it later.
    with contextlib.suppress(VeritrainError):
        queue.enqueue(wb, spec, 1)
    return runs.get(wb, spec.run_id)


def verdict(wb: Workbench, run: Run) -> Verdict | None:
    """None for a run that repeats none, has no result yet, or whose original is gone."""
    if run.spec.repeats is None or run.result is None:
        return None
    try:
        original = runs.get(wb, run.spec.repeats)
    except VeritrainError:
        return None
    if original.result is None:
        return None
    then, now = _surroundings(original.result), _surroundings(run.result)
    environment = {name: (then[name], now[name]) for name in then if name in now and then[name] != now[name]}
    if original.spec.code.source_hash != run.spec.code.source_hash:
        environment["code"] = (original.spec.code.commit[:12], run.spec.code.commit[:12])
    return Verdict(
        original.id,
        original.result.get("weights_sha256") == run.result.get("weights_sha256") is not None,
        _first_difference(wb, original.id, run.id),
        environment,
    )


def _surroundings(result: dict[str, Any]) -> dict[str, Any]:
    """What a result says of the machine, and the versions of what computed it; runs of long ago say less."""
    return {name: result[name] for name in ENVIRONMENT if name in result} | result.get("versions", {})


def _first_difference(wb: Workbench, original: int, repetition: int) -> Difference | None:
    then, now = (run_reports.metrics(wb, each, max_points=1_000_000) for each in (original, repetition))
    found: list[Difference] = []
    for metric in sorted(then.keys() & now.keys()):
        if metric.startswith(SPEED):
            continue
        before = {step: value for step, _epoch, value in then[metric]}
        for step, _epoch, value in now[metric]:
            if step in before and before[step] != value:
                found.append(Difference(metric, step, before[step], value))
                break
    return min(found, key=lambda each: each.step, default=None)
