"""Batches that are predicted in the background through the REST routes, behind the real sign-in check."""

from __future__ import annotations

import csv
import io

from pictures import png, zipped

from core import auth, prediction_batches
from core.workbench import Workbench
from tests.api.clients import Client, refused
from tests.predicting import answer, manifest, ready

BASE = "prediction-batches"


def test_a_batch_from_its_making_to_its_end(
    wb_duckdb: Workbench, client: Client, trainer: auth.User, viewer: auth.User, labeler: auth.User
) -> None:
    wb = wb_duckdb
    theme, version = ready(wb, trainer)
    http = client(viewer)
    made = http.post(f"{BASE}/", json={"version_id": version.id, "name": "Ünë / line 3"})
    assert made.status_code == 201 and made.json()["status"] == "open"
    one = f"{BASE}/{made.json()['id']}"
    files = [
        ("files", ("belt/1.png", png(1))),
        ("files", ("note.txt", b"not an image")),
        ("files", ("all.zip", zipped({"a/2.png": png(2)}))),
    ]
    taken = http.post(f"{one}/files/", files=files).json()
    assert (taken["added"], taken["refused_total"], taken["batch"]["images"]) == (2, 1, 2)
    assert "“note.txt” is not an image" in taken["refused"][0]["reason"]
    added = http.post(f"{one}/images", json={"theme_id": theme.id, "split": "test"}).json()
    assert added["images"] > 2
    refused(http.get(f"{one}/answers"), 409)

    started = http.post(f"{one}/start").json()
    assert started["status"] == "queued" and started["place"] == 2 and started["summary"] is None
    assert "is viewer's" in refused(client(labeler).post(f"{one}/cancel"), 403)
    assert http.post(f"{one}/cancel").json()["status"] == "cancelled"
    assert http.post(f"{one}/resume").json()["status"] == "queued"
    [listed] = client(labeler).get(BASE, params={"theme": theme.id}).json()["items"]
    assert (listed["name"], listed["model"], listed["version"]) == ("Ünë / line 3", version.model_name, 1)

    batch = prediction_batches.get(wb, started["id"])
    answer(wb, batch, lambda place: 0.9)
    seen = client(labeler).get(one).json()
    assert seen["status"] == "succeeded" and seen["summary"]["n"] == added["images"]
    assert seen["summary"]["failed"][0]["file"] == "note.txt"
    sent = http.get(f"{one}/answers/", params={"format": "csv"})
    assert (
        sent.headers["content-disposition"].endswith(".csv")
        and "/" not in sent.headers["content-disposition"]
    )
    rows = list(csv.DictReader(io.StringIO(sent.content.decode("utf-8-sig"))))
    assert [row["file"] for row in rows] == [row["file"] for row in manifest(wb, batch)]
    refused(http.get(f"{one}/answers", params={"format": "xml"}), 422)
    picture = http.get(f"{one}/pictures/0")
    assert picture.headers["content-type"] == "image/webp" and picture.content[8:12] == b"WEBP"
    refused(http.get(f"{one}/pictures/1"), 404)
    refused(client(labeler).delete(one), 403)
    assert http.delete(one).status_code == 204
    refused(http.get(one), 404)


def test_requests_that_make_no_sense_are_refused(
    wb_duckdb: Workbench, client: Client, trainer: auth.User
) -> None:
    http = client(trainer)
    refused(http.post(BASE, json={"version_id": 5}), 404)
    _, version = ready(wb_duckdb, trainer)
    refused(http.post(BASE, json={"version_id": version.id, "name": "x" * 201}), 422)
    one = f"{BASE}/{http.post(BASE, json={'version_id': version.id}).json()['id']}"
    assert "has no images" in refused(http.post(f"{one}/start"), 422)
    refused(http.post(f"{one}/images", json={"theme_id": 1, "split": "all"}), 422)
    refused(http.post(f"{one}/files", json={}), 422)
    refused(http.post(f"{one}/cancel"), 409)
    refused(http.post(f"{BASE}/99/start"), 404)
    refused(http.get(f"{one}/pictures/-1"), 422)
