"""A duel judged in a real browser by keyboard alone: through a lost connection, a reload, hostile texts, to results."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from core import auth
from core.ab import duels
from core.ab.duel_items import Sample
from core.workbench import Workbench
from tests.app import App
from tests.core.ab.duelling import deployed
from tests.core.ab.rig import started, two_versions
from tests.e2e.screens import running, window

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

HOSTILE = "<img src=x onerror=alert(1)> *bold* <script>alert(2)</script>"
TEXTS = [
    {
        "query": f"{HOSTILE} question {n}\n" + "long " * 2_000,
        "answer_a": f"short {n}",
        "answer_b": f"{HOSTILE} {n}",
    }
    for n in range(14)
]


def _guess(image: bytes) -> tuple[str, float]:
    return ("cat", "dog")[hashlib.sha256(image).digest()[0] % 2], 0.73


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, broker_url: str) -> Iterator[App]:
    """Duel 1 is about texts, duel 2 about the images of A/B test 1."""

    def fill(wb: Workbench, admin: auth.User) -> None:
        theme, versions = two_versions(wb, admin)
        made = duels.create(wb, admin, theme_id=theme.id, versions=(versions[0], versions[1]))
        duels.add(wb, admin, made.id, TEXTS)
        trial = started(wb, admin)
        with deployed(wb, admin, list(trial.plan.versions), lambda _: ("cat", 0.9), _guess):
            duels.create(wb, admin, test_id=trial.id, sample=Sample(which="all", n=24))

    with running(tmp_path_factory.mktemp("duel"), broker_url, fill) as it:
        yield it


@pytest.fixture
def page(app: App, browser: Browser) -> Iterator[Page]:
    with window(app, browser, height=720) as page:
        page.on("dialog", lambda dialog: pytest.fail(f"a text became script: {dialog.message}"))
        yield page


def judged(page: Page, n: int, total: int) -> None:
    expect(page.get_by_test_id("duel-count")).to_have_text(f"{n} of {total} judged")
    expect(page.get_by_test_id("duel-marker")).to_contain_text("Saved")


def question(page: Page) -> int:
    expect(page.get_by_test_id("duel-query")).to_contain_text(re.compile(r"question \d"))
    text = page.get_by_test_id("duel-query").text_content() or ""
    found = re.search(r"question (\d+)", text)
    assert found is not None
    return int(found[1])


def press_for(page: Page, wanted: str) -> None:
    """The arrow of the side on which this answer stands."""
    left = page.get_by_test_id("duel-left").text_content() or ""
    page.keyboard.press("ArrowLeft" if wanted in left else "ArrowRight")


def test_texts_are_judged_by_keyboard_alone(page: Page, app: App) -> None:
    page.goto("/duel?duel=1")
    expect(page.get_by_test_id("duel-query")).to_contain_text(HOSTILE)
    assert page.locator("img[src=x]").count() == 0
    assert page.get_by_test_id("duel-query").evaluate("e => e.scrollHeight > e.clientHeight")
    page.keyboard.press("ArrowDown")
    page.wait_for_function(
        "() => [...document.querySelectorAll('*')].some(e => e.shadowRoot?.querySelector('.query')?.scrollTop > 0)"
    )
    results = "/api/v1/duels/1/results/"
    assert app.admin.get(results).status_code == 403  # still blind

    assert question(page) == 0
    page.keyboard.press("Space")
    assert question(page) == 1  # painted at once
    page.keyboard.press("0")
    judged(page, 2, 14)
    page.keyboard.press("Control+z")
    assert question(page) == 1
    expect(page.get_by_test_id("duel-count")).to_have_text("1 of 14 judged")
    press_for(page, HOSTILE)
    judged(page, 2, 14)

    page.context.set_offline(True)
    for _ in range(3):
        press_for(page, HOSTILE)
    expect(page.get_by_test_id("duel-marker")).to_contain_text("No connection: 3 wait")
    assert question(page) == 5
    page.context.set_offline(False)
    page.reload()  # what waits is sent after it
    judged(page, 5, 14)
    assert question(page) == 5
    page.keyboard.press("Control+z")  # also what was chosen before the reload
    expect(page.get_by_test_id("duel-query")).to_contain_text("question 4\n")
    expect(page.get_by_test_id("duel-count")).to_have_text("4 of 14 judged")
    for number in range(4, 14):
        expect(page.get_by_test_id("duel-query")).to_contain_text(f"question {number}\n")
        press_for(page, HOSTILE)
    expect(page.get_by_test_id("duel-message")).to_contain_text("You have judged everything")
    judged(page, 14, 14)
    page.keyboard.press("Enter")
    expect(page.get_by_text("Judges preferred B in 96 of 100 decided duels")).to_be_visible()
    assert page.locator("img[src=x]").count() == 0
    found = app.admin.get(results).json()["counts"]
    assert (found["a"], found["tie"], found["b"]) == (0, 1, 13)


def test_pictures_are_judged_from_the_test_to_its_results(page: Page, app: App) -> None:
    page.goto("/duel?test=1")
    expect(page.get_by_test_id("duel-left")).to_be_visible()
    picture = page.get_by_test_id("duel-picture")
    expect(picture).to_have_attribute("src", re.compile(r"/api/images/\d+/file"))
    page.wait_for_function(
        "() => [...document.querySelectorAll('*')].some(e => e.shadowRoot?.querySelector('.frame img')?.naturalWidth)"
    )
    expect(page.get_by_text("Confidence 73 %")).to_be_hidden()
    page.keyboard.press("c")
    expect(page.get_by_text("Confidence 73 %")).to_be_visible()
    total = int((page.get_by_test_id("duel-count").text_content() or "").split()[2])
    page.keyboard.press("1")
    judged(page, 1, total)
    page.get_by_role("button", name="Close the duel").click()
    page.locator(".st-key-yes-close button").click()
    expect(page.get_by_text("too few to tell")).to_be_visible()
    expect(page.get_by_text("Neither the judges nor the live test can tell yet.")).to_be_visible()
    expect(page.get_by_test_id("duel-left")).to_have_count(0)


def test_a_duel_is_made_by_form_and_filled_by_a_program(page: Page, app: App) -> None:
    page.goto("/duel?test=1&new=1")
    page.get_by_text("A program sends questions with both answers").click()
    page.locator(".st-key-make-duel button").first.click()
    expect(page.get_by_text("No items yet.")).to_be_visible()
    number = int(page.url.split("duel=")[1])
    assert app.admin.post(f"/api/v1/duels/{number}/items/", json=TEXTS[:2]).json()["added"] == 2
    page.locator(".st-key-look-again button").first.click()
    expect(page.get_by_test_id("duel-query")).to_contain_text("question 0")
    page.goto("/duel?duel=99")
    expect(page.get_by_text("There is no duel 99.")).to_be_visible()
