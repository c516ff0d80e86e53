"""Stored. A run with the newest fixes beside the one before without them, on the test images that both saw."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import sqlalchemy as sa

from core import runs
from core.db.tables import dataset_quality_logs, finetuning_jobs
from core.evaluations import answers as answers_of
from core.events import Status
from core.quality import effect
from core.quality.effect import Changes, Paired
from core.runs import Run
from core.workbench import Workbench


@dataclass(frozen=True)
class Effect:
    """What changed between two runs of a theme, and how their answers differ."""

    run_id: int
    previous_id: int | None
    why: str = ""
    """first, no-answers or no-shared where `paired` is None."""
    paired: Paired | None = None
    tests: int = 0
    """Test images of this run; `paired.n` of them were in the test of the run before too."""
    changes: Changes = field(default_factory=Changes)
    repairs: dict[str, int] = field(default_factory=dict)
    """Images that one-click fixes changed in between, by kind of finding."""
    parameters: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    """Those that differ: (before, now)."""
    code: bool = False
    """Whether Veritrain's own code differs."""

    @property
    def data_alone(self) -> bool:
        """Nothing but the images differs between the two runs."""
        return not self.parameters and not self.code


def of_run(wb: Workbench, run_id: int) -> Effect:
    """A finished run beside the finished one before it in its theme. Raises NotFound.

    Both are judged by the labels of the newer one's snapshot; a label counts by its id, whatever it
    was called then.
    """
    run = runs.get(wb, run_id)
    previous = _before(wb, run)
    if previous is None:
        return Effect(run_id, None, "first")
    old, new = (answers_of.manifest(wb, each) for each in (previous, run))
    parameters = _parameters(previous, run)
    facts: dict[str, Any] = {
        "changes": effect.changes(
            {i: row[:2] for i, row in old.items()}, {i: row[:2] for i, row in new.items()}
        ),
        "tests": sum(split == "test" for _label, split, _name in new.values()),
        "repairs": _repairs(wb, previous, run),
        "parameters": parameters,
        "code": previous.spec.code.source_hash != run.spec.code.source_hash,
    }
    answers = [answers_of.by_label_id(wb, each, rows) for each, rows in ((previous, old), (run, new))]
    if answers[0] is None or answers[1] is None:
        return Effect(run_id, previous.id, "no-answers", **facts)
    before, after = answers[0], answers[1]
    shared = sorted(before.keys() & after.keys() & new.keys())
    if not shared:
        return Effect(run_id, previous.id, "no-shared", **facts)
    truth = [new[image_id][0] for image_id in shared]
    right = [
        np.array([said[image_id] == label for image_id, label in zip(shared, truth, strict=True)])
        for said in (before, after)
    ]
    return Effect(run_id, previous.id, paired=effect.paired(*right), **facts)


def _before(wb: Workbench, run: Run) -> Run | None:
    job = finetuning_jobs.c
    query = (
        sa.select(job.id)
        .where(
            job.theme_id == run.theme_id,
            job.kind == runs.KIND,
            job.status == Status.SUCCEEDED.value,
            job.id < run.id,
        )
        .order_by(job.id.desc())
        .limit(1)
    )
    with wb.db.read() as connection:
        found = connection.execute(query).scalar()
    return None if found is None else runs.get(wb, int(found))


def _parameters(previous: Run, run: Run) -> dict[str, tuple[Any, Any]]:
    before, now = (runs.flat_parameters(each.spec) for each in (previous, run))
    return {
        name: (before.get(name), now.get(name))
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    }


def _repairs(wb: Workbench, previous: Run, run: Run) -> dict[str, int]:
    entry = dataset_quality_logs.c
    query = sa.select(entry.detail).where(
        entry.theme_id == run.theme_id,
        entry.action == "fix",
        entry.at > previous.created_at,
        entry.at <= run.created_at,
    )
    counted: Counter[str] = Counter()
    with wb.db.read() as connection:
        for detail in connection.execute(query).scalars():
            counted[str(detail.get("kind", ""))] += int(detail.get("images", 0))
    return dict(counted)
