"""What jobs say ends up in the database once, in order, whatever gets lost on the way."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from core import auth, events, images, queue, run_reports, run_watch, runs, splits, themes
from core.collector import Collector
from core.db.tables import finetuning_jobs, run_events, run_metrics, training_checkpoints
from core.events import Event, Status, Type
from core.runs import Run
from core.workbench import Workbench
from tests.pictures import png

Started = Callable[[], Run]


@pytest.fixture
def started(_bench: Workbench, trainer: auth.User) -> Started:
    """Starts a run of a small theme that is labelled and split."""
    theme = themes.create(_bench, trainer, name="Small", labels=["a", "b"])
    images.add(_bench, trainer, theme.id, [(f"{n}.png", png(seed=n)) for n in range(24)])
    ids = [image.id for image in images.page(_bench, theme.id).items]
    labels = [label.id for label in theme.labels]
    images.label(_bench, trainer, theme.id, [(i, labels[n % 2]) for n, i in enumerate(ids)])
    splits.split(_bench, trainer, theme.id)
    return lambda: runs.start(_bench, trainer, theme.id)


def script(run: Run, attempt: int = 1, first: int = 1) -> list[Event]:
    """A short life of a run: it starts, measures, saves, writes a log line."""
    payloads: list[tuple[Type, dict[str, Any]]] = [
        (Type.STATUS, {"status": Status.RUNNING.value}),
        (Type.PROGRESS, {"phase": "train", "fraction": 0.1, "epoch": 1, "epochs": 2, "step": 1, "steps": 10}),
        *(
            (Type.METRIC, {"step": s, "epoch": s / 4, "values": {"train_loss": 1.0 / (s + 1)}})
            for s in range(8)
        ),
        (Type.METRIC, {"step": 8, "epoch": 2.0, "values": {"train_loss": float("nan"), "valid_loss": 0.5}}),
        (
            Type.CHECKPOINT,
            {"path": "c", "sha256": "0" * 64, "epoch": 1, "step": 8, "metric": 0.5, "kind": "best"},
        ),
        (Type.LOG, {"level": "info", "message": "Epoch 1 “done”"}),
        (Type.HEARTBEAT, {"rss": 1}),
    ]
    now = datetime.now(UTC)
    return [
        Event(run.id, first + n, attempt, now, kind, payload) for n, (kind, payload) in enumerate(payloads)
    ]


def keep(wb: Workbench, run: Run, written: list[Event], torn: str = "") -> None:
    """Write the run's own event file, as the worker does."""
    folder = wb.settings.artifacts_dir / "runs" / str(run.id)
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(event.to_json() + "\n" for event in written)
    (folder / "events.jsonl").write_text(text + torn, encoding="utf-8")


def stored(wb: Workbench) -> dict[str, list[Any]]:
    with wb.db.read() as connection:
        found = {
            table.name: [
                tuple(row) for row in connection.execute(sa.select(table).order_by(*table.primary_key))
            ]
            for table in (run_events, run_metrics)
        }
        column = finetuning_jobs.c
        found["run"] = [
            tuple(row)
            for row in connection.execute(sa.select(column.status, column.last_event, column.progress))
        ]
        found["checkpoints"] = connection.execute(sa.select(training_checkpoints.c.sha256)).scalars().all()
    return {name: json.loads(json.dumps(rows, default=str)) for name, rows in found.items()}


def test_events_come_from_the_stream_into_the_tables(wb: Workbench, started: Started) -> None:
    run = started()
    for event in script(run):
        wb.broker.xadd(events.STREAM, {"e": event.to_json()})
    wb.broker.xadd(events.STREAM, {"foreign": "entry"})
    Collector(wb).turn()
    run = runs.get(wb, run.id)
    assert run.status == Status.RUNNING and run.progress and run.progress["step"] == 1
    metrics = run_reports.metrics(wb, run.id)
    assert [value for _, _, value in metrics["train_loss"]] == [1.0 / (s + 1) for s in range(8)]
    assert metrics["valid_loss"] == [(8, 2.0, 0.5)]
    assert [line.message for line in run_reports.logs(wb, run.id)] == ["Epoch 1 “done”"]
    assert wb.broker.xlen(events.STREAM) == 0, "what is durable is trimmed"


def test_any_loss_repetition_and_order_of_batches_gives_the_same_rows(
    wb: Workbench, started: Started
) -> None:
    run = started()
    life = script(run)
    keep(wb, run, life)
    Collector(wb).store(life)
    wanted = stored(wb)
    dice = random.Random(7)
    for _ in range(12):
        wb.db.write(_forget)
        collector = Collector(wb)
        batches = [[event for event in life if dice.random() < 0.6] for _ in range(4)]
        dice.shuffle(batches)
        for batch in batches:
            dice.shuffle(batch)
            collector.store(batch)
        collector.store([life[-1]])
        assert stored(wb) == wanted


def test_what_came_while_no_app_ran_is_read_from_the_file(wb: Workbench, started: Started) -> None:
    run = started()
    life = script(run)
    keep(wb, run, life, torn='{"run_id":1,"number":99,"att')
    Collector(wb).turn()
    assert stored(wb)["run"][0][1] == life[-1].number


def test_words_of_an_older_attempt_change_nothing(wb: Workbench, started: Started) -> None:
    run = started()
    wb.db.write(lambda connection: runs.requeue(connection, run.id, 2, Status.QUEUED))
    Collector(wb).store(script(run, attempt=1))
    assert runs.get(wb, run.id).status == Status.QUEUED
    assert stored(wb)["run_events"] == []


def test_a_silent_worker_is_noticed_and_its_run_queued_again(
    wb: Workbench, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_watch, "LOST_SECONDS", 0.0)
    run = started()
    collector = Collector(wb)
    collector.store(script(run))
    assert queue.withdraw(wb, f"run-{run.id}-1")  # a worker had taken it
    wb.broker.set(events.alive_key(run.id), 1)
    watch = run_watch.RunWatch(wb, collector.take_in)
    wb.db.write(lambda connection: _age(connection, run.id))
    watch.turn()
    assert runs.get(wb, run.id).status == Status.RUNNING, "it says that it lives"
    wb.broker.delete(events.alive_key(run.id))
    watch.turn()
    lost = runs.get(wb, run.id)
    assert (lost.status, lost.attempt) == (Status.LOST, 2)
    assert runs.queue_place(wb, run.id) == 1
    assert wb.broker.get(events.attempt_key(run.id)) == b"2", "the older attempt is fenced off"


def test_a_run_that_the_broker_forgot_is_queued_again(
    wb: Workbench, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_watch, "UNSEEN_SECONDS", 0.0)
    run = started()
    wb.broker.flushall()
    assert runs.queue_place(wb, run.id) is None
    collector = Collector(wb)
    run_watch.RunWatch(wb, collector.take_in).turn()
    assert runs.queue_place(wb, run.id) == 1
    assert runs.get(wb, run.id).attempt == 1


def _forget(connection: sa.Connection) -> None:
    for table in (run_events, run_metrics, training_checkpoints):
        connection.execute(table.delete())
    connection.execute(finetuning_jobs.update().values(status="queued", last_event=0, progress=sa.null()))


def _age(connection: sa.Connection, run_id: int) -> None:
    past = datetime.now(UTC) - timedelta(minutes=1)
    connection.execute(
        finetuning_jobs.update().where(finetuning_jobs.c.id == run_id).values(heartbeat_at=past)
    )
