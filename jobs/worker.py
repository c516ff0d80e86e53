"""One RQ worker. Run: python -m jobs.worker --queue train

A worker forks a work-horse per job. `--queue` may be given several times; earlier ones come first.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import time
from collections.abc import MutableMapping, Sequence
from pathlib import Path
from types import FrameType

import psutil
import redis
from rq import Queue, Worker
from rq.exceptions import StopRequested
from rq.job import Job

from core import logs
from core.events import DEVICE_FIELD
from core.processes import NUMBER, die_with_parent, keep_memory, wait_briefly
from core.settings import Settings
from core.spec import LIGHT_QUEUE, TRAIN_QUEUE

log = logging.getLogger(__name__)

WORKER_TTL_SECONDS = 30
"""A worker that is killed is forgotten after this; RQ's default of 420 s would keep its job waiting."""

SHARED = (
    "fsspec.implementations.local",
    "numpy",
    "pyarrow.compute",
    "pyarrow.dataset",
    "pyarrow.parquet",
    "jobs.runtime",
)
"""What nearly every job imports: loaded before the forks, it costs a job nothing."""
SHARED_LIGHT = ("jobs.check", "jobs.check_texts", "jobs.split_texts")
"""… and on the light queue, whose jobs are short."""
SHARED_TRAIN = (
    "jobs.vision.run",
    "jobs.vision.preflight",
    "jobs.vision.suggest",
    "jobs.vision.batch_predict",
)
"""… and for trainings: torch, Lightning and MLflow take 10 s and on two busy cores 40, for which a person would wait."""
TRAIN_FREE = 2 * 2**30
"""Bytes of memory that must be free for it: they are not given back between jobs."""
IDLE_SECONDS = 30
"""It waits for so long, for it would hold up the app and MLflow, which start at the same time."""


def device(processes: int, gpus: int, env: MutableMapping[str, str]) -> str:
    """What this worker computes on, "" for the processor; it sees only its own GPU from now on.

    Workers take the `gpus` of the machine in turn. Where a training is shared by several `processes`, or somebody
    chose the GPUs already, nothing is changed.
    """
    if not gpus:
        return ""
    if "CUDA_VISIBLE_DEVICES" not in env and processes == 1:
        env["CUDA_VISIBLE_DEVICES"] = str(int(env.get(NUMBER, "0")) % gpus)
    return "GPU " + env.get("CUDA_VISIBLE_DEVICES", ", ".join(map(str, range(gpus))))


class TrainWorker(Worker):
    """An RQ worker that ends its job with itself when asked to end: the run goes on from its last checkpoint.

    RQ would wait for the job, which may take days, and be killed instead.
    """

    computes_on = ""
    loads_later: Sequence[str] = ()
    """Modules that it imports once no job has come for IDLE_SECONDS, and their jobs then find."""

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> tuple[Job, Queue] | None:
        if self.loads_later:
            if found := super().dequeue_job_and_maintain_ttl(timeout, IDLE_SECONDS):
                return found
            later, self.loads_later = self.loads_later, ()
            load(later)
            if self._shutdown_requested_date:  # asked during an import, which may have caught that
                raise StopRequested
        return super().dequeue_job_and_maintain_ttl(timeout, max_idle_time)

    def register_birth(self) -> None:
        super().register_birth()
        self.connection.hset(self.key, DEVICE_FIELD, self.computes_on)

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        if self.horse_pid:
            self.kill_horse()
        super().request_stop(signum, frame)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queue", action="append", default=[], help="queue to serve; default: both")
    arguments = parser.parse_args()
    settings = Settings.from_env()
    logs.setup(settings.log_format)
    die_with_parent()
    wait_briefly()
    connection = redis.Redis.from_url(settings.redis_url, health_check_interval=15)
    wait_for(connection)
    load_shared(arguments.queue)
    queues = [Queue(name, connection=connection) for name in arguments.queue or [LIGHT_QUEUE, TRAIN_QUEUE]]
    worker = TrainWorker(queues, connection=connection, worker_ttl=WORKER_TTL_SECONDS, prepare_for_work=True)
    if TRAIN_QUEUE in [queue.name for queue in queues]:
        keep_memory()
        gpus = len([each for each in Path("/dev").glob("nvidia*") if each.name[6:].isdigit()])
        worker.computes_on = device(settings.processes, gpus, os.environ)
        if not gpus and arguments.queue == [TRAIN_QUEUE]:
            worker.loads_later = SHARED_TRAIN
    worker.work(with_scheduler=False)


def load(names: Sequence[str]) -> None:
    """Import what trainings need, where memory allows.

    Not for a machine with a GPU: a process that has looked at one must not be forked. On the processor nothing
    computes before the fork, so no thread is lost by it.
    """
    if psutil.virtual_memory().available < TRAIN_FREE:
        return
    try:
        for name in names:
            importlib.import_module(name)
    except StopRequested:
        raise
    except Exception:  # a training will say it to whoever started it
        log.exception("what trainings need cannot be imported")


def load_shared(queues: Sequence[str]) -> None:
    """Import what jobs of these queues need; the checks of texts also read their models and tables."""
    only_light = list(queues) == [LIGHT_QUEUE]
    for name in (*SHARED, *(SHARED_LIGHT if only_light else ())):
        importlib.import_module(name)
    if only_light:
        for name in ("language", "shingles"):
            importlib.import_module(f"core.quality.texts.{name}").load()


def wait_for(connection: redis.Redis) -> None:
    """The broker may start after us or be restarted; a worker waits for it."""
    while True:
        try:
            connection.ping()
            return
        except redis.RedisError:
            log.warning("waiting for the broker")
            time.sleep(1)


if __name__ == "__main__":
    main()
