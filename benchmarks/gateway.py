"""What the prediction gateway costs a single caller, what its batches bring many at once, and what a killed server does.

    .venv/bin/python -m benchmarks.gateway [--epochs 2] [--requests 400] [--seconds 5]

The product trains resnet18 at 64 px on the handwritten digits, puts it into production and serves it. The same request
(MLflow's protocol, one photo of 224 px) goes in turn to the model server itself and through the gateway: first by one
client, then by 32 at once, each on a connection of its own. At last the only model server is killed with -9 while
twenty requests a second come through the gateway. Prints a table; the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import io
import json
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
from PIL import Image

from benchmarks.studio import begun, quiet, rest, until
from core.processes import wait_until
from tests.conftest import free_port
from tests.e2e.conftest import Product
from tests.steps import model_servers, ports

CLIENTS = 32
TURNS = 3
"""Of 32 clients at each door, one after the other; the medians count, since machines are noisy."""
WANTED_MS, WANTED_TIMES = 5.0, 2.0
UP_SECONDS = 180.0
KILLED_SECONDS = 16


class Door:
    """One way to the model: address, path and headers."""

    def __init__(self, port: int, path: str, headers: dict[str, str]) -> None:
        self.port = port
        self.path = path
        self.headers = {"Content-Type": "application/json"} | headers

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def ask(self, connection: http.client.HTTPConnection, body: bytes) -> float:
        """Seconds of one request."""
        began = time.perf_counter()
        connection.request("POST", self.path, body, self.headers)
        answer = connection.getresponse()
        said = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{self.path}: {answer.status} {said[:300]!r}")
        return time.perf_counter() - began


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    arguments.add_argument("--data", help="not needed here; the digits are brought along")
    arguments.add_argument("--epochs", type=int, default=2)
    arguments.add_argument("--requests", type=int, default=400)
    arguments.add_argument("--seconds", type=float, default=5.0)
    given = arguments.parse_args()
    out = io.BytesIO()
    Image.effect_noise((224, 224), 60).convert("RGB").save(out, "JPEG")
    image = base64.b64encode(out.getvalue()).decode()
    body = json.dumps({"dataframe_split": {"columns": ["image"], "data": [[image]]}}).encode()
    with tempfile.TemporaryDirectory(prefix="veritrain-bench-") as temporary:
        product = Product(Path(temporary), free_port())
        product.start()
        try:
            direct, gateway = doors(product, given.epochs)
            figures = alone(direct, gateway, body, given.requests) | together(
                direct, gateway, body, given.seconds
            )
            figures |= killed(product, gateway, body)
        finally:
            product.stop()
    ok = figures["over_p95_ms"] <= WANTED_MS and figures["times"] >= WANTED_TIMES
    print(json.dumps({"benchmark": "gateway", **figures, "ok": ok}))


def doors(product: Product, epochs: int) -> tuple[Door, Door]:
    """The model server itself and the gateway, with a trained version in production behind both."""
    http, run = begun(product, epochs)
    until(http, run, lambda found: found["status"] == "succeeded", every_seconds=1)
    rest(http)
    [version] = http.get("/api/models").raise_for_status().json()
    http.post(
        f"/api/v1/admin/models/{version['id']}/promote", json={"reason": "to be measured"}
    ).raise_for_status()
    http.post(f"/api/models/{version['id']}/deploy").raise_for_status()
    if not wait_until(lambda: _is_up(http), UP_SECONDS):
        raise SystemExit("the model server did not come up")
    if not wait_until(lambda: bool(servers(product, listening=False)), UP_SECONDS):
        raise SystemExit("the spare server did not start")
    quiet(product)
    cookie = "; ".join(f"{name}={value}" for name, value in http.cookies.items())
    path = f"/api/predict/{version['model_name']}/invocations"
    [port] = [port for server in servers(product) for port in ports(server)]
    return Door(port, "/invocations", {}), Door(product.port, path, {"Cookie": cookie})


def _is_up(http: httpx.Client) -> bool:
    return any(each["status"] == "up" for each in http.get("/api/deployments").json())


def servers(product: Product, *, listening: bool = True) -> list[psutil.Process]:
    """See `tests.steps.model_servers`."""
    return model_servers(product.family()[0].pid, listening=listening)


def alone(direct: Door, gateway: Door, body: bytes, requests: int) -> dict[str, Any]:
    """One client that asks both in turn."""
    links = {door: door.connect() for door in (direct, gateway)}
    for _ in range(30):
        for door, link in links.items():
            door.ask(link, body)
    seconds = {door: np.zeros(requests) for door in links}
    for n in range(requests):
        for door, link in links.items():
            seconds[door][n] = door.ask(link, body)
    p50, p95 = (
        {door: float(np.quantile(each, q)) * 1000 for door, each in seconds.items()} for q in (0.5, 0.95)
    )
    over = p50[gateway] - p50[direct], p95[gateway] - p95[direct]
    print(f"{'one client':26} {'p50 ms':>8} {'p95 ms':>8}")
    for name, door in (("the model server", direct), ("the gateway", gateway)):
        print(f"{name:26} {p50[door]:8.1f} {p95[door]:8.1f}")
    print(f"{'more':26} {over[0]:8.1f} {over[1]:8.1f}   (wanted: p95 at most {WANTED_MS:g} ms)")
    return {
        "direct_p50_ms": round(p50[direct], 2),
        "direct_p95_ms": round(p95[direct], 2),
        "over_p50_ms": round(over[0], 2),
        "over_p95_ms": round(over[1], 2),
    }


def together(direct: Door, gateway: Door, body: bytes, seconds: float) -> dict[str, Any]:
    """Thirty-two clients without pause, in turns at both doors."""
    paces: dict[Door, list[float]] = {direct: [], gateway: []}
    for _ in range(TURNS):
        for door, found in paces.items():
            found.append(_pace(door, body, seconds))
    bare, through = (float(np.median(paces[door])) for door in (direct, gateway))
    print(f"{CLIENTS} clients, the model server  {bare:7.1f} a second   {_rounded(paces[direct])}")
    print(f"{CLIENTS} clients, the gateway       {through:7.1f} a second   {_rounded(paces[gateway])}")
    print(f"{'':26} {through / bare:7.2f} times      (wanted: at least {WANTED_TIMES:g})")
    return {
        "direct_a_second": round(bare, 1),
        "gateway_a_second": round(through, 1),
        "times": round(through / bare, 2),
    }


def killed(product: Product, gateway: Door, body: bytes) -> dict[str, Any]:
    """Twenty requests a second, on a connection each, while the only server is killed."""
    [server], [spare] = servers(product), servers(product, listening=False)
    memory = [each.memory_full_info().uss / 2**20 for each in (server, spare)]  # not shared with another
    waits: list[float] = []
    failed: list[str] = []

    def client() -> None:
        try:
            waits.append(gateway.ask(gateway.connect(), body))
        except SystemExit as error:
            failed.append(str(error))

    threads = []
    for n in range(20 * KILLED_SECONDS):
        if n == 20 * KILLED_SECONDS // 4:
            server.kill()
        threads.append(threading.Thread(target=client))
        threads[-1].start()
        time.sleep(1 / 20)
    for thread in threads:
        thread.join()
    print(f"killed: {len(failed)} of {len(threads)} requests failed, the longest waited {max(waits):.1f} s")
    print(f"memory: {memory[0]:,.0f} MiB the server, {memory[1]:,.0f} MiB the spare one")
    return {
        "killed_failed": len(failed),
        "killed_longest_s": round(max(waits), 2),
        "spare_mib": round(memory[1]),
    }


def _pace(door: Door, body: bytes, seconds: float) -> float:
    """Answers a second."""
    over = threading.Event()
    counts = [0] * CLIENTS

    def client(number: int) -> None:
        link = door.connect()
        while not over.is_set():
            door.ask(link, body)
            counts[number] += 1
        link.close()

    threads = [threading.Thread(target=client, args=[number]) for number in range(CLIENTS)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    over.set()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - began)


def _rounded(paces: list[float]) -> list[float]:
    return [round(pace, 1) for pace in paces]


if __name__ == "__main__":
    main()
