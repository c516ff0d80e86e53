"""A run's figures in MLflow: sent in batches by one thread, so that MLflow being away stops no training."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from requests.exceptions import RequestException
from sqlalchemy.exc import SQLAlchemyError

from core.errors import Unavailable
from core.spec import RunSpec

log = logging.getLogger(__name__)

RETRY_SECONDS = 5.0
"""Between two tries while MLflow does not answer."""
SEND_SECONDS = 10.0
"""Between two calls while the training goes on: each costs MLflow a tenth of a second of the processor."""
BATCH = 1000
"""MLflow takes at most this many metrics in one call."""
# Retries are ours: MLflow's own would hold a call for minutes.
_CLIENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "60"}

TROUBLE = (MlflowException, RequestException, SQLAlchemyError, OSError)

T = TypeVar("T")


def patiently(work: Callable[[], T], url: str, patience_s: float, wanted: Callable[[], None]) -> T:
    """`work()`, tried again for `patience_s` seconds; then Unavailable. `wanted` may raise in between."""
    end = time.monotonic() + patience_s
    while True:
        try:
            return work()
        except TROUBLE as error:
            log.warning("MLflow: %s", error)
            if time.monotonic() >= end:
                raise Unavailable(
                    "MLflow at {url} did not take the model; the training is done and kept.", url=url
                ) from error
        pause = time.monotonic() + min(RETRY_SECONDS, max(end - time.monotonic(), 0.1))
        while time.monotonic() < pause:
            wanted()
            time.sleep(0.1)


class Tracker:
    """One MLflow run, found again by a later attempt. What is not sent yet lies in `mlflow.json`."""

    def __init__(self, url: str, spec: RunSpec, folder: Path) -> None:
        os.environ.update(_CLIENT)
        self.url = url
        self._spec = spec
        self._file = folder / "mlflow.json"
        self._client: MlflowClient | None = None
        self._lock = threading.Lock()
        self._send_lock = threading.Lock()
        self._wake = threading.Event()
        self._over = threading.Event()
        state: dict[str, Any] = {"run_id": "", "experiment_id": "", "step": 0, "unsent": []}
        if self._file.exists():
            state |= json.loads(self._file.read_text(encoding="utf-8"))
        self.run_id: str = state["run_id"]
        self._goes_on = bool(self.run_id)
        """MLflow may hold the run for ended, since an earlier attempt was."""
        self.experiment_id: str = state["experiment_id"]
        self._known: int = state["step"]
        self._step = self._known
        self._unsent: list[tuple[str, float, int, int]] = [tuple(point) for point in state["unsent"]]
        self._thread = threading.Thread(target=self._loop, name="mlflow", daemon=True)
        self._thread.start()

    def log(self, step: int, values: dict[str, float]) -> None:
        """Remember values; they are sent after the next `flush`. What an earlier attempt logged is left out."""
        if step <= self._known:
            return
        now = int(time.time() * 1000)
        with self._lock:
            self._unsent += [(name, value, now, step) for name, value in values.items()]
            self._step = step

    def flush(self) -> None:
        """Keep what was logged beside the run and have it sent."""
        self._keep()
        self._wake.set()

    def finish(self, patience_s: float, wanted: Callable[[], None]) -> None:
        """Send all that is left. Raises Unavailable."""
        self.stop()
        patiently(self._send, self.url, patience_s, wanted)

    def stop(self) -> None:
        self._over.set()
        self._wake.set()
        self._thread.join(timeout=2)

    def end(self, status: str) -> None:
        """Mark MLflow's run FINISHED, FAILED or KILLED, if it answers; nothing is sent any more."""
        self.stop()
        try:
            if self.run_id:
                self.client.set_terminated(self.run_id, status)
        except TROUBLE as error:
            log.warning("MLflow: %s", error)

    @property
    def client(self) -> MlflowClient:
        """Made late: with a database as address this speaks to it at once."""
        if self._client is None:
            self._client = MlflowClient(tracking_uri=self.url, registry_uri=self.url)
        return self._client

    def _loop(self) -> None:
        while not self._over.is_set():
            try:
                self._send()
                self._over.wait(SEND_SECONDS)
                self._wake.wait()
            except TROUBLE as error:
                log.warning("MLflow does not take figures now: %s", error)
                self._wake.clear()
                self._wake.wait(RETRY_SECONDS)
            self._wake.clear()

    def _send(self) -> None:
        with self._send_lock:
            if not self.run_id:
                self._begin()
            if self._goes_on:
                self.client.update_run(self.run_id, status="RUNNING")
                self._goes_on = False
            while True:
                with self._lock:
                    batch = self._unsent[:BATCH]
                if not batch:
                    break
                metrics = [Metric(name, value, at, step) for name, value, at, step in batch]
                self.client.log_batch(self.run_id, metrics=metrics)
                with self._lock:
                    del self._unsent[: len(batch)]
            self._keep()

    def _begin(self) -> None:
        """Find or make the experiment and the run."""
        name = f"veritrain/theme-{self._spec.theme_id}"
        experiment = self.client.get_experiment_by_name(name)
        self.experiment_id = experiment.experiment_id if experiment else self.client.create_experiment(name)
        mine = f"tags.`veritrain.run_id` = '{self._spec.run_id}'"
        runs = self.client.search_runs([self.experiment_id], mine, max_results=1)
        if runs:
            self.run_id, self._goes_on = runs[0].info.run_id, True
            return
        run = self.client.create_run(
            self.experiment_id, tags=tags(self._spec), run_name=f"run {self._spec.run_id}"
        )
        flat = {**_flat(self._spec.params), **_flat(self._spec.auguments)}
        self.client.log_batch(
            run.info.run_id,
            params=[Param(key, str(value)) for key, value in flat.items()],
            tags=[RunTag("mlflow.user", self._spec.created_by)],
        )
        self.run_id = run.info.run_id

    def _keep(self) -> None:
        with self._lock:
            state = {
                "run_id": self.run_id,
                "experiment_id": self.experiment_id,
                "step": self._step,
                "unsent": self._unsent,
            }
            part = self._file.with_suffix(".part")
            part.write_text(json.dumps(state), encoding="utf-8")
            part.replace(self._file)


def tags(spec: RunSpec) -> dict[str, str]:
    """What leads from MLflow back to our run, on the run and on the model version."""
    parent = (
        {"mlflow.parentRunId": spec.trial.mlflow_parent} if spec.trial and spec.trial.mlflow_parent else {}
    )
    return parent | {
        "veritrain.run_id": str(spec.run_id),
        "veritrain.theme": spec.theme_name,
        "veritrain.snapshot": spec.snapshot.hash,
        "veritrain.commit": spec.code.commit,
        "veritrain.dirty": str(spec.code.dirty).lower(),
        "veritrain.source": spec.code.source_hash,
    }


def _flat(values: dict[str, Any], before: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{before}{key}.")
        elif key != "schema_version":
            flat[before + key] = value
    return flat
