"""The whole running product, as `make run` starts it, and a real browser in front of it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from playwright.sync_api import Browser, Error, Locator, Page, TimeoutError, expect

from tests.conftest import PASSWORD, ROOT, free_port
from tests.e2e.screens import settled

expect.set_options(timeout=60_000)
READY_SECONDS = 120
"""The first start of MLflow makes its tables, which takes up to 20 s on a busy machine."""


@dataclass
class Product:
    """One installation in a temporary folder; `start` and `stop` are a person's Ctrl-C and `make run`."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.folder / "console.log"

    def start(self) -> float:
        """Start everything and wait until the first page answers; returns the seconds that took."""
        began = time.monotonic()
        environment = {
            k: v for k, v in os.environ.items() if not k.startswith(("REDIS_", "MLFLOW_", "VERITRAIN_"))
        }
        environment |= {
            "VERITRAIN_DATA_DIR": str(self.folder / "data"),
            "VERITRAIN_ARTIFACTS_DIR": str(self.folder / "artifacts"),
            "VERITRAIN_PORT": str(self.port),
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jobs.supervise"],
                cwd=ROOT,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        while time.monotonic() - began < READY_SECONDS:
            if self.process.poll() is not None:
                break
            try:
                if httpx.get(f"{self.url}/health", timeout=2).status_code == 200:
                    return time.monotonic() - began
            except httpx.TransportError:
                pass
            time.sleep(0.2)
        raise AssertionError(f"Veritrain did not start:\n{self.log.read_text()[-4000:]}")

    def family(self) -> list[psutil.Process]:
        """Every process of this installation, the supervisor first."""
        assert self.process is not None
        top = psutil.Process(self.process.pid)
        return [top, *top.children(recursive=True)]

    def stop(self) -> list[psutil.Process]:
        """Ctrl-C; returns the processes that are still alive afterwards (there must be none)."""
        if self.process is None or self.process.poll() is not None:
            return []
        family = self.family()
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=40)
        _, alive = psutil.wait_procs(family, timeout=5)
        return alive

    def worker_pids(self) -> list[int]:
        """Processes of the training worker: the worker and the one that runs the job."""
        return [p.pid for p in self.family() if p.cmdline()[-3:] == ["jobs.worker", "--queue", "train"]]


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clicks as a person's: on what they see, once it has stopped moving."""
    click = Locator.click

    def look_first(self: Locator, **options: Any) -> None:
        # A screen that draws itself every second has no long rest; then the click comes all the same.
        with suppress(TimeoutError):
            settled(self.page, most_ms=3_000)
        click(self, **options)

    monkeypatch.setattr(Locator, "click", look_first)


@pytest.fixture(scope="session")
def mlflow_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first product of the session leaves MLflow's empty tables to the others, whose start they shorten."""
    return tmp_path_factory.mktemp("mlflow") / "mlflow.db"


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory, mlflow_tables: Path) -> Iterator[Product]:
    it = Product(tmp_path_factory.mktemp("product"), free_port())
    own = it.folder / "data" / "mlflow.db"
    if mlflow_tables.exists():
        own.parent.mkdir()
        shutil.copy(mlflow_tables, own)
    it.start()
    if not mlflow_tables.exists():
        with closing(sqlite3.connect(own)) as source, closing(sqlite3.connect(mlflow_tables)) as target:
            source.backup(target)
    yield it
    for process in it.stop():
        process.kill()


@pytest.fixture(scope="module")
def page(browser: Browser, product: Product) -> Iterator[Page]:
    """A signed-out browser window of an office screen's size; script errors fail the test."""
    context = browser.new_context(
        viewport={"width": 1280, "height": 720}, base_url=product.url, locale="en-US"
    )
    page = context.new_page()
    page.set_default_timeout(60_000)
    yield page
    context.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows what its browser showed: the address and the words on the screen."""
    report = yield
    page = getattr(item, "funcargs", {}).get("page")
    if report.when == "call" and report.failed and isinstance(page, Page):
        try:
            main = page.locator("[data-testid=stMain], body").last
            words = re.sub(r"\s*\n\s*", " | ", main.inner_text(timeout=2_000))
            seen = f"{page.url}\n{words}"
        except Error as gone:
            seen = str(gone)
        report.sections.append(("the screen", seen[:4_000]))
    return report


__all__ = ["PASSWORD", "Product"]
