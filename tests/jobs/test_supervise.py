"""`make run` in its own process: starts all, restarts what dies, stops all. Broker and MLflow are the tests' own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import psutil
import pytest

from core.processes import MARK
from core.settings import ROOT, Settings
from jobs.supervise import plan
from tests.conftest import free_port
from tests.steps import wait_for

COMMAND = [sys.executable, "-m", "jobs.supervise"]


@dataclass
class House:
    settings: Settings
    console: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "VERITRAIN_DATA_DIR": str(self.settings.data_dir),
            "VERITRAIN_ARTIFACTS_DIR": str(self.settings.artifacts_dir),
            "VERITRAIN_PORT": str(self.port),
            "REDIS_URL": self.settings.redis_url,
            "MLFLOW_TRACKING_URI": self.settings.mlflow_url,
        }

    def start(self) -> None:
        with self.console.open("ab") as output:
            self.process = subprocess.Popen(
                COMMAND, cwd=ROOT, env=self.environment, stdout=output, stderr=subprocess.STDOUT
            )
        wait_for(lambda: "ready: " in self.console.read_text(), 60)

    def once(self, **environment: str) -> subprocess.CompletedProcess[str]:
        """A start that is expected to end by itself."""
        return subprocess.run(
            COMMAND,
            cwd=ROOT,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=60,
        )

    def family(self) -> list[psutil.Process]:
        assert self.process is not None
        top = psutil.Process(self.process.pid)
        return [top, *top.children(recursive=True)]

    def part(self, name: str) -> psutil.Process:
        [found] = [p for p in self.family()[1:] if name in p.cmdline()]
        return found

    def answers(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/health", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False


@pytest.fixture
def house(settings: Settings, tmp_path: Path) -> Iterator[House]:
    it = House(settings, tmp_path / "console.log")
    yield it
    if it.process is not None and it.process.poll() is None:
        it.process.send_signal(signal.SIGTERM)
        it.process.wait(30)


def test_everything_starts_restarts_and_stops(house: House) -> None:
    house.start()
    [line] = [line for line in house.console.read_text().splitlines() if "http" in line]
    assert line == f"Veritrain is ready: http://127.0.0.1:{house.port}"
    assert house.answers()
    again = house.once()
    assert again.returncode == 1
    assert again.stderr.startswith("Veritrain is already running with the data in ")
    assert len(again.stderr.strip().splitlines()) == 1
    killed = house.part("uvicorn")
    killed.kill()
    wait_for(lambda: not killed.is_running() and house.answers(), 30)
    all_of_it = house.family()
    assert len(all_of_it) == 6  # supervisor, app, worker, light, preview, serve
    assert house.process is not None
    house.process.send_signal(signal.SIGINT)
    assert house.process.wait(15) == 0
    _, alive = psutil.wait_procs(all_of_it, timeout=2)
    assert alive == []


def test_a_busy_port_is_named(house: House) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        refused = house.once(VERITRAIN_PORT=str(port))
    assert refused.returncode == 1
    assert f"Port {port} is in use" in refused.stderr
    assert f"VERITRAIN_PORT={port + 1}" in refused.stderr


def test_a_setting_that_is_no_number_is_named(house: House) -> None:
    refused = house.once(VERITRAIN_WORKERS="many")
    assert refused.returncode == 1
    assert "VERITRAIN_WORKERS" in refused.stderr and "Traceback" not in refused.stderr


def test_the_plan_starts_what_is_missing(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    children = plan(replace(settings, host="0.0.0.0", workers=2, data_dir=settings.data_dir / "a b"), "mark")
    assert [c.name for c in children] == [
        "broker",
        "mlflow",
        "app",
        "worker-1",
        "worker-2",
        "light",
        "preview",
        "serve",
    ]
    assert str(settings.data_dir / "a b" / "broker") in children[0].command
    environment = children[2].environment
    assert environment[MARK] == "mark"
    assert environment["REDIS_URL"].startswith("redis://127.0.0.1:")
    assert len(environment["VERITRAIN_SETUP_TOKEN"]) >= 12
    monkeypatch.setenv("REDIS_URL", "redis://elsewhere/0")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://elsewhere/mlflow")
    assert [c.name for c in plan(settings, "mark")] == ["app", "worker", "light", "preview", "serve"]
    assert "VERITRAIN_SETUP_TOKEN" not in plan(settings, "mark")[0].environment
