"""Pure. The event protocol between jobs and the app, and the names of its Redis keys.

A run's events are append-only and numbered from 1 without gaps, over all its attempts.
The worker appends each to its own file beside the run (`events.jsonl`) and to one Redis
stream; the collector (core.collector) writes them to the database, idempotent on
(run, number), and fills a gap from the file.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

STREAM = "veritrain:events"
HEARTBEAT_SECONDS = 3
"""How often a job says that it lives."""
ALIVE_SECONDS = 10
"""Life of the heartbeat key; a run without it for this long is lost."""
WATCHED_SECONDS = 10
"""A run counts as watched for so long after somebody has read of it."""


DEVICE_FIELD = "veritrain_device"
"""What a worker computes on, in RQ's record of it."""


class Type(StrEnum):
    """Kinds of event. Payloads:

    status      {"status": Status, "worker"?: str}
    progress    {"epoch", "epochs", "step", "steps", "fraction" (0–1), "eta_s",
                 "phase": "prepare|train|evaluate|register"}
    metric      {"step": int, "epoch": float, "values": {"train_loss": 0.4, …}}
    log         {"level": "info|warning|error", "message": str}
    checkpoint  {"path", "sha256", "epoch", "step", "metric", "kind": "last|best"}
    validation  {"epoch", "step", "f1": [0–1 of each label], "worst": [{"image", "target", "predicted", "confidence"}]}
    artifact    {"name": str, "path": str}
    heartbeat   {"rss": bytes}
    result      {"metrics", "confusion", "per_class", "labels", "model", "mlflow_run_id", …}, see jobs.vision
    error       {"kind", "message", "next_step", "id"}
    """

    STATUS = "status"
    PROGRESS = "progress"
    METRIC = "metric"
    LOG = "log"
    CHECKPOINT = "checkpoint"
    VALIDATION = "validation"
    ARTIFACT = "artifact"
    HEARTBEAT = "heartbeat"
    RESULT = "result"
    ERROR = "error"


class Status(StrEnum):
    """Life of a run: queued → running → succeeded | failed | cancelled.

    A running one may be paused and go on; one whose worker fell silent is lost, then queued again.
    """

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    LOST = "lost"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Wish(StrEnum):
    """What a person asks of a running job; it is read between two batches."""

    PAUSE = "pause"
    """Save a checkpoint and make room; go on later from there."""
    FINISH = "finish"
    """End after this epoch, with the best model so far."""
    KEEP = "keep"
    """End now, with the best model so far."""
    CANCEL = "cancel"
    """End now; nothing is measured or registered."""


ENDED = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELLED})


@dataclass(frozen=True)
class Event:
    run_id: int
    number: int
    attempt: int
    at: datetime  # UTC
    type: Type
    payload: dict[str, Any]

    def to_json(self) -> str:
        return json.dumps(
            {
                "run_id": self.run_id,
                "number": self.number,
                "attempt": self.attempt,
                "at": self.at.isoformat(),
                "type": self.type.value,
                "payload": self.payload,
            },
            ensure_ascii=False,
            separators=(",", ":"),
        )

    @classmethod
    def from_json(cls, line: str | bytes) -> Event:
        """Raises ValueError or KeyError for a torn or foreign line."""
        raw = json.loads(line, parse_constant=lambda _: None)  # NaN is JSON to Python alone
        try:
            return cls(
                run_id=int(raw["run_id"]),
                number=int(raw["number"]),
                attempt=int(raw["attempt"]),
                at=datetime.fromisoformat(raw["at"]),
                type=Type(raw["type"]),
                payload=raw["payload"],
            )
        except TypeError as error:
            raise ValueError("not an event") from error


def alive_key(run_id: int) -> str:
    """Set by the running attempt with a life of ALIVE_SECONDS."""
    return f"veritrain:run:{run_id}:alive"


def control_key(run_id: int) -> str:
    """What a person asked of the run: `cancel` or `pause`; read by the job between batches."""
    return f"veritrain:run:{run_id}:control"


def watched_key(run_id: int) -> str:
    """There while somebody watches the run, with a life of WATCHED_SECONDS; a training then tells at once how it is."""
    return f"veritrain:run:{run_id}:watched"


def attempt_key(run_id: int) -> str:
    """The attempt that may run. A job whose own attempt is lower stops at once (fencing)."""
    return f"veritrain:run:{run_id}:attempt"
