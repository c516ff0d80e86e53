"""Stored. Two to ten model versions beside each other: their runs, and what is known of versions alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from core import model_benchmarks, registry, runs
from core.db.tables import ab_experiments, ab_test_logs
from core.errors import Conflict, InvalidInput
from core.evaluations import answers, compared, slices
from core.evaluations.compared import LEAST, MOST, Comparison
from core.evaluations.slices import Slice
from core.registry import Version
from core.runs import Run
from core.workbench import Workbench


@dataclass(frozen=True)
class Latency:
    """Response times of the newest A/B test in which users got answers of a version, ms."""

    test_id: int
    n: int
    p50: float
    p95: float


@dataclass(frozen=True)
class Versions:
    """In the order of their runs, oldest first."""

    versions: tuple[Version, ...]
    runs: Comparison
    benchmarks: dict[str, dict[int, float]]
    """Newest scores by name and version id."""
    slices: dict[int, tuple[Slice, ...]]
    """Kinds of test images by version id; none where its run kept no answers."""
    latency: dict[int, Latency]
    """By version id; of those that no A/B test measured nothing is known."""
    alone: dict[int, float]
    """Milliseconds for one image, as the run measured after its training, by version id; older runs did not."""

    @property
    def kinds(self) -> dict[tuple[str, str], dict[int, Slice]]:
        """{(feature, kind): its slice by version id}, those on which they differ most first."""
        found: dict[tuple[str, str], dict[int, Slice]] = {}
        for version_id, own in self.slices.items():
            for each in own:
                found.setdefault((each.feature, each.kind), {})[version_id] = each

        def apart(of: dict[int, Slice]) -> float:
            marks = [each.right.value for each in of.values()]
            return max(marks) - min(marks)

        return dict(sorted(found.items(), key=lambda item: (-apart(item[1]), item[0])))


def chosen(wb: Workbench, ids: Sequence[int]) -> list[Version]:
    """The versions to compare, by their runs, each once.

    Raises InvalidInput where they are too few or too many, Conflict where they are of different themes or one was
    trained elsewhere, NotFound.
    """
    wanted = set(ids)
    if not LEAST <= len(wanted) <= MOST:
        raise InvalidInput(
            "Name {least} to {most} different versions to compare them; {n} is named here.",
            n=len(wanted),
            least=LEAST,
            most=MOST,
        )
    found = sorted(registry.by_id(wb, wanted).values(), key=registry.made_by)
    if len({version.theme_id for version in found}) > 1:
        raise Conflict("These versions are of different themes, so they answered different questions.")
    return found


def of_versions(wb: Workbench, ids: Sequence[int]) -> Versions:
    """Raises InvalidInput, Conflict, NotFound as `chosen` and `core.evaluations.compared.of_runs`."""
    found = chosen(wb, ids)
    scores: dict[str, dict[int, float]] = {}
    for version_id, own in model_benchmarks.newest(wb, [version.id for version in found]).items():
        for each in own:
            scores.setdefault(each.name, {})[version_id] = each.score
    made_by = {version.id: runs.get(wb, registry.made_by(version)) for version in found}
    return Versions(
        tuple(found),
        compared.of_runs(wb, [run.id for run in made_by.values()]),
        dict(sorted(scores.items())),
        {version_id: _slices(wb, run) for version_id, run in made_by.items()},
        _latency(wb, found),
        {
            version_id: run.result["latency_ms"]
            for version_id, run in made_by.items()
            if run.result and "latency_ms" in run.result
        },
    )


def _slices(wb: Workbench, run: Run) -> tuple[Slice, ...]:
    said = answers.of_run(wb, run)
    return () if said is None else tuple(slices.slices(said.right, *answers.facts(wb, said.ids)))


def _latency(wb: Workbench, found: Sequence[Version]) -> dict[int, Latency]:
    test, log = ab_experiments.c, ab_test_logs.c
    tests = (
        sa.select(test.id, test.plan)
        .where(test.theme_id == found[0].theme_id, test.started_at.is_not(None))
        .order_by(test.id.desc())
    )
    known: dict[int, Latency] = {}
    with wb.db.read() as connection:
        for test_id, plan in connection.execute(tests).all():
            asked = {version.id for version in found} - known.keys()
            arms = {arm: each for arm, each in enumerate(plan["versions"]) if each in asked}
            if not arms:
                continue
            times = (
                sa.select(
                    log.arm,
                    sa.func.count(),
                    *(sa.func.percentile_cont(q).within_group(log.response_time_ms) for q in (0.5, 0.95)),
                )
                .where(log.test_id == test_id, log.arm.in_(list(arms)), log.response_time_ms.is_not(None))
                .group_by(log.arm)
            )
            for arm, n, p50, p95 in connection.execute(times):
                known[arms[arm]] = Latency(test_id, n, p50, p95)
    return known
