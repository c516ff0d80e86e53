"""Planted faults, each found and repaired from the screen, until the gate turns from FAIL to PASS."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis
from pictures import encoded, zipped
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from sklearn.datasets import load_digits

from core.settings import Settings
from tests.app import App
from tests.e2e.screens import window
from tests.steps import wait_for, worker

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

EACH = 30


def scans() -> dict[int, list[Image.Image]]:
    digits = load_digits()
    return {
        digit: [
            Image.fromarray((digits.images[index] * (255 / 16)).astype("uint8")).resize((48, 48), 0)
            for index in np.flatnonzero(digits.target == digit)[:EACH]
        ]
        for digit in range(4)
    }


def brighter(image: Image.Image) -> bytes:
    return encoded(
        image.point(lambda level: min(255, round(level * 1.05 + 6))).resize((56, 56)), "JPEG", quality=90
    )


def planted() -> dict[str, bytes]:
    """Files by path: 4 × EACH good digits, then the faults."""
    good = scans()
    files = {}
    for digit, images in good.items():
        for number, image in enumerate(images):
            split = ("test", "valid", "train")[min(2, number // 5)]
            folder = (digit + 1) % 4 if number == 29 else digit  # one wrong label a digit
            files[f"{split}/{folder}/{digit}-{number}.png"] = encoded(image)
    files["test/0/leak.jpg"] = brighter(good[0][12])
    files["train/1/copy.jpg"] = brighter(good[1][13])
    files["train/3/other.jpg"] = brighter(good[2][14])
    files["train/2/blank.png"] = encoded(Image.new("L", (48, 48), 90))
    files["train/2/torn.png"] = encoded(good[2][0])[:90]
    return files


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, broker_url: str) -> Iterator[App]:
    redis.Redis.from_url(broker_url).flushdb()  # the worker shall find this module's jobs alone
    it = App(tmp_path_factory.mktemp("quality"), broker_url)
    it.start()
    it.first_run()
    yield it
    it.stop()


@pytest.fixture
def page(app: App, browser: Browser) -> Iterator[Page]:
    with window(app, browser, height=1000) as page:
        yield page


def standing(app: App, theme: int) -> dict[str, Any]:
    found: dict[str, Any] = app.admin.get(f"/api/theme/{theme}/quality/").json()
    return found


def press(page: Page, key: str) -> None:
    page.locator(f".st-key-{key} button").first.click()


def test_planted_faults_are_found_and_repaired_until_the_gate_passes(
    page: Page, app: App, broker_url: str
) -> None:
    made = app.admin.post("/api/theme/create/", json={"name": "Digits <b>", "labels": ["0", "1", "2", "3"]})
    theme = made.json()["id"]
    report = app.admin.post(
        f"/api/theme/{theme}/images/upload/?label_from_folder=true&split_from_folder=true",
        files={"files": ("digits.zip", zipped(planted()))},
    ).json()
    assert [each["name"] for each in report["refused"]] == ["train/2/torn.png"]
    found = standing(app, theme)["findings"]
    # A few digits were written so alike that they count as twins; nobody planted those.
    assert (found["leak"], found["conflict"], found["blank"]) == (2, 2, 1) and found["twin"] >= 6

    page.goto(f"/training?theme={theme}")
    expect(page.get_by_text("The dataset gate fails.")).to_be_visible()
    expect(page.get_by_role("button", name="Train", exact=True)).to_be_disabled()
    page.get_by_role("link", name="See what to repair").click()
    expect(page.locator(".st-key-gate").get_by_text("FAIL")).to_be_visible()

    press(page, "one-side")
    page.get_by_role("button", name="Move 1 images").click()
    expect(page.locator(".st-key-finding-leak")).to_have_count(0)
    settings = Settings.from_env(
        {
            "VERITRAIN_DATA_DIR": str(app.folder / "data"),
            "VERITRAIN_ARTIFACTS_DIR": str(app.folder / "artifacts"),
            "REDIS_URL": broker_url,
        }
    )
    with worker(settings):
        press(page, "check-now")
        wait_for(lambda: standing(app, theme)["check"]["checked_at"], 120)
    # The screen notices the end of the check; the planted ones are the most suspicious.
    doubts = page.locator(".st-key-finding-mislabelled")
    expect(doubts).to_be_visible()
    press(page, "one-label")
    page.get_by_role("button", name="Label 1 images").click()
    expect(page.get_by_text("All look-alikes have one label now.")).to_be_visible()
    page.get_by_role("button", name="Close").last.click()
    expect(page.locator(".st-key-finding-conflict")).to_have_count(0)
    for left in range(standing(app, theme)["findings"]["mislabelled"], 0, -1):
        expect(doubts.get_by_text(f"· {left}")).to_be_visible()
        doubts.get_by_role("button", name="Take the likelier").first.click()
    expect(doubts).to_have_count(0)
    assert standing(app, theme)["findings"]["conflict"] == 0
    press(page, "keep-best")
    page.get_by_role("button", name=re.compile(r"Remove \d+ copies")).click()
    expect(page.locator(".st-key-finding-twin")).to_have_count(0)
    expect(page.locator(".st-key-gate").get_by_text("PASS")).to_be_visible()
    page.get_by_text("Log of checks and decisions").click()
    after = standing(app, theme)
    assert (after["passed"], after["score"]) == (True, 100)
    assert {kind: n for kind, n in after["findings"].items() if kind in ("leak", "conflict", "twin", "mislabelled")} == {
        "leak": 0, "conflict": 0, "twin": 0, "mislabelled": 0,
    }  # fmt: skip
    page.goto(f"/training?theme={theme}")
    expect(page.get_by_role("button", name="Train", exact=True)).to_be_enabled()


def test_the_grid_opens_with_a_finding(page: Page, app: App) -> None:
    page.goto("/quality?theme=1")
    finding = page.locator(".st-key-finding-blank")
    finding.get_by_role("link", name="Open in the grid").click()
    page.wait_for_url("**/theme?theme=1*finding=blank*")
    expect(page.get_by_test_id("active-finding")).to_be_visible()
    Path(app.folder / "log").read_text().index("Application startup complete")
    assert "Traceback" not in Path(app.folder / "log").read_text()
