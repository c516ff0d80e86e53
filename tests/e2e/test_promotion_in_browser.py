"""A red gate, what it says to do, the fix, and the promotion; rules as form and text, and the way back."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from core import auth, registry
from core.quality import findings
from core.workbench import Workbench
from tests.app import App
from tests.conftest import PASSWORD
from tests.e2e.screens import running, settled, window
from tests.steps import ready_theme
from tests.trained import finished

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


def fill(wb: Workbench, admin: auth.User) -> None:
    theme = ready_theme(wb, admin)
    findings.set_rules(wb, admin, theme.id, {"least_per_label": 1, "most_twins": 1.0})
    name = f"veritrain-theme-{theme.id}"
    model = {"name": name, "version": 1, "uri": f"models:/{name}/1", "size": 45 * 2**20}
    finished(wb, admin, theme.id, lambda image_id: image_id % 7 > 0, model=model, latency_ms=8.4)
    [version] = registry.versions(wb, theme.id)
    assert version.stage == "staging"
    auth.create_user(wb, admin, "Grace", PASSWORD, auth.TRAINER)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, broker_url: str) -> Iterator[App]:
    with running(tmp_path_factory.mktemp("promotion"), broker_url, fill) as app:
        yield app


@pytest.fixture
def page(app: App, browser: Browser) -> Iterator[Page]:
    with window(app, browser) as page:
        yield page


def press(page: Page, key: str) -> None:
    page.locator(f".st-key-{key} button").first.click()


def tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def toggle(page: Page, label: str) -> None:
    page.get_by_text(label, exact=True).first.click()


def text(page: Page) -> Locator:
    return page.get_by_label("gate.yaml", exact=True)


def write(page: Page, yaml: str) -> None:
    settled(page)
    text(page).fill(yaml)
    text(page).press("Control+Enter")


def dialog(page: Page) -> Locator:
    return page.get_by_role("dialog")


def test_a_red_gate_is_mended_and_the_version_promoted(page: Page, app: App) -> None:
    page.goto("/models?theme=1")
    page.get_by_role("link", name="Promotion rules").click()
    toggle(page, "Limit the size")
    toggle(page, "A second person approves")
    expect(page.get_by_text("not saved yet")).to_be_visible()
    tab(page, "YAML")
    expect(text(page)).to_have_value(re.compile(r"size:\n  enabled: true"))
    write(page, "size: {enabled: true, limit: 20.0}\nrelease:\n  aproval: true\n")
    expect(page.get_by_text("Line 3: “release.aproval” is not a known setting")).to_be_visible()
    write(page, "size: {enabled: true, limit: 20.0}\nrelease:\n  approval: true\n")
    press(page, "save")
    expect(page.get_by_text("The next promotion goes by these rules.")).to_be_visible()

    page.goto("/models?theme=1")
    press(page, "promote-1")
    expect(dialog(page).get_by_text("Its files have 45.0 MB; at most 20 MB is allowed.")).to_be_visible()
    expect(dialog(page).get_by_text("Nobody has approved this version yet.")).to_be_visible()
    dialog(page).get_by_role("link", name="Promotion rules").click()
    tab(page, "Form")
    field = page.locator('input[aria-label^="Largest size"]').first
    settled(page)
    field.fill("50")
    field.press("Enter")
    press(page, "save")
    expect(page.get_by_text("The next promotion goes by these rules.")).to_be_visible()
    tab(page, "Changes")
    expect(page.get_by_text("Largest size: 20 → 50 MB").first).to_be_visible()

    app.stranger.post("/api/auth/sign-in/", json={"name": "Grace", "password": PASSWORD}).raise_for_status()
    note = {"note": "I looked at all of its mistakes"}
    app.stranger.post("/api/v1/admin/models/1/approve", json=note).raise_for_status()
    page.goto("/models?theme=1")
    press(page, "promote-1")
    expect(dialog(page).get_by_text("Its files have 45.0 MB; at most 50 MB is allowed.")).to_be_visible()
    expect(dialog(page).get_by_text("Approved by Grace.")).to_be_visible()
    expect(dialog(page).get_by_text("I looked at all of its mistakes")).to_be_visible()
    dialog(page).get_by_label("Why", exact=True).fill("Small and approved")
    dialog(page).get_by_label("Why", exact=True).press("Control+Enter")
    press(page, "yes-stage")
    expect(page.locator(".st-key-version-1").get_by_text("production")).to_be_visible()
    [entry] = app.admin.get("/api/v1/admin/models/1/ledger").json()
    assert entry["evidence"]["approvals"][0]["user_name"] == "Grace"
    assert {line["state"] for line in entry["evidence"]["gate"]} == {"open", "green"}
