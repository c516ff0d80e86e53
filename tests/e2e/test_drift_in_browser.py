"""New images that differ, the trust report, and what a fix changed, as a person finds them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import redis
from pictures import encoded, picture, png
from playwright.sync_api import Browser, Page, expect

from core import auth, images, splits, themes
from core.quality import repair
from core.workbench import Workbench
from tests.app import App
from tests.e2e.screens import running, settled, window
from tests.trained import finished

pytestmark = pytest.mark.e2e


def fill(wb: Workbench, ada: auth.User) -> None:
    theme = themes.create(wb, ada, name="Parts <b>", labels=["good", "bad"])
    files = [(f"{('good', 'bad')[n % 2]}/{n}.png", png(n, (96, 64))) for n in range(100)]
    files += [(f"good/{n}-again.png", png(n, (97, 65))) for n in range(0, 20, 2)]
    images.add(wb, ada, theme.id, files, label_from_folder=True)
    splits.split(wb, ada, theme.id)
    finished(wb, ada, theme.id, lambda image_id: image_id % 3 > 0)
    assert repair.keep_best(wb, ada, theme.id)  # but for copies in the test set, which the run has frozen
    finished(wb, ada, theme.id, lambda image_id: True)
    dark = [(f"night/{n}.png", picture(n, (96, 64)).point(lambda v: v // 4)) for n in range(200, 240)]
    images.add(wb, ada, theme.id, [(name, encoded(image)) for name, image in dark])


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, broker_url: str) -> Iterator[App]:
    redis.Redis.from_url(broker_url).flushdb()
    with running(tmp_path_factory.mktemp("drift"), broker_url, fill) as it:
        yield it


@pytest.fixture
def page(app: App, browser: Browser) -> Iterator[Page]:
    with window(app, browser) as page:
        yield page


def test_dark_images_are_noticed_and_the_report_says_so(page: Page, app: App) -> None:
    page.goto("/quality?theme=1")
    section = page.locator(".st-key-drift")
    expect(
        section.get_by_text(re.compile(r"The 40 new images differ from the 10\d of the training"))
    ).to_be_visible()
    expect(section.get_by_text("Farthest off:")).to_be_visible()
    expect(section.locator("figure img[title*=night]")).to_have_count(8)
    page.get_by_role("button", name="Trust report").click()
    address = page.get_by_role("link", name="Report as HTML").get_attribute("href")
    report = app.admin.get(str(address)).text
    assert "Trust report: Parts &lt;b&gt;" in report and "The 40 new images differ" in report
    assert "Traceback" not in (app.folder / "log").read_text()


def test_a_run_shows_its_mark_with_and_without_the_fix(page: Page, app: App) -> None:
    page.goto("/run?run=2")
    effect = page.locator(".st-key-effect")
    expect(effect.get_by_text(re.compile(r"\d copies removed"))).to_be_visible()
    expect(effect.get_by_text("test images that both runs saw: 1.000 with")).to_be_visible()
    effect.get_by_role("link", name="To run 1").click()
    expect(page.get_by_role("heading", name="Run 1")).to_be_visible()
    expect(effect).to_have_count(0)  # the first run has none before it
    assert "Traceback" not in (app.folder / "log").read_text()


def test_two_runs_are_compared_from_the_history_down_to_single_images(page: Page, app: App) -> None:
    page.goto("/history?theme=1")
    boxes = page.frame_locator("iframe").first.get_by_role("checkbox")
    boxes.nth(0).check()
    boxes.nth(1).check()
    page.locator(".st-key-compare button").first.click()
    page.wait_for_url("**/compare?runs=1*2")
    expect(page.locator(".st-key-verdict").get_by_text("Run 2 is")).to_be_visible()
    page.get_by_role("tab", name="Single images").click()
    expect(page.get_by_text("images that only run 2 got right")).to_be_visible()
    page.locator(".st-key-only-2").get_by_role("link", name="Open in the grid").click()
    page.wait_for_url("**/theme?theme=1&picked=*")
    page.goto("/compare?runs=1")
    expect(page.get_by_text("Name 2 to 10 different runs")).to_be_visible()
    assert "Traceback" not in (app.folder / "log").read_text()


def test_a_field_of_the_confusion_matrix_opens_its_images(page: Page) -> None:
    page.goto("/run?run=1")
    expect(page.get_by_text("What would help next")).to_be_visible()
    expect(page.locator(".st-key-mistake-0").get_by_text(re.compile("w(as|ere) called"))).to_be_visible()
    settled(page)
    page.locator(".st-key-confusion-test .points path").first.click(force=True)
    expect(
        page.locator(".st-key-cell").get_by_text(re.compile("of “good” w(as|ere) called “good”"))
    ).to_be_visible()
    page.locator(".st-key-cell").get_by_role("link", name="Open in the grid").click()
    page.wait_for_url("**/theme?theme=1&picked=*")
