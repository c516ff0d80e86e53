"""Labelling as a person does it, in a real browser: by keyboard alone, with the network gone, with hostile names."""

from __future__ import annotations

import random
import re
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from pictures import png, zipped
from playwright.sync_api import Browser, Page, expect

from tests.app import App
from tests.conftest import PASSWORD
from tests.e2e.screens import window

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

KEYS = "1234567890"
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, broker_url: str) -> Iterator[App]:
    app = App(tmp_path_factory.mktemp("labelling"), broker_url)
    app.start()
    app.first_run()
    yield app
    app.stop()


@pytest.fixture
def page(browser: Browser, app: App) -> Iterator[Page]:
    with window(app, browser, height=720) as page:
        page.on("dialog", lambda dialog: pytest.fail(f"a name became script: {dialog.message}"))
        yield page


def theme_with(app: App, name: str, labels: list[str], files: dict[str, bytes]) -> tuple[int, list[int]]:
    """Id of a new theme with these images, and the ids of its labels."""
    made = app.admin.post("/api/theme/create/", json={"name": name, "labels": labels}).json()
    archive = {"files": ("all.zip", zipped(files))}
    added = app.admin.post(f"/api/theme/{made['id']}/images/upload/", files=archive, timeout=120)
    assert added.json()["added"] == len(files), added.text
    return made["id"], [label["id"] for label in made["labels"]]


def stored(app: App, theme: int) -> dict[int, Any]:
    items = app.admin.get(f"/api/theme/{theme}/images/", params={"limit": 1000}).json()["items"]
    return {item["id"]: item for item in items}


def active(page: Page) -> int:
    """Image that keys act on, as a screen reader is told."""
    name = page.get_by_test_id("grid").get_attribute("aria-activedescendant") or ""
    return int(name.removeprefix("tile-"))


def reach_grid(page: Page) -> None:
    """Tab until the grid has the focus: no mouse is needed."""
    expect(page.get_by_test_id("tile").first).to_be_visible()
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.get_by_test_id("grid").evaluate("grid => grid.getRootNode().activeElement === grid"):
            return
    raise AssertionError("the grid cannot be reached by keyboard")


def test_two_hundred_labels_by_keyboard_with_the_network_gone_and_a_reload(page: Page, app: App) -> None:
    files = {f"{n:03}.png": png(n, (16, 16)) for n in range(230)}
    theme, labels = theme_with(app, "Keys", [f"label {n}" for n in range(10)], files)
    page.goto(f"/theme?theme={theme}&state=unlabelled")
    reach_grid(page)
    page.keyboard.press("Home")
    chosen = random.Random(7)
    pressed: list[tuple[int, int]] = []
    for number in range(200):
        if number == 100:
            page.context.set_offline(True)
            offline_at = page.evaluate("performance.now()")
        image, key = active(page), chosen.randrange(10)
        page.keyboard.press(KEYS[key])
        pressed.append((image, labels[key]))
        if number == 130:
            expect(page.get_by_test_id("marker")).to_contain_text("No connection")
            page.wait_for_function("from => performance.now() - from > 5000", arg=offline_at)
            page.context.set_offline(False)
    assert len({image for image, _ in pressed}) == 200  # every key led on to the next image
    for _ in range(10):
        page.keyboard.press("Control+z")
    page.reload()  # at once: what was not confirmed yet is sent after it
    expect(page.get_by_test_id("marker")).to_contain_text("Saved")
    expect(page.get_by_test_id("state-labelled")).to_contain_text("190")
    expected = dict.fromkeys(stored(app, theme)) | dict(pressed[:-10])
    assert {image: item["label_id"] for image, item in stored(app, theme).items()} == expected
    taken_back = app.admin.get(f"/api/theme/{theme}/images/{pressed[-1][0]}/").json()["history"]
    assert [entry["source"] for entry in taken_back] == ["hand", "undo"]


def test_a_rubber_band_labels_many_in_one_request_and_one_undo_takes_it_back(page: Page, app: App) -> None:
    files = {f"{n:03}.png": png(n, (16, 16)) for n in range(40)}
    theme, labels = theme_with(app, "Band", ["cat", "dog"], files)
    requests: list[str] = []
    page.on("request", lambda r: requests.append(r.url) if "label/actions" in r.url else None)
    page.goto(f"/theme?theme={theme}")
    tiles = page.get_by_test_id("tile")
    first, last = tiles.nth(0).bounding_box(), tiles.nth(8).bounding_box()
    assert first and last
    page.mouse.move(first["x"] + 10, first["y"] + 10)
    page.mouse.down()
    page.mouse.move(last["x"] + 40, last["y"] + 40, steps=6)
    page.mouse.up()
    chosen = int(re.findall(r"\d+", page.get_by_test_id("selected").inner_text())[0])
    assert chosen == page.locator('[data-testid="tile"][aria-selected="true"]').count() >= 6
    page.keyboard.press("2")
    expect(page.get_by_test_id("marker")).to_have_text("Saved")
    assert len(requests) == 1
    assert [item["label_id"] for item in stored(app, theme).values()].count(labels[1]) == chosen
    page.keyboard.press("Control+z")
    expect(page.get_by_test_id("state-labelled")).to_contain_text("0")
    expect(page.get_by_test_id("marker")).to_have_text("Saved")
    assert all(item["label_id"] is None for item in stored(app, theme).values())
    page.keyboard.press("Control+a")
    page.keyboard.press("1")
    page.keyboard.press("Control+Shift+Z")
    expect(page.get_by_test_id("state-labelled")).to_contain_text("40")


def test_a_label_beyond_ten_is_found_by_name_also_in_focus_mode(page: Page, app: App) -> None:
    names = [f"sort {n}" for n in range(10)] + ["orange blossom", "orange"]
    theme, labels = theme_with(app, "Typed", names, {f"{n}.png": png(800 + n) for n in range(4)})
    page.goto(f"/theme?theme={theme}")
    tiles = page.get_by_test_id("tile")
    tiles.first.click()
    page.keyboard.press("/")
    page.keyboard.type("orange")
    page.keyboard.press("Enter")  # the shorter of two names that begin so
    expect(tiles.nth(0)).to_contain_text("orange")
    page.keyboard.press("/")
    page.keyboard.type("orange")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(tiles.nth(1)).to_contain_text("orange blossom")
    page.get_by_role("button", name="Focus mode").click()
    page.keyboard.press("/")
    page.keyboard.type("blossom")
    page.keyboard.press("Enter")
    page.keyboard.press("1")  # not a letter of the search any more
    session = page.get_by_test_id("session")
    expect(session).to_contain_text("2 labelled now")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("u")
    expect(session).to_contain_text("2 labelled now")  # a label taken away is none given
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    expect(session).to_contain_text("2 labelled now")
    expect(page.get_by_test_id("marker").first).to_have_text("Saved")
    page.keyboard.press("Escape")
    page.reload()
    expect(tiles.nth(3)).to_contain_text("unlabelled")
    page.get_by_test_id("redo").click()  # what was taken back is known after a reload
    expect(page.get_by_test_id("marker")).to_have_text("Saved")
    assert sorted(item["label_id"] or 0 for item in stored(app, theme).values()) == sorted(
        [labels[0], labels[10], labels[10], labels[11]]
    )


def test_the_next_step_follows_the_labelling(page: Page, app: App) -> None:
    theme, _ = theme_with(app, "Steps", ["cat", "dog"], {f"{n:02}.png": png(900 + n) for n in range(24)})
    page.goto(f"/theme?theme={theme}")
    step = page.locator(".st-key-next-step")
    expect(step).to_contain_text("label images, at least 10 of each label")
    page.get_by_test_id("tile").first.click()
    for number in range(20):
        page.keyboard.press("12"[number % 2])
    expect(step).to_contain_text("press Split")
    page.keyboard.press("Control+z")
    expect(step).to_contain_text("label images")
    page.keyboard.press("?")
    expect(page.get_by_text("Find a label by its name")).to_be_visible()


def test_hostile_names_and_notes_stay_text(page: Page, app: App) -> None:
    theme, _ = theme_with(
        app,
        "Hostile",
        [HOSTILE, "\"'><script>alert(2)</script>"],
        {f"{HOSTILE}.png": png(1), "plain.png": png(2)},
    )
    page.goto(f"/theme?theme={theme}")
    expect(page.get_by_test_id("palette-label").first).to_contain_text(HOSTILE)
    page.get_by_test_id("tile").first.click()
    page.keyboard.press("1")
    expect(page.get_by_test_id("tile").first).to_contain_text(HOSTILE)
    page.keyboard.press("f")
    page.get_by_test_id("note").fill(HOSTILE)
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("marker")).to_have_text("Saved")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("large")).to_contain_text(HOSTILE)
    page.keyboard.press("Escape")
    page.goto(f"/theme?theme={theme}&flagged=yes&name=%3Cimg")
    expect(page.get_by_test_id("active-flagged")).to_be_visible()
    assert page.locator("img[src='x']").count() == 0
    flagged = [item for item in stored(app, theme).values() if item["flag_note"] is not None]
    assert [item["flag_note"] for item in flagged] == [HOSTILE]


def test_another_persons_label_appears_without_a_reload(page: Page, app: App) -> None:
    theme, labels = theme_with(app, "Live", ["cat", "dog"], {f"{n}.png": png(n) for n in range(3)})
    page.goto(f"/theme?theme={theme}")
    tile = page.get_by_test_id("tile").first
    expect(tile).to_contain_text("unlabelled")
    image = int(tile.get_attribute("data-id") or 0)
    page.wait_for_timeout(2000)  # the grid has asked once where to start
    change = {"changes": [{"image_id": image, "label_id": labels[1]}]}
    app.admin.post(f"/api/theme/{theme}/label/update/", json=change).raise_for_status()
    expect(tile).to_contain_text("dog")
    expect(page.get_by_test_id("state-labelled")).to_contain_text("1")


def test_a_wrong_filter_in_the_address_is_one_sentence(page: Page, app: App) -> None:
    theme, _ = theme_with(app, "Filter", ["cat"], {"a.png": png(1)})
    page.goto(f"/theme?theme={theme}&since=yesterday")
    expect(page.get_by_test_id("grid-message")).to_contain_text("write a day like")


def test_the_past_is_shown_and_cannot_be_changed(page: Page, app: App) -> None:
    theme, labels = theme_with(app, "Past", ["cat", "dog"], {f"{n}.png": png(1200 + n) for n in range(3)})
    change = {"changes": [{"image_id": min(stored(app, theme)), "label_id": labels[0]}]}
    app.admin.post(f"/api/theme/{theme}/label/update/", json=change).raise_for_status()
    page.goto(f"/team?theme={theme}")
    page.get_by_role("link", name="Show the images as they were").click()
    expect(page.get_by_text("as they were at the end of")).to_be_visible()
    expect(page.get_by_test_id("grid-message")).to_contain_text("No image")  # yesterday there was none
    page.goto(f"/theme?theme={theme}&at={datetime.now(UTC):%Y-%m-%d}&state=labelled")
    tile = page.get_by_test_id("tile")
    expect(tile).to_contain_text("cat")
    tile.click()
    page.keyboard.press("2")
    page.get_by_test_id("active-at").click()
    expect(page.get_by_test_id("palette-label").first).to_be_enabled()
    expect(tile).to_contain_text("cat")
    assert [item["label_id"] for item in stored(app, theme).values()].count(labels[0]) == 1


def test_data_comes_in_after_a_look_and_goes_out_again(page: Page, app: App, tmp_path: Path) -> None:
    theme, _ = theme_with(app, "In and out", ["cat"], {"old.png": png(500)})
    archive = tmp_path / "new.zip"
    archive.write_bytes(
        zipped({f"train/dog/{n}.png": png(600 + n) for n in range(6)} | {"x.png": b"no image"})
    )
    page.goto(f"/transfer?theme={theme}")
    page.get_by_test_id("import-file").set_input_files(archive)
    status = page.get_by_test_id("import-status")
    expect(status).to_contain_text("6 images, 6 of them new")
    expect(status).to_contain_text("“x.png” is not an image")
    assert len(stored(app, theme)) == 1  # looking changes nothing
    page.get_by_test_id("import-start").click()
    expect(status).to_contain_text("6 added, 6 labelled")
    assert len(stored(app, theme)) == 7
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    with zipfile.ZipFile(download.value.path()) as found:
        assert sum(name.startswith("images/") for name in found.namelist()) == 7


def test_whoever_chooses_folders_is_asked_whether_their_names_are_labels(
    page: Page, app: App, tmp_path: Path
) -> None:
    theme, _labels = theme_with(app, "Folders", [], {"before.png": png(1)})
    for seed, name in enumerate(("cat/a.png", "cat/b.png", "dog/a.png", "train/dog/b.png"), 2):
        path = tmp_path / "pets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(seed))
    page.goto(f"{app.url}/theme?theme={theme}")
    add = page.get_by_test_id("stWidgetLabel").get_by_text("Add images")
    add.click()
    page.get_by_test_id("upload-folder").set_input_files(tmp_path / "pets" / "cat")
    expect(page.get_by_test_id("tile")).to_have_count(3)  # one folder says nothing, so nobody is asked
    add.click()
    page.get_by_test_id("upload-folder").set_input_files(tmp_path / "pets")
    asks = page.get_by_test_id("upload-asks")
    expect(asks).to_contain_text("2 folders (cat, dog)")
    asks.get_by_role("button", name="Yes, label them so").click()
    report = page.get_by_test_id("upload-report")
    expect(report).to_contain_text("New labels: dog, cat")
    expect(report).to_contain_text("2 of them had no label and got the names of their folders.")
    expect(page.get_by_test_id("option-byLabel")).to_be_checked()
    expect(page.get_by_test_id("state-labelled")).to_contain_text("4")


def test_a_person_labels_the_own_batch_and_a_dispute_is_settled(page: Page, app: App) -> None:
    theme, labels = theme_with(app, "Team", ["cat", "dog"], {f"{n}.png": png(700 + n) for n in range(4)})
    rules = {"batch": 2, "double_percent": 100, "idle_minutes": 30}
    app.admin.put(f"/api/theme/{theme}/team/rules/", json=rules).raise_for_status()
    person = {"name": "Yuki", "password": PASSWORD, "role": "labeler"}
    app.admin.post("/api/users/", json=person)
    page.goto(f"/theme?theme={theme}")
    page.get_by_test_id("my_batch").click()
    expect(page.get_by_test_id("selected")).to_contain_text("2")
    page.get_by_test_id("tile").first.click()
    page.keyboard.press("1")
    page.keyboard.press("1")
    expect(page.get_by_test_id("marker")).to_have_text("Saved")
    assert all(item["label_id"] is None for item in stored(app, theme).values())  # a second vote is due

    def answers() -> int:
        expect(page.get_by_test_id("marker")).to_have_text("Saved")
        [ada] = app.admin.get(f"/api/theme/{theme}/team/").json()["people"]
        return int(ada["answers"])

    assert answers() == 2
    page.keyboard.press("Control+z")
    assert answers() == 1
    page.keyboard.press("Control+Shift+Z")
    assert answers() == 2
    with httpx.Client(base_url=app.url) as yuki:
        yuki.post("/api/auth/sign-in/", json={"name": "Yuki", "password": PASSWORD}).raise_for_status()
        ids = yuki.post(f"/api/theme/{theme}/team/batch/").json()["ids"]
        answers = {"id": "yuki-1-aaaaaa", "changes": [[i, labels[1]] for i in ids], "source": "queue"}
        done = yuki.post(f"/api/theme/{theme}/label/actions/", json={"actions": [answers]}).json()["done"]
        assert done[0]["updated"] == 2
    page.goto(f"/team?theme={theme}")
    expect(page.get_by_text("2 images whose two labels differ")).to_be_visible()
    page.locator("[class*=st-key-settle]").get_by_role("button", name="cat").click()
    # The first look at agreement loads scikit-learn, which takes seconds on a busy machine.
    expect(page.get_by_text("1 images whose two labels differ")).to_be_visible()
    assert [item["label_id"] for item in stored(app, theme).values()].count(labels[0]) == 1
    page.goto(f"/overview?theme={theme}")
    expect(page.get_by_text("1 of 4 images are labelled")).to_be_visible()
