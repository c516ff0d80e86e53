"""Starting, cancelling and resuming runs; what keeps a theme from being trained."""

from __future__ import annotations

import socket
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
import redis
import sqlalchemy as sa

from core import auth, codeversion, images, run_control, run_reports, runs, splits, themes
from core.db.engine import bulk_insert
from core.db.tables import finetuning_jobs, run_metrics
from core.errors import Conflict, InvalidInput, NotAllowed, NotFound, Unavailable
from core.events import Status
from core.workbench import Workbench
from tests.pictures import png


def small_theme(wb: Workbench, trainer: auth.User, labels: int = 2, n: int = 24) -> int:
    theme = themes.create(wb, trainer, name="Small", labels=["a", "b"])
    images.add(wb, trainer, theme.id, [(f"{i}.png", png(seed=i)) for i in range(n)])
    found = images.page(wb, theme.id).items
    images.label(wb, trainer, theme.id, [(f.id, theme.labels[i % labels].id) for i, f in enumerate(found)])
    return theme.id


def test_each_obstacle_is_one_sentence(wb: Workbench, trainer: auth.User, viewer: auth.User) -> None:
    theme = small_theme(wb, trainer, labels=1)
    for wanted in ("at least two labels", "not split yet"):
        [(error, fix)] = runs.preconditions(wb, theme)
        assert wanted in error.text() and fix == "theme"
        with pytest.raises(InvalidInput, match=wanted):
            runs.start(wb, trainer, theme)
        first, second = (label.id for label in themes.get(wb, theme).labels[:2])
        found = images.page(wb, theme).items
        images.label(wb, trainer, theme, [(f.id, (first, second)[i % 2]) for i, f in enumerate(found)])
    splits.split(wb, trainer, theme)
    assert runs.preconditions(wb, theme) == []
    with pytest.raises(NotAllowed):
        runs.start(wb, viewer, theme)


def test_unknown_code_is_not_trained(
    wb_duckdb: Workbench, trainer: auth.User, monkeypatch: pytest.MonkeyPatch
) -> None:
    theme = small_theme(wb_duckdb, trainer)
    splits.split(wb_duckdb, trainer, theme)
    monkeypatch.setattr(codeversion, "current", lambda settings: None)
    with pytest.raises(InvalidInput, match="VERITRAIN_GIT_COMMIT"):
        runs.start(wb_duckdb, trainer, theme)


def test_damaged_parameters_are_named(wb_duckdb: Workbench, trainer: auth.User) -> None:
    theme = small_theme(wb_duckdb, trainer)
    splits.split(wb_duckdb, trainer, theme)
    file = wb_duckdb.settings.data_dir / "config" / "themes" / str(theme) / "params.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("training: {epochs: many}", encoding="utf-8")
    [(error, fix)] = runs.preconditions(wb_duckdb, theme)
    assert "epochs" in error.text() and fix == "parameters"


def test_without_the_queue_nothing_is_started_by_halves(wb: Workbench, trainer: auth.User) -> None:
    theme = small_theme(wb, trainer)
    splits.split(wb, trainer, theme)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        away = replace(wb, broker=redis.Redis(port=closed.getsockname()[1]))
        with pytest.raises(Unavailable, match="queue does not answer"):
            runs.start(away, trainer, theme)
    with wb.db.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(finetuning_jobs)).scalar() == 0


def test_a_waiting_run_is_cancelled_at_once_and_can_be_resumed(wb: Workbench, trainer: auth.User) -> None:
    theme = small_theme(wb, trainer)
    splits.split(wb, trainer, theme)
    first, second = runs.start(wb, trainer, theme), runs.start(wb, trainer, theme)
    assert (runs.queue_place(wb, first.id), runs.queue_place(wb, second.id)) == (1, 2)
    assert first.spec.snapshot == second.spec.snapshot, "the same data is frozen once"
    assert run_control.stop(wb, trainer, first.id).status == Status.CANCELLED
    assert runs.queue_place(wb, second.id) == 1
    with pytest.raises(Conflict, match="ended already"):
        run_control.stop(wb, trainer, first.id)
    with pytest.raises(Conflict, match="failed or cancelled"):
        run_control.resume(wb, trainer, second.id)
    again = run_control.resume(wb, trainer, first.id)
    assert (again.status, again.attempt, runs.queue_place(wb, first.id)) == (Status.QUEUED, 2, 2)
    with pytest.raises(NotFound):
        runs.get(wb, 999)
    assert [run.id for run in runs.history(wb, theme)] == [second.id, first.id]


def test_thinned_curves_keep_their_ends_and_extremes(wb: Workbench) -> None:
    random = np.random.default_rng(0)
    drawn = {run: random.normal(size=n).round(3) for run, n in enumerate((1, 2, 3, 5, 17, 1500, 3000), 1)}
    drawn[8] = np.zeros(700)  # all the same
    now = datetime.now(UTC)
    for run, values in drawn.items():
        rows = [
            {
                "run_id": run,
                "number": n + 3,
                "name": name,
                "step": n,
                "epoch": n / 10,
                "value": sign * v,
                "at": now,
            }
            for name, sign in (("loss", 1.0), ("other", -1.0))
            for n, v in enumerate(values.tolist())
        ]
        wb.db.write(lambda connection, rows=rows: bulk_insert(connection, run_metrics, rows))
    for run, values in drawn.items():
        points = [(n, n / 10, v) for n, v in enumerate(values.tolist())]
        for limit in (4, 5, 100, 1000):
            found = run_reports.metrics(wb, run, limit)
            kept = found["loss"]
            assert len(kept) <= limit and (len(values) > limit or kept == points)
            assert kept == sorted(kept) and set(kept) <= set(points)
            assert (kept[0], kept[-1]) == (points[0], points[-1])
            assert {max(v for *_, v in kept), min(v for *_, v in kept)} == {values.max(), values.min()}
            assert min(v for *_, v in found["other"]) == -values.max()


def test_workers_are_busy_while_as_many_runs_are_under_way(wb: Workbench, trainer: auth.User) -> None:
    theme = small_theme(wb, trainer)
    splits.split(wb, trainer, theme)
    assert not runs.workers_busy(wb)
    run = runs.start(wb, trainer, theme)
    assert runs.workers_busy(wb)
    assert run_control.pause(wb, trainer, run.id).status == Status.PAUSED
    assert not runs.workers_busy(wb)
