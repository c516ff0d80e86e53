"""The REST routes in process for any person, and the whole app in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

import api.app
from api.security import Security
from core import auth
from core.workbench import Workbench, set_current
from tests.api.clients import Client
from tests.app import App


@pytest.fixture
def client(wb_duckdb: Workbench) -> Iterator[Client]:
    set_current(wb_duckdb)
    app = Security(Starlette(routes=[Mount("/api", app=api.app.create())]))

    def of(user: auth.User) -> TestClient:
        token = auth.issue_token(wb_duckdb, user, "test")
        return TestClient(app, base_url="http://127.0.0.1/api", headers={"Authorization": f"Bearer {token}"})

    yield of
    set_current(None)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, broker_url: str) -> Iterator[App]:
    """The app as it is run, with its administrator signed in on one of two clients."""
    app = App(tmp_path_factory.mktemp("app"), broker_url)
    app.start()
    # Before anybody exists every page leads to the first run.
    assert app.stranger.get("/users").headers["location"] == "/first-run"
    cookie = app.first_run().headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=lax" in cookie
    yield app
    app.stop()
