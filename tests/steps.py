"""A tiny job that counts, and a real run of a tiny theme for it: what training is to the protocol."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from core import auth, images, runs, splits, themes
from core.events import Event, Type
from core.processes import die_with_parent
from core.settings import ROOT, Settings
from core.spec import RunSpec
from core.workbench import Workbench
from jobs.runtime import Cancelled, Job
from jobs.serve import MODEL_SERVER
from tests.pictures import png

ENTRY = "tests.steps.count"
"""Set as `core.queue.ENTRY` by tests whose worker shall count instead of train."""


def count(spec_json: str, attempt: int) -> None:
    """What the worker calls: `steps` steps of `pause` seconds, a checkpoint each `every`."""
    die_with_parent()
    settings = Settings.from_env()
    spec = RunSpec.model_validate_json(spec_json)
    steps, pause = int(os.environ["STEPS"]), float(os.environ["PAUSE"])
    with Job(spec, attempt, settings) as job:
        saved = job.folder / "saved"
        done = int(saved.read_text()) if saved.exists() else 0
        job.log(f"goes on from {done}")
        for step in range(done + 1, steps + 1):
            if job.wanted() == "cancel":
                raise Cancelled
            job.metric(step, step / steps, {"train_loss": 1 / step})
            if step % 10 == 0:
                saved.write_text(str(step))
                job.emit(Type.CHECKPOINT, checkpoint(step))
            time.sleep(pause)


def checkpoint(step: int) -> dict[str, Any]:
    return {"path": "saved", "sha256": "0" * 64, "epoch": 1, "step": step, "metric": None, "kind": "last"}


def ready_theme(wb: Workbench, actor: auth.User, name: str = "Animals") -> themes.Theme:
    """A theme of 24 labelled images of two labels, split."""
    theme = themes.create(wb, actor, name=name, labels=["cat", "dog"])
    files = [(f"{('cat', 'dog')[n % 2]}/{n}.png", png(n, (8, 8))) for n in range(24)]
    images.add(wb, actor, theme.id, files, label_from_folder=True)
    splits.split(wb, actor, theme.id)
    return themes.get(wb, theme.id)


def started(wb: Workbench, actor: auth.User) -> runs.Run:
    return runs.start(wb, actor, ready_theme(wb, actor).id)


def file_of(settings: Settings, run_id: int) -> Path:
    return settings.artifacts_dir / "runs" / str(run_id) / "events.jsonl"


def in_file(settings: Settings, run_id: int) -> list[Event]:
    return [Event.from_json(line) for line in file_of(settings, run_id).read_bytes().splitlines()]


@contextmanager
def worker(settings: Settings, *, steps: int = 60, pause: float = 0.05) -> Iterator[subprocess.Popen[bytes]]:
    """A real worker process of its own."""
    environment = {
        **os.environ,
        "VERITRAIN_DATA_DIR": str(settings.data_dir),
        "VERITRAIN_ARTIFACTS_DIR": str(settings.artifacts_dir),
        "REDIS_URL": settings.redis_url,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}",
        "STEPS": str(steps),
        "PAUSE": str(pause),
    }
    process = subprocess.Popen([sys.executable, "-m", "jobs.worker"], cwd=ROOT, env=environment)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for(condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    """The first true value of `condition`."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError(f"it did not come true within {seconds} s")


def model_servers(supervisor: int, *, listening: bool = True) -> list[psutil.Process]:
    """The model servers below this process that take requests, the oldest first; else those that take none yet."""
    family = psutil.Process(supervisor).children(recursive=True)
    found = []
    for each in family:
        with suppress(psutil.NoSuchProcess):  # one that has just died
            if str(MODEL_SERVER) in each.cmdline() and bool(ports(each)) == listening:
                found.append(each)
    return sorted(found, key=lambda each: each.create_time())


def ports(process: psutil.Process) -> list[int]:
    """Where it listens."""
    return [each.laddr.port for each in process.net_connections("tcp") if each.status == psutil.CONN_LISTEN]
