"""Versions with all that a passport can say of them, without a training."""

from __future__ import annotations

import hashlib
from typing import Any

from pictures import png

from core import auth, images, registry, run_watch, serving, splits, stages, themes
from core.ab import report, trials
from core.db.tables import finetuning_jobs
from core.workbench import Workbench
from tests.core.ab.rig import PLAN, log, rows
from tests.mlflow_files import keeping
from tests.trained import Right, finished

FILES = {"MLmodel": b"flavors: {}\n", "artifacts/weights.safetensors": bytes(range(256)) * 10}


def parts(wb: Workbench, actor: auth.User, name: str = "Parts", description: str = "") -> themes.Theme:
    """A theme of 300 labelled images, split."""
    theme = themes.create(wb, actor, name=name, description=description, labels=["good", "bad"])
    files = [(f"{('good', 'bad')[n % 2]}/{n}.png", png(n, (40, 40))) for n in range(300)]
    images.add(wb, actor, theme.id, files, label_from_folder=True)
    splits.split(wb, actor, theme.id)
    return theme


def version(
    wb: Workbench,
    actor: auth.User,
    theme_id: int,
    right: Right | None,
    number: int = 1,
    files: dict[str, bytes] | None = FILES,
) -> int:
    """The id of a version that answers those test images rightly; None: its answers were not kept."""
    run = finished(wb, actor, theme_id, right)
    [row] = run_watch.rows_where(wb, finetuning_jobs.c.id == run.id)
    name = f"veritrain-theme-{theme_id}"
    model: dict[str, Any] = {"name": name, "version": number, "uri": f"models:/{name}/{number}"}
    if files is not None:
        model["files"] = {each: hashlib.sha256(data).hexdigest() for each, data in files.items()}
        model["size"] = sum(map(len, files.values()))
    made: list[int | None] = []
    result = dict(run.result or {}) | {"model": model}
    wb.db.write(lambda connection: made.append(registry.record(connection, wb.files, row, result)))
    assert made[0] is not None
    return made[0]


def with_everything(wb: Workbench, actor: auth.User, theme: themes.Theme) -> int:
    """A version that won an A/B test, is in production, and is deployed."""
    first = version(wb, actor, theme.id, lambda image_id: image_id % 3 > 0)
    second = version(wb, actor, theme.id, lambda image_id: image_id % 7 > 0, 2)
    with keeping(wb, FILES) as (reached, _there):
        stages.promote(reached, actor, first, "production", "the first")
    trial = trials.create(wb, actor, theme.id, "B against A", PLAN | {"versions": [first, second]})
    trial = trials.start(wb, actor, trial.id)
    log(wb, trial, rows(trial, 600, gain=0.8, each=1))
    report.conclude(wb, actor, trial.id, "B", "clear")
    with keeping(wb, FILES) as (reached, _there):
        stages.promote(reached, actor, second, "production", "it won")
    serving.deploy(wb, actor, second)
    return second
