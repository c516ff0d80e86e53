"""Findings about text datasets, their fixes and the gate as a program uses them."""

from __future__ import annotations

from typing import Any

import pytest

from core import auth
from core.datasets import store
from core.settings import Settings
from core.texts.records import Record
from core.workbench import Workbench
from tests.api.clients import Client, refused
from tests.core.datasets.checking import GOOD, checked, made

ADDRESS = "taro.yamada@mail.example.com"
PERSONAL = Record.pair("Please write to me at the office", f"My address is {ADDRESS}, thank you.")


@pytest.fixture
def dataset(wb_duckdb: Workbench, labeler: auth.User) -> store.Dataset:
    return made(wb_duckdb, labeler, *GOOD, PERSONAL, GOOD[0], broken=2)


@pytest.fixture
def base(dataset: store.Dataset) -> str:
    return f"v1/admin/training/datasets/{dataset.id}"


def rows_of(found: dict[str, Any]) -> dict[str, int]:
    return {each["kind"]: each["rows"] for each in found["findings"] if each["rows"]}


def test_from_the_first_check_to_pass(
    wb_duckdb: Workbench,
    base: str,
    dataset: store.Dataset,
    client: Client,
    labeler: auth.User,
    viewer: auth.User,
    admin: auth.User,
    settings: Settings,
) -> None:
    me, guest = client(labeler), client(viewer)
    before = guest.get(f"{base}/quality").json()
    assert (before["passed"], before["stale"], [line["name"] for line in before["lines"]]) == (
        False,
        True,
        ["unchecked"],
    )
    checked(wb_duckdb, labeler, dataset.id, settings)
    found = guest.get(f"{base}/quality").json()
    assert rows_of(found) == {"email": 1, "copy": 1}
    assert (found["broken"], found["check"]["running"], found["score"] < 100) == (2, False, True)
    assert {line["name"] for line in found["lines"] if not line["passed"]} == {"personal", "unreadable"}
    assert all(bool(line["advice"]) != line["passed"] and line["said"] for line in found["lines"])
    [each] = guest.get(f"{base}/quality/findings", params={"kind": "email"}).json()["items"]
    assert (each["row_id"], each["where"], each["said"]) == (5, "output", "An e-mail address in “output”.")
    assert guest.get(f"{base}/quality/rows/email").json() == [5]
    assert guest.get(f"{base}/quality/copies").json() == [{"rows": [1, 6], "best": 1}]
    assert me.post(f"{base}/quality/leave-out").json() == {"changed": 2}

    shown = me.post(f"{base}/quality/fix/mask/preview")
    assert shown.json()["changed"] == 1 and ADDRESS not in shown.text
    fixed = me.post(f"{base}/quality/fix/mask", json={"version": 1})
    assert (fixed.status_code, fixed.json()["version"], fixed.json()["rows"]) == (201, 2, 6)
    assert "made by labeler" in refused(me.post(f"{base}/quality/fix/copies", json={"version": 1}), 409)
    assert me.post(f"{base}/quality/fix/copies", json={"version": 2}).json()["rows"] == 5
    edited = me.patch(f"{base}/rows/1", json={"texts": {"output": "It is Paris, on the river Seine."}})
    assert edited.json()["version"] == 4
    checked(wb_duckdb, labeler, dataset.id, settings)
    after = guest.get(f"{base}/quality").json()
    assert (after["passed"], after["score"], after["version"], rows_of(after)) == (True, 100, 4, {})
    assert rows_of(guest.get(f"{base}/quality", params={"version": 1}).json()) == {"email": 1, "copy": 1}
    log = guest.get(f"{base}/quality/log").json()
    assert [each["action"] for each in log] == ["check", "edit", "fix", "fix", "keep", "check"]
    assert [each["version"] for each in log] == [4, 4, 3, 2, 1, 1]

    stats = [guest.get(f"{base}/stats", params={"version": number}).json() for number in (1, 2, 4)]
    assert [each["left_out"] for each in stats] == [2, 2, 2]  # of the upload, whatever a fix made of it
    assert (stats[0]["found"]["findings"], stats[0]["found"]["called_fine"]) == ({"email": 1, "copy": 1}, {})
    assert stats[0]["found"]["rates"] == {
        "alignment": None, "duplicates": 1 / 6, "language": 1, "personal": 1 / 6, "unreadable": 0, "leakage": 0,
    }  # fmt: skip
    assert stats[1]["found"] is None
    last = stats[2]["found"]
    assert (last["passed"], last["score"], last["stale"], last["rates"]["duplicates"]) == (
        True,
        100,
        False,
        0,
    )

    refused(me.post(f"{base}/rows/5/unmask"), 403)
    assert ADDRESS in client(admin).post(f"{base}/rows/5/unmask").json()["texts"]["output"]
    reports = [
        guest.get(f"{base}/quality/report.{kind}", params={"version": number})
        for kind in ("json", "html", "pdf")
        for number in (1, 4)
    ]
    assert {report.status_code for report in reports} == {200} and ADDRESS not in "".join(
        report.text for report in reports[:4]
    )
    first, last = reports[0].json(), reports[1].json()
    assert (first["passed"], last["passed"], last["of"]["version"]) == (False, True, 4)
    assert [each["name"] for each in last["sections"]] == [
        "rows", "gate", "personal", "copies", "leaks", "others", "language", "history", "decisions",
    ]  # fmt: skip
    assert first["sections"][2]["figures"]["open"]["email"] == 1
    [history] = [each for each in last["sections"] if each["name"] == "history"]
    assert [row[1] for row in history["rows"]] == [
        "taken in", "personal data masked", "copies removed", "a row corrected",
    ]  # fmt: skip
    assert all(row[1] in reports[3].text for row in history["rows"])
    assert any("not split" in sentence for sentence in last["not_checked"])
    # Versions from before the mask still show the address.
    for path in ("rows?version=1", "statistics?version=1", "diff?a=1&b=4"):
        assert "only administrators may read that one" in refused(me.get(f"{base}/{path}"), 403)
        assert client(admin).get(f"{base}/{path}").status_code == 200
    refused(me.post(f"{base}/preprocess?output_format=alpaca&version=1"), 403)
    assert guest.get(f"{base}/rows?version=2").status_code == 200
    answers = [guest.get(f"{base}/quality{path}").text for path in ("", "/findings", "/log", "/copies")]
    assert ADDRESS not in "".join(answers)


def test_decisions_rules_and_an_administrators_reason(
    wb_duckdb: Workbench,
    base: str,
    dataset: store.Dataset,
    client: Client,
    labeler: auth.User,
    trainer: auth.User,
    admin: auth.User,
    settings: Settings,
) -> None:
    checked(wb_duckdb, labeler, dataset.id, settings)
    keep = f"{base}/quality/keep"
    refused(client(labeler).post(keep, json={"kind": "email"}), 403)
    assert client(trainer).post(keep, json={"kind": "email", "ids": [5]}).json() == {"changed": 1}
    changed = client(trainer).patch(f"{base}/quality/rules", json={"most_copies": 0.1}).json()
    assert {line["name"] for line in changed["lines"] if not line["passed"]} == {"copies", "unreadable"}
    assert changed["rules"]["most_copies"] == 0.1
    assert "most_copies" in refused(
        client(trainer).patch(f"{base}/quality/rules", json={"most_copies": 3}), 422
    )
    override = f"{base}/quality/override"
    refused(client(trainer).post(override, json={"reason": "in a hurry"}), 403)
    assert "Say why" in refused(client(admin).post(override, json={"reason": " "}), 422)
    assert client(admin).post(override, json={"reason": "The copies are wanted."}).status_code == 201
    given = client(labeler).get(f"{base}/quality").json()
    assert (given["override"]["reason"], given["override_void"]) == ("The copies are wanted.", None)
    client(trainer).post(keep, json={"kind": "email", "ids": [5], "keep": False})
    void = client(labeler).get(f"{base}/quality").json()
    assert (void["override"], void["override_void"]["stands"]) == (None, False)
    assert void["override_void"]["said"].endswith("fail now and did not then: No personal data.")


def test_a_check_is_started_and_stopped(
    base: str, client: Client, labeler: auth.User, viewer: auth.User
) -> None:
    refused(client(viewer).post(f"{base}/validate"), 403)
    started = client(labeler).post(f"{base}/validate")
    assert (started.status_code, started.json()["check"]["running"]) == (201, True)
    assert "being checked already" in refused(client(labeler).post(f"{base}/validate"), 409)
    assert not client(labeler).post(f"{base}/validate/cancel").json()["check"]["running"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "quality/findings?kind=ugly", None, 422),
        ("GET", "quality?version=9", None, 404),
        ("POST", "quality/fix/burn", {}, 422),
        ("POST", "quality/fix/remove", {}, 422),
        ("POST", "quality/fix/mask", {"ids": [10**30]}, 422),
        ("POST", "quality/fix/mask", {"wings": 1}, 422),
        ("POST", "quality/keep", {"kind": "empty"}, 422),
        ("PATCH", "rows/99", {"texts": {"output": "x"}}, 404),
        ("PATCH", "rows/1", {"texts": {"wings": "x"}}, 422),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(
    base: str,
    client: Client,
    trainer: auth.User,
    method: str,
    path: str,
    body: dict[str, Any] | None,
    status: int,
) -> None:
    assert refused(client(trainer).request(method, f"{base}/{path}", json=body), status)
