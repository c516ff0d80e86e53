"""A duel through the REST routes: filled by a program, judged blind, read by everybody at the end."""

from __future__ import annotations

import json

from core import auth
from core.workbench import Workbench
from tests.api.clients import Client, refused
from tests.core.ab.duelling import GIVEN, deployed
from tests.core.ab.rig import two_versions

BASE = "v1/duels"


def test_a_duel_from_items_to_results(
    wb_duckdb: Workbench, client: Client, trainer: auth.User, labeler: auth.User, viewer: auth.User
) -> None:
    theme, versions = two_versions(wb_duckdb, trainer)
    boss, judge, reader = client(trainer), client(labeler), client(viewer)
    body = {"theme_id": theme.id, "versions": versions}
    refused(judge.post(BASE, json=body), 403)
    assert "which A/B test" in refused(boss.post(BASE, json={}), 422)
    refused(boss.post(BASE, json={**body, "sample": {"source": "images", "n": 0}}), 422)
    made = boss.post(BASE, json=body)
    assert made.status_code == 201 and (made.json()["status"], made.json()["items"]) == ("open", 0)
    base = f"{BASE}/{made.json()['id']}"
    added = boss.post(f"{base}/items", json=[*GIVEN, {"query": "Why?"}]).json()
    assert (added["added"], added["refused"][0]["index"]) == (30, 30)
    assert "answer of A" in added["refused"][0]["detail"]
    assert boss.post(f"{base}/items", json=GIVEN).json()["known"] == 30
    refused(reader.get(f"{base}/next"), 403)

    found = judge.get(f"{base}/next", params={"limit": 20})
    assert found.json()["progress"] == {
        "judged": 0, "total": 30, "status": "open", "looked": False, "last": None, "finished": False,
    }  # fmt: skip
    first = found.json()["items"][0]
    assert set(first) == {
        "number", "query", "picture", "left", "right", "left_confidence", "right_confidence",
    }  # fmt: skip
    assert "salt" not in json.dumps(boss.get(base).json())  # who knew it could tell the sides
    spot = f"{base}/items/1/judgement"
    assert "choice" in refused(judge.post(spot, json={"choice": "b"}), 422)
    for _ in range(2):
        assert judge.post(spot, json={"choice": "left", "seconds": 1.5}).json()["judged"] == 1
    assert "otherwise" in refused(judge.post(spot, json={"choice": "right"}), 409)
    for _ in range(2):
        assert judge.delete(spot).json()["judged"] == 0
    refused(judge.post(f"{base}/items/31/judgement", json={"choice": "tie"}), 404)
    assert "until you have judged" in refused(judge.get(f"{base}/results"), 403)

    sides = set()
    while items := judge.get(f"{base}/next").json()["items"]:
        for item in items:
            side = "left" if "course" in item["left"] else "right"
            sides.add(side)
            judge.post(f"{base}/items/{item['number']}/judgement", json={"choice": side}).raise_for_status()
    assert sides == {"left", "right"}
    results = judge.get(f"{base}/results").json()
    assert results["preference"]["winner"] == "B" and results["counts"]["b"] == 30
    assert "“{" not in results["sentence"] and results["items"][0]["answer_b"] == "2, of course."
    refused(judge.delete(f"{base}/items/30/judgement"), 409)
    refused(judge.post(f"{base}/close"), 403)
    assert boss.post(f"{base}/close").json()["status"] == "closed"
    assert boss.get(f"{base}/results").json() == results | {"duel": results["duel"] | {"status": "closed"}}
    assert [each["id"] for each in reader.get(BASE, params={"theme": theme.id}).json()] == [made.json()["id"]]
    refused(reader.get(f"{BASE}/99"), 404)


def test_a_drawn_sample_shows_its_pictures_and_hides_its_models(
    wb_duckdb: Workbench, client: Client, trainer: auth.User
) -> None:
    theme, versions = two_versions(wb_duckdb, trainer)
    http = client(trainer)
    body = {"theme_id": theme.id, "versions": versions, "sample": {"which": "all", "n": 12}}
    assert "deploy it under Models" in refused(http.post(BASE, json=body), 409)
    with deployed(wb_duckdb, trainer, versions, lambda _: ("cat", 0.9), lambda _: ("dog", 0.4)):
        made = http.post(BASE, json=body).json()
    assert (made["items"], made["same"], made["sample"]["failed"]) == (12, 0, 0)
    items = http.get(f"{BASE}/{made['id']}/next", params={"limit": 12}).json()["items"]
    assert {(item["left"], item["right"]) for item in items} == {("cat", "dog"), ("dog", "cat")}
    picture = items[0]["picture"]
    assert (picture["width"], picture["height"]) == (8, 8)
    assert http.get(picture["url"].removeprefix("/api/")).headers["content-type"] == "image/png"
