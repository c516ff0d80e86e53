"""One datum's whole way through the running product, as a person goes it, in a real browser.

The steps share one installation and depend on each other, so they are one file in order:
first run, demo, themes, labelling, split, parameters, training (its worker and then the
app are killed under way), result, deployment, prediction, history, Ctrl-C.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.conftest import PASSWORD
from tests.e2e.conftest import Product
from tests.e2e.screens import settled
from tests.steps import model_servers, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

TRAIN_SECONDS = 420
SERVE_SECONDS = 180


def button(page: Page, key: str) -> Locator:
    return page.locator(f".st-key-{key} button").first


def check_files(page: Page, version_id: int) -> None:
    button(page, f"more-{version_id}").click()
    page.get_by_text("Check that it is what it was").click()


def field(scope: Page | Locator, name: str) -> Locator:
    """The input whose accessible name begins so; the help button beside it has a name too."""
    return scope.locator(f'input[aria-label^="{name}"], textarea[aria-label^="{name}"]').first


def rest(page: Page, path: str) -> Any:
    """What the REST interface says to the signed-in browser."""
    answer = page.request.get(f"/api{path}")
    assert answer.ok, answer.text()
    return answer.json()


def wait_for_status(
    page: Page, run: int, wanted: set[str], seconds: float, attempt: int = 1
) -> dict[str, Any]:
    """Poll until the run is in the attempt, or a later one, and in one of the states."""
    until = time.monotonic() + seconds
    state: dict[str, Any] = {}
    while time.monotonic() < until:
        try:
            state = rest(page, f"/theme/1/training/progress/{run}/")
        except Exception:  # the app is being restarted
            time.sleep(0.5)
            continue
        if state["status"] in wanted and state["attempt"] >= attempt:
            return state
        assert state["status"] not in ("failed", "cancelled"), state["error"]
        time.sleep(0.5)
    raise AssertionError(f"run {run} is {state.get('status')} after {seconds} s: {state.get('log')}")


def test_first_run_makes_the_administrator(page: Page) -> None:
    page.goto("/history")
    assert page.url.endswith("/first-run")
    page.fill("#name", "Ada")
    page.fill("#password", PASSWORD)
    page.fill("#again", "something else")
    page.get_by_role("button").click()
    expect(page.get_by_role("alert")).to_contain_text("not the same")
    page.fill("#password", PASSWORD)
    page.fill("#again", PASSWORD)
    page.get_by_role("button").click()
    expect(page.get_by_role("heading", name="Themes")).to_be_visible()


def test_demo_theme_is_loaded_from_the_empty_home_screen(page: Page) -> None:
    button(page, "demo").click()
    expect(page.get_by_role("heading", name="Handwritten digits")).to_be_visible(timeout=90_000)
    counts = rest(page, "/theme/1/statistics/")
    assert (counts["total"], counts["unlabelled"], len(counts["by_label"])) == (1797, 300, 10)


def test_themes_are_created_searched_and_deleted_by_name(page: Page) -> None:
    page.goto("/theme/create/")
    assert "create=1" in page.url
    dialog = page.get_by_role("dialog")
    field(dialog, "Name").fill("<b>Screws</b>")
    field(dialog, "Labels").fill("good, bent\ngood")
    dialog.get_by_role("button", name="Create").click()
    expect(dialog).to_contain_text("good")  # a label named twice is refused in one sentence
    field(dialog, "Labels").fill("good, bent")
    dialog.get_by_role("button", name="Create").click()
    expect(page.get_by_role("heading", name="<b>Screws</b>")).to_be_visible()
    page.goto("/training?theme=2")
    expect(page.get_by_text("at least two labels").first).to_be_visible()
    expect(button(page, "train")).to_be_disabled()
    page.goto("/")
    search = page.get_by_placeholder("Name or description")
    search.fill("screw")
    search.press("Enter")
    expect(page.locator(".st-key-card-1")).to_have_count(0)
    button(page, "more-2").click()
    page.get_by_text("Delete", exact=True).click()
    dialog = page.get_by_role("dialog")
    field(dialog, "Type the theme's name").fill("Screws")
    dialog.get_by_role("button", name="Delete for good").click()
    expect(dialog).to_contain_text("type its name")
    field(dialog, "Type the theme's name").fill("<b>Screws</b>")
    dialog.get_by_role("button", name="Delete for good").click()
    expect(page.locator(".st-key-card-2")).to_have_count(0)


def test_images_are_labelled_by_key_and_click_and_stay_labelled(page: Page) -> None:
    page.goto("/theme?theme=1&state=unlabelled")
    tiles = page.get_by_test_id("tile")
    expect(tiles.first).to_be_visible()
    first = int(tiles.first.get_attribute("data-id") or 0)
    tiles.first.click()
    page.keyboard.press("4")
    expect(page.get_by_test_id("marker")).to_have_text("Saved")
    # One label set, and the next unlabelled image is selected by itself.
    second = int(page.locator('[data-testid="tile"][aria-selected="true"]').get_attribute("data-id") or 0)
    assert second != first
    page.keyboard.press("Shift+ArrowRight")
    page.get_by_test_id("palette-label").nth(5).click()
    expect(page.get_by_test_id("state-unlabelled")).to_contain_text("297")
    expect(page.get_by_test_id("marker")).to_have_text("Saved")
    page.reload()
    expect(page.get_by_test_id("state-unlabelled")).to_contain_text("297")
    labels = {label["id"]: label["name"] for label in rest(page, "/theme/1/")["labels"]}
    image = rest(page, f"/theme/1/images/{first}/")
    assert (labels[image["label_id"]], image["labeled_by"]) == ("3", "Ada")
    assert labels[rest(page, f"/theme/1/images/{second}/")["label_id"]] == "5"


def test_large_view_shows_the_image_and_its_facts(page: Page) -> None:
    page.get_by_test_id("tile").first.click()
    page.keyboard.press("Enter")
    large = page.get_by_test_id("large")
    expect(large).to_contain_text("32 × 32 px")
    page.keyboard.press("Escape")
    expect(large).to_have_count(0)


def test_upload_keeps_the_good_and_names_the_bad(page: Page, tmp_path: Path) -> None:
    good, bad, empty = tmp_path / "süß 1.png", tmp_path / "letter.jpg", tmp_path / "empty.png"
    Image.linear_gradient("L").save(good)
    bad.write_text("Dear Sir or Madam", encoding="utf-8")
    empty.touch()
    page.goto("/theme?theme=1")
    page.get_by_test_id("stWidgetLabel").get_by_text("Add images").click()
    page.get_by_test_id("upload-files").set_input_files([good, bad, empty])
    report = page.get_by_test_id("upload-report")
    expect(report).to_contain_text("1 image added")
    expect(report).to_contain_text("“letter.jpg” is not an image")
    expect(report).to_contain_text("“empty.png” is empty")
    expect(page.get_by_test_id("state-all")).to_contain_text("1,798")
    expect(page.get_by_test_id("tile").first).to_have_attribute("title", "süß 1.png")
    page.get_by_test_id("tile").first.click()
    page.keyboard.press("Delete")
    page.get_by_test_id("yes").click()
    expect(page.get_by_test_id("state-all")).to_contain_text("1,797")


def test_split_deals_only_new_images(page: Page) -> None:
    before = {split: _ids(page, split) for split in ("train", "valid", "test")}
    button(page, "split-button").click()
    dialog = page.get_by_role("dialog")
    field(dialog, "Valid (%)").fill("40")
    dialog.get_by_role("button", name="Split now").click()
    expect(dialog).to_contain_text("1.25")  # the shares add up to 125 %
    field(dialog, "Valid (%)").fill("15")
    dialog.get_by_role("button", name="Split now").click()
    expect(dialog).to_contain_text("kept their split")
    after = {split: _ids(page, split) for split in before}
    assert all(before[split] <= after[split] for split in before)
    assert sum(map(len, after.values())) == sum(map(len, before.values())) + 3


def test_parameters_are_checked_in_plain_words_and_saved(page: Page) -> None:
    page.goto("/parameters?theme=1")
    epochs = field(page, "Epochs")
    epochs.fill("0")
    epochs.press("Tab")
    expect(page.get_by_test_id("stAlert")).to_contain_text("1")
    expect(button(page, "save")).to_be_disabled()
    epochs.fill("4")
    epochs.press("Tab")
    page.get_by_text("Data", exact=True).click()
    size = field(page, "Image size")
    size.fill("32")
    size.press("Tab")
    expect(page.get_by_text("Changed; default: 10")).to_be_visible()
    button(page, "save").click()
    expect(page.get_by_text("Saved. The next training")).to_be_visible()
    saved = rest(page, "/theme/1/training/config")["params"]
    assert (saved["training"]["epochs"], saved["data"]["image_size"]) == (4, 32)


RUN = 2
"""The first training; the pre-flight before it is job 1."""


def test_run_survives_the_death_of_its_worker_and_of_the_app(page: Page, product: Product) -> None:
    page.goto("/training?theme=1")
    button(page, "train").click()
    # The pre-flight goes first; torch alone takes half a minute to load on a busy machine.
    page.wait_for_url(re.compile(r"/run\?run=\d+"), timeout=180_000)
    wait_for_status(page, RUN, {"running"}, 180)
    expect(page.get_by_text("Epoch", exact=True)).to_be_visible(timeout=180_000)
    until = time.monotonic() + 300
    while not (product.folder / "artifacts" / "runs" / str(RUN) / "checkpoints" / "last.ckpt").exists():
        assert time.monotonic() < until, rest(page, f"/theme/1/training/progress/{RUN}/")
        time.sleep(0.2)
    for pid in product.worker_pids():
        os.kill(pid, signal.SIGKILL)
    # A worker that is back at once takes the run again before anybody sees it waiting.
    wait_for_status(page, RUN, {"lost", "running"}, 120, attempt=2)
    [app] = [p for p in product.family() if "app:app" in p.cmdline()]
    app.kill()
    state = wait_for_status(page, RUN, {"succeeded"}, TRAIN_SECONDS)
    assert state["attempt"] == 2
    assert "Going on from the last checkpoint." in state["log"]
    epochs = [epoch for _, epoch, _ in state["metrics"]["valid_loss"]]
    assert epochs == sorted(set(epochs)), "every epoch is measured once"


def test_result_shows_marks_and_where_the_model_comes_from(page: Page) -> None:
    page.goto(f"/theme/1/training/result/{RUN}/")
    expect(page.get_by_text("Right on test")).to_be_visible()
    result = rest(page, f"/theme/1/training/result/{RUN}/")
    assert result["result"]["metrics"]["test"]["accuracy"] >= 0.90
    page.get_by_role("tab", name="Where it comes from").click()
    expect(page.get_by_text(result["spec"]["snapshot"]["hash"])).to_be_visible()
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Open in MLflow").click()
    mlflow = opened.value
    expect(mlflow.get_by_text("test_accuracy").first).to_be_visible(timeout=60_000)
    mlflow.close()


def measured(page: Page, product: Product) -> dict[int, dict[str, Any]]:
    """What the training predicted of the test images, by image."""
    result = rest(page, f"/theme/1/training/result/{RUN}/")["result"]
    rows = pq.read_table(product.folder / "artifacts" / result["predictions"]).to_pylist()
    return {row["image_id"]: row for row in rows if row["split"] == "test"}


def test_deployed_model_answers_as_the_job_measured(page: Page, product: Product, tmp_path: Path) -> None:
    button(page, "deploy").click()
    page.wait_for_url(re.compile("/predict"))
    uploader = page.get_by_test_id("stFileUploader")
    expect(uploader).to_be_visible(timeout=SERVE_SECONDS * 1000)
    told = measured(page, product)
    files = []
    for image in rest(page, "/theme/1/images/?split=test&limit=1000")["items"]:
        path = tmp_path / f"{image['id']}.png"
        path.write_bytes(page.request.get(image["full"]).body())
        files.append(path)
    assert len(files) == len(told) > 200
    files.append(tmp_path / "note.png")
    files[-1].write_text("not an image", encoding="utf-8")
    uploader.locator("input").set_input_files(files)
    expect(page.get_by_text("“note.png” is not an image")).to_be_visible(timeout=90_000)
    button(page, "download").click()
    with page.expect_download() as download:
        button(page, "csv").click()
    text = Path(download.value.path()).read_text(encoding="utf-8-sig")
    rows = {row["file"]: row for row in csv.DictReader(io.StringIO(text))}
    assert rows["note.png"]["error"]
    for image_id, row in told.items():
        served = rows[f"{image_id}.png"]
        assert served["label"] == row["predicted"]
        assert float(served["confidence"]) == pytest.approx(row["confidence"], abs=1e-4)


def test_many_images_are_predicted_in_the_background(page: Page, product: Product) -> None:
    page.goto("/predict?theme=1&view=many")
    page.get_by_text("Images of a theme", exact=True).click()
    settled(page)
    page.get_by_role("combobox", name="Images", exact=True).click()
    page.get_by_role("option", name=re.compile("the split test")).click()
    settled(page)
    page.get_by_role("textbox", name="Name").fill("All that is tested")
    page.get_by_role("textbox", name="Name").press("Tab")
    settled(page)
    button(page, "predict-theme").click()
    expect(page.get_by_text("Answers by label")).to_be_visible(timeout=120_000)
    [batch] = rest(page, "/prediction-batches")["items"]
    sent = page.request.get(f"/api/prediction-batches/{batch['id']}/answers?format=jsonl").text()
    answers = [json.loads(line) for line in sent.splitlines()]
    ids = {
        image["file_name"]: image["id"]
        for image in rest(page, "/theme/1/images/?split=test&limit=1000")["items"]
    }
    answered = {ids[answer["file"]]: answer["label"] for answer in answers}
    assert answered == {image_id: row["predicted"] for image_id, row in measured(page, product).items()}
    page.locator(f".st-key-delete-{batch['id']} button").first.click()
    page.get_by_role("button", name="Delete for good").click()
    expect(page.get_by_text("No batch yet.")).to_be_visible()


def test_a_model_gets_a_second_server_and_gives_it_back(page: Page, product: Product) -> None:
    page.goto("/models?theme=1")
    [deployment] = rest(page, "/deployments?theme=1")
    servers = page.locator(f".st-key-servers-{deployment['id']}")
    number = page.get_by_role("spinbutton", name="Servers")
    pid = product.family()[0].pid
    spare = wait_for(lambda: model_servers(pid, listening=False), SERVE_SECONDS)[0]
    spare.suspend()  # it would be up before the screen has said that it starts
    for wanted, told in ((2, "2 servers"), (1, "1 server")):
        servers.get_by_role("button").click()
        number.fill(str(wanted))
        number.press("Enter")
        expect(servers).to_contain_text(told)
        page.keyboard.press("Escape")
        if wanted == 2:
            waiting = page.get_by_text("1 of 2 servers answer; the others start.")
            expect(waiting).to_be_visible(timeout=30_000)
            spare.resume()
            wait_for(lambda: len(model_servers(pid)) == 2, SERVE_SECONDS)
            expect(waiting).to_have_count(0, timeout=SERVE_SECONDS * 1000)
    assert [each["replicas"] for each in rest(page, "/deployments?theme=1")] == [1]


def test_a_version_whose_files_were_exchanged_is_found_out(page: Page, product: Product) -> None:
    page.goto("/models?theme=1")
    [version] = rest(page, "/models?theme=1")
    check_files(page, version["id"])
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("are, byte for byte, those that the training wrote")).to_be_visible()
    expect(dialog.get_by_text("Every decision in the ledger is as it was written")).to_be_visible()
    expect(dialog.get_by_text("is the one that was frozen")).to_be_visible()
    page.keyboard.press("Escape")
    [file] = (product.folder / "artifacts" / "mlflow").rglob("artifacts/config.json")
    before = file.read_bytes()
    file.write_bytes(before.replace(b'"max_pixels"', b'"max_pixel"'))
    check_files(page, version["id"])
    expect(dialog.get_by_text("added after the training: artifacts/config.json.")).to_be_visible()
    file.write_bytes(before)
    page.keyboard.press("Escape")


def test_the_model_suggests_labels_and_they_are_accepted_after_a_preview(page: Page) -> None:
    until = time.monotonic() + 180
    while not rest(page, "/theme/1/suggestions/")["n_suggested"]:
        assert time.monotonic() < until, rest(page, "/theme/1/suggestions/")
        time.sleep(1)
    page.goto("/theme?theme=1&state=unlabelled&sort=sweep")
    expect(page.get_by_test_id("suggestions")).to_contain_text("suggests labels for 1,797 images")
    expect(page.get_by_test_id("tile").first).to_contain_text("?")
    before = rest(page, "/theme/1/label/changes/")["statistics"]["unlabelled"]
    page.get_by_test_id("at-least").fill("0.5")
    page.get_by_test_id("accept").click()
    page.get_by_test_id("yes").click()
    expect(page.get_by_test_id("marker")).to_contain_text("suggestions accepted")
    after = rest(page, "/theme/1/label/changes/")["statistics"]["unlabelled"]
    assert after < before / 2
    page.get_by_test_id("undo").click()  # one undo takes it all back
    expect(page.get_by_test_id("marker")).to_have_text("Saved")
    assert rest(page, "/theme/1/label/changes/")["statistics"]["unlabelled"] == before


def a_zoom_stays_while_the_run_goes_on(page: Page) -> None:
    chart = page.locator(".live-chart").first
    see = "chart => [chart._fullLayout.xaxis.range, chart.data[0].x.length]"
    page.wait_for_function("document.querySelector('.live-chart')?.data?.[0]?.x.length > 5", timeout=120_000)
    box = chart.locator(".nsewdrag").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] - 20, steps=5)
    page.mouse.up()
    zoomed, points = chart.evaluate(see)
    grown = f"document.querySelector('.live-chart').data[0].x.length > {points}"
    page.wait_for_function(grown, timeout=60_000)
    assert chart.evaluate(see)[0] == zoomed and zoomed[0] > 0.1


def test_cancelled_run_stops_and_history_lists_it(page: Page) -> None:
    page.goto("/training?theme=1")
    button(page, "train").click()
    page.wait_for_url(re.compile(r"/run\?run=\d+"), timeout=180_000)
    run = int(page.url.split("run=")[1])
    wait_for_status(page, run, {"running"}, 180)
    a_zoom_stays_while_the_run_goes_on(page)
    button(page, "stop").click()
    page.get_by_text("Now, without a result").click()
    button(page, "yes-stop").click()
    until = time.monotonic() + 120
    while rest(page, f"/theme/1/training/progress/{run}/")["status"] != "cancelled":
        assert time.monotonic() < until
        time.sleep(0.5)
    expect(button(page, "resume")).to_be_visible()
    page.goto("/history?theme=1")
    table = page.frame_locator("iframe").first
    expect(table.get_by_role("gridcell", name="finished")).to_be_visible(timeout=60_000)
    boxes = table.get_by_role("checkbox")
    boxes.nth(0).check()
    boxes.nth(1).check()
    expect(page.get_by_text("Only finished runs can be compared")).to_be_visible()


def test_signed_out_nothing_but_sign_in_is_seen(page: Page) -> None:
    page.goto("/account")
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(re.compile("/sign-in"))
    for path in ("/", "/theme?theme=1", "/users", "/nowhere"):
        page.goto(path)
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert page.request.get("/api/theme/").status == 401


def test_ctrl_c_leaves_no_process_and_the_next_start_finds_everything(product: Product, page: Page) -> None:
    alive = product.stop()
    assert not alive, [process.cmdline() for process in alive if process.is_running()]
    took = product.start()
    print(f"second start: first page after {took:.1f} s")
    page.goto("/")
    page.fill("#name", "Ada")
    page.fill("#password", PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("Handwritten digits")).to_be_visible()
    assert rest(page, f"/theme/1/training/result/{RUN}/")["status"] == "succeeded"
    assert httpx.get(f"{product.url}/health").json()["status"] == "ok"


def _ids(page: Page, split: str) -> set[int]:
    found: set[int] = set()
    after = ""
    while True:
        answer = rest(page, f"/theme/1/images/?split={split}&limit=1000{after}")
        found |= {item["id"] for item in answer["items"]}
        if answer["next"] is None:
            return found
        after = f"&after={answer['next']}"
