"""Veritrain beside Label Studio on SQLite, in one run: importing what is stored elsewhere, a page, one label.

    python -m benchmarks.label_studio

Installs Label Studio from the package index into a cache folder of its own (once). Prints a table;
the last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np

from benchmarks import manifest_import
from benchmarks.app_process import free_port, running_app
from benchmarks.many_images import fill
from core import auth
from core.workbench import Workbench

PACKAGE = "label-studio==1.23.0"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "veritrain-bench" / "label-studio"
MAIL, PASSWORD = "bench@example.com", "benchmark of a peer"
TASKS = 20_000
PART = 5_000
"""Tasks of one import request; larger ones make Label Studio's request time out on slow machines."""
IMAGES = 100_000
PAGES = 30
ANNOTATIONS = 100
START_SECONDS = 240
CHOICES = (
    '<View><Image name="image" value="$image"/><Choices name="label" toName="image">'
    '<Choice value="cat"/><Choice value="dog"/></Choices></View>'
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="not needed here; rows and tasks are made")
    parser.parse_args()
    theirs = label_studio()
    ours = veritrain()
    print(f"{'what':34} {'Veritrain':>12} {'Label Studio':>13} {'ratio':>7}")
    ratios = {}
    for name, text, better in (
        ("import_per_s", "images or tasks imported a second", 1),
        ("page_p50_ms", "page of 100, p50 ms", -1),
        ("label_p50_ms", "one label, durable, p50 ms", -1),
        ("label_p95_ms", "one label, durable, p95 ms", -1),
    ):
        ratios[name] = round((ours[name] / theirs[name]) ** better, 1)
        print(f"{text:34} {ours[name]:12,.1f} {theirs[name]:13,.1f} {ratios[name]:6.1f}×")
    print(
        json.dumps({"benchmark": "label_studio", "veritrain": ours, "label_studio": theirs, "ratio": ratios})
    )


def veritrain() -> dict[str, float]:
    with running_app(manifest_import.prepare) as source:
        _, imported = manifest_import.measure(source, source.prepared[0])

    def prepare(wb: Workbench, admin: auth.User) -> tuple[int, list[int], list[int]]:
        theme, ids = fill(wb, admin, IMAGES)
        return theme.id, ids, [label.id for label in theme.labels]

    with running_app(prepare) as app:
        theme, ids, labels = app.prepared
        pages = timed(PAGES, lambda n: app.client.get(f"/theme/{theme}/images/", params={"limit": 100}))

        def label(number: int) -> httpx.Response:
            change = [ids[number * 97], labels[number % len(labels)]]
            action = {"id": uuid.uuid4().hex, "changes": [change], "seconds": 1.0}
            return app.client.post(f"/theme/{theme}/label/actions/", json={"actions": [action]})

        return figures(IMAGES / imported, pages, timed(ANNOTATIONS, label))


def label_studio() -> dict[str, float]:
    with running_label_studio() as client:
        project = client.post("/api/projects/", json={"title": "bench", "label_config": CHOICES}).json()["id"]
        began = time.perf_counter()
        for start in range(0, TASKS, PART):
            tasks = [{"data": {"image": f"http://127.0.0.1/{n}.jpg"}} for n in range(start, start + PART)]
            client.post(f"/api/projects/{project}/import", json=tasks).raise_for_status()
        rate = TASKS / (time.perf_counter() - began)
        query = {"project": project, "page": 1, "page_size": 100}
        pages = timed(PAGES, lambda n: client.get("/api/tasks/", params=query))
        found = client.get("/api/tasks/", params={**query, "page_size": ANNOTATIONS + 10}).json()["tasks"]

        def annotate(number: int) -> httpx.Response:
            choice = {
                "from_name": "label",
                "to_name": "image",
                "type": "choices",
                "value": {"choices": ["cat"]},
            }
            task = found[number]["id"]
            return client.post(f"/api/tasks/{task}/annotations/", json={"result": [choice], "lead_time": 1.0})

        return figures(rate, pages, timed(ANNOTATIONS, annotate))


def figures(rate: float, pages: list[float], labels: list[float]) -> dict[str, float]:
    p50, p95 = np.percentile(labels, [50, 95])
    return {
        "import_per_s": round(rate, 1),
        "page_p50_ms": round(float(np.median(pages)), 1),
        "label_p50_ms": round(float(p50), 1),
        "label_p95_ms": round(float(p95), 1),
    }


def timed(times: int, ask: Callable[[int], httpx.Response], warm_up: int = 3) -> list[float]:
    """Milliseconds of each answer, after a few that do not count."""
    found = []
    for number in range(warm_up + times):
        began = time.perf_counter()
        ask(number).raise_for_status()
        found.append((time.perf_counter() - began) * 1000)
    return found[warm_up:]


@contextmanager
def running_label_studio() -> Iterator[httpx.Client]:
    """Label Studio on an empty SQLite file, and a client that is signed in."""
    program = CACHE / "bin" / "label-studio"
    if not program.exists():
        subprocess.run([sys.executable, "-m", "venv", CACHE], check=True)
        subprocess.run([CACHE / "bin" / "pip", "install", "-q", PACKAGE], check=True)
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **{
                k: v
                for k, v in os.environ.items()
                if not k.startswith(("DJANGO", "LABEL_STUDIO", "VERITRAIN"))
            },
            "LABEL_STUDIO_BASE_DATA_DIR": folder,
            "COLLECT_ANALYTICS": "0",
            "LATEST_VERSION_CHECK": "0",
        }
        command = [
            program,
            "start",
            "--no-browser",
            "--port",
            str(port),
            "--username",
            MAIL,
            "--password",
            PASSWORD,
        ]
        with Path(folder, "log").open("wb") as log:
            server = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            with httpx.Client(
                base_url=f"http://127.0.0.1:{port}", timeout=600, follow_redirects=True
            ) as client:
                _sign_in(client, server, Path(folder, "log"))
                yield client
        finally:
            server.terminate()
            server.wait(30)


def _sign_in(client: httpx.Client, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and server.poll() is None:
        try:
            if client.get("/user/login/").status_code == 200:
                break
        except httpx.TransportError:
            time.sleep(1)
    else:
        raise RuntimeError(f"Label Studio did not start:\n{log.read_text(errors='replace')[-3000:]}")
    form = {"email": MAIL, "password": PASSWORD, "csrfmiddlewaretoken": client.cookies["csrftoken"]}
    client.post("/user/login/", data=form, headers={"Referer": str(client.base_url)}).raise_for_status()
    client.headers.update({"X-CSRFToken": client.cookies["csrftoken"], "Referer": str(client.base_url)})


if __name__ == "__main__":
    main()
