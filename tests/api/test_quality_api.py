"""Findings, fixes and the gate as a program uses them."""

from __future__ import annotations

import pytest
from pictures import encoded, picture, png

from core import auth, images, themes
from core.workbench import Workbench
from tests.api.clients import Client, refused
from tests.steps import ready_theme


@pytest.fixture
def theme(wb_duckdb: Workbench, trainer: auth.User) -> themes.Theme:
    """Two dozen images, split; one of train comes again in test, and one of each label under the other."""
    theme = ready_theme(wb_duckdb, trainer)
    learnt = images.page(wb_duckdb, theme.id, images.Filter(split="train")).items[0]
    again = wb_duckdb.files.read(learnt.image_path) + b"0"
    name = next(label.name for label in theme.labels if label.id == learnt.label_id)
    images.add(
        wb_duckdb,
        trainer,
        theme.id,
        [(f"test/{name}/again.png", again)],
        label_from_folder=True,
        split_from_folder=True,
    )
    return theme


def test_a_leak_is_found_repaired_and_gone(
    theme: themes.Theme, client: Client, trainer: auth.User, labeler: auth.User, viewer: auth.User
) -> None:
    base = f"theme/{theme.id}/quality"
    found = client(viewer).get(base).json()
    assert (found["passed"], found["findings"]["leak"], found["findings"]["twin"]) == (False, 2, 2)
    [line] = [line for line in found["lines"] if not line["passed"]]
    assert line["name"] == "leakage" and line["advice"]
    assert client(viewer).get(f"{base}/findings/leak").json()["next"] is None
    [move] = client(viewer).get(f"{base}/one-side").json()
    refused(client(labeler).post(f"{base}/one-side"), 403)
    assert client(trainer).post(f"{base}/one-side").json() == [move]
    [copies] = client(viewer).get(f"{base}/copies").json()
    assert (
        client(trainer).post(f"{base}/copies", json={"best": [copies["best"]]}).json()["removed"]
        == copies["rest"]
    )
    after = client(viewer).get(base).json()
    assert (after["passed"], after["score"], after["findings"]["twin"]) == (True, 100, 0)
    log = client(viewer).get(f"{base}/log").json()
    assert [(each["action"], each["person"]) for each in log] == [("fix", "trainer"), ("fix", "trainer")]


def test_a_training_in_spite_of_fail_needs_an_administrators_reason(
    theme: themes.Theme, client: Client, trainer: auth.User, admin: auth.User
) -> None:
    start = f"theme/{theme.id}/training/start"
    assert "gate fails" in refused(client(trainer).post(start), 409)
    refused(client(trainer).post(start, json={"override": "in a hurry"}), 403)
    refused(client(admin).post(start, json={"override": "x" * 2_001}), 422)
    refused(client(admin).post(start, json={"override": "a\0b"}), 422)
    assert client(admin).post(start, json={"override": "The leak is wanted."}).status_code == 201
    entry, _first_freeze = client(admin).get(f"theme/{theme.id}/quality/log").json()
    assert (entry["action"], entry["detail"]["reason"]) == ("override", "The leak is wanted.")


def test_thresholds_and_decisions(
    wb_duckdb: Workbench, theme: themes.Theme, client: Client, trainer: auth.User, labeler: auth.User
) -> None:
    base = f"theme/{theme.id}/quality"
    dark = encoded(picture(99, (64, 48)).point(lambda level: level // 10))
    images.add(wb_duckdb, trainer, theme.id, [("dark.png", dark), ("light.png", png(98, (64, 48)))])
    [image_id] = client(labeler).get(f"{base}/findings/dark").json()["ids"]
    assert (
        client(labeler).post(f"{base}/decide", json={"kind": "dark", "ids": [image_id]}).json()["changed"]
        == 1
    )
    assert client(labeler).get(base).json()["kept"] == {"dark": 1}
    changed = client(trainer).patch(f"{base}/rules", json={"least_per_label": 500}).json()
    assert "per-label" in {line["name"] for line in changed["lines"] if not line["passed"]}
    assert sum(n for _, n in client(labeler).get(f"{base}/histogram/dark").json()) == 27


def test_groups_are_previewed_and_the_test_set_is_frozen(
    theme: themes.Theme, client: Client, trainer: auth.User, labeler: auth.User, viewer: auth.User
) -> None:
    base = f"theme/{theme.id}/quality"
    seen = client(viewer).get(f"{base}/groups", params={"pattern": "^([a-z]+)/"}).json()
    assert (seen["groups"], seen["grouped"], seen["alone"]) == (3, 25, [])
    assert seen["largest"][0]["images"] == 12
    assert "exactly one pair" in refused(client(viewer).get(f"{base}/groups", params={"pattern": "a"}), 422)
    saved = client(trainer).patch(f"{base}/rules", json={"group_pattern": "([a-z]+)"}).json()
    assert saved["rules"]["group_pattern"] == "([a-z]+)"
    assert client(viewer).get(f"{base}/test-set").json()["hash"] is None
    refused(client(labeler).post(f"{base}/test-set"), 403)
    made = client(trainer).post(f"{base}/test-set").json()
    assert (len(made["hash"]), made["by"], made["changes"]) == (64, "trainer", [])
    assert "Say why" in refused(client(trainer).post(f"{base}/test-set"), 409)
    assert client(trainer).post(f"{base}/test-set", json={"reason": "new labels"}).status_code == 201


def test_a_selection_has_an_address_and_what_lies_right_is_not_turned(
    wb_duckdb: Workbench, theme: themes.Theme, client: Client, labeler: auth.User, viewer: auth.User
) -> None:
    base = f"theme/{theme.id}/quality"
    assert client(viewer).get(f"{base}/map").json() == {"ids": [], "labels": [], "x": [], "y": []}
    ids = [image.id for image in images.page(wb_duckdb, theme.id).items[:3]]
    picked = client(viewer).post(f"{base}/pick", json={"ids": ids}).json()["picked"]
    shown = client(viewer).get(f"theme/{theme.id}/images", params={"picked": picked}).json()["items"]
    assert [image["id"] for image in shown] == ids
    assert "pick 1 to" in refused(client(viewer).post(f"{base}/pick", json={"ids": []}), 422)
    assert client(labeler).post(f"{base}/upright", json={"ids": ids}).json() == {"images": {}}
    refused(client(viewer).post(f"{base}/upright", json={"ids": ids}), 403)


def test_what_makes_no_sense_is_refused_in_a_sentence(
    theme: themes.Theme, client: Client, trainer: auth.User, viewer: auth.User
) -> None:
    base = f"theme/{theme.id}/quality"
    assert "one of" in refused(client(trainer).get(f"{base}/findings/ugly"), 422)
    assert "ugly" in refused(client(trainer).post(f"{base}/decide", json={"kind": "ugly", "ids": [1]}), 422)
    assert "cannot be called fine" in refused(
        client(trainer).post(f"{base}/decide", json={"kind": "leak", "ids": [1]}), 422
    )
    assert "most_twins" in refused(client(trainer).patch(f"{base}/rules", json={"most_twins": -1}), 422)
    assert "leak" in refused(client(trainer).get(f"{base}/histogram/leak"), 422)
    refused(client(viewer).post(f"{base}/check"), 403)
    refused(client(trainer).get("theme/999/quality"), 404)
