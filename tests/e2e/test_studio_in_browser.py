"""The studio's screens in Chromium: a search for parameters, the queue, and what a run left."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from core import auth, params, runs
from core.tuning import search, space, tunings
from core.workbench import Workbench
from tests.app import App
from tests.core.test_run_growth import left
from tests.e2e.screens import running, settled, window
from tests.steps import ready_theme
from tests.trained import finished

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
SEARCH = """
trials: 4
search:
  training.learning_rate: {low: 0.001, high: 0.01, log: true}
  training.batch_size: {choices: [16, 32]}
"""


def fill(wb: Workbench, ada: auth.User) -> None:
    """A finished run with checkpoints, two that wait, and a theme whose tuning was stopped after three trials."""
    theme = ready_theme(wb, ada)
    first = finished(wb, ada, theme.id, lambda _id: True)
    left(wb, first.id, last=b"last", best=b"best")
    for _ in range(2):
        runs.start(wb, ada, theme.id)
    tuned = ready_theme(wb, ada, name="Tuned")
    params.save(wb.settings, tuned.id, "Ada", params.parse_yaml(SEARCH, params.OptunaParams))
    tuning = tunings.start(wb, ada, tuned.id)
    study = search.study(wb.settings.optuna_url, tuning.spec)
    for value in (0.5, 0.3, 0.4):
        study.tell(study.ask(space.distributions(tuning.search)).number, value)
    wb.db.write(lambda connection: tunings.change(connection, tuning.id, status="cancelled"))


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, broker_url: str) -> Iterator[App]:
    with running(tmp_path_factory.mktemp("studio"), broker_url, fill) as app:
        yield app


@pytest.fixture
def page(app: App, browser: Browser) -> Iterator[Page]:
    with window(app, browser, height=1300) as page:
        yield page


def press(page: Page, key: str) -> None:
    settled(page)
    page.locator(f".st-key-{key} button").first.click()


def test_a_search_is_set_and_started_and_its_results_are_drawn(page: Page, app: App) -> None:
    page.goto("/tuning?theme=1")
    expect(page.get_by_text("Nothing was searched yet.")).to_be_visible()
    for name in ("Learning rate", "Weight decay", "Batch size", "Architecture"):  # as shipped
        expect(page.locator("strong", has_text=name)).to_be_visible()
    settled(page)
    trials = page.get_by_role("spinbutton", name="Trials (runs)")
    trials.fill("0")
    trials.press("Enter")
    expect(page.get_by_text("“trials” is 0; allowed is 1 to 1000")).to_be_visible()
    settled(page)
    expect(page.locator(".st-key-start-tuning button").first).to_be_disabled()
    trials.fill("7")
    trials.press("Enter")
    expect(page.locator(".st-key-start-tuning button").first).to_be_enabled()
    press(page, "start-tuning")
    expect(page.get_by_text("0 of 7 trials done")).to_be_visible()
    expect(page.get_by_text("as soon as MLflow answers")).to_be_visible()
    [found] = app.admin.get("/api/v1/admin/finetuning/tunings", params={"theme_id": 1}).json()
    assert found["search"]["trials"] == 7
    press(page, "stop-tuning")
    expect(page.get_by_text("It is being stopped.").or_(page.get_by_text("cancelled")).first).to_be_visible()

    page.goto("/tuning?theme=2")
    expect(page.get_by_text("0 of 4 trials done")).to_be_visible()  # no run of ours was behind them
    for name in ("What matters", "Together", "One by one", "Two at a time"):
        settled(page)
        page.get_by_role("radio", name=name).or_(page.get_by_text(name, exact=True)).first.click()
        expect(page.locator(".js-plotly-plot").first).to_be_visible()
    expect(page.get_by_role("link", name="Open in Optuna's dashboard")).to_have_attribute("href", "/optuna/")


def test_the_queue_shows_the_order_and_changes_it(page: Page) -> None:
    page.goto("/queue")
    expect(page.get_by_text("Nothing is being computed.")).to_be_visible()
    expect(page.get_by_text("No worker is there")).to_be_visible()
    second = page.locator(".st-key-job-3")
    expect(second).to_contain_text("2")
    settled(page)
    page.locator(".st-key-first-3 button").first.click()
    expect(second.locator(".stMarkdownBadge, [class*=badge]").first).to_have_text("1")
    settled(page)
    page.locator(".st-key-cancel-2 button").first.click()
    expect(page.locator(".st-key-job-2")).to_have_count(0)


def test_what_a_run_left_is_checked_and_a_longer_one_grows_out_of_it(page: Page, app: App) -> None:
    page.goto("/run?run=1")
    page.get_by_role("tab", name="Curves").click()
    expect(page.get_by_text("F1 of each label")).to_be_visible()
    expect(page.get_by_text("Worst images of epoch")).to_be_visible()
    settled(page)
    page.get_by_text("Log", exact=True).last.click()
    page.get_by_role("textbox", name="Search the log").fill("nowhere")
    page.get_by_role("textbox", name="Search the log").press("Enter")
    expect(page.get_by_text("No line contains “nowhere”.")).to_be_visible()
    page.get_by_text("Checkpoints", exact=True).click()
    press(page, "start-from")
    page.wait_for_url(re.compile(r"/parameters\?theme=1"))
    expect(page.locator('input[aria-label="Starting weights"]')).to_have_value(
        re.compile(r"run-1-best-.*\.ckpt")
    )

    page.goto("/run?run=1")
    page.get_by_text("Checkpoints", exact=True).click()
    press(page, "check-checkpoints")
    settled(page)
    press(page, "extend")
    page.wait_for_url(re.compile(r"/run\?run=(?!1$)\d+"))
    newest = app.admin.get("/api/v1/admin/finetuning/jobs", params={"theme_id": 1}).json()["items"][0]
    assert newest["parameters"]["training.epochs"] == 9  # the four it had, and five more
