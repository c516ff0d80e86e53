"""An A/B test through the REST routes, from the draft to the sealed end, and kill -9 in the middle."""

from __future__ import annotations

import csv
import io

import pytest

from core import auth
from core.ab import report, trials
from core.workbench import Workbench
from tests.api.clients import Client, refused
from tests.core.ab.rig import PLAN, log, rows, started, two_versions

pytestmark = pytest.mark.usefixtures("fixed_salt")

BASE = "v1/admin/ab-tests"


def test_a_test_from_draft_to_sealed_verdict(
    wb_duckdb: Workbench, client: Client, trainer: auth.User, labeler: auth.User, viewer: auth.User
) -> None:
    theme, versions = two_versions(wb_duckdb, trainer)
    http, program = client(trainer), client(labeler)
    body = {"theme_id": theme.id, "name": "Is <B> better?", "plan": PLAN | {"versions": versions}}
    refused(client(viewer).post(BASE, json=body), 403)
    assert "same version" in refused(
        http.post(BASE, json={**body, "plan": PLAN | {"versions": [versions[0]] * 2}}), 422
    )
    made = http.post(BASE, json=body)
    assert made.status_code == 201 and made.json()["status"] == "draft"
    base = f"{BASE}/{made.json()['id']}"
    assert "not running" in refused(program.post(f"{base}/assign-variant", json={"unit": "ada"}), 409)
    assert "start it first" in refused(program.get(f"{base}/results"), 409)
    assert http.patch(base, json={"name": "Renamed"}).json()["name"] == "Renamed"
    spare = http.post(BASE, json=body).json()["id"]
    refused(program.delete(f"{BASE}/{spare}"), 403)
    assert http.delete(f"{BASE}/{spare}").status_code == 204
    refused(http.get(f"{BASE}/{spare}"), 404)
    assert http.post(f"{base}/start").json()["seal"]
    assert "is kept" in refused(http.delete(base), 409)
    assert http.get(base).json()["intact"] is True
    for bad in ({}, {"unit": None}, {"unit": ""}, {"unit": "x" * 201}, {"unit": "a\0b", "force": "B"}):
        assert "same id for the same user" in refused(program.post(f"{base}/assign-variant", json=bad), 422)
    assert "not a variant" in refused(
        program.post(f"{base}/assign-variant", json={"unit": "ada", "force": "Z"}), 422
    )
    peeked = program.post(f"{base}/assign-variant", json={"unit": "ada", "peek": True}).json()
    assigned = program.post(f"{base}/assign-variant", json={"unit": "ada"}).json()
    assert not peeked["new"] and assigned["new"] and peeked["variant"] == assigned["variant"]
    one = program.post(f"{base}/logs", json={"unit": "ada", "key": "first", "response_time_ms": 90})
    assert one.status_code == 201 and one.json() == {"key": "first", "added": 1, "known": 0}
    assert "1 to 5" in refused(program.post(f"{base}/logs", json={"unit": "ada", "rating": 6}), 422)
    assert program.post(f"{base}/logs/first/rating", json={"rating": 5}).status_code == 200
    refused(program.post(f"{base}/logs/nothing/rating", json={"rating": 5}), 404)
    trial = trials.get(wb_duckdb, made.json()["id"])
    given = rows(trial, 2_500, gain=0.6)
    mixed = [*given[:100], {"unit": None}]
    batch = program.post(f"{base}/logs/batch", json=mixed).json()
    assert (batch["added"], batch["refused"][0]["index"]) == (100, 100)
    log(wb_duckdb, trial, given)
    found = program.get(f"{base}/results").json()
    assert found["verdict"]["sentence"] == "B is better than A."
    assert found["comparisons"][0]["variant"] == "B"
    assert len(program.get(f"{base}/logs", params={"limit": 7}).json()) == 7
    watched = program.get(f"{base}/monitoring").json()
    assert sum(watched["users"].values()) == 2_501 and watched["alarms"] == []
    assert watched["series"][0].keys() >= {"at", "variant", "answers", "error_rate", "response_time_p95"}
    by_day = program.get(f"{base}/monitoring", params={"per": "day"}).json()["series"]
    assert {point["at"][11:] for point in by_day} == {"00:00:00+00:00"}
    assert all(row["rating"] <= 2 for row in program.get(f"{base}/lost/B").json())
    taken = program.get(f"{base}/lost/B", params={"format": "csv", "limit": 5})
    assert "ab-test" in taken.headers["content-disposition"] and len(taken.text.splitlines()) == 6
    refused(program.post(f"{base}/lost/B/to-labelling"), 403)
    assert "Download" in refused(http.post(f"{base}/lost/B/to-labelling"), 422)
    assert "not a variant" in refused(program.get(f"{base}/lost/Z"), 404)
    refused(client(labeler).post(f"{base}/conclude", json={"winner": "B", "reason": "clear"}), 403)
    ended = http.post(f"{base}/conclude", json={"winner": "B", "reason": "clear"}).json()
    assert (ended["status"], ended["outcome"]["winner"]) == ("concluded", "B")
    after = program.get(f"{base}/results").json()
    assert after["verdict"] == found["verdict"]
    lines = dict(csv.reader(io.StringIO(program.get(f"{base}/report", params={"format": "csv"}).text)))
    assert lines["verdict.sentence"] == "B is better than A."
    assert float(lines["variants.A.mean"]) == after["variants"][0]["mean"]
    whole = program.get(f"{base}/report").json()
    assert whole.pop("conversations").keys() == {"A", "B"} and whole == after
    for format, kind in (("html", "text/html"), ("pdf", "application/pdf")):
        answer = program.get(f"{base}/report", params={"format": format})
        assert "attachment" in answer.headers["content-disposition"]
        assert answer.headers["content-type"].startswith(kind)
    refused(program.get(f"{base}/report", params={"format": "docx"}), 422)
    spoken = program.get(f"{base}/results", headers={"Accept-Language": "ja"}).json()["verdict"]
    assert spoken["sentence"] == "BはAより優れています。" and "BとAの評価の差は" in spoken["reason"]
    refused(http.post(f"{base}/stop", json={"reason": "again"}), 409)
    assert [each["id"] for each in program.get(BASE, params={"theme": theme.id}).json()] == [trial.id]


def test_a_verdict_speaks_the_readers_language_and_a_broken_one_has_no_numbers(
    wb_duckdb: Workbench, client: Client, trainer: auth.User, viewer: auth.User
) -> None:
    trial = started(wb_duckdb, trainer)
    rule = trial.rule()
    given = [row for row in rows(trial, 2_000, gain=0.6) if rule.arm(row["unit"]) == "A"]
    log(wb_duckdb, trial, given)
    found = client(viewer).get(f"{BASE}/{trial.id}/results").json()
    assert found["verdict"]["kind"] == "broken" and found["comparisons"] == []
    assert "mean" not in found["variants"][0]
    alarms = client(viewer).get(f"{BASE}/{trial.id}/monitoring").json()["alarms"]
    assert alarms and "broken" in alarms[0]


def test_a_broken_guardrail_stops_the_test_by_itself(wb: Workbench, trainer: auth.User) -> None:
    trial = started(wb, trainer, guardrails=[{"metric": "error_rate", "margin": 0.5}])
    rule = trial.rule()
    given = rows(trial, 1_200, gain=0.5)
    for n, row in enumerate(given):
        row["status"] = "error" if n % (3 if rule.arm(row["unit"]) == "B" else 20) == 0 else "ok"
    log(wb, trial, given[:60])
    assert report.watch(wb) == []  # too few to know
    log(wb, trial, given)
    assert report.watch(wb) == [trial.id]
    ended = trials.get(wb, trial.id)
    assert ended.status == "stopped" and ended.outcome is not None and ended.outcome["by"] is None
    assert "error rate" in ended.outcome["reason"] and report.watch(wb) == []
