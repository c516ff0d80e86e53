"""Stored. The collector: writes jobs' events to the database, and has runs and deployments looked after.

One thread of one app process (a lease in the broker chooses it where several replicas run).
It is idempotent on (run, number): a batch that is read twice is stored once. What the
stream lost is read from the run's own event file. The stream is trimmed only behind what
is durable.
"""

from __future__ import annotations

import logging
import math
import re
import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import redis
import sqlalchemy as sa

from core import events, ledger, prediction_batches, registry, runs, serving, suggestion_jobs
from core.ab import trials
from core.alerts import alerts
from core.aliases import Aliases
from core.chores import Chore, Chores
from core.datasets import check_jobs as text_checks
from core.datasets import split_jobs as text_splits
from core.db.engine import DATABASE_AWAY, bulk_insert, next_ids
from core.db.tables import finetuning_jobs, run_events, run_metrics, training_checkpoints
from core.events import ENDED, Event, Status, Type
from core.monitoring import minutes
from core.notices import delivery, outbox
from core.quality import check_jobs
from core.run_watch import Row, RunWatch, rows_where, unfinished
from core.tuning import tunings
from core.workbench import Workbench

log = logging.getLogger(__name__)

BLOCK_MS = 400
"""How long a read of the stream waits for the first event."""
GATHER_SECONDS = 0.1
"""How long events are gathered before they are written together."""
APART_SECONDS = 0.4
"""Between two such writes: each costs some 10 ms of a processor that the training would have, however much it holds."""
READ_COUNT = 5_000
WATCH_SECONDS = 2.0
"""How often runs and deployments are looked after."""
REST_SECONDS = 10.0
"""Chores that only follow what was written wait for so long while nothing was."""
GUARD_SECONDS = 60.0
"""How often the guardrails of running A/B tests are looked at, and old counts of requests are thinned."""
ALERT_SECONDS = 15.0
"""How often the rules of alerts are looked at."""
_HEAD = re.compile(rb'\{"run_id":\d+,"number":(\d+),')
LEASE_KEY, LEASE_MS = "veritrain:collector", 10_000
LEASE_SECONDS = 2.0
"""How often the lease is made longer."""
KEPT_TYPES = frozenset(Type) - {Type.PROGRESS, Type.METRIC, Type.HEARTBEAT}
TELLING = frozenset({Type.STATUS, Type.RESULT, Type.ERROR})
"""Events that may give others something to do; of a trial all are, for its tuning watches its values."""


def following(name: str, work: Callable[[], object], *, aside: bool = False) -> Chore:
    """A chore that has something to do only after something was written."""
    return Chore(name, work, WATCH_SECONDS, aside, REST_SECONDS)


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
        self._leased = -math.inf
        self._watch = RunWatch(wb, self.take_in)
        self._last_id = "0"
        self._wrote = -math.inf
        self._behind: set[int] = set()
        self._small_talk = 0
        """Transactions that wrote nothing but how trainings go on."""
        self.chores = Chores(
            [
                Chore("runs", self._look_after_runs, WATCH_SECONDS),
                Chore("deployments", lambda: serving.sync(wb), WATCH_SECONDS),
                following("suggestions", lambda: suggestion_jobs.tend(wb)),
                following("checks", lambda: check_jobs.tend(wb)),
                # Counts all findings anew.
                following("text checks", lambda: text_checks.tend(wb), aside=True),
                following("text splits", lambda: text_splits.tend(wb)),
                # Asks for the values of the next trial.
                following("tunings", self._conduct, aside=True),
                # Deletes many files.
                following("batches", lambda: prediction_batches.tend(wb), aside=True),
                following("ledger's head", lambda: ledger.keep_head(wb), aside=True),
                following("aliases", Aliases(wb).turn, aside=True),
                following("notices", lambda: delivery.turn(wb), aside=True),
                Chore("alerts", lambda: alerts.turn(wb), ALERT_SECONDS, aside=True),
                Chore("guardrails", self._watch_tests, GUARD_SECONDS, aside=True),
                Chore("thinning", self._thin, GUARD_SECONDS, aside=True),
            ],
            self._news,
        )

    def stop(self) -> None:
        self._over.set()
        self.thread.join(timeout=10)
        self.chores.join(10)

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
        """One round: keep the lease, write what came, do a little of what is due."""
        if not self._leading or time.monotonic() - self._leased > LEASE_SECONDS:
            self._leased = time.monotonic()
            if not self._lease():
                self._over.wait(1)
                return
        entries = self._read()
        if entries:
            self.store([event for _, event in entries if event is not None])
            self._trim(entries[-1][0])
            self._wrote = time.monotonic()
        self.chores.turn()

    def _news(self) -> int | None:
        """Changes with all that is written but how trainings go on."""
        writes = self.wb.db.writes
        return None if writes is None else writes - self._small_talk

    def _look_after_runs(self) -> None:
        if self._behind:
            for row in rows_where(self.wb, finetuning_jobs.c.id.in_(self._behind)):
                self.take_in(row)
        self._watch.turn()

    def _conduct(self) -> None:
        """Keep tunings going."""
        if tunings.active(self.wb):
            from core.tuning import conductor  # brings Optuna, which an app without tunings need not hold

            conductor.turn(self.wb)

    def _thin(self) -> None:
        """Old counts of requests become fewer rows, and old notices go."""
        minutes.thin(self.wb, datetime.now(UTC))
        delivery.forget(self.wb)

    def _watch_tests(self) -> None:
        """Stop A/B tests that break a guardrail; the sums may take a second."""
        if any(trial.plan.guardrails for trial in trials.running(self.wb)):
            from core.ab import report  # brings statistics that an app without such tests need not hold

            report.watch(self.wb)

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
            self._watch.begin()
            # What came while no app was there to collect.
            for row in unfinished(self.wb):
                self.take_in(row)
        self._leading = mine
        return mine

    def _read(self) -> list[tuple[str, Event | None]]:
        found: Any = self.wb.broker.xread({events.STREAM: self._last_id}, count=READ_COUNT, block=BLOCK_MS)
        if not found:
            return []
        self._over.wait(max(GATHER_SECONDS, self._wrote + APART_SECONDS - time.monotonic()))
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
        """Write events in one transaction, filling gaps from the runs' files. Safe to repeat.

        Events that cannot be written hold up their own run only; it is tried again from its file.
        """
        by_run: dict[int, dict[int, Event]] = {}
        for event in batch:
            by_run.setdefault(event.run_id, {})[event.number] = event
        if not by_run:
            return
        rows = rows_where(self.wb, finetuning_jobs.c.id.in_(by_run))
        # The files are read before the transaction, which must be short.
        fresh = {row["id"]: self._fresh(row, by_run[row["id"]]) for row in rows}

        def work(connection: sa.Connection) -> None:
            query = sa.select(finetuning_jobs).where(finetuning_jobs.c.id.in_(fresh))
            for row in connection.execute(query).mappings().all():
                found = fresh[row["id"]]
                ordered = [found[n] for n in sorted(found) if n > row["last_event"]]
                if ordered:
                    _write_events(connection, self.wb, row, ordered)

        try:
            self.wb.db.write(work)
        except DATABASE_AWAY:
            raise
        except Exception:
            if len(by_run) > 1:
                for found in by_run.values():
                    self.store(found.values())
                return
            [run_id] = by_run
            if run_id not in self._behind:
                log.exception("collector: events of run %s cannot be written; they are tried again", run_id)
            self._behind.add(run_id)
        else:
            self._behind -= by_run.keys()
            told = {event.type for found in fresh.values() for event in found.values()}
            self._small_talk += not (told & TELLING or any(row["kind"] == runs.TRIAL for row in rows))

    def take_in(self, row: Row) -> None:
        """Store what a run's own file has beyond what is stored."""
        self.store(self._from_file(row["id"], row["last_event"]).values())

    def _fresh(self, row: Row, found: dict[int, Event]) -> dict[int, Event]:
        """What of `found` is new, with what lies between it and the last stored event."""
        last = row["last_event"]
        # A fenced attempt's late words are taken from the file only, which has each number once.
        fresh = {n: e for n, e in found.items() if n > last and e.attempt >= row["attempt"]}
        if len(fresh) < max(fresh, default=last) - last:
            return {**self._from_file(row["id"], last), **fresh}
        return fresh

    def _from_file(self, run_id: int, after: int) -> dict[int, Event]:
        path = self.wb.settings.artifacts_dir / "runs" / str(run_id) / "events.jsonl"
        found: dict[int, Event] = {}
        try:
            with path.open("rb") as file:
                for line in file:
                    head = _HEAD.match(line)
                    if head and int(head[1]) <= after:
                        continue  # known, and reading a number is 20 times cheaper than reading an event
                    try:
                        event = Event.from_json(line)
                    except (ValueError, KeyError):
                        break  # torn: the rest is not whole yet
                    if event.number > after:
                        found[event.number] = event
        except OSError:
            log.debug("run %s has no event file here", run_id)
        return found


def _flat(entries: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """redis-py wraps a stream's entries in one more list under RESP3."""
    if entries and isinstance(entries[0], list) and entries[0] and isinstance(entries[0][0], list | tuple):
        return [tuple(entry) for part in entries for entry in part]
    return [tuple(entry) for entry in entries]


def _write_events(connection: sa.Connection, wb: Workbench, row: Row, ordered: list[Event]) -> None:
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
            if row["kind"] == runs.KIND:
                version_id = registry.record(connection, wb.files, row, payload)
                if version_id is not None:
                    suggestion_jobs.follow(connection, row, version_id)
                    _tell_of_version(connection, row, version_id, payload)
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
    if row["kind"] == runs.KIND and changes.get("status", row["status"]) != row["status"]:
        outbox.tell_of_run(connection, run_id, row["theme_id"], changes["status"])


def _tell_of_version(connection: sa.Connection, row: Row, version_id: int, result: dict[str, Any]) -> None:
    said = {"version_id": version_id, "run_id": row["id"], "theme_id": row["theme_id"]}
    model = {"model": result["model"]["name"], "version": result["model"]["version"]}
    outbox.tell(connection, outbox.VERSION_REGISTERED, said | model | {"metrics": result["metrics"]})
