"""What the whole app, in a process of its own, lets a stranger and each role do."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest
from playwright.sync_api import Browser
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from core.addresses import SCREENS
from tests.app import App
from tests.conftest import PASSWORD, ROOT

HEAVY = ("torch", "torchvision", "transformers", "mlflow", "pytorch_lightning", "scipy.stats")


def test_a_stranger_gets_only_the_sign_in_page(app: App) -> None:
    for screen in SCREENS:
        answer = app.stranger.get(f"/{screen.path}?theme=1")
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/sign-in")
    for path in ("/nowhere", "/theme/3/", "/mlflow/"):
        assert app.stranger.get(path).headers["location"].startswith("/sign-in")
    assert app.stranger.get("/_stcore/upload_file/x").status_code == 401
    assert app.stranger.get("/first-run").headers["location"] == "/sign-in"
    assert (
        app.stranger.post("/api/auth/first-run", json={"name": "E", "password": PASSWORD}).status_code == 409
    )


def test_every_route_of_the_api_wants_a_person(app: App) -> None:
    paths = app.admin.get("/api/openapi.json").json()["paths"]
    assert len(paths) > 30
    for path, methods in paths.items():
        if path.startswith("/auth/"):
            continue
        for method in methods:
            address = "/api" + re.sub(r"\{\w+\}", "1", path)
            for headers in ({}, {"Authorization": "Bearer made-up"}):
                answer = app.stranger.request(method, address, headers=headers)
                assert answer.status_code == 401, (method, address)
                assert answer.headers["content-type"] == "application/problem+json"
    assert app.stranger.get("/api/docs").status_code == 401


def test_the_websocket_is_refused_without_a_session(app: App) -> None:
    with pytest.raises(InvalidStatus), connect(f"ws://127.0.0.1:{app.port}/_stcore/stream"):
        pass
    cookie = "; ".join(f"{k}={v}" for k, v in app.admin.cookies.items())
    with (
        pytest.raises(InvalidStatus),
        connect(
            f"ws://127.0.0.1:{app.port}/_stcore/stream",
            additional_headers={"Cookie": cookie, "Origin": "http://evil.example"},
        ),
    ):
        pass


def test_old_addresses_lead_to_the_screens_and_unknown_ones_say_so(app: App) -> None:
    leads = {
        "/theme/3/": "/theme?theme=3",
        "/theme/create/": "/?create=1",
        "/theme/3/training/config/": "/parameters?theme=3",
        "/theme/3/training/run/": "/training?theme=3",
        "/theme/3/training/history/": "/history?theme=3",
        "/theme/3/training/result/8/": "/run?run=8",
        "/theme/3/inference": "/predict?theme=3",
    }
    for old, new in leads.items():
        assert app.admin.get(old).headers["location"] == new
    missing = app.admin.get("/nowhere/<script>")
    assert missing.status_code == 404
    assert "<script>" not in missing.text.split("</style>")[1]


def test_writes_from_other_sites_are_refused(app: App) -> None:
    body = {"name": "From elsewhere"}
    for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = app.admin.post("/api/theme/create/", json=body, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "other-origin")
    token = app.admin.post("/api/tokens", json={"name": "t"}).json()["token"]
    program = {"Authorization": f"Bearer {token}", "Origin": "http://program.example"}
    assert app.stranger.post("/api/theme/create/", json=body, headers=program).status_code == 201
    same = app.admin.post("/api/theme/create/", json={"name": "Own"}, headers={"Origin": app.url})
    assert same.status_code == 201


def test_a_foreign_host_name_is_not_answered(app: App) -> None:
    answer = app.admin.get("/", headers={"Host": "rebound.example"})
    assert (answer.status_code, answer.json()["code"]) == (400, "unknown-host")


def test_sign_in_never_leads_away(app: App) -> None:
    for target in ("//evil.example", "http://evil.example", "/\\evil.example"):
        form = {"name": "Ada", "password": PASSWORD, "next": target}
        answer = app.stranger.post("/api/auth/sign-in", data=form)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        app.stranger.cookies.clear()
    wrong = app.stranger.post("/api/auth/sign-in", data={"name": "<b>Ada", "password": "no"})
    assert wrong.status_code == 401
    assert "Name or password is not right." in wrong.text and "<b>Ada" not in wrong.text


def test_roles_hold_in_the_api_and_on_the_screens(app: App, browser: Browser) -> None:
    app.admin.post("/api/users", json={"name": "Vic", "password": PASSWORD, "role": "viewer"})
    viewer = httpx.Client(base_url=app.url)
    viewer.post("/api/auth/sign-in", json={"name": "Vic", "password": PASSWORD})
    assert viewer.get("/api/theme/").status_code == 200
    for method, path in (
        ("POST", "/api/theme/create/"),
        ("POST", "/api/theme/1/training/start/"),
        ("GET", "/api/users"),
        ("DELETE", "/mlflow/api/2.0/mlflow/runs/delete"),
    ):
        body = {"name": "x"} if path.endswith("create/") else None
        answer = viewer.request(method, path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (403, "not-allowed")
    context = browser.new_context(base_url=app.url)
    context.add_cookies([{"name": k, "value": v, "url": app.url} for k, v in viewer.cookies.items()])
    page = context.new_page()
    theme = app.admin.post("/api/theme/create/", json={"name": "Seen by a viewer"}).json()["id"]
    page.goto(f"/theme?theme={theme}")
    page.get_by_test_id("grid-message").wait_for()
    assert page.get_by_test_id("upload-files").count() == 0
    assert page.get_by_role("button", name="Split").count() == 0
    # The role is taken away while the page is open: the next turn of the screen notices.
    people = {person["name"]: person["id"] for person in app.admin.get("/api/users").json()}
    app.admin.put(f"/api/users/{people['Vic']}", json={"active": False})
    page.get_by_role("link", name="History").first.click()
    page.get_by_text("Sign in again").wait_for()
    context.close()


def test_mlflow_that_is_away_is_one_sentence(app: App) -> None:
    answer = app.admin.get("/mlflow/")
    assert answer.status_code == 503
    assert "MLflow does not answer" in answer.text


def test_refusals_are_problem_details_and_speak_the_language(app: App) -> None:
    answer = app.admin.get("/api/theme/999/")
    assert answer.json().keys() >= {"type", "title", "status", "detail", "code"}
    assert answer.status_code == 404
    bad = app.admin.post("/api/theme/create/", json={"nam": "x"})
    assert bad.status_code == 422 and "nam" in bad.json()["detail"]
    assert "サインイン" in app.stranger.get("/sign-in", headers={"Accept-Language": "ja"}).text


def test_the_app_process_stays_small(app: App) -> None:
    maps = Path(f"/proc/{app.process.pid}/maps")
    if maps.exists():
        assert "libtorch" not in maps.read_text()
    assert psutil.Process(app.process.pid).memory_info().rss < 450 * 2**20
    code = f"import app, sys; print([name for name in {HEAVY!r} if name in sys.modules])"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert loaded.stdout.strip() == "[]"
