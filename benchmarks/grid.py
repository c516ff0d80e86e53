"""The grid in a real Chromium: key press to painted, first paint at 1,000,000 images, one band and one key, memory.

    python -m benchmarks.grid

Prints a table; the last line is JSON.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import tempfile
import time
from collections.abc import Callable
from itertools import count
from typing import Any, NoReturn, TypeVar

import httpx
import numpy as np
import psutil
import sqlalchemy as sa
from PIL import Image
from playwright.sync_api import Page, sync_playwright
from websockets.sync.client import connect

from benchmarks.app_process import App, free_port, running_app
from benchmarks.many_images import fill
from core import auth
from core.db.tables import train_data
from core.images import thumbnail_key
from core.images_io import THUMBNAIL_SIDES
from core.settings import MIB
from core.workbench import Workbench
from tests.browser import FLAGS, get

IMAGES = 1_000_000
TILES = 50_000
"""Tiles scrolled through for the memory figure; each has a thumbnail of its own."""
KEYS = 60
BAND = 200

T = TypeVar("T")

# Stamps each key press and the moment after the frame that shows what it did.
PAINTED = """
window.painted = [];
addEventListener("keydown", (event) => {
  const began = event.timeStamp;
  requestAnimationFrame(() => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => window.painted.push(performance.now() - began);
    port2.postMessage(0);
  });
}, true);
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="not needed here; the rows and thumbnails are made")
    parser.parse_args()
    figures: dict[str, object] = {"benchmark": "grid"}
    with running_app(prepare) as app, sync_playwright() as playwright:
        many, tiles = app.prepared
        browser = playwright.chromium.launch(executable_path=get(), args=FLAGS)
        context = browser.new_context(viewport={"width": 1280, "height": 720}, base_url=app.url)
        context.add_cookies(session(app))
        context.add_init_script(PAINTED)
        page = context.new_page()
        figures |= first_paint(page, many)
        figures |= keys(page, tiles)
        figures |= band(page, tiles)
        browser.close()
        figures |= memory(app)
    print(json.dumps(figures))


def prepare(wb: Workbench, admin: auth.User) -> tuple[int, int]:
    many, _ = fill(wb, admin, IMAGES, "Million")
    tiles, _ = fill(wb, admin, TILES, "Tiles")
    chance = np.random.default_rng(0)
    pictures = []
    for _number in range(16):
        noise = Image.fromarray(chance.integers(0, 256, (8, 8, 3), dtype=np.uint8)).resize((256, 256))
        pictures.append({side: _webp(noise, side) for side in THUMBNAIL_SIDES})
    with wb.db.read() as connection:
        hashes = connection.execute(
            sa.select(train_data.c.sha256).where(train_data.c.theme_id == tiles.id)
        ).scalars()
        for number, sha256 in enumerate(hashes):
            for side, data in pictures[number % len(pictures)].items():
                wb.files.write(thumbnail_key(sha256, side), data)
    return many.id, tiles.id


def _webp(image: Image.Image, side: int) -> bytes:
    out = io.BytesIO()
    image.resize((side, side)).save(out, "WEBP", quality=80)
    return out.getvalue()


def session(app: App[tuple[int, int]]) -> list[dict[str, str]]:
    """Session cookies of the administrator, as the screens want them."""
    with httpx.Client(base_url=app.url) as client:
        answer = client.post("/api/auth/sign-in/", json={"name": "admin", "password": "benchmark of one app"})
        answer.raise_for_status()
        return [{"name": c.name, "value": str(c.value), "url": app.url} for c in client.cookies.jar]


def open_grid(page: Page, theme: int, query: str = "") -> None:
    page.goto(f"/theme?theme={theme}{query}")
    page.get_by_test_id("tile").first.wait_for(timeout=60_000)
    page.wait_for_function("document.readyState === 'complete'")
    page.wait_for_timeout(2000)


def first_paint(page: Page, theme: int) -> dict[str, float]:
    """Seconds from choosing a filter to the first tiles of it, at a million images."""
    open_grid(page, theme)
    times = []
    for state in ("unlabelled", "labelled") * 5:
        began = time.perf_counter()
        page.get_by_test_id(f"state-{state}").click()
        page.locator('[data-testid="tile"]:not(.bare)').first.wait_for()
        times.append(time.perf_counter() - began)
        page.wait_for_timeout(1500)
    p95 = float(np.percentile(times, 95))
    print(f"filter chosen → tiles painted, {IMAGES:,} images   p95 {p95:.2f} s   (≤ 1)")
    return {"filter_to_painted_p95_s": round(p95, 2)}


def keys(page: Page, theme: int) -> dict[str, float]:
    open_grid(page, theme, "&state=unlabelled")
    page.get_by_test_id("tile").first.click()
    page.evaluate("window.painted = []")
    for number in range(KEYS):
        page.keyboard.press(str(number % 9 + 1))
        page.wait_for_timeout(120)
    times = page.evaluate("window.painted")
    p50, p95 = np.percentile(times, [50, 95])
    print(f"key → tile painted, {len(times)} keys              p50 {p50:.0f} ms, p95 {p95:.0f} ms   (≤ 50)")
    return {"key_to_painted_p50_ms": round(float(p50), 1), "key_to_painted_p95_ms": round(float(p95), 1)}


def band(page: Page, theme: int) -> dict[str, float]:
    """BAND images by one rubber band (dragged beyond the edge) and one key: requests, and ms until it is on disk."""
    open_grid(page, theme, "&state=unlabelled")
    page.get_by_test_id("tile-size").select_option("small")
    page.wait_for_timeout(1000)
    times, counts, requests = [], [], []
    page.on("requestfinished", lambda r: requests.append(r) if "label/actions" in r.url else None)
    for number in range(5):
        box = page.get_by_test_id("grid").bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + 12, box["y"] + 12)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] - 40, box["y"] + box["height"] - 2, steps=5)
        selected = page.get_by_test_id("selected")
        while int("".join(filter(str.isdigit, selected.inner_text()))) < BAND:
            page.mouse.move(box["x"] + box["width"] - 40, box["y"] + box["height"] + 20)
            page.wait_for_timeout(30)
        page.mouse.up()
        counts.append(int("".join(filter(str.isdigit, selected.inner_text()))))
        requests.clear()
        page.keyboard.press(str(number + 1))
        page.wait_for_timeout(1200)
        assert len(requests) == 1, [r.url for r in requests]
        timing = requests[0].timing
        times.append(timing["responseEnd"] - timing["requestStart"])
    worst = max(times)
    print(
        f"{min(counts)}+ labels by one band and one key     1 request, worst of 5: {worst:.0f} ms   (≤ 100)"
    )
    return {"band_images": min(counts), "band_worst_ms": round(worst, 1)}


def memory(app: App[tuple[int, int]]) -> dict[str, float]:
    """MiB of the page's process after TILES tiles.

    In a Chromium driven by hand: Playwright has the browser keep the bytes of every answer, up to 200 MB.
    """
    port = free_port()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [
            get(),
            *FLAGS,
            "--headless=new",
            f"--remote-debugging-port={port}",
            f"--user-data-dir={profile}",
        ]
        browser = subprocess.Popen(
            [*command, "--window-size=1280,720"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            return _scrolled(app, port)
        finally:
            browser.terminate()
            browser.wait()


def _scrolled(app: App[tuple[int, int]], port: int) -> dict[str, float]:
    transport = httpx.HTTPTransport(retries=10)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", transport=transport) as client:
        target = _patiently(lambda: client.put("/json/new?about:blank").json())
    with connect(target["webSocketDebuggerUrl"], max_size=None) as socket:
        numbers = count(1)

        def send(method: str, **parameters: object) -> Any:
            number = next(numbers)
            socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
            while (answer := json.loads(socket.recv())).get("id") != number:
                pass
            return answer["result"]

        def evaluate(expression: str) -> Any:
            return send("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

        for cookie in session(app):
            send("Network.setCookie", **cookie)
        send("Page.navigate", url=f"{app.url}/theme?theme={app.prepared[1]}")
        grid = """(() => { const walk = (node) => { for (const each of node.querySelectorAll("*")) {
          if (each.dataset?.testid === "grid") return each;
          if (each.shadowRoot) { const found = walk(each.shadowRoot); if (found) return found; } } };
          return walk(document); })()"""
        _patiently(lambda: evaluate(f"{grid}?.querySelectorAll('.tile').length") or _not_yet())
        time.sleep(3)
        before = renderer_memory()
        evaluate(f"window.grid = {grid}")
        seen = 0
        while seen < TILES - 100:
            evaluate("grid.scrollBy(0, grid.clientHeight)")
            time.sleep(0.06)
            seen = int(
                evaluate("Math.max(...[...grid.querySelectorAll('.tile')].map((tile) => tile.index))") or 0
            )
        time.sleep(2)
        after = renderer_memory()
        heap = evaluate("performance.memory.usedJSHeapSize") / MIB
    print(
        f"page's process after {seen:,} tiles: {after:.0f} MiB (before {before:.0f}), JS heap {heap:.0f} MiB   (≤ 300)"
    )
    return {
        "tiles": seen,
        "memory_mib": round(after),
        "memory_before_mib": round(before),
        "js_heap_mib": round(heap),
    }


def _patiently(ask: Callable[[], T]) -> T:
    for _ in range(100):
        try:
            return ask()
        except (httpx.TransportError, LookupError):
            time.sleep(0.2)
    return ask()


def _not_yet() -> NoReturn:
    raise LookupError


def renderer_memory() -> float:
    """MiB that the largest renderer process has to itself: the page."""
    sizes = [0.0]
    for process in psutil.process_iter(["cmdline"]):
        command = " ".join(process.info["cmdline"] or [])
        if "chrom" in command and "--type=renderer" in command:
            sizes.append(process.memory_full_info().uss / MIB)
    return max(sizes)


if __name__ == "__main__":
    main()
