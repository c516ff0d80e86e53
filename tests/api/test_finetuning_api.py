"""Runs for programs: started, listed by pages, paused, stopped, followed."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from core import auth, runs
from core.collector import Collector
from core.events import Event, Type
from core.workbench import Workbench
from tests.api.clients import Client, refused
from tests.steps import ready_theme
from tests.trained import finished

JOBS = "v1/admin/finetuning/jobs"


def parsed(text: str) -> list[tuple[str | None, str, dict[str, Any]]]:
    """(id, event, data) of each server-sent event."""
    found = []
    for block in text.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines())
        found.append((fields.get("id"), fields["event"], json.loads(fields["data"])))
    return found


def test_a_waiting_run_is_paused_resumed_and_stopped(
    wb_duckdb: Workbench, client: Client, trainer: auth.User, viewer: auth.User
) -> None:
    theme, http = ready_theme(wb_duckdb, trainer).id, client(trainer)
    refused(client(viewer).post(JOBS, json={"theme_id": theme}), 403)
    run = http.post(JOBS, json={"theme_id": theme}).json()
    assert (run["status"], run["parameters"]["training.seed"]) == ("queued", 42)
    one = f"{JOBS}/{run['id']}"
    assert http.post(f"{one}/pause").json()["status"] == "paused"
    assert "nothing to pause" in refused(http.post(f"{one}/pause"), 409)
    assert not runs.get(wb_duckdb, run["id"]).active
    again = http.post(f"{one}/resume").json()
    assert (again["status"], again["attempt"]) == ("queued", 2)
    assert "stopped by one of" in refused(http.post(f"{one}/stop", json={"how": "explode"}), 422)
    assert http.post(f"{one}/stop", json={"how": "finish"}).json()["status"] == "cancelled"
    refused(http.post(f"{one}/stop"), 409)
    http.post(f"{one}/resume")
    http.post(f"{one}/pause")
    assert http.post(f"{one}/stop").json()["status"] == "cancelled"
    assert http.get(f"{one}/logs").json() == http.get(f"{one}/checkpoints").json() == []
    refused(http.get(f"{JOBS}/99"), 404)


def test_runs_are_listed_by_pages(wb_duckdb: Workbench, client: Client, trainer: auth.User) -> None:
    theme, http = ready_theme(wb_duckdb, trainer).id, client(trainer)
    ids = [finished(wb_duckdb, trainer, theme, lambda _id: True).id for _ in range(5)]
    seen, before = [], None
    while True:
        page = http.get(JOBS, params={"limit": 2, **({"before": before} if before else {})}).json()
        seen += [each["id"] for each in page["items"]]
        if (before := page["next_before"]) is None:
            break
    assert seen == ids[::-1]
    assert http.get(JOBS, params={"theme_id": 99}).json()["items"] == []


def test_a_run_is_followed_and_a_broken_line_goes_on_where_it_was(
    wb_duckdb: Workbench, client: Client, trainer: auth.User
) -> None:
    theme, http = ready_theme(wb_duckdb, trainer).id, client(trainer)
    run = runs.start(wb_duckdb, trainer, theme).id
    now = datetime.now(UTC)
    said: list[tuple[Type, dict[str, Any]]] = [(Type.STATUS, {"status": "running"})]
    for step in range(1, 401):
        said.append(
            (Type.METRIC, {"step": step, "epoch": step / 100, "values": {"train_loss": 1.0, "b": 2.0}})
        )
        if step % 3 == 0:
            said.append((Type.LOG, {"level": "info", "message": f"step {step}"}))
    said += [(Type.STATUS, {"status": "cancelled"})]
    Collector(wb_duckdb).store([Event(run, n, 1, now, kind, what) for n, (kind, what) in enumerate(said, 1)])
    whole = parsed(http.get(f"runs/{run}/events").text)
    assert [each[0] for each in whole[:-1]] == [str(n) for n in range(1, len(said) + 1)]
    assert [each[1] for each in whole[:-1]] == [kind.value for kind, _what in said]
    assert all(each[2]["values"] == {"train_loss": 1.0, "b": 2.0} for each in whole if each[1] == "metric")
    assert whole[-1][1:] == ("end", {"status": "cancelled"})
    rest = parsed(http.get(f"runs/{run}/events", headers={"Last-Event-ID": "500"}).text)
    assert rest == whole[500:]
    refused(http.get("runs/99/events"), 404)
