"""The app (screens and REST, no workers) in a process of its own, as it is run, which a test may kill."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx

from tests.conftest import PASSWORD, ROOT, TEST_COMMIT, free_port


class App:
    """One installation in `folder`; data outlives `kill`, and `start` opens it again at the same address."""

    def __init__(self, folder: Path, broker_url: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.stranger = httpx.Client(base_url=self.url, timeout=60)  # a busy machine hashes a password slowly
        self.admin = httpx.Client(base_url=self.url, timeout=60)
        self.environment = os.environ | {
            "VERITRAIN_DATA_DIR": str(folder / "data"),
            "VERITRAIN_ARTIFACTS_DIR": str(folder / "artifacts"),
            "VERITRAIN_PORT": str(self.port),
            "VERITRAIN_GIT_COMMIT": TEST_COMMIT,
            "REDIS_URL": broker_url,
            "MLFLOW_TRACKING_URI": "http://127.0.0.1:9/mlflow",
        }

    def start(self) -> None:
        log = self.folder / "log"
        with log.open("ab") as out:
            # As the Procfile has it: a client's connection that idled 5 s is not closed under its next request.
            command = [sys.executable, "-m", "uvicorn", "app:app", "--timeout-keep-alive", "75"]
            self.process = subprocess.Popen(
                [*command, "--port", str(self.port)],
                cwd=ROOT,
                env=self.environment,
                stdout=out,
                stderr=out,
            )
        for _ in range(1_200):  # a machine that does much else needs a minute
            try:
                self.stranger.get("/health")
                return
            except httpx.TransportError:
                assert self.process.poll() is None, log.read_text()
                time.sleep(0.1)
        raise AssertionError(f"the app did not answer:\n{log.read_text()}")

    def first_run(self) -> httpx.Response:
        """Make the administrator Ada, signed in on the client `admin`."""
        made = self.admin.post("/api/auth/first-run", json={"name": "Ada", "password": PASSWORD})
        assert made.status_code == 200, made.text
        return made

    def kill(self) -> None:
        """kill -9, as by a power cut."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(15)
