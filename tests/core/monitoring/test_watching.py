"""Requests are counted beside the answer, add up over app processes, and are compared with the training."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from pictures import encoded, picture, png

from core import auth, images, registry, run_watch, runs, serving, splits, themes
from core.db.tables import finetuning_jobs
from core.db.watching_tables import serving_minutes
from core.errors import InvalidInput, Unavailable
from core.gateway.observed import Observed, Told
from core.monitoring import minutes, observing, report
from core.monitoring.counts import Counts
from core.monitoring.observing import Observer
from core.workbench import Workbench
from tests.core.test_serving import ModelServer, deployed, seen, server

__all__ = ["server"]

NOON = datetime(2026, 11, 20, 12, 0, 30, tzinfo=UTC)


def request(deployment: int, at: datetime, seconds: float = 0.01, label: str = "cat") -> Observed:
    return Observed("m", 1, deployment, at, seconds, 200, (Told(label, 0.9),))


def test_rows_of_several_app_processes_add_up(wb: Workbench, trainer: auth.User) -> None:
    made = deployed(wb, trainer, "http://127.0.0.1:1")
    replicas = [Observer(wb), Observer(wb)]
    for second in range(90):
        replicas[second % 2].hear(request(made.id, NOON + timedelta(seconds=second), 0.001 * (second + 1)))
    replicas[0].hear(Observed("nobody", None, None, NOON, 0.1, 404))  # belongs to no deployment
    for replica in replicas * 2:  # the second time there is nothing new
        replica.flush()
    found = report.of(wb, [made], "1h", NOON + timedelta(minutes=5))
    assert [(at.minute, counts.requests) for at, counts in found.points.items()] == [(0, 30), (1, 60)]
    assert found.total.classes == {"cat": 90} and found.total.images == 90
    true = float(np.quantile(np.arange(1, 91) / 1_000, 0.95, method="inverted_cdf"))
    assert found.total.percentile(0.95) == pytest.approx(true, rel=0.19)
    with pytest.raises(InvalidInput, match="one of: 1h"):
        report.of(wb, [made], "1y")


def test_old_rows_become_minutes_and_then_hours_and_nothing_is_lost(
    wb: Workbench, trainer: auth.User
) -> None:
    made = deployed(wb, trainer, "http://127.0.0.1:1")
    for second in range(0, 7_200, 20):
        part = Counts()
        part.hear(0.1, 200)
        minutes.store(wb, {(made.id, minutes.minute_of(NOON + timedelta(seconds=second))): part})

    def spans() -> dict[int, int]:
        with wb.db.read() as connection:
            query = sa.select(serving_minutes.c.span, sa.func.count()).group_by(serving_minutes.c.span)
            return dict(connection.execute(query).tuples().all())

    since, until = NOON - timedelta(hours=1), NOON + timedelta(hours=3)

    def counted() -> int:
        return minutes.total(minutes.series(wb, [made.id], since, until, 60)).requests

    assert (spans(), counted()) == ({0: 360}, 360)
    minutes.thin(wb, NOON + timedelta(hours=2))
    assert counted() == 360 and spans()[60] == 60 and spans()[0] == 181
    minutes.thin(wb, NOON + timedelta(days=8))
    minutes.thin(wb, NOON + timedelta(days=8))
    assert counted() == 360 and spans() == {3600: 3}


@pytest.fixture
def observer(wb_duckdb: Workbench, monkeypatch: pytest.MonkeyPatch) -> Iterator[Observer]:
    monkeypatch.setattr(observing, "SAMPLE_SECONDS", 0.0)
    monkeypatch.setattr(observing, "WAITING", 1_000)
    it = Observer(wb_duckdb)
    it.start()
    yield it
    if it._thread.is_alive():
        it.stop()


def test_asking_a_deployment_is_counted_and_its_images_are_compared_with_the_training(
    wb_duckdb: Workbench, trainer: auth.User, server: ModelServer, observer: Observer
) -> None:
    wb = wb_duckdb
    theme = themes.create(wb, trainer, name="Parts", labels=["cat", "dog"])
    files = [(f"{('cat', 'dog')[n % 2]}/{n}.png", png(n, (96, 64))) for n in range(120)]
    images.add(wb, trainer, theme.id, files, label_from_folder=True)
    splits.split(wb, trainer, theme.id)
    made = serving.deploy(wb, trainer, registered(wb, trainer, theme.id).id)
    seen(wb, made.id, status="up", url=server.url, detail=None)
    deployment = serving.get(wb, made.id)
    for n in range(200, 240):
        serving.ask(wb, deployment, [("a.png", encoded(picture(n, (96, 64)).point(lambda v: v // 4)))])
    serving.ask(wb, deployment, [("note.txt", b"Dear all,"), ("a.png", png(1))])
    server.status = 500
    with pytest.raises(Unavailable):
        serving.ask(wb, deployment, [("a.png", png(1))])
    observer.stop()
    found = report.of(wb, [deployment], "1h")
    total = found.total
    assert (total.requests, total.errors, total.images, total.unread) == (42, 1, 41, 1)
    assert total.classes == {"cat": 41} and total.measured == 42 and found.reference == 120
    assert found.drift is not None
    moved = {each.name for each in found.drift.drifted}
    assert {"light", "contrast", "answer"} <= moved and not {"width", "height", "aspect"} & moved


def registered(wb: Workbench, actor: auth.User, theme_id: int) -> registry.Version:
    run = runs.start(wb, actor, theme_id)
    [row] = run_watch.rows_where(wb, finetuning_jobs.c.id == run.id)
    name = f"veritrain-theme-{theme_id}"
    model: dict[str, Any] = {"name": name, "version": 1, "uri": f"models:/{name}/1"}
    result = {"metrics": {"test": {"accuracy": 1.0, "n": 24}}, "model": model}
    wb.db.write(lambda connection: registry.record(connection, wb.files, row, result))
    found = registry.of_run(wb, run.id)
    assert found is not None
    return found


def test_counts_survive_a_database_that_is_away(wb_duckdb: Workbench, trainer: auth.User) -> None:
    made = deployed(wb_duckdb, trainer, "http://127.0.0.1:1")
    observer = Observer(wb_duckdb)
    observer.hear(request(made.id, NOON))
    write = wb_duckdb.db.write
    object.__setattr__(wb_duckdb.db, "write", lambda _work: (_ for _ in ()).throw(Unavailable("away")))
    observer.flush()
    observer.hear(request(made.id, NOON))
    object.__setattr__(wb_duckdb.db, "write", write)
    observer.flush()
    assert report.of(wb_duckdb, [made], "1h", NOON + timedelta(minutes=1)).total.requests == 2
