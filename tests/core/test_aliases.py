"""MLflow's aliases follow the ledger: after it was away, and after somebody moved one by hand."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from core import aliases, auth, registry, stages
from core.aliases import Aliases
from core.workbench import Workbench
from tests.core.ab.rig import two_versions


class MLflow(ThreadingHTTPServer):
    """The three routes of MLflow's registry that are spoken to; `found` is {model: {alias: version}}."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Registry)
        self.found: dict[str, dict[str, str]] = {}
        self.gone: set[tuple[str, str]] = set()
        """(model, version) that somebody deleted."""
        self.requests = 0
        self.away = False


class Registry(BaseHTTPRequestHandler):
    server: MLflow

    def _answer(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _body(self) -> dict[str, str]:
        body: dict[str, str] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.path == "/mlflow/api/2.0/mlflow/registered-models/alias"
        return body

    def do_GET(self) -> None:
        self.server.requests += 1
        if self.server.away:
            return self._answer(503, {})
        parts = urlsplit(self.path)
        assert parts.path == "/mlflow/api/2.0/mlflow/registered-models/get"
        [name] = parse_qs(parts.query)["name"]
        if name not in self.server.found:
            return self._answer(404, {"error_code": "RESOURCE_DOES_NOT_EXIST"})
        pairs = [{"alias": alias, "version": n} for alias, n in self.server.found[name].items()]
        self._answer(200, {"registered_model": {"name": name} | ({"aliases": pairs} if pairs else {})})

    def do_POST(self) -> None:
        body = self._body()
        if (body["name"], body["version"]) in self.server.gone:
            return self._answer(404, {"error_code": "RESOURCE_DOES_NOT_EXIST"})
        self.server.found[body["name"]][body["alias"]] = body["version"]
        self._answer(200, {})

    def do_DELETE(self) -> None:
        body = self._body()
        del self.server.found[body["name"]][body["alias"]]
        self._answer(200, {})

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def mlflow() -> Iterator[MLflow]:
    with MLflow() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_aliases_follow_the_ledger(
    wb_duckdb: Workbench,
    trainer: auth.User,
    admin: auth.User,
    mlflow: MLflow,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(aliases, "AWAY_SECONDS", 0.0)
    url = f"http://127.0.0.1:{mlflow.server_port}/mlflow"
    wb = replace(wb_duckdb, settings=replace(wb_duckdb.settings, mlflow_url=url))
    _, [one, two] = two_versions(wb, trainer)
    name = registry.get(wb, one).model_name
    keeper = Aliases(wb)
    keeper.turn()
    assert mlflow.requests == 0  # nothing was decided, so nothing is asked
    stages.promote(wb, trainer, one, "production", "first")
    mlflow.away = True
    keeper.turn()
    mlflow.away, mlflow.found = False, {name: {"own": "1"}}
    keeper.turn()
    assert mlflow.found[name] == {"own": "1", "champion": "1", "challenger": "2"}
    asked = mlflow.requests
    keeper.turn()
    assert mlflow.requests == asked  # told once
    stages.promote(wb, admin, two, "production", "second", override="no test yet")
    keeper.turn()
    assert mlflow.found[name] == {"own": "1", "champion": "2", "previous": "1"}
    mlflow.found[name]["champion"] = "1"  # by hand, in MLflow's screens
    monkeypatch.setattr(aliases, "AGAIN_SECONDS", 0.0)
    keeper.turn()
    assert mlflow.found[name]["champion"] == "2"
    stages.promote(wb, trainer, two, "archived", "it errs")
    keeper.turn()
    assert mlflow.found[name] == {"own": "1", "previous": "2"}


def test_a_version_deleted_in_mlflow_keeps_no_other_alias_from_following(
    wb_duckdb: Workbench, trainer: auth.User, admin: auth.User, mlflow: MLflow
) -> None:
    url = f"http://127.0.0.1:{mlflow.server_port}/mlflow"
    wb = replace(wb_duckdb, settings=replace(wb_duckdb.settings, mlflow_url=url))
    names = []
    for _ in range(2):
        _, [one, two] = two_versions(wb, trainer)
        stages.promote(wb, trainer, one, "production", "first")
        stages.promote(wb, admin, two, "production", "second", override="no test yet")
        names.append(registry.get(wb, one).model_name)
    mlflow.found = {name: {} for name in names}
    mlflow.gone = {(name, "2") for name in names[:1]} | {(names[1], "1")}
    keeper = Aliases(wb)
    keeper.turn()
    assert mlflow.found == {names[0]: {"previous": "1"}, names[1]: {"champion": "2"}}
    asked = mlflow.requests
    keeper.turn()
    assert mlflow.requests == asked  # what was refused waits as long as what was done
