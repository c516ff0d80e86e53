"""Users who ask twenty times a second while versions change, servers stop and one is killed: nobody is let down."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil
import pytest
from pictures import png

from core import auth, production, registry, serving, stages
from core.errors import Unavailable
from core.settings import ROOT
from core.workbench import Workbench
from tests.core.ab.rig import another_version
from tests.jobs.test_serve import spare_waits
from tests.steps import model_servers, ready_theme, wait_for

MODEL = """
import time
import mlflow

class Steady(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        time.sleep(5 if max(map(len, model_input["image"])) > 100_000 else 0.02)
        row = {"label": "cat", "confidence": 0.75, "probabilities": [0.75, 0.25], "error": None}
        return [row] * len(model_input)

mlflow.models.set_model(Steady())
"""
A_SECOND = 20
SMALL = png(1)
LARGE = SMALL + b"\\0" * 100_000
UP_SECONDS = 200


@dataclass
class Load:
    """Answers by the version that gave them, and what failed at first and after one retry."""

    wb: Workbench
    user: auth.User
    model: str
    versions: list[int] = field(default_factory=list)
    failed: list[float] = field(default_factory=list)
    """When, monotonic."""
    lost: list[Exception] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    """Seconds until an answer."""

    def ask(self) -> None:
        began = time.monotonic()
        until = began + 120
        while True:
            try:
                found = production.predict(self.wb, self.user, self.model, [("a.png", SMALL)])
                assert found.predictions[0].label == "cat"
                self.versions.append(found.version.id)
                self.waits.append(time.monotonic() - began)
                return
            except Unavailable as error:
                self.failed.append(time.monotonic())
                if time.monotonic() > until:
                    self.lost.append(error)
                    return
                time.sleep(error.fields.get("seconds", 1))
            except Exception as error:
                self.lost.append(error)
                return


@contextmanager
def load(wb: Workbench, user: auth.User, model: str) -> Iterator[Load]:
    """Twenty requests a second, whether the earlier ones are answered or not."""
    it, over = Load(wb, user, model), threading.Event()

    def ask_on() -> None:
        with ThreadPoolExecutor(64) as pool:
            asked: list[Future[None]] = []
            while not over.wait(1 / A_SECOND):
                asked.append(pool.submit(it.ask))
            for each in asked:
                each.result()

    thread = threading.Thread(target=ask_on)
    thread.start()
    try:
        yield it
    finally:
        over.set()
        thread.join()


@contextmanager
def serving_model(wb: Workbench, folder: Path) -> Iterator[tuple[str, Callable[[], list[psutil.Process]]]]:
    """A small model in MLflow's format, and the supervisor of model servers; what this sees is taken over."""
    (folder / "steady.py").write_text(MODEL)
    uri = folder / "model"
    made = (
        f"import mlflow; mlflow.pyfunc.save_model({str(uri)!r}, python_model={str(folder / 'steady.py')!r})"
    )
    subprocess.run([sys.executable, "-c", made], check=True, cwd=folder, timeout=250)
    environment = os.environ | {
        "REDIS_URL": wb.settings.redis_url,
        "VERITRAIN_ARTIFACTS_DIR": str(wb.settings.artifacts_dir),
        "PYTHONPATH": str(ROOT),
    }
    supervisor = subprocess.Popen([sys.executable, "-m", "jobs.serve"], cwd=ROOT, env=environment)
    over = threading.Event()

    def take_over() -> None:
        while not over.wait(0.3):
            serving.sync(wb)

    thread = threading.Thread(target=take_over)
    thread.start()

    def servers() -> list[psutil.Process]:
        return model_servers(supervisor.pid)

    try:
        yield str(uri), servers
    finally:
        over.set()
        thread.join()
        supervisor.terminate()
        supervisor.wait(30)


def up(wb: Workbench, version_id: int, servers: int) -> bool:
    found = serving.recent(wb, version_id)
    return found is not None and len((found.url or "").split()) == servers


@pytest.mark.slow
@pytest.mark.timeout(1_200)
def test_nobody_is_let_down_while_production_changes_and_a_replica_is_killed(
    wb_duckdb: Workbench, trainer: auth.User, viewer: auth.User, tmp_path: Path
) -> None:
    wb = wb_duckdb
    admin = replace(trainer, role=auth.ADMIN)
    with serving_model(wb, tmp_path) as (uri, servers):
        theme = ready_theme(wb, trainer)
        for number in (1, 2):
            another_version(wb, trainer, theme, number, uri)
        one, two = sorted(version.id for version in registry.versions(wb, theme.id))
        model = registry.get(wb, one).model_name
        stages.promote(wb, trainer, one, "production", "the first")
        first = serving.deploy(wb, trainer, one)
        wait_for(lambda: up(wb, one, 1), UP_SECONDS)

        with load(wb, viewer, model) as users:
            time.sleep(2)
            stages.promote(wb, admin, two, "production", "the second", override="no test")
            serving.deploy(wb, trainer, two, replicas=2)
            wait_for(lambda: up(wb, two, 2), UP_SECONDS)
            wait_for(lambda: two in users.versions, 30)
            with ThreadPoolExecutor(1) as pool:  # the former one goes while it is at work
                slow = pool.submit(serving.ask, wb, serving.get(wb, first.id), [("big.png", LARGE)])
                time.sleep(0.5)
                serving.stop(wb, trainer, first.id)
                assert slow.result(60)[0].label == "cat"
            wait_for(lambda: len(servers()) == 2, 60)
            time.sleep(2)
            servers()[0].kill()
            time.sleep(3)
            production.roll_back(wb, trainer, two, "it answers nonsense")
            wait_for(lambda: up(wb, one, 2), UP_SECONDS)
            before = len(users.versions)
            wait_for(lambda: one in users.versions[before:], 30)
            time.sleep(2)
        assert (users.lost, users.failed) == ([], [])
        assert len(users.versions) > 200

        [serving.stop(wb, trainer, each.id) for each in serving.deployments(wb) if each.version.id == two]
        serving.deploy(wb, trainer, one, replicas=1)
        wait_for(lambda: len(servers()) == 1, 60)
        wait_for(lambda: spare_waits(wb.settings), UP_SECONDS)
        with load(wb, viewer, model) as users:  # one server alone: whoever asks waits for the spare one
            time.sleep(2)
            servers()[0].send_signal(signal.SIGKILL)
            time.sleep(15)
        assert (users.lost, users.failed) == ([], [])
        print(f"longest wait with one server: {max(users.waits):.1f} s")
