"""Monitoring, a rule that begins an alert, and a webhook, as a person meets them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import redis
from playwright.sync_api import Browser, Page, expect

from core import auth, serving
from core.monitoring import minutes
from core.monitoring.counts import Counts
from core.workbench import Workbench
from tests.app import App
from tests.core.monitoring.test_watching import registered
from tests.e2e.screens import running, window
from tests.steps import ready_theme

pytestmark = pytest.mark.e2e


def fill(wb: Workbench, ada: auth.User) -> None:
    """A deployment that was asked for two hours, and failed one time in ten of late."""
    made = serving.deploy(wb, ada, registered(wb, ada, ready_theme(wb, ada).id).id)
    now = datetime.now(UTC)
    for minute in range(120):
        counts = Counts()
        for n in range(20):
            bad = minute < 15 and n % 10 == 0
            counts.hear(0.02 + 0.002 * n + 0.01 * (minute % 7), 503 if bad else 200)
            if not bad:
                counts.answer("cat" if n % 3 else "dog", 0.6 + 0.02 * (n % 19))
                if n % 5 == 0:
                    counts.measure(
                        {"light": 60.0 + n, "sharpness": 900.0, "width": 8, "height": 8, "aspect": 1}
                    )
        minutes.store(wb, {(made.id, minutes.minute_of(now - timedelta(minutes=minute))): counts})


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, broker_url: str) -> Iterator[App]:
    redis.Redis.from_url(broker_url).flushdb()
    with running(tmp_path_factory.mktemp("watching"), broker_url, fill) as it:
        yield it


@pytest.fixture
def page(app: App, browser: Browser) -> Iterator[Page]:
    with window(app, browser) as page:
        yield page


def test_a_deployment_is_watched_and_a_rule_begins_an_alert(page: Page, app: App) -> None:
    page.goto("/models")
    page.get_by_role("link", name="Monitoring").click()
    expect(page.locator(".st-key-figures")).to_contain_text("2,400")
    expect(page.locator(".js-plotly-plot")).to_have_count(5)
    expect(
        page.locator(".st-key-drift").get_by_text(re.compile("no longer like the training"))
    ).to_be_visible()
    page.get_by_text("1 hour", exact=True).click()
    page.wait_for_url("**range=1h*")
    expect(page.get_by_text("There is no rule yet")).to_be_visible()
    page.get_by_role("button", name="Add a rule").click()
    window_ = page.get_by_role("dialog")
    window_.get_by_role("spinbutton", name="For (min)").fill("0")
    window_.get_by_role("textbox", name="E-mail to").fill("nobody")
    window_.get_by_role("button", name="Save").click()
    expect(window_.get_by_text("of the alert is not right")).to_be_visible()
    window_.get_by_role("textbox", name="E-mail to").fill("")
    window_.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Share of errors above 5 % over the last 5 min")).to_be_visible()
    expect(page.locator("[class*=st-key-alert-]").get_by_text("alert", exact=True)).to_be_visible(
        timeout=60_000
    )
    page.goto("/models")
    expect(page.get_by_text("1 alert", exact=True)).to_be_visible()
    assert "Traceback" not in (app.folder / "log").read_text()


def test_a_webhook_is_added_tested_and_its_failure_is_in_the_log(page: Page, app: App) -> None:
    page.goto("/users")
    page.get_by_role("link", name="Webhooks").click()
    page.get_by_role("button", name="Add a webhook").click()
    window_ = page.get_by_role("dialog")
    window_.get_by_role("textbox", name="Address").fill("http://localhost:1/")
    window_.get_by_role("button", name="Add", exact=True).click()
    expect(window_.get_by_text("leads to this machine")).to_be_visible()
    window_.get_by_role("textbox", name="Address").fill("http://203.0.113.1:9/hook")
    window_.get_by_role("button", name="Add", exact=True).click()
    expect(window_.get_by_text(re.compile("^whsec_"))).to_be_visible()
    window_.get_by_role("button", name="Done").click()
    page.get_by_role("button", name="Send a test").click()
    expect(page.get_by_text("Nothing was sent yet.")).to_have_count(0)
    [notice] = app.admin.get("/api/v1/admin/webhooks/1/log").json()
    assert notice["event"] == "test" and "Traceback" not in (app.folder / "log").read_text()
