"""The passport of a version as programs get it, and who may take the version away."""

from __future__ import annotations

import io

import pytest
from pypdf import PdfReader

from core import auth
from core.passport import as_json
from core.workbench import Workbench
from tests.api.clients import Client, refused
from tests.passports import parts, version

BASE = "v1/admin/models"


@pytest.fixture
def one(wb_duckdb: Workbench, trainer: auth.User) -> int:
    theme = parts(wb_duckdb, trainer)
    return version(wb_duckdb, trainer, theme.id, lambda image_id: image_id % 5 > 0)


def test_a_passport_comes_in_three_formats(client: Client, viewer: auth.User, one: int) -> None:
    http = client(viewer)
    told = http.get(f"{BASE}/{one}/passport").json()
    assert told["sha256"] == as_json.fingerprint(told) and told["purpose"]["theme"] == "Parts"
    page = http.get(f"{BASE}/{one}/passport", params={"format": "html"})
    assert page.text.startswith("<!doctype html>")
    assert 'filename="passport-veritrain-theme-1-1.html"' in page.headers["content-disposition"]
    spoken = http.get(f"{BASE}/{one}/passport", params={"format": "html"}, headers={"accept-language": "ja"})
    assert "<html lang='ja'>" in spoken.text
    paper = http.get(f"{BASE}/{one}/passport", params={"format": "pdf"})
    assert "Parts" in PdfReader(io.BytesIO(paper.content)).pages[0].extract_text()
    refused(http.get(f"{BASE}/{one}/passport", params={"format": "csv"}), 422)
    refused(http.get(f"{BASE}/999/passport"), 404)


def test_trainers_alone_take_a_version_away(
    client: Client, trainer: auth.User, viewer: auth.User, one: int
) -> None:
    refused(client(viewer).get(f"{BASE}/{one}/download"), 403)
    refused(client(trainer).get(f"{BASE}/999/download"), 404)
    assert "does not answer" in refused(client(trainer).get(f"{BASE}/{one}/download"), 503)
