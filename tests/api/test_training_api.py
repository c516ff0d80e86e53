"""Parameters, runs, versions and deployments through the REST routes, behind the real sign-in check."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import redis
from pictures import png

from core import auth, themes
from core.collector import Collector
from core.events import Event, Type
from core.workbench import Workbench, set_current
from tests.api.clients import Client, refused
from tests.conftest import free_port
from tests.steps import ready_theme
from tests.trained import finished


def test_parameters_are_saved_or_refused_by_name(
    wb_duckdb: Workbench, client: Client, trainer: auth.User, labeler: auth.User
) -> None:
    theme = themes.create(wb_duckdb, trainer, name="Animals").id
    http = client(trainer)
    saved = http.get(f"theme/{theme}/training/config").json()
    saved["params"]["training"]["epochs"] = 7
    answer = http.post(f"theme/{theme}/training/config/save/", json={"params": saved["params"]})
    assert answer.status_code == 200
    saved["version"] = answer.json()["version"]
    assert http.get(f"theme/{theme}/training/config/").json() == saved
    saved["params"]["training"]["epochs"] = -1
    assert "epochs" in refused(http.post(f"theme/{theme}/training/config/save", json=saved), 422).lower()
    refused(http.post(f"theme/{theme}/training/config/save", json={"parameter": {}}), 422)
    refused(client(labeler).post(f"theme/{theme}/training/config/save", json={}), 403)
    refused(http.get("theme/99/training/config"), 404)


def test_the_history_of_parameters_is_read_compared_and_restored(
    wb_duckdb: Workbench, client: Client, trainer: auth.User, viewer: auth.User
) -> None:
    theme = ready_theme(wb_duckdb, trainer).id
    http, reader, base = client(trainer), client(viewer), f"theme/{theme}/training/config"
    first = http.get(base).json()
    assert first["version"] == "" and reader.get(f"{base}/history").json() == []
    run = http.post(f"theme/{theme}/training/start/").json()["id"]
    first["params"]["training"]["learning_rate"] = 0.0003
    second = http.post(f"{base}/save", json=first).json()
    sentence = "trainer saved these parameters .*Learning rate: 0.001 → 0.0003"
    assert re.match(sentence, refused(http.post(f"{base}/save", json={**first, "params": {}}), 409))
    for state in ("defaults", f"run-{run}"):
        [change] = reader.get(f"{base}/diff/", params={"before": state}).json()
        assert change == {
            "name": "training.learning_rate",
            "before": 0.001,
            "now": 0.0003,
            "text": "Learning rate: 0.001 → 0.0003",
        }
    http.post(f"{base}/save", json={"optuna_params": {"trials": 5}})
    assert reader.get(f"{base}?version={second['version'][:12]}").json() == second
    assert "trials: 5" in reader.get(f"{base}/text/optuna_params").json()["text"]
    restored = http.post(f"{base}/restore", json={"version": second["version"]}).json()
    assert restored["params"] == second["params"] and restored["optuna_params"] == second["optuna_params"]
    listed = reader.get(f"{base}/history", params={"limit": 2}).json()
    assert [v["changes"][0] for v in listed] == ["Trials: 5 → 20 runs", "Trials: 20 → 5 runs"]
    [oldest] = reader.get(f"{base}/history", params={"before": listed[-1]["id"]}).json()
    assert (oldest["author"], oldest["changes"]) == ("trainer", ["Learning rate: 0.001 → 0.0003"])
    schema = reader.get("params/schema/auguments").json()
    assert schema["title"] == "auguments.yaml" and "Blur" in schema["$defs"]

    refused(client(viewer).post(f"{base}/restore", json={"version": second["version"]}), 403)
    assert "no version “beef”" in refused(http.post(f"{base}/restore", json={"version": "beef"}), 404)
    other = themes.create(wb_duckdb, trainer, name="Others").id
    refused(http.get(f"theme/{other}/training/config/diff?before=run-{run}"), 404)
    refused(http.get(f"{base}/diff?before=run-999"), 404)
    refused(http.get("params/schema/params.yaml"), 422)


def test_a_run_is_started_followed_cancelled_and_resumed(
    wb_duckdb: Workbench, client: Client, trainer: auth.User, viewer: auth.User
) -> None:
    http, theme = client(trainer), ready_theme(wb_duckdb, trainer).id
    base = f"theme/{theme}/training"
    refused(client(viewer).post(f"{base}/start/"), 403)
    first, second = (http.post(f"{base}/start/") for _ in range(2))
    assert (first.status_code, first.json()["status"]) == (201, "queued")
    run = second.json()["id"]
    now = client(viewer).get(f"{base}/progress/{run}/").json()
    assert (now["status"], now["queue_place"], now["metrics"], now["log"]) == ("queued", 2, {}, [])
    assert [r["id"] for r in http.get(f"{base}/history/").json()] == [run, first.json()["id"]]
    assert http.post(f"{base}/cancel/{run}/").json()["status"] == "cancelled"
    assert "ended already" in refused(http.post(f"{base}/cancel/{run}"), 409)
    again = http.post(f"{base}/resume/{run}").json()
    assert (again["status"], again["attempt"]) == ("queued", 2)
    shown = http.get(f"{base}/result/{run}/").json()
    assert (shown["result"], shown["version_id"]) == (None, None)
    assert shown["spec"]["labels"] == ["cat", "dog"]
    other = themes.create(wb_duckdb, trainer, name="Others").id
    assert f"no run {run}" in refused(http.get(f"theme/{other}/training/progress/{run}"), 404)
    assert "two labels" in refused(http.post(f"theme/{other}/training/start"), 422)


def test_without_a_broker_starting_says_so_and_leaves_nothing(
    wb_duckdb: Workbench, client: Client, trainer: auth.User
) -> None:
    http, theme = client(trainer), ready_theme(wb_duckdb, trainer).id
    away = redis.Redis.from_url(f"redis://127.0.0.1:{free_port()}/0")
    set_current(replace(wb_duckdb, broker=away))
    assert "queue does not answer" in refused(http.post(f"theme/{theme}/training/start/"), 503)
    assert http.get(f"theme/{theme}/training/history/").json() == []


def test_versions_and_deployments_that_are_not_there(client: Client, trainer: auth.User) -> None:
    http = client(trainer)
    assert http.get("models/").json() == http.get("deployments").json() == []
    refused(http.get("models/7/"), 404)
    refused(http.post("models/7/deploy"), 404)
    refused(http.delete("deployments/7/"), 404)
    refused(http.post("deployments/7/predict", files=[("files", ("a.png", png(1)))]), 404)


def test_answers_are_judged_and_runs_compared(
    wb_duckdb: Workbench, client: Client, trainer: auth.User, viewer: auth.User
) -> None:
    theme = ready_theme(wb_duckdb, trainer).id
    first = finished(wb_duckdb, trainer, theme, lambda image_id: image_id % 2 > 0).id
    second = finished(wb_duckdb, trainer, theme, lambda image_id: True).id
    http = client(viewer)
    found = http.get(f"runs/{first}/evaluation").json()
    assert found["accuracy"]["low"] < found["accuracy"]["value"] < 1
    assert sum(n for *_pair, n in found["mistakes"]) == round(found["n"] * (1 - found["accuracy"]["value"]))
    assert found["ece"] > 0 and found["advice"]
    judged = http.get("runs/compare", params={"runs": f"{first},{second}"}).json()
    assert (judged["runs"], judged["best"], judged["pairs"][0]["other"]) == ([first, second], second, first)
    assert judged["sentence"].startswith(f"Run {second}")
    assert "commas" in refused(http.get("runs/compare", params={"runs": "1;2"}), 422)
    assert "Name 2 to 10" in refused(http.get("runs/compare", params={"runs": "1"}), 422)
    refused(http.get("runs/99/evaluation"), 404)


def test_a_red_preflight_blocks_the_start_until_something_changes(
    wb_duckdb: Workbench, client: Client, trainer: auth.User, labeler: auth.User
) -> None:
    theme = ready_theme(wb_duckdb, trainer).id
    base, http = f"theme/{theme}/training", client(trainer)
    assert http.get(f"{base}/preflight").json()["state"] == "none"
    refused(client(labeler).post(f"{base}/preflight"), 403)
    going = http.post(f"{base}/preflight").json()
    assert (going["state"], going["fraction"]) == ("going", 0.0)
    assert "already" in refused(http.post(f"{base}/preflight"), 409)
    memory = {"need": 9 * 2**30, "free": 2**30, "batch": 64, "fitting": 4}
    told = {"lines": [{"name": "memory", "state": "bad", "fields": memory}], "figures": {"seconds": 3.0}}
    now = datetime.now(UTC)
    said: list[tuple[Type, dict[str, Any]]] = [(Type.RESULT, told), (Type.STATUS, {"status": "succeeded"})]
    Collector(wb_duckdb).store(
        [Event(going["run_id"], n, 1, now, kind, what) for n, (kind, what) in enumerate(said, 1)]
    )
    found = http.get(f"{base}/preflight").json()
    assert found["state"] == "red"
    assert found["lines"][0]["text"] == (
        "A batch of 64 images needs about 9.0 GiB of memory, but 1.0 GiB is free. "
        "Set the batch size to 4, or take smaller images."
    )
    assert "pre-flight" in refused(http.post(f"{base}/start"), 409)
    saved = http.get(f"{base}/config").json()
    saved["params"]["training"]["batch_size"] = 4
    assert http.post(f"{base}/config/save", json={"params": saved["params"]}).status_code == 200
    assert http.get(f"{base}/preflight").json()["state"] == "stale"
    assert http.post(f"{base}/start").status_code == 201
