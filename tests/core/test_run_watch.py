"""What becomes of runs whose events do not come as they should: lost workers, a lost broker, bad entries."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from core import auth, events, registry, run_control, run_reports, run_watch, runs
from core.collector import LEASE_KEY, Collector
from core.db.tables import audit_log, finetuning_jobs, model_evaluations, model_train_data
from core.events import Event, Status, Type
from core.run_watch import FRUITLESS_ATTEMPTS, RunWatch
from core.workbench import Workbench
from tests.steps import checkpoint, file_of, started


class Told:
    """Events of one run as a worker tells them: to its file, and to the stream where `sent`."""

    def __init__(self, wb: Workbench, run_id: int) -> None:
        self.wb, self.run_id, self.number = wb, run_id, 0
        self.file = file_of(wb.settings, run_id)
        self.file.parent.mkdir(parents=True)

    def tell(self, type: Type, payload: dict[str, Any], *, sent: bool = True, attempt: int = 1) -> None:
        self.number += 1
        event = Event(self.run_id, self.number, attempt, datetime.now(UTC), type, payload)
        with self.file.open("a") as file:
            file.write(event.to_json() + "\n")
        if sent:
            self.wb.broker.xadd(events.STREAM, {"e": event.to_json()})


def metric(step: int, value: float = 0.5) -> dict[str, Any]:
    return {"step": step, "epoch": step / 10, "values": {"train_loss": value}}


def steps(wb: Workbench, run_id: int) -> list[int]:
    return [step for step, _, _ in run_reports.metrics(wb, run_id).get("train_loss", [])]


def count(wb: Workbench, table: sa.Table) -> int:
    with wb.db.read() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


def row(wb: Workbench, run_id: int) -> Any:
    [found] = run_watch.rows_where(wb, finetuning_jobs.c.id == run_id)
    return found


def result() -> dict[str, Any]:
    return {
        "labels": ["cat", "dog"],
        "metrics": {"valid": {"accuracy": 0.5, "n": 4}, "test": {"accuracy": 1.0, "n": 3}},
        "mlflow_run_id": "abc",
        "model": {"name": "veritrain-theme-1", "version": 3, "uri": "models:/veritrain-theme-1/3", "size": 9},
    }


def test_a_result_registers_the_version_with_the_data_it_saw(wb: Workbench, trainer: auth.User) -> None:
    run = started(wb, trainer)
    told = Told(wb, run.id)
    told.tell(Type.RESULT, result())
    told.tell(Type.STATUS, {"status": "succeeded"})
    Collector(wb).turn()
    version = registry.of_run(wb, run.id)
    assert version is not None
    assert (version.version, version.stage, version.labels) == (3, "staging", ("cat", "dog"))
    assert version.snapshot_hash == run.spec.snapshot.hash
    assert version.code["commit"] == run.spec.code.commit
    assert (count(wb, model_train_data), count(wb, model_evaluations)) == (24, 2)
    assert runs.get(wb, run.id).mlflow_run_id == "abc"
    assert registry.versions(wb, run.theme_id) == [version]


def test_one_run_that_cannot_be_written_does_not_hold_up_the_others(
    wb: Workbench, trainer: auth.User, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = started(wb, trainer)
    good = runs.start(wb, trainer, bad.theme_id)
    bad_told, good_told = Told(wb, bad.id), Told(wb, good.id)
    manifest = wb.files.read(bad.spec.snapshot.path)
    wb.files.write(bad.spec.snapshot.path, b"the store hiccups")
    bad_told.tell(Type.RESULT, result())
    good_told.tell(Type.METRIC, metric(1))
    collector = Collector(wb)
    collector.turn()
    assert steps(wb, good.id) == [1]
    assert registry.of_run(wb, bad.id) is None
    wb.files.write(bad.spec.snapshot.path, manifest)
    monkeypatch.setattr(collector.chores.all[0], "due", 0.0)
    collector.turn()
    assert registry.of_run(wb, bad.id) is not None


def test_what_a_lost_attempt_measured_after_its_checkpoint_is_shown_once(
    wb: Workbench, trainer: auth.User
) -> None:
    run = started(wb, trainer)
    told = Told(wb, run.id)
    for step in (1, 2, 3):
        told.tell(Type.METRIC, metric(step, 0.9))
    for step in (2, 3, 4):
        told.tell(Type.METRIC, metric(step, 0.1), attempt=1)
    Collector(wb).turn()
    found = run_reports.metrics(wb, run.id)["train_loss"]
    assert [(step, value) for step, _epoch, value in found] == [(1, 0.9), (2, 0.1), (3, 0.1), (4, 0.1)]


def test_what_is_no_number_and_what_is_no_text_comes_through(wb: Workbench, trainer: auth.User) -> None:
    run = started(wb, trainer)
    told = Told(wb, run.id)
    told.tell(Type.METRIC, metric(1, float("inf")))
    told.tell(Type.CHECKPOINT, {**checkpoint(2), "metric": float("nan")})
    told.tell(Type.LOG, {"level": "info", "message": "a\x00b"})
    told.tell(Type.METRIC, metric(3))
    Collector(wb).turn()
    assert steps(wb, run.id) == [3]
    assert [line.message for line in run_reports.logs(wb, run.id)] == ["a\x00b"]


def test_entries_that_are_no_events_are_left_out(wb_duckdb: Workbench, trainer: auth.User) -> None:
    run = started(wb_duckdb, trainer)
    for entry in ({"x": "1"}, {"e": "{"}, {"e": json.dumps({"run_id": 1})}, {"e": "[]"}, {"e": "null"}):
        wb_duckdb.broker.xadd(events.STREAM, entry)
    Told(wb_duckdb, run.id).tell(Type.METRIC, metric(1))
    Collector(wb_duckdb).turn()
    assert steps(wb_duckdb, run.id) == [1]


def test_only_one_of_several_collectors_writes(wb_duckdb: Workbench, trainer: auth.User) -> None:
    run = started(wb_duckdb, trainer)
    Collector(wb_duckdb).turn()
    Told(wb_duckdb, run.id).tell(Type.METRIC, metric(1))
    other = Collector(wb_duckdb)
    other.turn()
    assert steps(wb_duckdb, run.id) == []
    wb_duckdb.broker.delete(LEASE_KEY)  # what the first one's end or death does
    other.turn()
    assert steps(wb_duckdb, run.id) == [1]


def test_a_run_that_is_lost_again_and_again_fails_until_a_person_resumes_it(
    wb: Workbench, trainer: auth.User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_watch, "LOST_SECONDS", 0.0)
    run = started(wb, trainer)
    told = Told(wb, run.id)
    collector = Collector(wb)
    watch = RunWatch(wb, collector.take_in)

    def lose(attempt: int, saves: bool = False) -> runs.Run:
        told.tell(Type.STATUS, {"status": "running"}, attempt=attempt, sent=False)
        if saves:
            told.tell(Type.CHECKPOINT, checkpoint(1), attempt=attempt, sent=False)
        collector.take_in(row(wb, run.id))
        watch.turn()
        return runs.get(wb, run.id)

    assert lose(1, saves=True).status == "lost"  # it came further: this one does not count
    for attempt in range(2, FRUITLESS_ATTEMPTS + 1):
        assert lose(attempt).status == "lost"
    failed = lose(FRUITLESS_ATTEMPTS + 1)
    assert failed.status == "failed"
    assert failed.error is not None and "lost 4 times" in failed.error["message"]
    assert count(wb, audit_log.select().where(audit_log.c.action == "run.lost").subquery()) == 5
    assert run_control.resume(wb, trainer, run.id).status == "queued"
    assert lose(FRUITLESS_ATTEMPTS + 2).status == "lost"


def test_after_a_pause_of_the_broker_a_job_has_time_to_be_heard(
    wb_duckdb: Workbench, trainer: auth.User
) -> None:
    run = started(wb_duckdb, trainer)
    Told(wb_duckdb, run.id).tell(Type.STATUS, {"status": "running"})
    collector = Collector(wb_duckdb)
    collector.turn()
    then = datetime.now(UTC) - timedelta(minutes=10)
    statement = finetuning_jobs.update().where(finetuning_jobs.c.id == run.id).values(heartbeat_at=then)
    wb_duckdb.db.write(lambda connection: connection.execute(statement).rowcount)
    RunWatch(wb_duckdb, collector.take_in).turn()
    assert runs.get(wb_duckdb, run.id).status == Status.RUNNING
