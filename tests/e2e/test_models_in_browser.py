"""The list of model versions in a browser: found by tags, changed, compared; what was in production."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from core import auth, registry, stages, version_changes
from core.workbench import Workbench
from tests.e2e.screens import running, window
from tests.steps import ready_theme
from tests.trained import finished

pytestmark = pytest.mark.e2e


def fill(wb: Workbench, ada: auth.User) -> None:
    theme = ready_theme(wb, ada)
    for number in (1, 2):
        run = finished(wb, ada, theme.id, lambda image_id, n=number: image_id % (4 * n) > 0, version=number)
        version = registry.of_run(wb, run.id)
        assert version is not None
        version_changes.edit(wb, ada, version.id, tags=["line-3", f"only-{number}"])
    stages.promote(wb, ada, 1, "production", "the first one")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, broker_url: str, browser: Browser) -> Iterator[Page]:
    with running(tmp_path_factory.mktemp("models"), broker_url, fill) as app, window(app, browser) as page:
        yield page


def test_versions_are_found_by_their_tags_and_by_words(page: Page) -> None:
    page.goto("/models?theme=1&tags=only-2")
    expect(page.get_by_text("version 2 · 1.1.0")).to_be_visible()
    expect(page.get_by_text("version 1 · 1.0.0")).to_have_count(0)
    page.goto("/models?theme=1&q=nowhere")
    expect(page.get_by_text("No version fits what you are looking for.")).to_be_visible()
    page.get_by_role("button", name="Show all").click()
    expect(page.get_by_text("version 1 · 1.0.0")).to_be_visible()


def test_a_version_is_changed_and_a_lower_number_refused(page: Page) -> None:
    page.goto("/models?theme=1")
    page.locator(".st-key-more-2 button").first.click()
    page.get_by_text("Change number, tags, description").click()
    dialog = page.get_by_role("dialog")
    number = dialog.get_by_role("textbox", name="Version number")
    number.fill("1.0.9")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_text("numbers only go up")).to_be_visible()
    number.fill("2.0.0")
    dialog.get_by_role("button", name="Save").click()
    expect(page.get_by_text("version 2 · 2.0.0")).to_be_visible()


def test_marked_versions_are_compared_and_the_ledger_is_asked(page: Page) -> None:
    page.goto("/models?theme=1")
    page.get_by_text("What was in production on").click()
    expect(page.get_by_text("(1.0.0) was in production")).to_be_visible()
    for version_id in (1, 2):
        page.locator(f"[class*=st-key-mark-{version_id}-] label").click()
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_text("Compare versions")).to_be_visible()
    expect(page.get_by_text("test images that all of them answered").first).to_be_visible()
    expect(page.get_by_role("tab", name="Benchmarks")).to_be_visible()
