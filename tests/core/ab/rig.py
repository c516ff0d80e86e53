"""A running A/B test of two versions, without the trainings, and simulated users for it."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import numpy as np

from core import auth, registry, run_watch, runs, themes
from core.ab import interactions, trials
from core.ab.trials import Trial
from core.db.tables import finetuning_jobs
from core.workbench import Workbench
from tests.steps import ready_theme

PLAN: dict[str, Any] = {"primary": "rating", "minimum": 0.2, "planned_users": 2_000, "days": 14}


def two_versions(wb: Workbench, actor: auth.User) -> tuple[themes.Theme, list[int]]:
    """A theme and the ids of two versions of its model."""
    theme = ready_theme(wb, actor, f"Animals {uuid4().hex}")
    for number in (1, 2):
        another_version(wb, actor, theme, number)
    return theme, sorted(version.id for version in registry.versions(wb, theme.id))


def another_version(
    wb: Workbench, actor: auth.User, theme: themes.Theme, number: int, uri: str | None = None
) -> None:
    run = runs.start(wb, actor, theme.id)
    [row] = run_watch.rows_where(wb, finetuning_jobs.c.id == run.id)
    name = f"veritrain-theme-{theme.id}"
    result = {
        "metrics": {"test": {"accuracy": 0.5}},
        "model": {"name": name, "version": number, "uri": uri or f"models:/{name}/{number}"},
    }
    wb.db.write(lambda connection: registry.record(connection, wb.files, row, result))


def started(wb: Workbench, actor: auth.User, **plan: Any) -> Trial:
    theme, versions = two_versions(wb, actor)
    trial = trials.create(wb, actor, theme.id, "B against A", PLAN | {"versions": versions} | plan)
    return trials.start(wb, actor, trial.id)


def rows(
    trial: Trial, users: int, *, gain: float = 0.0, seed: int = 0, each: int = 2, **extra: Any
) -> list[dict[str, Any]]:
    """Interactions of users whom the test assigns itself; those of B rate `gain` stars higher on average."""
    rng = np.random.default_rng(seed)
    rule = trial.rule()
    found = []
    for user in range(users):
        unit = f"u{seed}-{user}"
        taste = rng.normal(3.3, 0.6)
        for number in range(each):
            stars = taste + (gain if rule.arm(unit) == "B" else 0) + rng.normal(0, 0.7)
            found.append(
                {
                    "unit": unit,
                    "key": f"{unit}-{number}",
                    "rating": int(np.clip(round(stars), 1, 5)),
                    "response_time_ms": float(rng.gamma(4, 25)),
                    **extra,
                }
            )
    return found


def log(wb: Workbench, trial: Trial, given: list[dict[str, Any]]) -> interactions.Report:
    report = interactions.Report()
    for start in range(0, len(given), interactions.MAX_BATCH):
        part = interactions.log(wb, trial.id, given[start : start + interactions.MAX_BATCH])
        report.added += part.added
        report.known += part.known
        report.refused += part.refused
    return report
