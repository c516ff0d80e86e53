"""A training as a person goes through it: set up, tried, paused, killed, repeated, searched for, disturbed."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable
from typing import Any

import psutil
import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import PASSWORD, Product
from tests.e2e.screens import settled
from tests.e2e.test_whole_way import button, field, rest, wait_for_status

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(2_400)]

EPOCHS, TRIALS = 8, 8
AWAY_SECONDS = 60
LONG = 900


def until(found: Callable[[], Any], seconds: float = LONG) -> Any:
    """What `found` gives as soon as it gives something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := found():
            return answer
        time.sleep(0.5)
    raise AssertionError(f"not within {seconds} s")


def run_of(page: Page) -> int:
    page.wait_for_url(re.compile(r"/run\?run=\d+"), timeout=LONG * 1000)
    return int(page.url.partition("run=")[2])


def part(product: Product, word: str) -> psutil.Process:
    """The process of the installation whose command has this word."""
    living = (p for p in product.family() if p.status() != psutil.STATUS_ZOMBIE)
    return next(p for p in living if word in " ".join(p.cmdline()))


def train(page: Page, *, preflight: bool) -> int:
    """Press “Train”, once what ran before is over, and follow to the run's screen."""
    until(lambda: not rest(page, "/v1/admin/finetuning/queue")["entries"])
    page.goto("/training?theme=1")
    settled(page)
    toggle = page.locator(".st-key-preflight-1 label").first
    if toggle.locator("input").is_checked() != preflight:
        toggle.click()
        settled(page)
    button(page, "train").click()
    return run_of(page)


def setting(page: Page, name: str, value: str) -> None:
    entry = field(page, name)
    entry.fill(value)
    entry.press("Tab")
    settled(page)


def test_the_demo_is_loaded_and_parameters_are_set_and_previewed(page: Page) -> None:
    page.goto("/")
    page.fill("#name", "Ada")
    page.fill("#password", PASSWORD)
    page.fill("#again", PASSWORD)
    page.get_by_role("button").click()
    button(page, "demo").click()
    expect(page.get_by_role("heading", name="Handwritten digits")).to_be_visible(timeout=90_000)
    page.goto("/parameters?theme=1")
    setting(page, "Epochs", str(EPOCHS))
    page.get_by_text("Data", exact=True).click()
    setting(page, "Image size", "32")
    page.get_by_text("Preview on your own images").click()
    seen = page.locator('img[alt$="with random changes"]')
    expect(seen).to_have_count(9, timeout=180_000)
    settled(page)
    first = seen.first.get_attribute("src")
    button(page, "preview-roll-1").click()
    expect(seen.first).not_to_have_attribute("src", str(first))
    button(page, "save").click()
    expect(page.get_by_text("Saved. The next training")).to_be_visible()


def test_paused_killed_and_resumed_it_ends_as_one_that_nothing_happened_to(
    page: Page, product: Product
) -> None:
    run = train(page, preflight=True)
    wait_for_status(page, run, {"running"}, LONG)
    expect(page.get_by_text("Epoch", exact=True)).to_be_visible(timeout=LONG * 1000)
    last = product.folder / "artifacts" / "runs" / str(run) / "checkpoints" / "last.ckpt"
    until(last.exists)
    button(page, "pause").click()
    wait_for_status(page, run, {"paused"}, LONG)
    expect(page.get_by_text("This run is paused.")).to_be_visible()
    button(page, "resume").click()
    wait_for_status(page, run, {"running"}, LONG, attempt=2)
    for pid in product.worker_pids():
        os.kill(pid, signal.SIGKILL)
    wait_for_status(page, run, {"succeeded"}, LONG, attempt=3)

    page.goto(f"/run?run={run}")
    button(page, "repeat").click()
    page.wait_for_url(re.compile(rf"/run\?run=(?!{run}$)\d+"))
    twin = run_of(page)
    wait_for_status(page, twin, {"succeeded"}, LONG)
    page.goto(f"/run?run={twin}")
    expect(page.locator(".st-key-repetition")).to_contain_text("identical")
    expect(page.locator(".st-key-repetition")).not_to_contain_text("Not identical")
    page.goto(f"/compare?runs={run},{twin}")
    expect(page.locator(".st-key-verdict")).to_contain_text("not proven")
    marks = [rest(page, f"/theme/1/training/result/{n}/")["result"]["metrics"]["test"] for n in (run, twin)]
    assert marks[0] == marks[1]


def test_eight_trials_are_searched_and_the_best_is_used(page: Page) -> None:
    page.goto("/parameters?theme=1")
    setting(page, "Epochs", "2")
    button(page, "save").click()
    expect(page.get_by_text("Saved. The next training")).to_be_visible()
    page.goto("/tuning?theme=1")
    settled(page)
    trials = page.get_by_role("spinbutton", name="Trials (runs)")
    trials.fill(str(TRIALS))
    trials.press("Enter")
    settled(page)
    button(page, "start-tuning").click()
    expect(page.get_by_text(f"of {TRIALS} trials done")).to_be_visible(timeout=60_000)

    def done() -> Any:
        [found] = rest(page, "/v1/admin/finetuning/tunings?theme_id=1")
        return found if found["status"] == "succeeded" else None

    found = until(done, 1_200)
    page.reload()
    expect(page.get_by_text(f"{TRIALS} of {TRIALS} trials done")).to_be_visible()
    button(page, "use-best").click()
    page.wait_for_url(re.compile("/parameters"))
    saved = rest(page, "/theme/1/training/config")["params"]["training"]
    assert saved["learning_rate"] == pytest.approx(
        found["result"]["best"]["values"]["training.learning_rate"]
    )


def test_broker_and_mlflow_may_go_away_while_it_trains(page: Page, product: Product) -> None:
    page.goto("/parameters?theme=1")
    setting(page, "Epochs", str(EPOCHS - 2))
    button(page, "save").click()
    expect(page.get_by_text("Saved. The next training")).to_be_visible()
    run = train(page, preflight=False)
    wait_for_status(page, run, {"running"}, LONG)
    part(product, "valkey-server").kill()
    mlflow = [part(product, "mlflow"), *part(product, "mlflow").children(recursive=True)]
    for process in mlflow:
        process.suspend()
    time.sleep(AWAY_SECONDS)
    for process in mlflow:
        process.resume()
    state = wait_for_status(page, run, {"succeeded"}, LONG)
    assert state["attempt"] == 1
    expect(page.get_by_text("Right on test")).to_be_visible(timeout=60_000)


def test_an_image_that_was_spoilt_on_disk_is_named_and_left_out(page: Page, product: Product) -> None:
    images = sorted((product.folder / "data" / "files" / "images").rglob("*.png"))
    spoilt = images[len(images) // 2]
    before = spoilt.read_bytes()
    spoilt.write_bytes(before[: len(before) // 2])
    run = train(page, preflight=False)
    wait_for_status(page, run, {"succeeded"}, LONG)
    spoilt.write_bytes(before)
    page.goto(f"/run?run={run}")
    page.get_by_text("Log", exact=True).click()
    page.get_by_role("textbox", name="Search the log").fill("is left out")
    page.keyboard.press("Enter")
    expect(page.get_by_text(re.compile(r"Image \d+ is left out\. "))).to_be_visible()
