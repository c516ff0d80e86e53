"""Parameters on the screen: form and text are one, ready-made settings, two people at once, and the way back."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from core import auth
from core.workbench import Workbench
from tests.app import App
from tests.conftest import PASSWORD
from tests.e2e.screens import running, settled, window
from tests.previewing import preview_worker
from tests.steps import ready_theme

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


def fill(wb: Workbench, admin: auth.User) -> None:
    ready_theme(wb, admin)
    auth.create_user(wb, admin, "Grace", PASSWORD, auth.TRAINER)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, broker_url: str) -> Iterator[App]:
    with running(tmp_path_factory.mktemp("parameters"), broker_url, fill) as app:
        yield app


@pytest.fixture
def page(app: App, browser: Browser) -> Iterator[Page]:
    with window(app, browser) as page:
        yield page


def press(page: Page, key: str) -> None:
    page.locator(f".st-key-{key} button").first.click()


def tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def epochs(page: Page) -> Locator:
    return page.locator('input[aria-label^="Epochs"]').first


def test_form_text_presets_two_people_and_the_way_back(page: Page, app: App) -> None:
    page.goto("/parameters?theme=1")
    expect(page.get_by_text("Epochs: 10 → 100 passes")).to_be_visible()
    press(page, "preset-best")
    expect(epochs(page)).to_have_value("100")

    tab(page, "YAML")
    text = page.locator("textarea").first
    expect(text).to_have_value(re.compile("epochs: 100"))
    written = text.input_value()
    text.fill(written.replace("epochs: 100", "epochs: 0"))
    text.press("Control+Enter")
    expect(page.get_by_text("Line 13: “training.epochs” is 0; allowed is 1 to 1000.")).to_be_visible()
    expect(page.locator(".st-key-save button")).to_be_disabled()
    text.fill(written.replace("epochs: 100", "epochs: 12"))
    text.press("Control+Enter")
    tab(page, "Form")
    expect(epochs(page)).to_have_value("12")
    epochs(page).fill("13")
    epochs(page).press("Tab")

    grace = httpx.Client(base_url=app.url, timeout=60)
    grace.post("/api/auth/sign-in", json={"name": "Grace", "password": PASSWORD})
    theirs = grace.get("/api/theme/1/training/config/").json()
    theirs["params"]["training"] |= {"weight_decay": 0.05, "epochs": 20}
    assert grace.post("/api/theme/1/training/config/save/", json=theirs).status_code == 200
    press(page, "save")
    expect(page.get_by_text("Grace saved a newer version while you were changing this one:")).to_be_visible()
    expect(page.locator(".st-key-save button")).to_be_disabled()
    press(page, "put-on-top")
    expect(page.get_by_text("Set by both, yours is taken: Epochs: 20 → 13 passes")).to_be_visible()
    press(page, "save")
    expect(page.get_by_text("Saved. The next training")).to_be_visible()
    saved = grace.get("/api/theme/1/training/config/").json()["params"]["training"]
    assert (saved["epochs"], saved["weight_decay"], saved["label_smoothing"]) == (13, 0.05, 0.1)

    tab(page, "Changes")
    expect(page.get_by_text("Epochs: 20 → 13 passes").first).to_be_visible()
    page.get_by_role("button", name="Restore").first.click()
    page.get_by_role("button", name="Yes, restore it").click()
    expect(page.get_by_text("Restored. The next training")).to_be_visible()
    listed = grace.get("/api/theme/1/training/config/history/").json()
    assert [version["author"] for version in listed] == ["Ada", "Ada", "Grace"]
    assert grace.get("/api/theme/1/training/config/").json()["params"] == theirs["params"]


def pictures(page: Page, of: str) -> list[str]:
    found = page.locator(f'img[alt$="{of}"]')
    return [str(one.get_attribute("src")) for one in found.all()]


def test_the_preview_follows_the_draft_and_the_dice(page: Page, app: App, broker_url: str) -> None:
    page.goto("/parameters?theme=1")
    page.get_by_text("Preview on your own images").click()
    expect(page.get_by_text("The worker that draws previews is not there")).to_be_visible()
    with preview_worker(app.folder / "data", app.folder / "artifacts", broker_url):
        press(page, "preview-roll-1")
        seen = page.locator('img[alt$="with random changes"]')
        expect(seen).to_have_count(9)
        settled(page)
        first, plain = pictures(page, "with random changes"), pictures(page, "after")
        assert len(set(first)) == 9
        press(page, "preview-roll-1")
        expect(seen.first).not_to_have_attribute("src", first[0])
        settled(page)
        assert not set(pictures(page, "with random changes")) & set(first)
        assert pictures(page, "after") == plain

        page.get_by_text("Preprocessing", exact=True).first.click()
        page.locator("label", has_text="Greyscale").first.click()
        gray = page.locator('img[alt$="after"]')
        expect(gray.first).not_to_have_attribute("src", plain[0])
        settled(page)
        assert pictures(page, "after") != plain
        expect(page.get_by_text("not saved yet")).to_be_visible()
