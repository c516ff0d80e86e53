"""The preview worker as the product starts it, for tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from rq import Queue, Worker

from core.spec import PREVIEW_QUEUE
from tests.conftest import ROOT
from tests.steps import wait_for


@contextmanager
def preview_worker(data: Path, artifacts: Path, broker_url: str) -> Iterator[None]:
    """A real one, ready to answer."""
    environment = os.environ | {
        "VERITRAIN_DATA_DIR": str(data),
        "VERITRAIN_ARTIFACTS_DIR": str(artifacts),
        "REDIS_URL": broker_url,
    }
    process = subprocess.Popen([sys.executable, "-m", "jobs.preview"], cwd=ROOT, env=environment)
    connection = redis.Redis.from_url(broker_url)
    try:
        wait_for(lambda: Worker.count(queue=Queue(PREVIEW_QUEUE, connection=connection)), 90)
        yield
    finally:
        process.terminate()
        process.wait(30)
