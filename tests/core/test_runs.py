"""Starting, cancelling and resuming runs; what keeps a theme from being trained."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest
import redis
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from core import auth, codeversion, images, run_control, run_reports, runs, splits, themes
from core.db.tables import finetuning_jobs
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


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=3000),
    st.integers(min_value=4, max_value=500),
)
def test_thinned_curves_keep_their_ends_and_extremes(values: list[float], limit: int) -> None:
    points = [(step, step / 10, value) for step, value in enumerate(values)]
    kept = run_reports.thin(points, limit)
    assert len(kept) <= max(limit, 4)
    assert kept == sorted(kept)
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    assert max(value for *_, value in kept) == max(values)
    assert min(value for *_, value in kept) == min(values)


def test_workers_are_busy_while_as_many_runs_are_under_way(wb: Workbench, trainer: auth.User) -> None:
    theme = small_theme(wb, trainer)
    splits.split(wb, trainer, theme)
    assert not runs.workers_busy(wb)
    run = runs.start(wb, trainer, theme)
    assert runs.workers_busy(wb)
    assert run_control.pause(wb, trainer, run.id).status == Status.PAUSED
    assert not runs.workers_busy(wb)
