"""The whole app in a process of its own, as it is run, with an administrator signed in."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.conftest import PASSWORD, ROOT, TEST_COMMIT, free_port


class App:
    def __init__(self, port: int, process: subprocess.Popen[bytes]) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.port = port
        self.process = process
        self.stranger = httpx.Client(base_url=self.url)
        self.admin = httpx.Client(base_url=self.url)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, broker_url: str) -> Iterator[App]:
    """The app as it is run, with its administrator signed in on one of two clients."""
    folder = tmp_path_factory.mktemp("app")
    port = free_port()
    environment = os.environ | {
        "VERITRAIN_DATA_DIR": str(folder / "data"),
        "VERITRAIN_ARTIFACTS_DIR": str(folder / "artifacts"),
        "VERITRAIN_PORT": str(port),
        "VERITRAIN_GIT_COMMIT": TEST_COMMIT,
        "REDIS_URL": broker_url,
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:9/mlflow",
    }
    log = (folder / "log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "app:app", "--port", str(port)],
        cwd=ROOT,
        env=environment,
        stdout=log,
        stderr=log,
    )
    app = App(port, process)
    for _ in range(300):
        try:
            app.stranger.get("/health")
            break
        except httpx.TransportError:
            assert process.poll() is None, (folder / "log").read_text()
            time.sleep(0.1)
    # Before anybody exists every page leads to the first run.
    assert app.stranger.get("/users").headers["location"] == "/first-run"
    made = app.admin.post("/api/auth/first-run", json={"name": "Ada", "password": PASSWORD})
    assert made.status_code == 200
    cookie = made.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=lax" in cookie
    yield app
    process.terminate()
    process.wait(15)
