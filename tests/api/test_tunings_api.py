"""Tunings and the queue for programs, and optuna-dashboard behind the sign-in."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.testclient import TestClient

import api.optuna_dashboard
from api.security import Security
from core import auth, params
from core.tuning import search, space, tunings
from core.workbench import Workbench, set_current
from tests.api.clients import Client, refused
from tests.steps import ready_theme

TUNINGS = "v1/admin/finetuning/tunings"
QUEUE = "v1/admin/finetuning/queue"
SEARCH = "trials: 3\nsearch: {training.batch_size: {choices: [16, 32]}}"


def test_a_tuning_is_started_looked_at_and_stopped(
    wb_duckdb: Workbench, client: Client, trainer: auth.User, viewer: auth.User
) -> None:
    wb, http = wb_duckdb, client(trainer)
    theme = ready_theme(wb, trainer)
    params.save(wb.settings, theme.id, "trainer", params.parse_yaml(SEARCH, params.OptunaParams))
    refused(client(viewer).post(TUNINGS, json={"theme_id": theme.id}), 403)
    made = http.post(TUNINGS, json={"theme_id": theme.id}).json()
    assert (made["status"], made["metric"], made["trials"]) == ("queued", "valid_loss", [])
    assert made["search"]["search"]["training.batch_size"]["choices"] == [16, 32]
    assert [each["id"] for each in http.get(TUNINGS, params={"theme_id": theme.id}).json()] == [made["id"]]
    one = f"{TUNINGS}/{made['id']}"
    assert http.post(f"{one}/stop").json()["stopping"]
    assert "no trial that is run" in refused(http.post(f"{one}/use", json={"run_id": 99}), 404)
    assert "is under way" in refused(http.post(f"{one}/resume"), 409)
    refused(http.get(f"{TUNINGS}/99"), 404)
    refused(http.get(TUNINGS, params={"theme_id": 99}), 404)


def test_the_queue_is_listed_and_changed_by_administrators(
    wb_duckdb: Workbench, client: Client, trainer: auth.User, admin: auth.User
) -> None:
    theme, http = ready_theme(wb_duckdb, trainer), client(trainer)
    first, second = (
        http.post("v1/admin/finetuning/jobs", json={"theme_id": theme.id}).json()["id"] for _ in "ab"
    )
    found = http.get(QUEUE).json()
    assert [(each["id"], each["place"], each["queue"]) for each in found["entries"]] == [
        (first, 1, "train"),
        (second, 2, "train"),
    ]
    assert found["workers"] == []
    move = f"v1/admin/finetuning/jobs/{second}/move"
    refused(http.post(move, json={"to": "first"}), 403)
    boss = client(admin)
    refused(boss.post(move, json={"to": "sideways"}), 422)
    assert boss.post(move, json={"to": "first"}).status_code == 204
    assert [each["id"] for each in http.get(QUEUE).json()["entries"]] == [second, first]


def test_optuna_dashboard_is_behind_the_sign_in_and_below_one_address(
    wb_duckdb: Workbench, trainer: auth.User, admin: auth.User
) -> None:
    wb = wb_duckdb
    theme = ready_theme(wb, trainer)
    params.save(wb.settings, theme.id, "trainer", params.parse_yaml(SEARCH, params.OptunaParams))
    tuning = tunings.start(wb, trainer, theme.id)
    study = search.study(wb.settings.optuna_url, tuning.spec)
    study.tell(study.ask(space.distributions(tuning.search)).number, 0.5)

    set_current(wb)
    whole = Security(Starlette(routes=api.optuna_dashboard.routes))

    def browser(user: auth.User | None) -> TestClient:
        token = {"Authorization": f"Bearer {auth.issue_token(wb, user, 'test')}"} if user else {}
        return TestClient(whole, base_url="http://127.0.0.1", headers=token, follow_redirects=False)

    stranger = browser(None)
    assert stranger.get("/optuna/").headers["location"].startswith("/sign-in")
    reader = browser(trainer)
    assert reader.get("/optuna").headers["location"] == "/optuna/dashboard"
    page = reader.get("/optuna/dashboard")
    assert page.status_code == 200 and 'src="/optuna/static/bundle.js"' in page.text
    script = reader.get("/optuna/static/bundle.js").text
    assert 'url_prefix:"/optuna/dashboard"' in script and "${this.baseURL}/optuna/api/" in script
    assert "${this.baseURL}/api/" not in script and 'url_prefix:"/dashboard"' not in script
    [found] = reader.get("/optuna/api/studies").json()["study_summaries"]
    assert found["study_name"] == f"tuning-{tuning.id}"
    here = f"/optuna/api/studies/{found['study_id']}"
    assert reader.get(here, params={"after": 0}).json()["trials"][0]["values"] == [0.5]
    assert reader.delete(here).status_code == 403
    assert reader.get("/optuna/api/studies").json()["study_summaries"]
    boss = browser(admin)
    assert boss.put(f"{here}/note", json={"body": "looked at", "version": 1}).status_code == 204
    set_current(None)
