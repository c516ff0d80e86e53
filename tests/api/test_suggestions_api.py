"""Suggestions through the REST routes, behind the real sign-in check."""

from __future__ import annotations

from core import auth, suggestions
from core.workbench import Workbench
from tests.api.clients import Client, refused
from tests.suggesting import made


def test_suggestions_from_the_start_to_their_acceptance(
    wb_duckdb: Workbench, client: Client, trainer: auth.User, labeler: auth.User, viewer: auth.User
) -> None:
    bench = made(wb_duckdb, trainer)
    base, http = f"theme/{bench.theme.id}/suggestions", client(labeler)
    assert "no trained model yet" in refused(http.post(f"{base}/"), 422)
    version = bench.register()
    refused(client(viewer).post(base), 403)
    started = http.post(f"{base}/", json={"version_id": version.id})
    assert started.status_code == 201 and started.json()["running"]
    assert "being made already" in refused(http.post(base), 409)
    assert not http.post(f"{base}/cancel/").json()["running"]

    cat = bench.theme.labels[0].id
    bench.suggest(lambda _: cat)
    shown = client(viewer).get(f"{base}/").json()
    assert (shown["version"], shown["n_suggested"], shown["running"]) == (3, 40, False)
    assert shown["audit"] == {"n": 0, "right": 0, "low": 0.0, "high": 1.0}
    chosen = {"ids": bench.ids(), "at_least": 0.9}
    wanted = suggestions.preview(wb_duckdb, bench.theme.id, bench.ids(), 0.9)
    seen = client(viewer).post(f"{base}/preview/", json=chosen).json()
    assert seen == {"by_label": {str(cat): wanted.by_label[cat]}, "excluded": wanted.excluded}
    refused(client(viewer).post(f"{base}/accept", json={**chosen, "action_id": "act"}), 403)
    done = http.post(f"{base}/accept/", json={**chosen, "action_id": "act"}).json()
    assert done["updated"] == wanted.by_label[cat]
    assert done["statistics"]["labelled"] == 24 + done["updated"]


def test_requests_that_make_no_sense_are_refused(
    wb_duckdb: Workbench, client: Client, labeler: auth.User
) -> None:
    http = client(labeler)
    refused(http.get("theme/99/suggestions"), 404)
    refused(http.post("theme/99/suggestions"), 404)
    refused(http.post("theme/99/suggestions/cancel"), 404)
    refused(http.post("theme/99/suggestions/preview", json={"ids": [1]}), 404)
    for body in (
        {"ids": [1]},
        {"ids": [1], "action_id": ""},
        {"ids": [1], "action_id": "a", "at_least": 2},
        {"ids": [0], "action_id": "a"},
        {"ids": [1], "action_id": "a", "label": 3},
    ):
        refused(http.post("theme/1/suggestions/accept", json=body), 422)
