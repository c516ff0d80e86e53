"""An A/B test as a person runs it: planned by form, started, read as one sentence, ended with a reason."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from core import auth, themes
from core.workbench import Workbench
from tests.app import App
from tests.core.ab.rig import two_versions
from tests.e2e.screens import running, settled, window

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

THEME = "*Cats* [and](/) `dogs`"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, broker_url: str) -> Iterator[App]:
    def fill(wb: Workbench, admin: auth.User) -> None:
        theme, _ = two_versions(wb, admin)
        themes.update(wb, admin, theme.id, name=THEME)

    with running(tmp_path_factory.mktemp("ab"), broker_url, fill) as it:
        yield it


@pytest.fixture
def page(app: App, browser: Browser) -> Iterator[Page]:
    with window(app, browser) as page:
        yield page


def button(page: Page, key: str):  # type: ignore[no-untyped-def]
    return page.locator(f".st-key-{key} button").first


def results(app: App, test: int) -> httpx.Response:
    return app.admin.get(f"/api/v1/admin/ab-tests/{test}/results/")


def test_a_newcomer_plans_runs_and_ends_a_test(page: Page, app: App) -> None:
    page.goto("/ab?theme=1")
    expect(page.get_by_text("you need about")).to_be_visible()
    page.get_by_role("textbox", name="Name", exact=True).fill("<b>Is</b> *B* better?")
    page.get_by_role("textbox", name="Segments").fill("country")
    page.get_by_role("textbox", name="Segments").press("Tab")
    settled(page)
    button(page, "save-test").click()
    page.wait_for_url("**/abtest?test=*")
    test = int(page.url.split("test=")[1])
    expect(page.get_by_role("heading", name="<b>Is</b> *B* better?")).to_be_visible()
    expect(page.locator(".st-key-crumbs").get_by_role("link", name=THEME, exact=True)).to_be_visible()
    button(page, "start-test").click()
    expect(page.get_by_text("Cannot tell yet.")).to_be_visible()
    expect(page.get_by_text("more users with an answer are needed")).to_be_visible()

    answered: list[dict[str, object]] = []
    for number in range(900):
        found = app.admin.post(
            f"/api/v1/admin/ab-tests/{test}/assign-variant/", json={"unit": f"u{number}"}
        ).json()
        stars = (number * 7 % 5) / 2 + (2.4 if found["variant"] == "B" else 1.6)
        answered.append(
            {
                "unit": f"u{number}",
                "rating": max(1, min(5, round(stars))),
                "segments": {"country": ("KR", "JP")[number % 2]},
                "query": "<img src=x onerror=alert(1)>",
                "feedback": "<script>alert(2)</script> [link](javascript:alert(3))",
            }
        )
    sent = app.admin.post(f"/api/v1/admin/ab-tests/{test}/logs/batch/", json=answered)
    assert sent.json()["added"] == 900, sent.text
    assert results(app, test).json()["verdict"]["kind"] == "better"
    # The open screen notices by itself.
    expect(page.get_by_text("B is better than A.")).to_be_visible()
    expect(page.get_by_text("If this is wrong, taking B costs")).to_be_visible()
    assert page.locator("img[src=x]").count() == 0

    page.get_by_text("Brunner–Munzel").wait_for()
    for tab, text in (
        ("Variants", "Spread a user"),
        ("Segments", "Hints for the next test"),
        ("Trust", "Chi-square over all who came"),
        ("Live", "Points of the charts"),
        ("Conversations", "There is nothing to label here"),
        ("Taking part", "assigns and logs"),
    ):
        page.get_by_role("tab", name=tab, exact=True).click()
        expect(page.get_by_text(text).first).to_be_visible()
    button(page, "report").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Report as CSV").click()
    assert "B is better than A." in Path(download.value.path()).read_text(encoding="utf-8")
    page.keyboard.press("Escape")
    button(page, "end-test").click()
    button(page, "yes-end").click()
    expect(page.get_by_text("Choose what follows")).to_be_visible()
    page.get_by_text("B wins").click()
    page.get_by_role("textbox", name="Why").fill("Clear enough.")
    page.get_by_role("textbox", name="Why").press("Tab")
    settled(page)
    button(page, "yes-end").click()
    expect(page.get_by_text("Ended on").first).to_contain_text("Clear enough.")
    assert app.admin.get(f"/api/v1/admin/ab-tests/{test}/").json()["outcome"]["winner"] == "B"
    page.goto("/ab?theme=1")
    expect(page.get_by_text("Winner: B").first).to_be_visible()


def test_no_acknowledged_row_is_lost_by_a_kill(app: App) -> None:
    body = {
        "theme_id": 1,
        "name": "Kill",
        "plan": {"versions": [1, 2], "minimum": 0.2, "planned_users": 2_000, "days": 3},
    }
    made = app.admin.post("/api/v1/admin/ab-tests/", json=body).json()
    base = f"/api/v1/admin/ab-tests/{made['id']}"
    app.admin.post(f"{base}/start/").raise_for_status()
    before = {
        f"k{n}": app.admin.post(f"{base}/assign-variant/", json={"unit": f"k{n}"}).json()["variant"]
        for n in range(50)
    }
    kept = 0
    for batch in range(6):
        given = [{"unit": f"k{n % 50}", "key": f"{batch}-{n}", "rating": 4} for n in range(500)]
        kept += app.admin.post(f"{base}/logs/batch/", json=given).json()["added"]
    app.kill()
    app.start()
    assert kept == 3_000
    counted = app.admin.get(f"{base}/monitoring/").json()["interactions"]
    assert sum(counted.values()) == kept
    again = app.admin.post(f"{base}/logs/batch/", json=[{"unit": "k0", "key": "0-0", "rating": 1}]).json()
    assert (again["added"], again["known"]) == (0, 1)
    for unit, variant in before.items():
        found = app.admin.post(f"{base}/assign-variant/", json={"unit": unit}).json()
        assert (found["variant"], found["new"]) == (variant, False)
