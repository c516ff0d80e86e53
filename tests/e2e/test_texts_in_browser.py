"""A file of texts as a person brings it: looked at, taken in, checked, repaired until the gate passes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from playwright.sync_api import Browser, Page, expect

from core.settings import Settings
from tests.app import App
from tests.e2e.screens import settled, window
from tests.steps import worker

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

BASE = "/api/v1/admin/training/datasets"
SECRET = "mia.tanaka@example-mail.jp"
TOPICS = (
    "rivers", "bridges", "bread", "violins", "glaciers", "sparrows", "compilers", "lanterns", "harbours",
    "tides", "orchards", "canals", "comets", "looms", "kilns", "ferries", "beehives", "turbines", "quarries", "maps",
)  # fmt: skip


def lines() -> Iterator[str]:
    """Twenty good rows, and one of each fault."""
    good = [
        {
            "question": f"Why do people who work with {topic} rise so early in the morning?",
            "answer": f"Because whoever looks after {topic} needs the light, and number {n} of the day is the best.",
            "note": "<script>alert(1)</script>",
        }
        for n, topic in enumerate(TOPICS)
    ]
    yield from map(json.dumps, good)
    yield from (json.dumps(good[0]) for _ in range(8))
    yield json.dumps(
        {"question": "Whom shall I ask about the keys to the store room?", "answer": f"Write to {SECRET}."}
    )
    yield json.dumps({"question": "Who has seen the blue ladder of the second floor?", "answer": ""})
    yield '{"question": "torn'


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, broker_url: str) -> Iterator[App]:
    redis.Redis.from_url(broker_url).flushdb()  # the worker shall find this module's jobs alone
    it = App(tmp_path_factory.mktemp("texts"), broker_url)
    it.start()
    it.first_run()
    settings = Settings.from_env(
        {
            "VERITRAIN_DATA_DIR": str(it.folder / "data"),
            "VERITRAIN_ARTIFACTS_DIR": str(it.folder / "artifacts"),
            "REDIS_URL": broker_url,
        }
    )
    with worker(settings):
        yield it
    it.stop()


@pytest.fixture
def page(app: App, browser: Browser) -> Iterator[Page]:
    with window(app, browser, height=1000) as page:
        yield page


def press(page: Page, key: str) -> None:
    page.locator(f".st-key-{key} button").first.click()


def repair(page: Page, key: str, finding: str) -> None:
    """Ask for the fix of a finding, agree, and see it gone once the new version was checked."""
    press(page, key)
    expect(page.get_by_text("It becomes a new version")).to_be_visible()
    press(page, "yes-fix")
    expect(page.locator(f".st-key-finding-{finding}")).to_have_count(0)
    expect(page.get_by_text("It is being checked.")).to_have_count(0)


def quality(app: App) -> dict[str, Any]:
    found: dict[str, Any] = app.admin.get(f"{BASE}/1/quality").json()
    return found


def test_a_newcomer_brings_texts_and_repairs_them_until_the_gate_passes(
    page: Page, app: App, tmp_path: Path
) -> None:
    file = tmp_path / "Q & A *of* the shop.jsonl"
    file.write_text("\n".join(lines()), encoding="utf-8")
    page.goto("/datasets")
    page.locator("input[type=file]").set_input_files(file)
    expect(page.get_by_text("30 rows can be read.")).to_be_visible()
    expect(page.get_by_text("One row cannot be read and would be left out.")).to_be_visible()
    press(page, "take-in")
    page.wait_for_url("**/dataset?dataset=1")
    expect(page.get_by_role("heading", name="Q & A *of* the shop")).to_be_visible()

    gate = page.locator(".st-key-gate")
    expect(gate.get_by_text("FAIL")).to_be_visible()
    expect(page.locator(".st-key-finding-copy").get_by_text("· 8")).to_be_visible()
    repair(page, "fix-copy", "copy")
    repair(page, "fix-email", "email")
    repair(page, "fix-empty", "empty")
    page.get_by_text("shop.jsonl · 1").click()
    expect(page.get_by_text("is not valid JSON")).to_be_visible()
    press(page, "leave-out")
    expect(gate.get_by_text("PASS")).to_be_visible()
    assert (quality(app)["passed"], quality(app)["score"]) == (True, 100)

    page.get_by_role("button", name="Trust report").click()
    address = page.get_by_role("link", name="Report as HTML").get_attribute("href")
    assert "Trust report: Q &amp; A *of* the shop" in app.admin.get(str(address)).text

    page.goto("/dataset?dataset=1&part=rows&word=store room")
    expect(page.get_by_text("One row", exact=True)).to_be_visible()
    settled(page)
    table = page.get_by_test_id("stDataFrame").bounding_box()
    assert table
    page.mouse.click(table["x"] + 18, table["y"] + 54)
    whole = page.locator("[class*=st-key-whole-row]")
    expect(whole.get_by_text("[email:")).to_be_visible()
    whole.get_by_role("button", name="Show what is masked").click()
    expect(page.get_by_text(f"Write to {SECRET}.")).to_be_visible()

    page.goto("/dataset?dataset=1&part=rows")
    expect(page.get_by_text("21 rows", exact=True)).to_be_visible()
    settled(page)
    table = page.get_by_test_id("stDataFrame").bounding_box()
    assert table
    for number in range(3):
        page.mouse.click(table["x"] + 18, table["y"] + 54 + 36 * number)
        expect(whole).to_have_count(number + 1)

    page.goto("/dataset?dataset=1&part=versions")
    expect(page.get_by_text("copies removed")).to_be_visible()
    press(page, "download")
    press(page, "prepare-file")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download Q").click()
    rows = [json.loads(line) for line in Path(download.value.path()).read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 21
    assert SECRET not in json.dumps(rows)
    assert set(rows[0]) == {"instruction", "input", "output", "note"}


def test_a_deleted_dataset_comes_back(page: Page, app: App) -> None:
    page.goto("/datasets")
    press(page, "delete-1")
    press(page, "yes-delete")
    expect(page.get_by_text("Deleted ones")).to_be_visible()
    page.get_by_text("Deleted ones").click()
    press(page, "restore-1")
    expect(page.get_by_text("Nothing fits.")).to_be_visible()
    page.goto("/dataset?dataset=1")
    expect(page.get_by_role("heading", name="Q & A *of* the shop")).to_be_visible()
    assert "Traceback" not in Path(app.folder / "log").read_text()
