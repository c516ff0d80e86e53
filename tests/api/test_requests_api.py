"""Request ids, metrics for Prometheus, logs of one line: through the app as it is run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

import api.app
import api.requests
from api.security import Security
from core import auth, metrics, serving
from core.gateway import observed
from core.gateway.observed import Observed, Told
from core.monitoring.observing import Observer
from core.processes import wait_until
from core.workbench import Workbench, set_current
from tests.api.test_predict_api import in_production
from tests.app import App
from tests.conftest import ROOT
from tests.core.test_serving import seen


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, broker_url: str) -> Iterator[App]:
    redis.Redis.from_url(broker_url).flushdb()  # jobs of other modules would count
    app = App(tmp_path_factory.mktemp("requests"), broker_url)
    app.environment |= {"VERITRAIN_LOG_FORMAT": "json"}
    app.start()
    app.first_run()
    yield app
    app.stop()


def samples(app: App, **headers: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    answer = app.stranger.get("/metrics", headers=headers)
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_an_id_that_is_sane_comes_back_and_another_gets_a_new_one(app: App) -> None:
    given = app.admin.get("/api/theme", headers={"X-Request-ID": "order-66.a_b"})
    assert given.headers["X-Request-ID"] == "order-66.a_b"
    for odd in ("a b", "x" * 65, "<script>"):
        made = app.admin.get("/api/theme", headers={"X-Request-ID": odd}).headers["X-Request-ID"]
        assert re.fullmatch(r"[0-9a-f]{16}", made)


def test_metrics_parse_and_name_routes_not_paths(app: App) -> None:
    for theme_id in (901, 902):
        assert app.admin.get(f"/api/theme/{theme_id}").status_code == 404
    app.stranger.get("/wp-login.php")
    found = samples(app)
    [(route, n)] = [
        (dict(labels)["route"], value)
        for (name, labels), value in found.items()
        if name == "veritrain_http_requests_total"
        and dict(labels)["status"] == "404"
        and "/api" in str(labels)
    ]
    assert (route, n) == ("/api/theme/{theme_id}", 2)
    assert not any("wp-login" in str(key) for key in found)
    assert found["veritrain_queue_jobs", (("queue", "train"),)] == 0
    assert found["veritrain_runs", (("status", "running"),)] == 0
    assert found["veritrain_broker_up", ()] == 1 and found["veritrain_collector_lag_seconds", ()] < 60
    assert any(name == "process_resident_memory_bytes" for name, _labels in found)


def test_metrics_are_for_this_machine_alone_and_not_through_a_proxy(app: App) -> None:
    refused = app.stranger.get("/metrics", headers={"X-Forwarded-For": "203.0.113.9"})
    assert refused.status_code == 401 and "VERITRAIN_METRICS_TOKEN" in refused.text


@pytest.fixture
def inside(wb_duckdb: Workbench) -> Iterator[TestClient]:
    """The routes in process, from another machine, with one that breaks."""
    routes = api.app.create()

    @routes.get("/broken")
    def broken() -> None:
        raise RuntimeError("a secret of ours")

    set_current(replace(wb_duckdb, settings=replace(wb_duckdb.settings, metrics_token="scrape-me")))
    pages = [Mount("/api", app=routes), Route("/metrics", api.requests.exposition)]
    app = api.requests.Requests(Security(Starlette(routes=pages)))
    yield TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)
    set_current(None)


def test_the_number_of_an_error_is_the_id_of_its_request(
    inside: TestClient, wb_duckdb: Workbench, viewer: auth.User
) -> None:
    token = auth.issue_token(wb_duckdb, viewer, "test")
    headers = {"Authorization": f"Bearer {token}", "X-Request-ID": "order-67"}
    answer = inside.get("/api/broken", headers=headers)
    assert answer.status_code == 500 and answer.json()["id"] == "order-67"
    assert "order-67" in answer.json()["detail"] and "secret" not in answer.text


def test_requests_that_find_no_server_are_failures_of_the_deployment_that_should_answer(
    inside: TestClient, wb_duckdb: Workbench, trainer: auth.User
) -> None:
    model = in_production(wb_duckdb, trainer, "http://127.0.0.1:1")
    [deployment] = serving.deployments(wb_duckdb)
    seen(wb_duckdb, deployment.id, status="restarting", url=None, detail=None)
    observer = Observer(wb_duckdb)
    observer.start()
    observed.listeners.append(metrics.hear)
    inside.headers["Authorization"] = f"Bearer {auth.issue_token(wb_duckdb, trainer, 'test')}"
    paths = [f"predict/{model}", f"predict/{model}/invocations", f"deployments/{deployment.id}/predict"]
    statuses = [inside.post(f"/api/{path}").status_code for path in [*paths, "predict/invented"]]
    observed.listeners.remove(metrics.hear)
    observer.stop()
    assert statuses == [503, 503, 503, 404]
    told = inside.get(f"/api/v1/admin/deployments/{deployment.id}/monitoring", params={"range": "1h"}).json()
    assert (told["total"]["requests"], told["total"]["errors"]) == (3, 3)
    exported = inside.get("/metrics", headers={"Authorization": "Bearer scrape-me"}).text
    of_it = f'deployment="{deployment.id}",model="{model}",status="503"'
    assert f"veritrain_gateway_requests_total{{{of_it}}} 3.0" in exported and "invented" not in exported


def test_the_sample_of_predictions_names_the_request(
    inside: TestClient, wb_duckdb: Workbench, viewer: auth.User
) -> None:
    set_current(replace(wb_duckdb, settings=replace(wb_duckdb.settings, predict_sample=1.0)))
    token = auth.issue_token(wb_duckdb, viewer, "test")
    headers = {"Authorization": f"Bearer {token}", "X-Request-ID": "order-68"}
    assert inside.post("/api/predict/nobody", headers=headers).status_code == 404
    row = json.loads((wb_duckdb.settings.data_dir / "logs" / "predictions.jsonl").read_text())
    assert (row["request_id"], row["model"], row["status"]) == ("order-68", "nobody", 404)


def test_where_a_token_is_set_it_must_be_sent(inside: TestClient) -> None:
    for headers in ({}, {"Authorization": "Bearer guess"}, {"Authorization": "scrape-me"}):
        assert inside.get("/metrics", headers=headers).status_code == 401
    assert inside.get("/metrics", headers={"Authorization": "Bearer scrape-me"}).status_code == 200


def test_every_metric_of_the_dashboard_is_exported(app: App) -> None:
    """With one request to a model, which the app has not had, in this process."""
    metrics.hear(Observed("m", 1, 1, datetime.now(UTC), 0.01, 200, (Told("cat", 0.9),)))
    here = {sample.name for family in metrics.registry.collect() for sample in family.samples}
    exported = here | {name for name, _labels in samples(app)}
    dashboard = json.loads((ROOT / "docs" / "grafana.json").read_text(encoding="utf-8"))
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    names = {name for query in asked for name in re.findall(r"\b(?:veritrain|process)_[a-z_]+\b", query)}
    assert len(names) > 10 and names <= exported, names - exported
    assert {name for name in exported if name.startswith("veritrain_gateway")} & names


def test_logs_are_one_object_a_line_and_carry_the_request_id(app: App) -> None:
    app.admin.post(
        "/api/theme/create", json={"name": "Logged", "labels": ["a", "b"]}, headers={"X-Request-ID": "log-1"}
    )

    def written() -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in (app.folder / "log").read_text().splitlines()]
        return [line for line in lines if line.get("request_id") == "log-1" and line["event"] == "request"]

    assert wait_until(lambda: bool(written()), 10), "the line comes after the answer"
    [found] = written()
    assert (found["method"], found["route"], found["status"]) == ("POST", "/api/theme/create", 201)
    assert found["level"] == "info" and found["time"].endswith("Z")
