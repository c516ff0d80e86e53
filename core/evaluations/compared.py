"""Stored. Two to ten finished runs of a theme beside each other: marks, parameters, data, labels, single images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core import runs
from core.errors import Conflict, InvalidInput
from core.evaluations import answers, intervals, pairs
from core.evaluations.intervals import Interval
from core.evaluations.pairs import Judged
from core.quality import effect
from core.quality.effect import Changes
from core.runs import Run
from core.workbench import Workbench

LEAST, MOST = 2, 10


@dataclass(frozen=True)
class Mark:
    """A run's mark on the images that all runs answered."""

    run: Run
    accuracy: Interval | None
    """None where the runs share no images."""
    f1: dict[str, float]
    """Of its own test images, by label."""


@dataclass(frozen=True)
class Comparison:
    """Runs by number, oldest first."""

    marks: tuple[Mark, ...]
    judged: Judged | None
    why: str
    """no-answers or no-shared where `judged` is None."""
    without: tuple[int, ...]
    """Runs that kept no answers."""
    parameters: dict[str, tuple[Any, ...]]
    """Those that differ, one value a run."""
    code: bool
    """Whether Veritrain's own code differs."""
    data: dict[int, Changes]
    """What each later run's images have that the first run's have not; empty where all are the same."""
    shared: np.ndarray
    """(n,) ids of the test images that all runs answered."""
    right: dict[int, np.ndarray]
    """(n,) bool by run."""

    @property
    def ids(self) -> tuple[int, ...]:
        return tuple(mark.run.id for mark in self.marks)

    def only(self, one: int, other: int) -> list[int]:
        """Ids of the images that the first run got right and the second did not."""
        found: list[int] = self.shared[self.right[one] & ~self.right[other]].tolist()
        return found


def check(ids: Sequence[int]) -> list[int]:
    """The runs to compare, oldest first, each once. Raises InvalidInput where they are too few or too many."""
    wanted = sorted(set(ids))
    if not LEAST <= len(wanted) <= MOST:
        raise InvalidInput(
            "Name {least} to {most} different runs to compare them; {n} is named here.",
            n=len(wanted),
            least=LEAST,
            most=MOST,
        )
    return wanted


def of_runs(wb: Workbench, ids: Sequence[int]) -> Comparison:
    """All are judged by the labels of the newest run's snapshot.

    Raises NotFound, InvalidInput as `check`, Conflict where they are of different themes or one has no result.
    """
    found = [runs.get(wb, run_id) for run_id in check(ids)]
    if len({run.theme_id for run in found}) > 1:
        raise Conflict("These runs are of different themes, so they answered different questions.")
    for run in found:
        if run.result is None:
            raise Conflict("Run {id} has no result; only finished runs can be compared.", id=run.id)
    manifests = {run.id: answers.manifest(wb, run) for run in found}
    said = {run.id: answers.by_label_id(wb, run, manifests[run.id]) for run in found}
    without = tuple(run_id for run_id, given in said.items() if given is None)
    known = {run_id: given for run_id, given in said.items() if given is not None}
    newest = manifests[found[-1].id]
    shared: list[int] = []
    if not without:
        shared = sorted(set(newest).intersection(*known.values()))
    truth = np.array([newest[image][0] for image in shared], dtype=np.int64)
    given = {
        run_id: np.array([-1 if of[image] is None else of[image] for image in shared], dtype=np.int64)
        for run_id, of in known.items()
    }
    right = {run_id: of == truth for run_id, of in given.items()} if shared else {}
    first = manifests[found[0].id]
    return Comparison(
        marks=tuple(
            Mark(
                run,
                intervals.wilson(int(right[run.id].sum()), len(shared)) if shared else None,
                {row["label"]: row["f1"] for row in (run.result or {})["per_class"]["test"]},
            )
            for run in found
        ),
        judged=pairs.judge(given, truth) if shared else None,
        why="no-answers" if without else "" if shared else "no-shared",
        without=without,
        parameters=_parameters(found),
        code=len({run.spec.code.source_hash for run in found}) > 1,
        data={
            run.id: changes
            for run in found[1:]
            if (changes := effect.changes(_places(first), _places(manifests[run.id]))).any
        },
        shared=np.array(shared, dtype=np.int64),
        right=right,
    )


def _places(manifest: dict[int, tuple[int, str, str]]) -> dict[int, tuple[int, str]]:
    return {image: row[:2] for image, row in manifest.items()}


def _parameters(found: Sequence[Run]) -> dict[str, tuple[Any, ...]]:
    flat = [runs.flat_parameters(run.spec) for run in found]
    names = sorted({name for each in flat for name in each})
    values = {name: tuple(each.get(name) for each in flat) for name in names}
    return {name: given for name, given in values.items() if any(value != given[0] for value in given)}
