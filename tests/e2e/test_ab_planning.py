"""The form of an A/B test: three variants, wrong entries named at their field, rehearsed, saved, changed, copied."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from core import auth
from core.ab import trials
from core.workbench import Workbench
from tests.app import App
from tests.core.ab.rig import PLAN, another_version, two_versions
from tests.e2e.screens import running, settled, window

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.fixture
def app(tmp_path: Path, broker_url: str) -> Iterator[App]:
    def fill(wb: Workbench, ada: auth.User) -> None:
        theme, versions = two_versions(wb, ada)
        another_version(wb, ada, theme, 3)
        exclusion = {"exclusion": {"group": "checkout", "part": 0.7}}
        plan = PLAN | {"versions": versions} | exclusion
        trials.start(wb, ada, trials.create(wb, ada, theme.id, "Owner", plan).id)

    with running(tmp_path, broker_url, fill) as it:
        yield it


@pytest.fixture
def page(app: App, browser: Browser) -> Iterator[Page]:
    with window(app, browser, height=720) as page:
        yield page


def enter(field: Locator, text: str) -> None:
    field.fill(text)
    field.press("Tab")
    settled(field.page)


def test_a_plan_is_made_in_a_form(page: Page, app: App) -> None:
    page.goto("/ab?theme=1")
    page.get_by_text("New A/B test").click()
    save = page.locator(".st-key-save-test button").first
    shares = page.get_by_role("spinbutton", name="Share (%)")
    expect(page.get_by_text("you need about")).to_be_visible()
    page.get_by_role("button", name="Add a variant").click()
    expect(page.get_by_text("C, a challenger")).to_be_visible()
    expect(shares.nth(0)).to_have_value("33.34")
    enter(shares.nth(0), "50")
    expect(page.get_by_text("The shares add up to 116.66 %; make it 100 %")).to_be_visible()
    enter(page.get_by_role("spinbutton", name="At most days"), "0")
    expect(page.get_by_text("a whole number from 1 to 365")).to_be_visible()
    save.click()
    expect(page.get_by_text("put right what is marked above")).to_be_visible()
    page.get_by_role("button", name="Share equally").click()
    expect(page.get_by_text("make it 100 %")).to_have_count(0)
    enter(page.get_by_role("spinbutton", name="At most days"), "20")
    page.get_by_text("Error rate", exact=True).click()
    enter(page.get_by_role("spinbutton", name="At most worse by (%)"), "25")
    page.get_by_role("button", name="Rehearse this plan").click()
    expect(page.get_by_text("without any difference this rule called a winner")).to_be_visible()
    expect(page.get_by_text(re.compile(r"it found B \d+ times, after a median of"))).to_be_visible()
    save.click()
    page.wait_for_url("**/abtest?test=*")
    [made, _] = app.admin.get("/api/v1/admin/ab-tests/", params={"theme": 1}).json()
    plan = made["plan"]
    assert (len(plan["versions"]), plan["weights"]) == (3, [0.3334, 0.3333, 0.3333])
    assert (plan["days"], plan["guardrails"]) == (20, [{"metric": "error_rate", "margin": 0.25}])

    page.goto(f"/ab?theme=1&edit={made['id']}")
    expect(page.get_by_text("Change the draft")).to_be_visible()
    page.locator("[class*='-remove-'] button").first.click()
    expect(page.get_by_text("C, a challenger")).to_have_count(0)
    page.get_by_text("More: risk").click()
    enter(page.get_by_role("textbox", name="Exclusion group"), "checkout")
    expect(page.get_by_text("Still free in this group: 30 %")).to_be_visible()
    expect(page.get_by_text("That is more than is free")).to_be_visible()
    save.click()
    page.wait_for_url("**/abtest?test=*")
    changed = app.admin.get(f"/api/v1/admin/ab-tests/{made['id']}/").json()["plan"]
    assert len(changed["versions"]) == 2 and changed["exclusion"]["part"] == 0.5
    page.locator(".st-key-start-test button").first.click()
    expect(page.get_by_text("30% of the users are still free and this test wants 50%")).to_be_visible()

    page.goto("/ab?theme=1")
    page.get_by_role("link", name="Copy").last.click()
    expect(page.get_by_role("textbox", name="Name", exact=True)).to_have_value("Owner, again")
    page.goto("/ab?theme=1&edit=1")
    expect(page.get_by_text("make a new test for another plan")).to_be_visible()
    page.goto(f"/ab?theme=1&edit={made['id']}")
    page.locator(".st-key-discard button").first.click()
    page.locator(".st-key-yes-discard button").first.click()
    page.wait_for_url("**/ab?theme=1")
    assert app.admin.get(f"/api/v1/admin/ab-tests/{made['id']}/").status_code == 404
