"""Deployments for programs: the servers behind them and what these write."""

from __future__ import annotations

import json

from core import auth, serving
from core.serving_protocol import LOGS, SEEN_KEY
from core.workbench import Workbench
from tests.api.clients import Client
from tests.core.test_serving import version


def test_servers_and_their_logs_are_told_to_those_who_may_know(
    client: Client, wb_duckdb: Workbench, trainer: auth.User, viewer: auth.User
) -> None:
    made = serving.deploy(wb_duckdb, trainer, version(wb_duckdb, trainer).id)
    ended = {"restarts": 2, "up_since": None, "ended_at": "2026-01-02T03:04:05+00:00"}
    state = {"status": "failed", "url": None, "detail": "no such model", "servers": [ended]}
    wb_duckdb.broker.hset(SEEN_KEY, str(made.id), json.dumps(state))
    serving.sync(wb_duckdb)
    folder = wb_duckdb.settings.artifacts_dir / LOGS
    folder.mkdir(parents=True)
    (folder / f"{made.id}.log").write_text("".join(f"line {n}\n" for n in range(50_000)))

    [seen] = client(viewer).get("/deployments").json()
    assert seen["servers"] == [ended | {"ended_at": "2026-01-02T03:04:05Z"}]
    assert seen["detail"] is None, "it is the end of the log"
    assert client(trainer).get("/deployments").json()[0]["detail"] == "no such model"

    address = f"/deployments/{made.id}/log"
    assert client(trainer).get(f"{address}?tail=2").json() == {"lines": ["line 49998", "line 49999"]}
    assert len(client(trainer).get(address).json()["lines"]) == 200
    assert client(viewer).get(address).status_code == 403
    missing = client(trainer).get(f"{address}?server=2")
    assert missing.status_code == 404 and f"Server 2 of deployment {made.id} has no log" in missing.text
