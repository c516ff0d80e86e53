"""MLflow's run of a tuning, over its REST interface: the trials are its children."""

from __future__ import annotations

import json
import logging
import time
from typing import Any

import httpx

from core.errors import Unavailable
from core.tuning.tunings import Tuning
from core.workbench import Workbench

log = logging.getLogger(__name__)

TIMEOUT = httpx.Timeout(10.0, connect=2.0)


def begin(wb: Workbench, tuning: Tuning) -> str:
    """The id of the tuning's run, made on first use. Raises Unavailable; the next turn tries again."""
    name = f"veritrain/theme-{tuning.theme_id}"
    try:
        with _client(wb) as client:
            answer = client.get("experiments/get-by-name", params={"experiment_name": name})
            if answer.status_code == 404:
                answer = client.post("experiments/create", json={"name": name})
                experiment = answer.raise_for_status().json()["experiment_id"]
            else:
                experiment = answer.raise_for_status().json()["experiment"]["experiment_id"]
            mine = f"tags.`veritrain.tuning` = '{tuning.id}'"
            found = client.post("runs/search", json={"experiment_ids": [experiment], "filter": mine})
            known = found.raise_for_status().json().get("runs")
            if known:
                return str(known[0]["info"]["run_id"])
            made = client.post(
                "runs/create",
                json={
                    "experiment_id": experiment,
                    "run_name": f"tuning {tuning.id}",
                    "start_time": int(time.time() * 1000),
                    "tags": [
                        {"key": "veritrain.tuning", "value": str(tuning.id)},
                        {"key": "mlflow.user", "value": tuning.spec.created_by},
                        {"key": "veritrain.snapshot", "value": tuning.spec.base.snapshot.hash},
                    ],
                },
            )
            return str(made.raise_for_status().json()["run"]["info"]["run_id"])
    except httpx.HTTPError as error:
        raise Unavailable("MLflow at {url} does not answer.", url=wb.settings.mlflow_url) from error


def end(wb: Workbench, tuning: Tuning, result: dict[str, Any] | None) -> None:
    """Mark the run finished with the best values as tags. MLflow being away is no error: the database has it all."""
    if not tuning.mlflow_run_id:
        return
    try:
        with _client(wb) as client:
            best = (result or {}).get("best")
            if best:
                tags = {"veritrain.best_run": str(best["run"]), "veritrain.best": json.dumps(best["values"])}
                for key, value in tags.items():
                    client.post(
                        "runs/set-tag", json={"run_id": tuning.mlflow_run_id, "key": key, "value": value}
                    ).raise_for_status()
            status = "FINISHED" if best else "FAILED"
            client.post(
                "runs/update",
                json={
                    "run_id": tuning.mlflow_run_id,
                    "status": status,
                    "end_time": int(time.time() * 1000),
                },
            ).raise_for_status()
    except httpx.HTTPError as error:
        log.warning("tuning %s: MLflow was not told of its end (%s)", tuning.id, error)


def _client(wb: Workbench) -> httpx.Client:
    return httpx.Client(
        base_url=f"{wb.settings.mlflow_url}/api/2.0/mlflow/", timeout=TIMEOUT, trust_env=False
    )
