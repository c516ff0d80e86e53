"""The job's side of the protocol (core.events): emit, beat, be fenced, listen for what people want.

A job runs in an RQ work-horse. Its events go to a queue in memory and from there, by one
thread, to the run's own file and to the Redis stream, so that the training loop pays
microseconds and a broker that is away costs nothing but delay.
"""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import os
import queue
import secrets
import threading
import time
import traceback
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from core import events, logs
from core.errors import InvalidInput, Unavailable, VeritrainError
from core.events import Event, Status, Type
from core.files import FileStore
from core.settings import Settings
from core.spec import JobSpec

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
"""How often the job looks for what a person asked of it."""
FLUSH_SECONDS = 0.05
"""Events are gathered this long before one write and one pipeline carry them."""
STREAM_LIMIT = 1_000_000
"""Events the stream keeps at most where no collector trims it; the files have them all."""
SEND_SECONDS = 3.0
"""Between two pipelines of a patient job that nobody watches: what each costs in the broker, the app and the database
is time of a processor that a training would have."""
AGAIN_SECONDS = 2.0
"""Pause before a broker that did not answer is sent to again; the file is written meanwhile."""
BACKLOG = 50_000
"""Unsent events kept in memory while the broker is away; older ones the collector reads from the file."""
DURABLE = frozenset({Type.STATUS, Type.CHECKPOINT, Type.RESULT, Type.ERROR})
"""Events that are forced to disk at once."""
PROMPT = DURABLE - {Type.CHECKPOINT}
"""Events that also a patient job sends at once."""
FENCED = 75
"""Exit code of an attempt that found a newer one (EX_TEMPFAIL)."""


OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "is killed by signal: killed")
"""What torch says when a device or the processor has no memory left, or the system ended a loader for that."""


class Cancelled(Exception):
    """Raised by a job that stops because a person asked for it."""


class Paused(Exception):
    """Raised by a job that makes room because a person asked for it; its checkpoint is on disk."""


class Job:
    """One attempt of one run. Use as a context manager: it reports start, end and failure by itself.

    A `patient` one sends what it measures every SEND_SECONDS only, as long as nobody watches (core.queue.watch).
    """

    def __init__(self, spec: JobSpec, attempt: int, settings: Settings, *, patient: bool = False) -> None:
        self.spec = spec
        self.attempt = attempt
        self.settings = settings
        self.folder = settings.artifacts_dir / "runs" / str(spec.run_id)
        """The run's own folder, kept over all attempts."""
        self.files = FileStore(settings.files_url)
        self._broker = redis.Redis.from_url(
            settings.redis_url,
            socket_timeout=5,
            socket_connect_timeout=2,
            health_check_interval=15,
            retry=Retry(NoBackoff(), 0),  # every caller here tries again by itself
        )
        self._queue: queue.SimpleQueue[tuple[Type, str] | None] = queue.SimpleQueue()
        self._unsent: deque[str] = deque(maxlen=BACKLOG)
        self._send_at = 0.0
        self._sent = 0.0
        """When last something was sent, by the monotonic clock."""
        self._patient = patient
        self._watched = False
        self._lock = threading.Lock()
        self._wanted: str | None = None
        self._number = 0
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []

    # --- what a job calls -----------------------------------------------------

    def emit(self, type: Type, payload: dict[str, Any]) -> None:
        """Number the event and hand it on; returns within microseconds. Raises TypeError for what JSON cannot say."""
        with self._lock:
            number = self._number + 1
            event = Event(self.spec.run_id, number, self.attempt, datetime.now(UTC), type, payload)
            self._queue.put((type, event.to_json()))
            self._number = number

    def log(self, message: str, level: str = "info") -> None:
        self.emit(Type.LOG, {"level": level, "message": message})

    def progress(
        self,
        *,
        phase: str,
        fraction: float,
        epoch: int = 0,
        epochs: int = 0,
        step: int = 0,
        steps: int = 0,
        eta_s: float | None = None,
    ) -> None:
        """Where the run is: `fraction` of the whole (0–1), `eta_s` seconds to its end if known."""
        self.emit(
            Type.PROGRESS,
            {
                "phase": phase,
                "fraction": round(min(max(fraction, 0.0), 1.0), 4),
                "epoch": epoch,
                "epochs": epochs,
                "step": step,
                "steps": steps,
                "eta_s": eta_s,
            },
        )

    def metric(self, step: int, epoch: float, values: dict[str, float]) -> None:
        """Values measured after `step` optimiser steps; `epoch` may be fractional."""
        self.emit(Type.METRIC, {"step": step, "epoch": epoch, "values": values})

    def wanted(self) -> str | None:
        """What a person asked for (core.events.Wish), or None. Cheap enough to ask between batches."""
        return self._wanted

    # --- life -----------------------------------------------------------------

    def __enter__(self) -> Self:
        self._check_fence()
        self._say_alive()
        logs.always(run=self.spec.run_id, attempt=self.attempt)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._number = last_number(self.folder / "events.jsonl", mend=True)
        (self.folder / "spec.json").write_text(self.spec.model_dump_json(indent=2), encoding="utf-8")
        for target, name in ((self._send_loop, "events"), (self._beat_loop, "heartbeat")):
            thread = threading.Thread(target=target, name=name, daemon=True)
            thread.start()
            self._threads.append(thread)
        self.emit(
            Type.STATUS,
            {"status": Status.RUNNING.value, "worker": f"{os.uname().nodename}:{os.getpid()}"},
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Report how it ended. A failure is reported, not raised again: the run's row tells it."""
        if error is None:
            self.emit(Type.STATUS, {"status": Status.SUCCEEDED.value})
        elif isinstance(error, Cancelled):
            self.log("Stopped as asked.")
            self.emit(Type.STATUS, {"status": Status.CANCELLED.value})
        elif isinstance(error, Paused):
            self.log("Paused as asked.")
            self.emit(Type.STATUS, {"status": Status.PAUSED.value})
        elif isinstance(error, Exception):
            self._failed(error)
        self._over.set()
        self._queue.put(None)
        for thread in self._threads:
            thread.join(timeout=10)
        with contextlib.suppress(redis.RedisError):
            self._broker.delete(events.alive_key(self.spec.run_id))
        self._broker.close()
        logs.always(run=None, attempt=None)
        return isinstance(error, Exception)

    def _failed(self, error: Exception) -> None:
        number = secrets.token_hex(4)
        trace = "".join(traceback.format_exception(error))
        log.error("run %s failed [%s]\n%s", self.spec.run_id, number, trace)
        with (
            contextlib.suppress(OSError),  # the disk may be full
            (self.folder / "run.log").open("a", encoding="utf-8") as file,
        ):
            file.write(f"[{number}] {datetime.now(UTC).isoformat()}\n{trace}\n")
        kind, message, next_step = classify(error)
        self.log(message, "error")
        self.emit(Type.ERROR, {"kind": kind, "message": message, "next_step": next_step, "id": number})
        self.emit(Type.STATUS, {"status": Status.FAILED.value})

    # --- threads --------------------------------------------------------------

    def _send_loop(self) -> None:
        with (self.folder / "events.jsonl").open("ab", buffering=0) as file:
            unwritten: list[str] = []
            open_ = True
            while open_:
                batch: list[tuple[Type, str]] = []
                item = self._queue.get()
                if item is not None and item[0] not in DURABLE:
                    self._over.wait(FLUSH_SECONDS)
                while True:
                    if item is None:
                        open_ = False
                        break
                    batch.append(item)
                    try:
                        item = self._queue.get_nowait()
                    except queue.Empty:
                        break
                unwritten += [line for _, line in batch]
                if _appended(file, unwritten):
                    unwritten.clear()
                    if any(type in DURABLE for type, _ in batch):
                        os.fsync(file.fileno())
                self._unsent.extend(line for _, line in batch)
                prompt = not self._patient or self._watched or any(type in PROMPT for type, _ in batch)
                self._send(prompt or not open_)

    def _send(self, prompt: bool) -> None:
        """Send what is unsent, `prompt` or when it is time. On failure it stays, and the file has it in any case."""
        now = time.monotonic()
        if not self._unsent or now < self._send_at or (not prompt and now < self._sent + SEND_SECONDS):
            return
        self._sent = now
        try:
            pipe = self._broker.pipeline(transaction=False)
            for line in self._unsent:
                pipe.xadd(events.STREAM, {"e": line}, maxlen=STREAM_LIMIT, approximate=True)
            pipe.execute()
            self._unsent.clear()
        except redis.RedisError as error:
            self._send_at = time.monotonic() + AGAIN_SECONDS
            log.warning("the broker is away (%s); %d events wait", error, len(self._unsent))

    def _beat_loop(self) -> None:
        process = psutil.Process()
        next_beat = 0.0
        while not self._over.is_set():
            try:
                self._listen()
                if time.monotonic() >= next_beat:
                    self._say_alive()
                    self.emit(Type.HEARTBEAT, {"rss": process.memory_info().rss})
                    next_beat = time.monotonic() + events.HEARTBEAT_SECONDS
            except redis.RedisError:
                pass  # the next round tries again; training goes on
            self._over.wait(POLL_SECONDS)

    def _listen(self) -> None:
        """What people want, whether they watch, and whether a newer attempt may run."""
        run = self.spec.run_id
        keys = (events.attempt_key(run), events.control_key(run), events.watched_key(run))
        current, asked, watched = self._broker.mget(keys)
        self._heed_fence(current)
        self._wanted = asked.decode() if isinstance(asked, bytes) else None
        self._watched = watched is not None

    def _say_alive(self) -> None:
        try:
            self._broker.set(events.alive_key(self.spec.run_id), self.attempt, ex=events.ALIVE_SECONDS)
        except redis.RedisError as error:
            log.warning("no heartbeat: %s", error)

    def _check_fence(self) -> None:
        with contextlib.suppress(redis.RedisError):
            self._heed_fence(self._broker.get(events.attempt_key(self.spec.run_id)))

    def _heed_fence(self, current: Any) -> None:
        """End at once when a newer attempt of this run may run: two must never write one run."""
        if isinstance(current, bytes) and int(current) > self.attempt:
            log.error("run %s: attempt %s is over", self.spec.run_id, self.attempt)
            os._exit(FENCED)


def _appended(file: io.FileIO, lines: list[str]) -> bool:
    """Whether the lines are in the file now. False where the disk is full: then none is, and no torn one either."""
    size = file.seek(0, os.SEEK_END)
    data = "".join(line + "\n" for line in lines).encode()
    try:
        if file.write(data) == len(data):
            return True
        raise OSError(errno.ENOSPC, "only a part was written")
    except OSError as error:
        log.warning("events are kept in memory and sent, not written: %s", error)
        file.truncate(size)
        return False


def last_number(path: Path, mend: bool = False) -> int:
    """Number of the last whole event of a file, 0 when there is none; `mend` cuts off a torn last line."""
    if not path.exists():
        return 0
    whole, number = 0, 0
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                break
            try:
                number = Event.from_json(line).number
            except (ValueError, KeyError):
                break
            whole += len(line)
    if mend and whole < path.stat().st_size:
        with path.open("r+b") as file:
            file.truncate(whole)
    return number


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device or the machine had no memory left."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(sign in text for sign in OUT_OF_MEMORY)


def classify(error: Exception) -> tuple[str, str, str]:
    """(kind, what happened, what to do) of a failure, in plain words."""
    text = str(error)
    if is_out_of_memory(error):
        return (
            "out-of-memory",
            "The memory was not enough for this run.",
            "Halve the batch size or the image size under Parameters, then train again.",
        )
    if isinstance(error, InvalidInput):
        return "data", text, "Correct this, then train again."
    if isinstance(error, Unavailable):
        return "environment", text, "When it answers again, press Resume: the run goes on where it stopped."
    if isinstance(error, VeritrainError):
        return "configuration", text, "Correct this under Parameters, then train again."
    if isinstance(error, OSError) and error.errno == 28:
        return "environment", "The disk is full.", "Free some space, then press Resume."
    return (
        "unknown",
        f"The run stopped with an error that Veritrain does not know ({type(error).__name__}).",
        "Press Resume to try again; if it fails again, give the error number to your administrator.",
    )
