"""Predict in a browser: the version in production is chosen, and wrong answers go back to the theme with their label."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import pytest
from pictures import png
from playwright.sync_api import Browser, Page, expect

from core import auth, prediction_batches, prediction_intake, prediction_jobs, serving, stages
from core.serving_protocol import LOGS, SEEN_KEY
from core.workbench import Workbench
from tests.core.test_serving import ModelServer
from tests.e2e.screens import running, settled, window
from tests.predicting import answer
from tests.steps import ready_theme
from tests.trained import finished

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, broker_url: str, browser: Browser) -> Iterator[Page]:
    server = ModelServer()

    def fill(wb: Workbench, ada: auth.User) -> None:
        theme = ready_theme(wb, ada)
        for number in (1, 2):
            finished(wb, ada, theme.id, lambda image_id: image_id % 4 > 0, version=number)
        stages.promote(wb, ada, 1, "production", "the first one")
        stages.promote(wb, ada, 2, "archived", "no better")
        at = "2026-01-02T03:04:05+00:00"
        up = {"status": "up", "url": server.url, "detail": None}
        servers = [{"restarts": 2, "up_since": at, "ended_at": at}]
        deployed = serving.deploy(wb, ada, 1).id
        wb.broker.hset(SEEN_KEY, str(deployed), json.dumps(up | {"servers": servers}))
        serving.deploy(wb, ada, 2)
        logs = wb.settings.artifacts_dir / LOGS
        logs.mkdir(parents=True)
        (logs / f"{deployed}.log").write_text("it starts\nit fell over\n")
        batch = prediction_batches.create(wb, ada, 1, "Line 3")
        prediction_intake.add_files(wb, ada, batch.id, [(f"{n}.png", png(500 + n)) for n in range(30)])
        answer(wb, prediction_jobs.start(wb, ada, batch.id), lambda place: 0.5 + place / 100)

    folder = tmp_path_factory.mktemp("predict")
    with server, running(folder, broker_url, fill) as app, window(app, browser, height=1400) as page:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield page
        server.shutdown()
        thread.join()


def correct(page: Page, label: str) -> None:
    """Say of the first answer shown what is right."""
    settled(page)
    box = page.get_by_role("combobox", name="Right is").first
    box.scroll_into_view_if_needed()  # a list that opens while the page scrolls closes again
    settled(page)
    box.click()
    page.get_by_role("option", name=label).click()


def test_a_server_that_came_back_says_so_and_shows_its_log(page: Page) -> None:
    page.goto("/models?theme=1")
    card = page.locator(".st-key-deployment-1")
    expect(card).to_contain_text("restarted 2 times · last ended 2026-01-02 03:04 UTC")
    expect(card).to_contain_text("production")
    card.get_by_text("Log", exact=True).click()
    expect(card).to_contain_text("it fell over")


def test_answers_of_a_batch_are_corrected_across_pages(page: Page) -> None:
    page.goto("/predict?theme=1&view=many&batch=1")
    correct(page, "dog")
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_text("25 to 30 of 30 answers")).to_be_visible()
    correct(page, "cat")
    page.get_by_role("button", name="Add 2 images to the theme").click()
    expect(page.get_by_text("2 images added, 2 labelled.")).to_be_visible()
    expect(page.get_by_role("button", name="Add 0 images to the theme")).to_be_disabled()


def test_the_version_in_production_answers_and_more_than_a_page_can_be_corrected(page: Page) -> None:
    page.goto("/predict?theme=1")
    model = page.get_by_role("combobox", name="Model")
    expect(model).to_have_value("Animals, version 1 · production")
    files = [{"name": f"{n}.png", "mimeType": "image/png", "buffer": png(2_000 + n)} for n in range(70)]
    page.get_by_test_id("stFileUploader").locator("input").set_input_files(files)
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_text("61 to 70 of 70 answers")).to_be_visible()
    correct(page, "dog")
    page.get_by_role("button", name="Add 1 image to the theme").click()
    expect(page.get_by_text("1 image added, 1 labelled.")).to_be_visible()
