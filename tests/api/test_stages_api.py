"""Promotion for programs: the gate's lines, a concluded test that promotes, the ledger and its check."""

from __future__ import annotations

import pytest

from core import auth, registry
from core.workbench import Workbench
from tests.api.clients import Client, refused
from tests.core.ab.rig import log, rows, started

pytestmark = pytest.mark.usefixtures("fixed_salt")

BASE, TESTS = "v1/admin/models", "v1/admin/ab-tests"


def test_a_concluded_test_promotes_its_winner_and_a_red_gate_says_why_not(
    wb_duckdb: Workbench, client: Client, trainer: auth.User, viewer: auth.User, admin: auth.User
) -> None:
    trial = started(wb_duckdb, trainer)
    one, two = trial.plan.versions
    model = registry.get(wb_duckdb, one).model_id
    http, reader = client(trainer), client(viewer)
    assert reader.post(f"{BASE}/{one}/promote", json={"reason": "x"}).status_code == 403
    assert http.post(f"{BASE}/{one}/promote", json={"reason": "x", "to": "heaven"}).status_code == 422
    first = http.post(f"{BASE}/{one}/promote", json={"reason": "the first one"})
    assert first.status_code == 200 and first.json()["to_stage"] == "production"
    lines = reader.get(f"{BASE}/{two}/gate").json()
    assert [(line["code"], line["state"]) for line in lines] == [("verdict", "red"), ("accuracy", "green")]
    assert "version 1, which is in production" in lines[0]["text"]
    stopped = http.post(f"{BASE}/{two}/promote", json={"reason": "please"})
    assert lines[0]["text"] in refused(stopped, 409) and stopped.json()["code"] == "gate"

    log(wb_duckdb, trial, rows(trial, 600, gain=0.8, each=1))
    body = {"winner": "B", "reason": "clear", "promote": True}
    ended = http.post(f"{TESTS}/{trial.id}/conclude", json=body).json()
    assert ended["status"] == "concluded"
    entry = ended["promotion"].pop("ledger_entry")
    assert ended["promotion"] == {"promoted": True, "why_not": None}
    [kept] = reader.get(f"{BASE}/{two}/ledger").json()
    assert kept["id"] == entry and kept["evidence"]["ab_test"]["verdict"] == ended["outcome"]["verdict"]
    assert reader.get(f"models/{one}").json()["stage"] == "archived"
    assert reader.get(f"{BASE}/{two}").json()["aliases"] == ["champion"]
    [previous] = reader.get(BASE, params={"alias": "previous"}).json()["items"]
    assert (previous["id"], previous["aliases"]) == (one, ["previous"])
    assert reader.get(BASE, params={"alias": "challenger"}).json()["total"] == 0
    wrong = reader.get(BASE, params={"alias": "best"})
    assert wrong.status_code == 422 and "An alias is one of" in wrong.json()["detail"]
    asked = {"model": model, "at": first.json()["at"]}
    assert reader.get(f"{BASE}/production", params=asked).json()["version_id"] == one
    assert reader.get(f"{BASE}/production", params=asked | {"at": "3 March"}).status_code == 422
    before = reader.get(f"{BASE}/production", params=asked | {"at": "2020-01-01T00:00:00Z"})
    assert before.status_code == 200 and before.json()["version_id"] is None
    assert "no model 99" in refused(reader.get(f"{BASE}/production", params=asked | {"model": 99}), 404)
    assert reader.get(f"{BASE}/ledger/verify").json() == {"sound": True, "problems": []}
    assert reader.get(f"{BASE}/999/ledger").status_code == 404
    again = http.post(f"{BASE}/{two}/rollback", json={"reason": "it answers nonsense"})
    assert again.status_code == 200 and again.json()["version_id"] == one
    assert http.post(f"{BASE}/{two}/rollback", json={"reason": "twice"}).status_code == 409
    assert http.post(f"{BASE}/{one}/rollback", json={"reason": "and back"}).json()["version_id"] == two
    unserved = reader.post(f"predict/{registry.get(wb_duckdb, one).model_name}", files={"files": b"x"})
    assert unserved.status_code == 409 and "Version 2" in unserved.json()["detail"]
    assert reader.post("predict/nobody", files={"files": b"x"}).status_code == 404
    back = client(admin).post(f"{BASE}/{one}/promote", json={"reason": "back", "override": "now"})
    assert back.status_code == 409 and "never goes straight" in back.json()["detail"]


def test_a_test_ends_although_its_winner_may_not_be_promoted(
    wb_duckdb: Workbench, client: Client, trainer: auth.User
) -> None:
    trial = started(wb_duckdb, trainer)
    one, two = trial.plan.versions
    http = client(trainer)
    http.post(f"{BASE}/{one}/promote", json={"reason": "the first one"}).raise_for_status()
    log(wb_duckdb, trial, rows(trial, 400, each=1))
    http.headers["Accept-Language"] = "en"
    body = {"winner": "B", "reason": "I like it", "promote": True}
    ended = http.post(f"{TESTS}/{trial.id}/conclude", json=body).json()
    assert ended["status"] == "concluded" and not ended["promotion"]["promoted"]
    assert "did not end with the verdict" in ended["promotion"]["why_not"]
    assert http.get(f"models/{two}").json()["stage"] == "staging"
