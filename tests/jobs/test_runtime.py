from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import redis

from core import auth, collector, events, queue, run_control, run_reports, runs
from core.errors import InvalidInput, Unavailable
from core.events import Event, Type
from core.settings import ROOT, Settings
from core.spec import CodeVersion, RunSpec, SnapshotRef
from core.workbench import Workbench
from jobs.runtime import FENCED, POLL_SECONDS, Cancelled, Job, classify, last_number
from tests.conftest import free_port
from tests.steps import ENTRY, file_of, in_file, started, wait_for, worker

SPEC = RunSpec(
    run_id=7,
    kind="vision",
    theme_id=1,
    theme_name="Animals",
    model_name="veritrain-theme-1",
    labels=("cat", "dog"),
    snapshot=SnapshotRef(id=1, hash="a" * 64, path="snapshots/a.parquet"),
    params={},
    auguments={},
    code=CodeVersion(commit="0" * 40, dirty=False, source_hash="b" * 64),
    created_by="trainer",
)


def in_stream(settings: Settings) -> list[Event]:
    entries = redis.Redis.from_url(settings.redis_url).xrange(events.STREAM)
    return [Event.from_json(fields[b"e"]) for _, fields in entries]


def test_events_are_numbered_over_attempts_and_a_torn_line_is_mended(settings: Settings) -> None:
    with Job(SPEC, 1, settings) as job:
        job.metric(1, 0.5, {"train_loss": 0.25})
        job.log("“ü”")
    first = in_file(settings, 7)
    assert [e.type for e in first if e.type != Type.HEARTBEAT] == ["status", "metric", "log", "status"]
    with file_of(settings, 7).open("a") as file:
        file.write('{"run_id":7,"number":99,"at')
    with Job(SPEC, 2, settings) as job:
        job.log("on it goes")
    found = in_file(settings, 7)
    assert [e.number for e in found] == list(range(1, len(found) + 1))
    assert {e.attempt for e in found[len(first) :]} == {2}
    assert in_stream(settings) == found
    broker = redis.Redis.from_url(settings.redis_url)
    assert not broker.exists(events.alive_key(7))
    assert RunSpec.model_validate_json((job.folder / "spec.json").read_text()) == SPEC


def test_last_number_of_no_file_and_of_a_torn_one(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    assert last_number(path) == 0
    path.write_text('{"run_id":1')
    assert last_number(path, mend=True) == 0
    assert path.read_bytes() == b""


def test_how_a_job_ends_is_told_in_plain_words(settings: Settings) -> None:
    def ended(error: BaseException) -> list[Event]:
        before = last_number(file_of(settings, 7))
        with Job(SPEC, 1, settings):
            raise error
        return [e for e in in_file(settings, 7)[before:] if e.type in (Type.STATUS, Type.ERROR)]

    *_, told, status = ended(InvalidInput("The image {name} is gone.", name="a.png"))
    assert status.payload == {"status": "failed"}
    assert told.payload["kind"] == "data"
    assert told.payload["message"] == "The image a.png is gone."
    *_, told, _ = ended(ZeroDivisionError("division by zero"))
    number = told.payload["id"]
    assert "division" not in told.payload["message"] + told.payload["next_step"]
    trace = (settings.artifacts_dir / "runs" / "7" / "run.log").read_text()
    assert f"[{number}]" in trace and "division by zero" in trace
    assert ended(Cancelled())[-1].payload == {"status": "cancelled"}


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "out-of-memory"),
        (RuntimeError("DataLoader worker (pid 5) is killed by signal: Killed."), "out-of-memory"),
        (MemoryError(), "out-of-memory"),
        (Unavailable("MLflow does not answer."), "environment"),
        (OSError(28, "No space left on device"), "environment"),
        (KeyError("x"), "unknown"),
    ],
)
def test_failures_are_sorted_by_what_a_person_can_do(error: Exception, kind: str) -> None:
    found, message, next_step = classify(error)
    assert found == kind
    assert message.endswith(".") and next_step.endswith(".")


def test_what_json_cannot_say_is_refused_where_it_is_said(settings: Settings) -> None:
    with Job(SPEC, 1, settings) as job:
        with pytest.raises(TypeError):
            job.emit(Type.LOG, {"path": Path("/")})
        job.log("goes on")
    assert [e.number for e in in_file(settings, 7)] == list(range(1, last_number(file_of(settings, 7)) + 1))


def test_without_a_broker_a_job_goes_on_and_its_file_has_everything(settings: Settings) -> None:
    away = replace(settings, redis_url=f"redis://127.0.0.1:{free_port()}/0")
    with Job(SPEC, 1, away) as job:
        for step in range(1, 200):
            job.metric(step, 0.1, {"train_loss": 0.5})
        assert job.wanted() is None
    assert sum(e.type == Type.METRIC for e in in_file(settings, 7)) == 199
    assert in_stream(settings) == []


def test_a_patient_job_sends_what_it_measures_at_once_only_while_somebody_watches(settings: Settings) -> None:
    def steps() -> list[int]:
        return [event.payload["step"] for event in in_stream(settings) if event.type == Type.METRIC]

    with Job(SPEC, 1, settings, patient=True) as job:
        wait_for(lambda: in_stream(settings), 2)  # that it runs is told at once
        job.metric(1, 0.1, {"train_loss": 0.5})
        wait_for(lambda: any(event.type == Type.METRIC for event in in_file(settings, 7)), 2)
        assert steps() == [], "the file has it, the app gets it some seconds later"
        redis.Redis.from_url(settings.redis_url).set(events.watched_key(7), 1)
        time.sleep(POLL_SECONDS * 2)
        job.metric(2, 0.2, {"train_loss": 0.4})
        wait_for(lambda: steps() == [1, 2], 1)
        redis.Redis.from_url(settings.redis_url).delete(events.watched_key(7))
        time.sleep(POLL_SECONDS * 2)
        job.metric(3, 0.3, {"train_loss": 0.3})
    assert steps() == [1, 2, 3], "nothing stays behind at the end"


def test_cancel_is_heard_within_a_second(settings: Settings) -> None:
    with Job(SPEC, 1, settings) as job:
        redis.Redis.from_url(settings.redis_url).set(events.control_key(7), "cancel")
        wait_for(job.wanted, 1.5)
        raise Cancelled
    assert in_file(settings, 7)[-1].payload == {"status": "cancelled"}


def test_an_attempt_ends_at_once_when_a_newer_one_may_run(settings: Settings) -> None:
    code = (
        "import sys, time\nfrom core.settings import Settings\nfrom core.spec import RunSpec\n"
        "from jobs.runtime import Job\n"
        "with Job(RunSpec.model_validate_json(sys.argv[1]), 1, Settings.from_env()): time.sleep(60)"
    )
    environment = {
        **os.environ,
        "REDIS_URL": settings.redis_url,
        "VERITRAIN_ARTIFACTS_DIR": str(settings.artifacts_dir),
    }
    command = [sys.executable, "-c", code, SPEC.model_dump_json()]
    process = subprocess.Popen(command, cwd=ROOT, env=environment)
    broker = redis.Redis.from_url(settings.redis_url)
    wait_for(lambda: in_stream(settings))
    broker.set(events.attempt_key(7), 2)
    assert process.wait(5) == FENCED
    assert [e.payload.get("status") for e in in_file(settings, 7) if e.type == Type.STATUS] == ["running"]
    refused = subprocess.run(command, cwd=ROOT, env=environment, timeout=30)
    assert refused.returncode == FENCED


@pytest.fixture
def collecting(wb_duckdb: Workbench, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workbench]:
    monkeypatch.setattr(queue, "ENTRY", ENTRY)
    running = collector.start(wb_duckdb)
    yield wb_duckdb
    running.stop()


def steps(wb: Workbench, run_id: int) -> list[int]:
    return [step for step, _, _ in run_reports.metrics(wb, run_id).get("train_loss", [])]


def horse(process: subprocess.Popen[bytes]) -> psutil.Process:
    [found] = wait_for(lambda: psutil.Process(process.pid).children())
    return found


def test_a_run_survives_its_job_and_its_whole_worker_being_killed(
    collecting: Workbench, trainer: auth.User
) -> None:
    wb = collecting
    run = started(wb, trainer)

    def at(attempt: int, step: int) -> bool:
        now = runs.get(wb, run.id)
        return (now.status, now.attempt) == ("running", attempt) and bool(
            steps(wb, run.id) and steps(wb, run.id)[-1] >= step
        )

    # A slow machine sees a step up to a second after it is made; ten lie between two checkpoints.
    pause = 0.15
    with worker(wb.settings, pause=pause) as first:
        wait_for(lambda: at(1, 12))
        horse(first).kill()
        wait_for(lambda: at(2, 22), 15)
        orphan = horse(first)
        first.send_signal(signal.SIGKILL)
        first.wait()
        psutil.wait_procs([orphan], timeout=5)
        assert not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE
    with worker(wb.settings):
        lost = wait_for(lambda: runs.get(wb, run.id).attempt == 3, 30)
        assert lost
        wait_for(lambda: runs.get(wb, run.id).status == "succeeded", 30)
    assert sorted(set(steps(wb, run.id))) == list(range(1, 61))
    messages = [line.message for line in run_reports.logs(wb, run.id)]
    assert messages == ["goes on from 0", "goes on from 10", "goes on from 20"]
    numbers = [e.number for e in in_file(wb.settings, run.id)]
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_running_job_stops_when_cancelled_and_goes_on_when_resumed(
    collecting: Workbench, trainer: auth.User
) -> None:
    wb = collecting
    run = started(wb, trainer)
    with worker(wb.settings, steps=40):
        wait_for(lambda: len(steps(wb, run.id)) > 11)
        run_control.stop(wb, trainer, run.id)
        wait_for(lambda: runs.get(wb, run.id).status == "cancelled", 5)
        assert run_control.resume(wb, trainer, run.id).attempt == 2
        wait_for(lambda: runs.get(wb, run.id).status == "succeeded", 15)
    assert steps(wb, run.id)[-1] == 40
    *_, last = [line.message for line in run_reports.logs(wb, run.id)]
    assert last in ("goes on from 10", "goes on from 20", "goes on from 30")


def test_a_worker_that_is_asked_to_end_takes_its_job_along(collecting: Workbench, trainer: auth.User) -> None:
    wb = collecting
    run = started(wb, trainer)
    with worker(wb.settings, steps=10_000) as process:
        wait_for(lambda: steps(wb, run.id))
        job = horse(process)
        process.terminate()
        process.wait(5)
        assert not job.is_running()
    wait_for(lambda: runs.get(wb, run.id).attempt == 2, 10)


FULL = """
import resource, sys, time
from core.settings import Settings
from core.spec import RunSpec
from jobs.runtime import Job
spec = RunSpec.model_validate_json(sys.argv[1])
settings = Settings.from_env()
with Job(spec, 1, settings) as job:
    job.log("line 0")
    while not (job.folder / "events.jsonl").read_bytes().count(b"line 0"):
        time.sleep(0.01)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    for n in range(1, 1000):
        job.log(f"line {n}")
    raise OSError(28, "No space left on device")
"""


def test_on_a_full_disk_everything_is_still_told(settings: Settings) -> None:
    """A real limit of file sizes stands for the disk; the run ends with words for people, not in silence."""
    environment = os.environ | {
        "VERITRAIN_DATA_DIR": str(settings.data_dir),
        "VERITRAIN_ARTIFACTS_DIR": str(settings.artifacts_dir),
        "REDIS_URL": settings.redis_url,
    }
    subprocess.run(
        [sys.executable, "-c", FULL, SPEC.model_dump_json()],
        cwd=ROOT,
        env=environment,
        check=True,
        timeout=60,
    )
    broker = redis.Redis.from_url(settings.redis_url)
    told = [json.loads(fields[b"e"]) for _id, fields in broker.xrange(events.STREAM)]
    assert [event["number"] for event in told] == list(range(1, len(told) + 1))
    lines = [event["payload"]["message"] for event in told if event["type"] == "log"]
    assert lines[:1000] == [f"line {n}" for n in range(1000)]
    [error] = [event["payload"] for event in told if event["type"] == "error"]
    assert error["message"] == "The disk is full." and "Free some space" in error["next_step"]
    assert told[-1]["payload"] == {"status": "failed"}
    file = settings.artifacts_dir / "runs" / str(SPEC.run_id) / "events.jsonl"
    written = file.read_bytes()
    assert 0 < len(written) <= 20_000 and written.endswith(b"\n")
