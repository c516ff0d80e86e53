"""Stored. The queue of jobs: RQ on the broker. Nothing else in core speaks RQ."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import redis
from rq import Queue, Worker
from rq.command import send_stop_job_command
from rq.exceptions import InvalidJobOperation, NoSuchJobError
from rq.job import Job
from rq.registry import StartedJobRegistry

from core import events
from core.errors import Unavailable
from core.spec import LIGHT_QUEUE, TRAIN_QUEUE, JobSpec
from core.workbench import Workbench

TRAIN, LIGHT = TRAIN_QUEUE, LIGHT_QUEUE
ENTRY = "jobs.train.run"
"""Dotted name of what a worker runs; a name, because core never imports jobs."""
OTHER_ENTRIES = {
    "preflight": "jobs.preflight.run",
    "suggest": "jobs.suggest.run",
    "predict": "jobs.predict.run",
    "check": "jobs.check.run",
    "text-check": "jobs.check_texts.run",
    "text-split": "jobs.split_texts.run",
}
LIGHT_KINDS = frozenset({"check", "text-check", "text-split"})
"""Kinds of jobs that need neither a model nor an accelerator."""
NO_TIMEOUT = -1
"""Trainings take as long as they take; RQ's default would end them after 180 s."""
RESULT_SECONDS = 3_600
"""What RQ remembers of a finished job; the truth is in the database."""
FAILURE_SECONDS = 7 * 86_400
_RUN = re.compile(r"run-(\d+)-\d+")
DIED = ("failed", "stopped")
"""RQ's words for a job whose process ended before its time; one that fails by itself tells it in its events."""


@contextmanager
def reachable() -> Iterator[None]:
    """Within: a broker that does not answer becomes one sentence."""
    try:
        yield
    except redis.RedisError as error:
        raise Unavailable(
            "The queue does not answer, so nothing was started or stopped. It is started again by itself; "
            "try again in a minute."
        ) from error


def ping(wb: Workbench) -> None:
    """Raises Unavailable when the broker is away."""
    with reachable():
        wb.broker.ping()


def enqueue(wb: Workbench, spec: JobSpec, attempt: int) -> str:
    """Put an attempt on the queue and let only it run from now on. Safe to repeat; returns RQ's job id."""
    job_id = f"run-{spec.run_id}-{attempt}"
    with reachable():
        wb.broker.set(events.attempt_key(spec.run_id), attempt)
        queue = Queue(queue_of(spec.kind), connection=wb.broker)
        if job_id in queue.get_job_ids():
            return job_id
        queue.enqueue_call(
            OTHER_ENTRIES.get(spec.kind, ENTRY),
            args=(spec.model_dump_json(), attempt),
            job_id=job_id,
            timeout=NO_TIMEOUT,
            result_ttl=RESULT_SECONDS,
            failure_ttl=FAILURE_SECONDS,
            description=f"run {spec.run_id}, attempt {attempt}",
        )
    return job_id


@dataclass(frozen=True)
class Serving:
    """One worker."""

    name: str
    host: str
    queues: tuple[str, ...]
    device: str
    """GPU that it computes on, "" for the processor."""
    run_id: int | None
    """The job that it has."""


def queue_of(kind: str) -> str:
    """The queue that jobs of this kind wait in."""
    return LIGHT if kind in LIGHT_KINDS else TRAIN


def order(wb: Workbench) -> dict[str, list[str]]:
    """RQ's ids of the waiting jobs by queue, the next one first. Raises Unavailable when the broker is away."""
    with reachable():
        return {each.name: each.get_job_ids() for each in _queues(wb)}


def workers(wb: Workbench) -> list[Serving]:
    """Those that serve our queues, by name. Raises Unavailable when the broker is away."""
    ours = {TRAIN, LIGHT}
    found = []
    with reachable():
        for worker in Worker.all(connection=wb.broker):
            names = tuple(name for name in worker.queue_names() if name in ours)
            if not names:
                continue
            match = _RUN.match(worker.get_current_job_id() or "")
            device = wb.broker.hget(worker.key, events.DEVICE_FIELD)
            found.append(
                Serving(
                    name=worker.name[:8],
                    host=worker.hostname or "",
                    queues=names,
                    device=device.decode() if isinstance(device, bytes) else "",
                    run_id=int(match[1]) if match else None,
                )
            )
    return sorted(found, key=lambda each: (each.queues, each.name))


def move(wb: Workbench, job_id: str, to: str) -> bool:
    """Change a waiting job's place: first, earlier, later or last. False when it does not wait (any more)."""
    with reachable():
        for each in _queues(wb):
            if wb.broker.eval(_MOVE, 1, each.key, job_id, to):
                return True
    return False


# One step for the broker, so that no worker takes the job in between.
_MOVE = """
local jobs = redis.call('LRANGE', KEYS[1], 0, -1)
local place = 0
for i, job in ipairs(jobs) do if job == ARGV[1] then place = i end end
if place == 0 then return 0 end
redis.call('LREM', KEYS[1], 0, ARGV[1])
if ARGV[2] == 'first' or (ARGV[2] == 'earlier' and place <= 2) then
  redis.call('LPUSH', KEYS[1], ARGV[1])
elseif ARGV[2] == 'earlier' then
  redis.call('LINSERT', KEYS[1], 'BEFORE', jobs[place - 1], ARGV[1])
elseif ARGV[2] == 'later' and place < #jobs then
  redis.call('LINSERT', KEYS[1], 'AFTER', jobs[place + 1], ARGV[1])
else
  redis.call('RPUSH', KEYS[1], ARGV[1])
end
return 1
"""


def withdraw(wb: Workbench, job_id: str) -> bool:
    """Take a waiting job off the queue. False when it was not waiting (any more)."""
    with reachable():
        waited = any(wb.broker.lrem(queue.key, 0, job_id) for queue in _queues(wb))
        if waited:
            with suppress(NoSuchJobError):
                Job.fetch(job_id, connection=wb.broker).delete()
        return waited


def ask(wb: Workbench, run_id: int, wish: str | None) -> None:
    """Leave a wish (`cancel`) where the running job looks for it; None takes it back."""
    with reachable():
        if wish is None:
            wb.broker.delete(events.control_key(run_id))
        else:
            wb.broker.set(events.control_key(run_id), wish)


def wish_of(wb: Workbench, run_id: int) -> str | None:
    value = wb.broker.get(events.control_key(run_id))
    return value.decode() if isinstance(value, bytes) else None


def watch(wb: Workbench, run_ids: Iterable[int]) -> None:
    """Have runs that are going on tell at once how they are, for some seconds; without a broker nothing happens."""
    pipe = wb.broker.pipeline(transaction=False)
    for run_id in run_ids:
        pipe.set(events.watched_key(run_id), 1, ex=events.WATCHED_SECONDS)
    with suppress(redis.RedisError):
        pipe.execute()


def kill(wb: Workbench, job_id: str) -> None:
    """End a job that did not stop when asked; its worker lives on."""
    with suppress(NoSuchJobError, InvalidJobOperation):  # it ended meanwhile
        send_stop_job_command(wb.broker, job_id)


def alive(wb: Workbench, run_id: int) -> bool:
    """True while the run's job says that it lives."""
    return bool(wb.broker.exists(events.alive_key(run_id)))


def state(wb: Workbench, job_id: str) -> str | None:
    """RQ's word for the job (`queued`, `started`, `failed`, `finished` …), None when it knows none."""
    try:
        status = Job.fetch(job_id, connection=wb.broker).get_status()
    except NoSuchJobError:
        return None
    if status is not None and status.value == "queued" and not _waits(wb, job_id):
        return "taken"  # between the queue and a worker
    return status.value if status is not None else None


def place(wb: Workbench, job_id: str) -> int | None:
    """Place in its queue, 1 = next; None when it does not wait or the broker is away."""
    with suppress(redis.RedisError):
        for queue in _queues(wb):
            waiting = queue.get_job_ids()
            if job_id in waiting:
                return waiting.index(job_id) + 1
    return None


def sweep(wb: Workbench) -> None:
    """Let RQ notice jobs whose worker died; it does so only when asked or every ten minutes."""
    for queue in _queues(wb):
        StartedJobRegistry(queue.name, connection=wb.broker).cleanup()


def _queues(wb: Workbench) -> list[Queue]:
    return [Queue(name, connection=wb.broker) for name in (TRAIN, LIGHT)]


def _waits(wb: Workbench, job_id: str) -> bool:
    return any(job_id in queue.get_job_ids() for queue in _queues(wb))
