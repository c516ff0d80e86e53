"""Stored. A run done again from its frozen specification, and whether the same came out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from core import auth, run_reports, runs, themes
from core.errors import Conflict, VeritrainError
from core.runs import Run
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
    frozen = original.spec.model_copy(update={"repeats": run_id})
    return runs.begin_again(wb, actor, frozen, "run.repeat", {"original": run_id})


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
