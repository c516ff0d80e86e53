"""The supervisor of model servers with a real MLflow server behind it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import redis

from core import processes
from core.processes import Child, free_port
from core.serving_protocol import IMAGES_PATH, SEEN_KEY, WANTED_KEY, framed
from core.settings import ROOT, Settings
from jobs.serve import FAILING_RESTARTS, Deployment, Server
from tests.steps import model_servers, wait_for

UP_SECONDS = 240
"""A busy machine is no failure."""

MODEL = """
import os, sys
import mlflow

class Echo(mlflow.pyfunc.PythonModel):
    asked = 0

    def predict(self, context, model_input, params=None):
        ours = [name for name in sys.modules if name.split(".")[0] in ("core", "jobs", "api", "pages")]
        self.asked += 1
        return [{"label": image, "ours": ours, "asked": self.asked} for image in model_input["image"]]

mlflow.models.set_model(Echo())
"""


def spare_waits(settings: Settings) -> bool:
    said = settings.artifacts_dir / "serving" / "spare.log"
    return said.exists() and said.read_text().endswith("waits for a model\n")


def answers(url: str, body: dict[str, Any]) -> bool:
    try:
        return httpx.post(f"{url}/invocations", json=body, timeout=30).status_code == 200
    except httpx.HTTPError:
        return False


def test_one_that_does_not_start_says_why_and_how_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "LONGEST_WAIT_SECONDS", 0.01)
    dying = "import time; print('starts', flush=True); time.sleep(0.2); raise SystemExit('no such model')"
    command = [sys.executable, "-c", dying]
    child = Child("1", command, os.environ, tmp_path, tmp_path / "1.log")
    child.start()
    deployment = Deployment("models:/nothing/1", None, [Server(child, free_port(), tmp_path)])
    spare = Child("spare", command, os.environ, tmp_path, tmp_path / "spare.log")

    def failed() -> dict[str, Any] | None:
        deployment.servers[0].look(http, spare)
        state = deployment.state("127.0.0.1")
        return state if state["status"] == "failed" else None

    with httpx.Client(timeout=1) as http:
        state = wait_for(failed, 60)
        wait_for(lambda: child.tail().endswith("starts"), 30)  # the next try does not hide the reason
    assert deployment.state("127.0.0.1")["detail"].endswith("no such model")
    [server] = state["servers"]
    assert server["restarts"] == FAILING_RESTARTS and server["ended_at"] and server["up_since"] is None
    child.stop()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_server_is_started_restarted_and_stopped(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "echo.py").write_text(MODEL)
    model = tmp_path / "model"
    made = (
        f"import mlflow; mlflow.pyfunc.save_model({str(model)!r}, python_model={str(tmp_path / 'echo.py')!r})"
    )
    subprocess.run([sys.executable, "-c", made], check=True, cwd=tmp_path, timeout=120)
    broker = redis.Redis.from_url(settings.redis_url)
    environment = {
        **os.environ,
        "REDIS_URL": settings.redis_url,
        "VERITRAIN_ARTIFACTS_DIR": str(settings.artifacts_dir),
        "PYTHONPATH": str(ROOT),
    }
    supervisor = subprocess.Popen([sys.executable, "-m", "jobs.serve"], cwd=ROOT, env=environment)

    def seen(key: str, status: str) -> dict[str, Any] | None:
        text = broker.hget(SEEN_KEY, key)
        state: dict[str, Any] = json.loads(text) if isinstance(text, bytes) else {}
        return state if state.get("status") == status else None

    def family() -> list[psutil.Process]:
        return psutil.Process(supervisor.pid).children(recursive=True)

    try:
        broker.hset(WANTED_KEY, mapping={"1": json.dumps({"uri": str(model)})})
        url = wait_for(lambda: seen("1", "up"), UP_SECONDS)["url"]
        body = {"dataframe_split": {"columns": ["image"], "data": [["a"]]}}
        answer = httpx.post(f"{url}/invocations", json=body, timeout=30)
        assert answer.json() == {"predictions": [{"label": "a", "ours": [], "asked": 2}]}, "it was warm"
        short = httpx.post(f"{url}{IMAGES_PATH}", content=framed([b"one", b"two"]), timeout=30)
        assert [row["label"] for row in short.json()["predictions"]] == ["b25l", "dHdv"], (
            "as if through MLflow's"
        )
        wait_for(lambda: spare_waits(settings), UP_SECONDS)
        [server] = model_servers(supervisor.pid)
        server.kill()
        wait_for(lambda: answers(url, body), 60)  # the spare one, at the same address
        assert model_servers(supervisor.pid) != [server]
        told = wait_for(lambda: (seen("1", "up") or {})["servers"][0]["up_since"] and seen("1", "up"), 60)
        assert told["servers"][0]["restarts"] == 1
        assert told["servers"][0]["up_since"] > told["servers"][0]["ended_at"]
        wait_for(lambda: len(family()) == 2, UP_SECONDS)  # another waits
        broker.hset(WANTED_KEY, "2", json.dumps({"uri": str(tmp_path / "nothing")}))
        detail = wait_for(lambda: seen("2", "failed"), 2 * UP_SECONDS)["detail"]
        assert "nothing" in detail
        assert seen("1", "up"), "one that fails does not touch another"
        broker.hdel(WANTED_KEY, "1", "2")
        wait_for(lambda: not broker.exists(SEEN_KEY), 30)
        wait_for(lambda: family() == [], 60)  # a moment later, when every app knows
        broker.hset(WANTED_KEY, "3", json.dumps({"uri": str(model)}))
        wait_for(lambda: seen("3", "up"), UP_SECONDS)
        left = family()
        supervisor.send_signal(signal.SIGKILL)
        supervisor.wait()
        _, alive = psutil.wait_procs(left, timeout=10)
        assert [p for p in alive if p.status() != psutil.STATUS_ZOMBIE] == []
    finally:
        if supervisor.poll() is None:
            supervisor.terminate()
            supervisor.wait(30)
