"""One RQ worker. Run: python -m jobs.worker --queue train

A worker forks a work-horse per job. `--queue` may be given several times; earlier ones come first.
"""

from __future__ import annotations

import argparse
import logging
import time
from types import FrameType

import redis
from rq import Queue, Worker

from core.processes import die_with_parent
from core.settings import Settings

WORKER_TTL_SECONDS = 30
"""A worker that is killed is forgotten after this; RQ's default of 420 s would keep its job waiting."""


class TrainWorker(Worker):
    """An RQ worker that ends its job with itself when asked to end: the run goes on from its last checkpoint.

    RQ would wait for the job, which may take days, and be killed instead.
    """

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        if self.horse_pid:
            self.kill_horse()
        super().request_stop(signum, frame)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queue", action="append", default=[], help="queue to serve; default: both")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    die_with_parent()
    settings = Settings.from_env()
    connection = redis.Redis.from_url(settings.redis_url, health_check_interval=15)
    wait_for(connection)
    queues = [Queue(name, connection=connection) for name in arguments.queue or ["light", "train"]]
    worker = TrainWorker(queues, connection=connection, worker_ttl=WORKER_TTL_SECONDS, prepare_for_work=True)
    worker.work(with_scheduler=False)


def wait_for(connection: redis.Redis) -> None:
    """The broker may start after us or be restarted; a worker waits for it."""
    while True:
        try:
            connection.ping()
            return
        except redis.RedisError:
            logging.getLogger(__name__).warning("waiting for the broker")
            time.sleep(1)


if __name__ == "__main__":
    main()
