"""Monitoring, alerts and webhooks through REST."""

from __future__ import annotations

from datetime import UTC, datetime

from core import auth
from core.monitoring import minutes
from core.monitoring.counts import Counts
from core.workbench import Workbench
from tests.api.clients import Client, refused
from tests.core.test_serving import deployed


def test_monitoring_of_a_deployment(
    client: Client, wb_duckdb: Workbench, trainer: auth.User, viewer: auth.User
) -> None:
    made = deployed(wb_duckdb, trainer, "http://127.0.0.1:1")
    counts = Counts()
    for status in (200, 200, 503):
        counts.hear(0.1, status)
    counts.answer("cat", 0.75)
    minutes.store(wb_duckdb, {(made.id, minutes.minute_of(datetime.now(UTC))): counts})
    path = f"/v1/admin/deployments/{made.id}/monitoring"
    found = client(viewer).get(path, params={"range": "1h"}).json()
    assert (found["step"], found["total"]["requests"], found["total"]["errors"]) == (60, 3, 1)
    assert found["points"][0]["classes"] == {"cat": 1} and found["points"][0]["confidence"][15] == 1
    assert 0.08 < found["total"]["p95"] < 0.12 and found["drift"] == []
    assert "no deployment 99" in refused(client(viewer).get("/v1/admin/deployments/99/monitoring"), 404)
    assert "range" in refused(client(viewer).get(path, params={"range": "1y"}), 422)


def test_alerts_are_made_changed_and_removed(
    client: Client, wb_duckdb: Workbench, trainer: auth.User, viewer: auth.User
) -> None:
    made = deployed(wb_duckdb, trainer, "http://127.0.0.1:1")
    rule = {"metric": "p95", "threshold": 1.0}
    asked = client(trainer)
    alert = asked.post("/v1/admin/alerts", json={"deployment_id": made.id, "rule": rule}).json()
    assert (alert["firing"], alert["active"], alert["rule"]["window_minutes"]) == (False, True, 5)
    path = f"/v1/admin/alerts/{alert['id']}"
    changed = asked.patch(path, json={"active": False, "rule": rule | {"threshold": 2}}).json()
    assert (changed["active"], changed["rule"]["threshold"]) == (False, 2.0)
    assert [each["id"] for each in client(viewer).get("/v1/admin/alerts").json()] == [alert["id"]]
    refused(client(viewer).delete(path), 403)
    wrong = asked.post("/v1/admin/alerts", json={"deployment_id": made.id, "rule": {"metric": "p95"}})
    assert "“threshold” of the alert is not right" in refused(wrong, 422)
    assert asked.delete(path).status_code == 204 and asked.get("/v1/admin/alerts").json() == []


def test_webhooks_are_for_administrators_and_their_secret_is_shown_once(
    client: Client, admin: auth.User, trainer: auth.User
) -> None:
    asked = client(admin)
    body = {"url": "https://203.0.113.1/hook", "events": ["run.failed"]}
    refused(client(trainer).post("/v1/admin/webhooks", json=body), 403)
    made = asked.post("/v1/admin/webhooks", json=body).json()
    assert made.pop("secret").startswith("whsec_")
    assert asked.get("/v1/admin/webhooks").json() == [made]
    path = f"/v1/admin/webhooks/{made['id']}"
    assert asked.patch(path, json={"events": ["run.failed", "run.finished"]}).json()["events"] == [
        "run.finished",
        "run.failed",
    ]
    notice = asked.post(f"{path}/test").json()["notice_id"]
    assert [(each["id"], each["status"]) for each in asked.get(f"{path}/log").json()] == [(notice, "waiting")]
    inward = asked.post("/v1/admin/webhooks", json=body | {"url": "http://169.254.169.254/"})
    assert "leads to this machine" in refused(inward, 422)
    assert asked.delete(path).status_code == 204 and asked.get(f"{path}/log").status_code == 404
