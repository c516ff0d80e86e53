"""A theme's promotion rules for programs, as YAML and as JSON, and approvals."""

from __future__ import annotations

from core import auth
from core.workbench import Workbench
from tests.api.clients import Client
from tests.core.ab.rig import two_versions

MODELS = "v1/admin/models"
TEXT = (
    "# asked for by the customer\nrelease:\n  approval: true\nchampion: {verdict: false, accuracy: false}\n"
)


def test_rules_are_read_saved_refused_by_line_and_taken_back(
    wb_duckdb: Workbench, client: Client, admin: auth.User, trainer: auth.User, viewer: auth.User
) -> None:
    theme, _ = two_versions(wb_duckdb, trainer)
    path = f"v1/admin/themes/{theme.id}/gate-policy"
    boss, reader = client(admin), client(viewer)
    boss.headers["Accept-Language"] = "en"
    first = reader.get(path).json()
    assert first["policy"]["champion"]["verdict"] is True and first["version"] == ""
    yaml = {"Content-Type": "application/yaml"}
    assert client(trainer).put(path, content=TEXT, headers=yaml).status_code == 403
    saved = boss.put(path, content=TEXT, headers=yaml)
    assert saved.status_code == 200 and saved.json()["policy"]["release"]["approval"] is True
    assert saved.json()["hash"] != first["hash"]
    told = reader.get(path, headers={"Accept": "application/yaml"})
    assert told.text == TEXT and told.headers["content-type"].startswith("application/yaml")
    same = boss.put(path, json=saved.json()["policy"]).json()
    assert same["hash"] == saved.json()["hash"]
    assert "# asked for by the customer" in reader.get(path, headers={"Accept": "application/yaml"}).text

    for body, sentence in (
        (
            "release:\n  aproval: true",
            "Line 2: “release.aproval” is not a known setting; did you mean “approval”?",
        ),
        ("benchmarks:\n  rain: 2", "Line 2: “benchmarks.rain” is 2; allowed is 0 to 1."),
        ("benchmarks:\n  rain: often", "Line 2: “benchmarks.rain” is “often”; write a number."),
        ("metric: [", "is not valid YAML"),
        ("benchmarks:\n  '': 0.5", "Line 2: “benchmarks.” cannot be"),
    ):
        refused = boss.put(path, content=body, headers=yaml)
        assert refused.status_code == 422 and sentence in refused.json()["detail"]
    assert boss.put(path, content=b"\xff", headers=yaml).status_code == 422
    stale = boss.put(path, json={}, params={"version": "0" * 40})
    assert stale.status_code == 404
    assert boss.put(path, json={"size": {"enabled": True}}, params={"version": same["version"]}).is_success
    late = boss.put(path, json={}, params={"version": same["version"]})
    assert late.status_code == 409 and "Limit the size: off → on" in late.json()["detail"]
    newest, *_, oldest = reader.get(f"{path}/history").json()
    assert newest["author"] == "admin" and "Better in an A/B test: off → on" in newest["changes"][0]
    back = boss.post(f"{path}/restore", json={"version": oldest["id"]})
    assert back.json()["hash"] == saved.json()["hash"]
    assert reader.get("v1/admin/themes/999/gate-policy").status_code == 404


def test_a_version_is_approved_by_one_and_promoted_by_another(
    wb_duckdb: Workbench, client: Client, admin: auth.User, trainer: auth.User, viewer: auth.User
) -> None:
    theme, [one, _two] = two_versions(wb_duckdb, trainer)
    boss, http, reader = client(admin), client(trainer), client(viewer)
    boss.put(f"v1/admin/themes/{theme.id}/gate-policy", content=TEXT).raise_for_status()
    assert reader.post(f"{MODELS}/{one}/approve", json={"note": "fine"}).status_code == 403
    made = http.post(f"{MODELS}/{one}/approve", json={"note": "I looked at its mistakes"})
    assert made.status_code == 201 and made.json()["user_name"] == "trainer"
    assert http.post(f"{MODELS}/{one}/approve", json={"note": "again"}).status_code == 409
    [mine] = http.get(f"{MODELS}/{one}/gate").json()
    [others] = boss.get(f"{MODELS}/{one}/gate").json()
    assert (mine["code"], mine["state"], others["state"]) == ("approval", "red", "green")
    assert http.post(f"{MODELS}/{one}/promote", json={"reason": "mine"}).json()["code"] == "gate"
    entry = boss.post(f"{MODELS}/{one}/promote", json={"reason": "approved"}).json()
    assert [each["user_name"] for each in entry["evidence"]["approvals"]] == ["trainer"]
    assert reader.get(f"{MODELS}/{one}/approvals").json() == [made.json()]
    assert reader.get(f"{MODELS}/999/approvals").status_code == 404
