"""Drift, the trust report and the effect of a fix as a program reads them."""

from __future__ import annotations

import io

import pytest
from pictures import png
from pypdf import PdfReader

from core import auth, images, runs, themes
from core.workbench import Workbench
from tests.api.clients import Client, refused
from tests.steps import ready_theme


@pytest.fixture
def theme(wb_duckdb: Workbench, trainer: auth.User) -> themes.Theme:
    return ready_theme(wb_duckdb, trainer)


def test_new_images_are_told_from_those_of_the_training(
    wb_duckdb: Workbench, theme: themes.Theme, client: Client, trainer: auth.User, viewer: auth.User
) -> None:
    address = f"theme/{theme.id}/quality/drift"
    found = client(viewer).get(address).json()
    assert (found["drifted"], found["why"]) == (None, "no-snapshot") and found["sentence"]
    runs.start(wb_duckdb, trainer, theme.id)
    images.add(wb_duckdb, trainer, theme.id, [(f"{n}.png", png(n, (40, 8))) for n in range(50, 90)])
    found = client(viewer).get(address).json()
    assert (found["drifted"], found["images"], found["reference"]) == (True, 40, 24)
    assert found["features"][0]["level"] == "much" and len(found["examples"]) == 8
    assert {"width", "aspect"} <= {each["name"] for each in found["features"] if each["level"] == "much"}
    assert client(viewer).get(address, params={"import": "7"}).json()["why"] == "no-images"
    assert client(viewer).get(address, params={"since": "2000-01-01"}).json()["images"] == 64
    assert "since" in refused(client(viewer).get(address, params={"since": "soon"}), 422)
    refused(client(viewer).get("theme/999/quality/drift"), 404)


def test_the_trust_report_comes_in_three_formats_of_each_version(
    wb_duckdb: Workbench, theme: themes.Theme, client: Client, trainer: auth.User, viewer: auth.User
) -> None:
    snapshot = runs.start(wb_duckdb, trainer, theme.id).spec.snapshot
    base = f"theme/{theme.id}/quality/report"
    data = client(viewer).get(f"{base}.json", params={"snapshot": snapshot.id})
    assert data.json()["of"]["hash"] == snapshot.hash and data.json()["not_checked"]
    now = client(viewer).get(f"{base}.html")
    assert f'filename="trust-theme-{theme.id}.html"' in now.headers["content-disposition"]
    assert now.text.startswith("<!doctype html>") and theme.name in now.text
    paper = client(viewer).get(f"{base}.pdf", params={"snapshot": snapshot.id})
    assert theme.name in PdfReader(io.BytesIO(paper.content)).pages[0].extract_text()
    refused(client(viewer).get(f"{base}.csv"), 422)
    refused(client(viewer).get(f"{base}.json", params={"snapshot": 99}), 404)
    refused(client(viewer).get(f"{base}.json", params={"snapshot": 0}), 422)


def test_the_effect_of_a_run_says_why_there_is_none(
    wb_duckdb: Workbench, theme: themes.Theme, client: Client, trainer: auth.User, viewer: auth.User
) -> None:
    run = runs.start(wb_duckdb, trainer, theme.id)
    found = client(viewer).get(f"theme/{theme.id}/training/result/{run.id}/effect").json()
    assert (found["why"], found["paired"], len(found["sentences"])) == ("first", None, 1)
    refused(client(viewer).get(f"theme/{theme.id}/training/result/99/effect"), 404)
