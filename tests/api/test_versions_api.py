"""The registry of versions for programs: list, look, change, benchmark, compare, take off the list."""

from __future__ import annotations

from core import auth, registry
from core.workbench import Workbench
from tests.api.clients import Client, refused
from tests.core.ab.rig import log, rows, started
from tests.steps import ready_theme
from tests.trained import finished

BASE = "v1/admin/models"


def two(wb: Workbench, actor: auth.User) -> tuple[int, int]:
    """Ids of two versions whose runs kept their answers, the better one second."""
    theme = ready_theme(wb, actor)
    first = finished(wb, actor, theme.id, lambda image_id: image_id % 2 > 0, version=1)
    second = finished(wb, actor, theme.id, lambda _image_id: True, version=2)
    found = [registry.of_run(wb, run.id) for run in (first, second)]
    assert found[0] is not None and found[1] is not None
    return found[0].id, found[1].id


def test_a_version_says_all_that_made_it_and_is_changed(
    wb_duckdb: Workbench, client: Client, trainer: auth.User, viewer: auth.User
) -> None:
    one, other = two(wb_duckdb, trainer)
    http, reader = client(trainer), client(viewer)
    body = {"name": "noise", "score": 0.25, "detail": {"images": 10}}
    made = http.post(f"{BASE}/{one}/benchmarks", json=body)
    assert made.status_code == 201 and made.json()["detail"] == {"images": 10}
    refused(reader.post(f"{BASE}/{one}/benchmarks", json=body), 403)
    said, kind = '{"name": "a", "score": NaN}', {"Content-Type": "application/json"}
    broken = http.post(f"{BASE}/{one}/benchmarks", content=said, headers=kind)
    assert "lies between 0 and 1" in refused(broken, 422)
    assert "1 to 100" in refused(http.post(f"{BASE}/{one}/benchmarks", json=body | {"name": ""}), 422)

    found = reader.get(f"{BASE}/{one}").json()
    assert (found["semver"], found["kind"], found["size"]) == ("1.0.0", "vision", 9_000_000)
    assert found["base"] == {"architecture": "resnet18", "weights": "none"}
    assert found["commit"] == found["code"]["commit"] and found["checksum"] is None
    assert found["parameters"]["params"]["model"]["architecture"] == "resnet18"
    assert [(each["name"], each["score"]) for each in found["benchmarks"]] == [("noise", 0.25)]
    assert found["metrics"]["test"]["n"] > 0 and found["snapshot_hash"] and found["run_id"]
    assert reader.get(f"models/{one}").json() == {k: v for k, v in found.items() if k != "parameters"}

    change = {"semver": "1.0.1", "tags": ["line-3", "fast"], "description": "for line 3"}
    changed = http.patch(f"{BASE}/{one}", json=change).json()
    assert (changed["semver"], changed["tags"], changed["description"]) == (
        "1.0.1",
        ["fast", "line-3"],
        "for line 3",
    )
    assert http.patch(f"{BASE}/{one}", json={}).json() == changed
    assert "lower than" in refused(http.patch(f"{BASE}/{one}", json={"semver": "1.0.0"}), 409)
    refused(http.patch(f"{BASE}/{one}", json={"stage": "production"}), 422)
    refused(reader.patch(f"{BASE}/{one}", json={"tags": []}), 403)
    refused(http.patch(f"{BASE}/999", json={"tags": []}), 404)

    run = found["run_id"]
    assert http.post(f"{BASE}/register", json={"run_id": run}).json()["id"] == one
    refused(http.post(f"{BASE}/register", json={"run_id": 999}), 404)
    judged = reader.post(f"{BASE}/{one}/evaluate").json()
    assert judged == reader.get(f"runs/{run}/evaluation").json() and judged["run_id"] == run
    assert http.post(f"{BASE}/{other}/deploy").json()["version_id"] == other


def test_lists_are_filtered_and_come_by_pages(
    wb_duckdb: Workbench, client: Client, trainer: auth.User, viewer: auth.User
) -> None:
    one, other = two(wb_duckdb, trainer)
    http, reader = client(trainer), client(viewer)
    http.patch(f"{BASE}/{one}", json={"tags": ["a", "b"]}).raise_for_status()
    http.patch(f"{BASE}/{other}", json={"tags": ["b"]}).raise_for_status()
    first = reader.get(BASE, params={"limit": 1}).json()
    assert ([each["id"] for each in first["items"]], first["total"], first["newer"]) == ([other], 2, None)
    second = reader.get(BASE, params={"limit": 1, "before": first["older"]}).json()
    assert ([each["id"] for each in second["items"]], second["older"]) == ([one], None)
    back = reader.get(BASE, params={"limit": 1, "after": second["newer"]}).json()
    assert back == first

    def ids(**asked: str | float) -> list[int]:
        return [each["id"] for each in reader.get(BASE, params=asked).json()["items"]]

    assert ids(tags="a,b") == [other, one] and ids(tags="a,b", match="all") == [one]
    assert ids(metric="test.accuracy", minimum=1) == [other]
    assert ids(text="1.1.0") == [other] and ids(stage="production") == []
    assert "A stage is one of" in refused(reader.get(BASE, params={"stage": "x"}), 422)
    refused(reader.get(BASE, params={"before": 2**64}), 422)
    assert [each["id"] for each in reader.get("models", params={"limit": 1}).json()] == [other]
    assert [each["id"] for each in reader.get("models", params={"before": other}).json()] == [one]


def test_versions_are_compared_side_by_side(
    wb_duckdb: Workbench, client: Client, trainer: auth.User, viewer: auth.User
) -> None:
    one, other = two(wb_duckdb, trainer)
    http, reader = client(trainer), client(viewer)
    for version_id, score in ((one, 0.25), (other, 0.5)):
        http.post(
            f"{BASE}/{version_id}/benchmarks", json={"name": "noise", "score": score}
        ).raise_for_status()
    found = reader.get(f"{BASE}/compare", params={"ids": f"{other},{one},{one}"}).json()
    assert [each["id"] for each in found["versions"]] == [one, other]
    assert found["runs"]["best"] == found["versions"][1]["run_id"]
    assert found["benchmarks"] == {"noise": {str(one): 0.25, str(other): 0.5}}
    assert set(found["per_class"]) == {"cat", "dog"} and found["per_class"]["cat"][str(other)] == 1
    assert found["latency"] == {}
    assert "Name 2 to 10 different versions" in refused(
        reader.get(f"{BASE}/compare", params={"ids": one}), 422
    )
    assert "commas" in refused(reader.get(f"{BASE}/compare", params={"ids": "1;2"}), 422)
    refused(reader.get(f"{BASE}/compare", params={"ids": f"{one},999"}), 404)
    elsewhere, _ = two_elsewhere(wb_duckdb, trainer)
    sentence = refused(reader.get(f"{BASE}/compare", params={"ids": f"{one},{elsewhere}"}), 409)
    assert "different themes" in sentence


def two_elsewhere(wb: Workbench, actor: auth.User) -> list[int]:
    trial = started(wb, actor)
    log(wb, trial, rows(trial, 4))
    return list(trial.plan.versions)


def test_an_archived_version_is_taken_off_the_list_and_its_ledger_stays(
    wb_duckdb: Workbench, client: Client, trainer: auth.User, viewer: auth.User
) -> None:
    one, other = two(wb_duckdb, trainer)
    http, reader = client(trainer), client(viewer)
    assert "Only archived" in refused(http.delete(f"{BASE}/{one}"), 409)
    refused(reader.post(f"{BASE}/{one}/archive", json={"reason": "x"}), 403)
    entry = http.post(f"{BASE}/{one}/archive", json={"reason": "too weak"}).json()
    assert (entry["from_stage"], entry["to_stage"]) == ("staging", "archived")
    assert "already" in refused(http.post(f"{BASE}/{one}/archive", json={"reason": "again"}), 409)
    refused(reader.delete(f"{BASE}/{one}"), 403)
    assert http.delete(f"{BASE}/{one}").status_code == 204
    refused(http.delete(f"{BASE}/{one}"), 404)
    refused(reader.get(f"{BASE}/{one}"), 404)
    assert [each["id"] for each in reader.get(BASE).json()["items"]] == [other]
    assert [each["id"] for each in reader.get(f"{BASE}/{one}/ledger").json()] == [entry["id"]]
