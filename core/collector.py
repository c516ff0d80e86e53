"""Stored. The collector: writes jobs' events to the database and looks after runs whose worker fell silent.

One thread of one app process (a lease in the broker chooses it where several replicas run).
It is idempotent on (run, number): a batch that is read twice is stored once. What the
stream lost is read from the run's own event file. The stream is trimmed only behind what
is durable.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import redis
import sqlalchemy as sa

from core import events, queue, registry, runs, serving
from core.db.engine import bulk_insert, next_ids
from core.db.tables import finetuning_jobs, run_events, run_metrics, training_checkpoints
from core.errors import VeritrainError
from core.events import ENDED, Event, Status, Type
from core.spec import RunSpec
from core.workbench import Workbench

log = logging.getLogger(__name__)

BLOCK_MS = 200
"""How long a read of the stream waits for the first event."""
GATHER_SECONDS = 0.1
"""How long events are gathered before they are written together."""
READ_COUNT = 5_000
WATCH_SECONDS = 2.0
"""How often runs and deployments are looked after."""
LOST_SECONDS = 12.0
"""A run without heartbeat for this long is lost; a little more than the heartbeat key lives."""
UNSEEN_SECONDS = 15.0
"""A waiting run that neither the queue nor a worker knows for this long is queued again."""
MAX_ATTEMPTS = 4
"""Attempts that are made by themselves before a person must press Resume."""
CANCEL_GRACE_SECONDS = 20.0
"""Time a job has to stop by itself after Cancel before its process is ended."""
LEASE_KEY, LEASE_MS = "veritrain:collector", 10_000
KEPT_TYPES = frozenset({Type.STATUS, Type.LOG, Type.CHECKPOINT, Type.ARTIFACT, Type.RESULT, Type.ERROR})


def start(wb: Workbench) -> Collector:
    """Start collecting; call `stop` of what is returned when the app ends."""
    collector = Collector(wb)
    collector.thread.start()
    return collector


class Collector:
    def __init__(self, wb: Workbench) -> None:
        self.wb = wb
        self.thread = threading.Thread(target=self._run, name="collector", daemon=True)
        self._over = threading.Event()
        self._me = uuid4().hex
        self._leading = False
        self._last_id = "0"
        self._watched = 0.0
        self._cancel_seen: dict[int, float] = {}
        self._unseen: dict[int, float] = {}

    def stop(self) -> None:
        self._over.set()
        self.thread.join(timeout=10)

    # --- the loop -------------------------------------------------------------

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                self.turn()
            except redis.RedisError as error:
                log.warning("collector: the broker is away (%s)", error)
                self._leading = False
                self._over.wait(1)
            except Exception:
                # Whatever one event did, the others must go on; the trace tells what to repair.
                log.exception("collector")
                self._over.wait(1)
        try:
            if self._leading:
                self.wb.broker.delete(LEASE_KEY)
        except redis.RedisError:
            pass

    def turn(self) -> None:
        """One round: keep the lease, write what came, look after runs when it is time."""
        if not self._lease():
            self._over.wait(1)
            return
        entries = self._read()
        if entries:
            self.store([event for _, event in entries if event is not None])
            self._trim(entries[-1][0])
        if time.monotonic() - self._watched >= WATCH_SECONDS:
            self._watched = time.monotonic()
            self.look_after_runs()
            serving.sync(self.wb)

    def _lease(self) -> bool:
        broker = self.wb.broker
        if broker.set(LEASE_KEY, self._me, nx=True, px=LEASE_MS):
            mine = True
        else:
            holder = broker.get(LEASE_KEY)
            mine = holder == self._me.encode()
            if mine:
                broker.pexpire(LEASE_KEY, LEASE_MS)
        if mine and not self._leading:
            self._leading = True
            self._last_id = "0"
            self.catch_up()
        self._leading = mine
        return mine

    def _read(self) -> list[tuple[str, Event | None]]:
        found: Any = self.wb.broker.xread({events.STREAM: self._last_id}, count=READ_COUNT, block=BLOCK_MS)
        if not found:
            return []
        if self._over.wait(GATHER_SECONDS):
            pass  # stopping: what is read below is still written
        found = self.wb.broker.xread({events.STREAM: self._last_id}, count=READ_COUNT)
        read: list[tuple[str, Event | None]] = []
        rows = found.values() if isinstance(found, dict) else (rows for _, rows in found)
        for entries in rows:
            for entry in _flat(entries):
                entry_id, fields = entry
                try:
                    event = Event.from_json(fields[b"e"])
                except (ValueError, KeyError):
                    log.warning("collector: a foreign entry %r was left out", entry_id)
                    event = None
                read.append((entry_id.decode(), event))
        return read

    def _trim(self, last_id: str) -> None:
        self._last_id = last_id
        milliseconds, _, sequence = last_id.partition("-")
        self.wb.broker.xtrim(events.STREAM, minid=f"{milliseconds}-{int(sequence) + 1}", approximate=False)

    # --- writing --------------------------------------------------------------

    def store(self, batch: Iterable[Event]) -> None:
        """Write events in one transaction, filling gaps from the runs' files. Safe to repeat."""
        by_run: dict[int, dict[int, Event]] = {}
        for event in batch:
            by_run.setdefault(event.run_id, {})[event.number] = event
        if not by_run:
            return

        def work(connection: sa.Connection) -> None:
            query = sa.select(finetuning_jobs).where(finetuning_jobs.c.id.in_(by_run))
            for row in connection.execute(query).mappings().all():
                self._store_run(connection, row, by_run[row["id"]])

        self.wb.db.write(work)

    def _store_run(self, connection: sa.Connection, row: Any, found: dict[int, Event]) -> None:
        last = row["last_event"]
        # A fenced attempt's late words are taken from the file only, which has each number once.
        fresh = {n: e for n, e in found.items() if n > last and e.attempt >= row["attempt"]}
        if not fresh:
            if max(found) <= last:
                return
            fresh = {}
        wanted = max([*fresh, last])
        if len(fresh) < wanted - last:
            fresh = {**self._from_file(row["id"], last), **fresh}
        ordered = [fresh[n] for n in sorted(fresh)]
        if ordered:
            _write_events(connection, self.wb, row, ordered)

    def _from_file(self, run_id: int, after: int) -> dict[int, Event]:
        path = self.wb.settings.artifacts_dir / "runs" / str(run_id) / "events.jsonl"
        found: dict[int, Event] = {}
        try:
            with path.open("rb") as file:
                for line in file:
                    try:
                        event = Event.from_json(line)
                    except (ValueError, KeyError):
                        break  # torn: the rest is not whole yet
                    if event.number > after:
                        found[event.number] = event
        except OSError:
            log.warning("collector: run %s has no event file here", run_id)
        return found

    def catch_up(self) -> None:
        """Read the files of all unfinished runs: what came while no app was there to collect."""
        for row in self._unfinished():
            missed = (
                self._from_file(row["id"], row["last_event"]) if row["started_at"] or row["attempt"] else {}
            )
            if missed:
                self.store(missed.values())

    # --- looking after runs ---------------------------------------------------

    def look_after_runs(self) -> None:
        """Lost workers, vanished jobs, cancellations that were not heard."""
        rows = self._unfinished()
        if not rows:
            return
        queue.sweep(self.wb)
        for row in rows:
            try:
                self._look_after(row)
            except VeritrainError as error:
                log.warning("run %s: %s", row["id"], error)

    def _look_after(self, row: Any) -> None:
        run_id, status = row["id"], Status(row["status"])
        alive = queue.alive(self.wb, run_id)
        if queue.wish_of(self.wb, run_id) == "cancel":
            self._see_to_cancel(row, alive)
            return
        if status is Status.RUNNING:
            seen = row["heartbeat_at"] or row["started_at"] or row["created_at"]
            if not alive and datetime.now(UTC) - seen > timedelta(seconds=LOST_SECONDS):
                self._lost(row)
            return
        state = queue.state(self.wb, row["rq_job_id"] or "")
        if alive or state == "queued":
            self._unseen.pop(run_id, None)
            return
        since = self._unseen.setdefault(run_id, time.monotonic())
        if time.monotonic() - since < UNSEEN_SECONDS:
            return
        self._unseen.pop(run_id, None)
        self.store(self._from_file(run_id, row["last_event"]).values())
        if state is None:
            queue.enqueue(self.wb, RunSpec.model_validate(row["spec"]), row["attempt"])
        elif state != "started":
            self._lost(row)  # a worker took it and died before the job could speak

    def _see_to_cancel(self, row: Any, alive: bool) -> None:
        run_id = row["id"]
        since = self._cancel_seen.setdefault(run_id, time.monotonic())
        waited = time.monotonic() - since
        if alive and waited > CANCEL_GRACE_SECONDS:
            queue.kill(self.wb, row["rq_job_id"] or "")
        if not alive and waited > events.ALIVE_SECONDS:
            self._cancel_seen.pop(run_id, None)
            queue.withdraw(self.wb, row["rq_job_id"] or "")
            self._set(run_id, status=Status.CANCELLED.value, ended_at=datetime.now(UTC))

    def _lost(self, row: Any) -> None:
        run_id, attempt = row["id"], row["attempt"] + 1
        self.store(self._from_file(run_id, row["last_event"]).values())
        if attempt > MAX_ATTEMPTS:
            error = {
                "kind": "environment",
                "message": "The worker was lost {n} times in this run.".format(n=row["attempt"]),
                "next_step": "Look whether memory or power fails, then press Resume.",
                "id": "",
            }
            self._set(run_id, status=Status.FAILED.value, ended_at=datetime.now(UTC), error=error)
            return

        def work(connection: sa.Connection) -> bool:
            current = finetuning_jobs.c
            row_now = connection.execute(
                sa.select(current.status, current.attempt).where(current.id == run_id)
            ).one()
            if Status(row_now.status) in ENDED or row_now.attempt != attempt - 1:
                return False
            runs.requeue(connection, run_id, attempt, Status.LOST)
            return True

        if self.wb.db.write(work):
            log.warning("run %s lost its worker; attempt %s waits", run_id, attempt)
            queue.enqueue(self.wb, RunSpec.model_validate(row["spec"]), attempt)

    def _unfinished(self) -> list[Any]:
        query = sa.select(finetuning_jobs).where(
            finetuning_jobs.c.status.not_in([status.value for status in ENDED])
        )
        with self.wb.db.read() as connection:
            return list(connection.execute(query).mappings())

    def _set(self, run_id: int, **values: Any) -> None:
        statement = finetuning_jobs.update().where(finetuning_jobs.c.id == run_id).values(**values)

        def work(connection: sa.Connection) -> None:
            connection.execute(statement)

        self.wb.db.write(work)


def _flat(entries: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """redis-py wraps a stream's entries in one more list under RESP3."""
    if entries and isinstance(entries[0], list) and entries[0] and isinstance(entries[0][0], list | tuple):
        return [tuple(entry) for part in entries for entry in part]
    return [tuple(entry) for entry in entries]


def _write_events(connection: sa.Connection, wb: Workbench, row: Any, ordered: list[Event]) -> None:
    run_id = row["id"]
    changes: dict[str, Any] = {"last_event": ordered[-1].number}
    checkpoints: list[Event] = []
    metric_rows: list[dict[str, Any]] = []
    event_rows: list[dict[str, Any]] = []
    for event in ordered:
        payload = event.payload
        current = event.attempt == row["attempt"]
        if event.type in KEPT_TYPES:
            event_rows.append(
                {
                    "run_id": run_id,
                    "number": event.number,
                    "attempt": event.attempt,
                    "at": event.at,
                    "type": event.type.value,
                    "payload": payload,
                }
            )
        if event.type is Type.METRIC:
            metric_rows.extend(
                {
                    "run_id": run_id,
                    "number": event.number,
                    "name": name,
                    "step": payload["step"],
                    "epoch": payload["epoch"],
                    "value": value if value is not None and math.isfinite(value) else None,
                    "at": event.at,
                }
                for name, value in payload["values"].items()
            )
        elif event.type is Type.CHECKPOINT:
            checkpoints.append(event)
        elif event.type is Type.RESULT:
            changes["result"] = payload
            changes["mlflow_run_id"] = payload.get("mlflow_run_id")
            registry.record(connection, wb.files, row, payload)
        elif current and event.type is Type.STATUS:
            changes["status"] = payload["status"]
            if payload["status"] == Status.RUNNING and row["started_at"] is None:
                changes.setdefault("started_at", event.at)
            changes["ended_at"] = event.at if Status(payload["status"]) in ENDED else None
            changes["heartbeat_at"] = event.at
        elif current and event.type is Type.PROGRESS:
            changes["progress"] = payload
        elif current and event.type is Type.HEARTBEAT:
            changes["heartbeat_at"] = event.at
        elif current and event.type is Type.ERROR:
            changes["error"] = payload
    bulk_insert(connection, run_events, event_rows)
    bulk_insert(connection, run_metrics, metric_rows)
    ids = next_ids(connection, "training_checkpoints_id_seq", len(checkpoints)) if checkpoints else []
    bulk_insert(
        connection,
        training_checkpoints,
        [
            {
                "id": i,
                "run_id": run_id,
                "path": event.payload["path"],
                "sha256": event.payload["sha256"],
                "epoch": event.payload["epoch"],
                "step": event.payload["step"],
                "metric": event.payload.get("metric"),
                "kind": event.payload["kind"],
                "created_at": event.at,
            }
            for i, event in zip(ids, checkpoints, strict=True)
        ],
    )
    connection.execute(finetuning_jobs.update().where(finetuning_jobs.c.id == run_id).values(**changes))
