"""Imports through the REST routes, behind the real sign-in check."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pictures import png, zipped
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

import api.app
from api.security import Security
from core import auth, themes
from core.workbench import Workbench, set_current

Client = Callable[[auth.User | None], TestClient]


@pytest.fixture
def client(_bench: Workbench, tmp_path: Path) -> Iterator[Client]:
    """Gives a client that is signed in as a person (None = nobody)."""
    (tmp_path / "open").mkdir()
    roots = ((tmp_path / "open").resolve(),)
    bench = replace(_bench, settings=replace(_bench.settings, import_roots=roots))
    set_current(bench)
    app = Security(Starlette(routes=[Mount("/api", app=api.app.create())]))

    def of(user: auth.User | None) -> TestClient:
        token = auth.issue_token(_bench, user, "test") if user else "wrong"
        return TestClient(app, base_url="http://127.0.0.1/api", headers={"Authorization": f"Bearer {token}"})

    yield of
    set_current(None)


@pytest.fixture
def theme(_bench: Workbench, trainer: auth.User) -> int:
    return themes.create(_bench, trainer, name="Animals", labels=["cat"]).id


def packed(*seeds: int) -> list[tuple[str, tuple[str, bytes]]]:
    return [("files", ("pets.zip", zipped({f"cat/{seed}.png": png(seed) for seed in seeds})))]


def ended(http: TestClient, import_id: int) -> dict[str, Any]:
    for _ in range(600):
        found = http.get(f"imports/{import_id}").json()
        if found["status"] != "running":
            return dict(found)
        time.sleep(0.05)
    raise AssertionError("the import did not end")


def refused(answer: Any, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return str(answer.json()["detail"])


def test_a_dry_run_keeps_the_upload_for_the_start(
    wb_duckdb: Workbench, client: Client, theme: int, trainer: auth.User
) -> None:
    http = client(trainer)
    planned = http.post(f"theme/{theme}/imports/plan/", files=packed(1, 2))
    assert planned.status_code == 200, planned.text
    plan = planned.json()
    assert (plan["format"], plan["new"], plan["labels"]) == ("folders", 2, {"cat": 2})
    assert http.post(f"theme/{theme}/imports/plan", json={"upload": plan["upload"]}).json() == plan
    started = http.post(f"theme/{theme}/imports/", json={"upload": plan["upload"]})
    assert started.status_code == 201, started.text
    done = ended(http, started.json()["id"])
    assert (done["status"], done["source"], done["added"], done["eta_s"]) == ("done", "pets.zip", 2, None)
    assert "upload the file again" in refused(
        http.post(f"theme/{theme}/imports", json={"upload": plan["upload"]}), 404
    )
    again = ended(http, http.post(f"theme/{theme}/imports", files=packed(1, 2)).json()["id"])
    assert (again["added"], again["known"]) == (0, 2)
    page = http.get(f"theme/{theme}/imports", params={"limit": 1}).json()
    assert [item["id"] for item in page["items"]] == [again["id"]]
    rest = http.get(f"theme/{theme}/imports", params={"after": page["next"]}).json()
    assert ([item["id"] for item in rest["items"]], rest["next"]) == ([done["id"]], None)
    assert "nothing to stop" in refused(http.post(f"imports/{done['id']}/stop"), 409)
    assert "only a stopped" in refused(http.post(f"imports/{done['id']}/resume"), 409)
    assert "no import" in refused(http.get("imports/999"), 404)


def test_a_folder_of_the_server_only_inside_the_roots(
    wb_duckdb: Workbench, client: Client, theme: int, trainer: auth.User, tmp_path: Path
) -> None:
    http = client(trainer)
    (tmp_path / "open/pets/cat").mkdir(parents=True)
    (tmp_path / "open/pets/cat/1.png").write_bytes(png(1))
    (tmp_path / "closed").mkdir()
    (tmp_path / "open/way out").symlink_to(tmp_path / "closed")
    started = http.post(f"theme/{theme}/imports", json={"directory": str(tmp_path / "open/pets")})
    assert started.status_code == 201, started.text
    assert ended(http, started.json()["id"])["added"] == 1
    for path in ("closed", "open/../closed", "open/way out", "nowhere"):
        for route in ("imports", "imports/plan"):
            answer = http.post(f"theme/{theme}/{route}", json={"directory": f"{tmp_path}/{path}"})
            assert "outside the folders" in refused(answer, 422)
    assert "outside" in refused(http.post(f"theme/{theme}/imports", json={"directory": "pets"}), 422)
    missing = http.post(f"theme/{theme}/imports", json={"directory": f"{tmp_path}/open/none"})
    assert "not a folder" in refused(missing, 422)


@pytest.mark.parametrize(
    "sent",
    [
        {"json": {}},
        {"json": {"directory": "/x", "upload": "y"}},
        {"json": {"path": "/x"}},
        {"content": b"{"},
        {"content": b'{"upload": "' + b"x" * 100_000},
        {"files": packed(1) + packed(2)},
        {"files": [("files", ("notes.txt", b"hello"))]},
    ],
)  # fmt: skip
def test_a_request_without_one_source_is_refused(
    wb_duckdb: Workbench, client: Client, theme: int, trainer: auth.User, sent: dict[str, Any]
) -> None:
    refused(client(trainer).post(f"theme/{theme}/imports/plan", **sent), 422)


def test_who_may_import(
    wb_duckdb: Workbench,
    client: Client,
    theme: int,
    viewer: auth.User,
    labeler: auth.User,
) -> None:
    path = f"theme/{theme}/imports"
    refused(client(None).post(path, files=packed(1)), 401)
    refused(client(viewer).post(path, files=packed(1)), 403)
    assert client(viewer).get(path).json() == {"items": [], "next": None}
    http = client(labeler)
    refused(http.post(path, files=packed(1)), 403)
    started = http.post(path, files=packed(1), params={"create_labels": False})
    assert ended(http, started.json()["id"])["labelled"] == 1
    assert "no theme" in refused(http.get("theme/999/imports"), 404)


def test_an_upload_nobody_used_for_a_day_is_removed(
    wb_duckdb: Workbench, client: Client, theme: int, trainer: auth.User
) -> None:
    http = client(trainer)
    token = http.post(f"theme/{theme}/imports/plan", files=packed(1)).json()["upload"]
    old = time.time() - 86_500
    os.utime(wb_duckdb.settings.data_dir / "imports" / f"upload-{token}", (old, old))
    http.post(f"theme/{theme}/imports/plan", files=packed(2))
    refused(http.post(f"theme/{theme}/imports", json={"upload": token}), 404)
    refused(http.post(f"theme/{theme}/imports", json={"upload": "../1"}), 404)
