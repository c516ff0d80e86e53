"""What the studio costs around a run, and how fast it pauses and recovers, in the running product.

    .venv/bin/python -m benchmarks.studio [--minutes 5]

The handwritten digits, resnet18 at 64 px. Two trainings of the same spec go on for so many minutes each: one in the
product and one bare (decoding and `fit` in a process without queue, events and MLflow). They take turns of some
seconds: while one goes on, the processes of the other are stopped (SIGSTOP). So both see the same machine, whose speed
changes within minutes by more than is asked. Seconds an epoch are counted in the time that each had; the interval is
that of the ratio of two means (delta method). The same again while a program asks for the run each second, as a page
does that somebody looks at. Then a run is paused, and its worker is killed with -9 together with its job. Prints a
table; the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import fmean, variance
from typing import Any

import httpx
import psutil
import torch

from core.events import Event, Type
from core.files import FileStore
from core.params import Auguments, Params, check
from core.processes import keep_memory, wait_briefly
from core.settings import ROOT
from core.spec import RunSpec
from jobs.vision import hardware, models
from jobs.vision.data import decode, read_manifest
from jobs.vision.reporter import Outlet
from jobs.vision.train import fit
from tests.conftest import free_port
from tests.e2e.conftest import Product

API = "/api/v1/admin/finetuning"
JOBS = f"{API}/jobs"
PERSON = {"name": "Ada", "password": "correct horse battery"}
WANTED_SHARE, WANTED_PAUSE, WANTED_AGAIN = 0.03, 5.0, 60.0
PATIENCE_SECONDS = 1800.0
TURN_SECONDS = 5.0
"""Of one of both trainings; a run that is not heard of for twelve counts as lost."""
LONG = 90
"""Epochs: more than there is time for, and few enough that every step is told, as in a run of five minutes."""
EVERY_SECONDS = 1.0
"""How often a page asks."""


def bare(spec_file: Path, files_url: str) -> None:
    """The training alone, in this process, until it is ended; prints when each epoch ended."""
    keep_memory()  # as jobs.worker does
    spec = RunSpec.model_validate_json(spec_file.read_text())
    params, auguments = check(spec.params, Params), check(spec.auguments, Auguments)
    files = FileStore(files_url)

    def progress(_epoch: int, epochs: int, step: int, steps: int, _left: float | None) -> None:
        if step % (steps // epochs) == 0:
            print(time.time(), flush=True)

    with tempfile.TemporaryDirectory(prefix="veritrain-bench-") as temporary:
        folder = Path(temporary)
        chosen = hardware.choose(params.training.precision, 1, folder / "hardware.json")
        torch.set_num_threads(chosen.threads)
        splits = read_manifest(files, spec)
        train, valid = (
            decode(
                files,
                splits[name],
                size=params.data.image_size,
                preprocessing=auguments.preprocessing.model_dump(mode="json"),
                max_pixels=10**8,
                threads=chosen.threads,
                scratch=folder / name,
                advanced=lambda count: None,
                unreadable=lambda image, reason: None,
            )
            for name in ("train", "valid")
        )
        torch.manual_seed(params.training.seed)
        network = models.build(params, auguments, len(spec.labels), files)
        outlet = replace(Outlet.silent(), progress=progress)
        fit(network, params, auguments, train, valid, chosen, folder / "run", outlet, len(spec.labels))


class Turns:
    """Processes that go on and stand still by turns, and the time they had."""

    def __init__(self, processes: Iterable[psutil.Process]) -> None:
        self._processes = list(processes)
        self._spans: list[tuple[float, float]] = []

    def tell(self, sign: signal.Signals) -> None:
        for process in self._processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(sign)

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        self.tell(signal.SIGCONT)
        began = time.time()
        yield
        self._spans.append((began, time.time()))
        self.tell(signal.SIGSTOP)

    def epochs(self, ends: Iterable[float]) -> list[float]:
        """Seconds of each whole epoch in the time they had, from when each ended (seconds since 1970)."""
        had = [
            sum(max(min(end, until) - begin, 0.0) for begin, until in self._spans)
            for end in ends
            if self._spans[0][0] <= end <= self._spans[-1][1]
        ]
        return [after - before for before, after in pairwise(had)]


def beside(
    product: Product, http: httpx.Client, minutes: float, *, watched: bool
) -> tuple[list[float], list[float]]:
    """Seconds of each epoch in the product and bare, by turns; `watched` by a page that asks each second."""
    run = started(http, LONG)
    folder = product.folder / "artifacts" / "runs" / str(run)
    until(http, run, lambda found: ((found["progress"] or {}).get("epoch") or 0) > 1)
    command = [sys.executable, "-m", "benchmarks.studio", "--bare"]
    command += [str(folder / "spec.json"), str(product.folder / "data" / "files")]
    out = product.folder / "bare.txt"
    wait_briefly()  # as jobs.worker does
    with out.open("w") as told, subprocess.Popen(command, cwd=ROOT, stdout=told) as process:
        while not out.read_text():
            time.sleep(0.5)
        alone = Turns([psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)])
        studio = Turns(working(product))
        studio.tell(signal.SIGSTOP)
        over = time.time() + 2 * minutes * 60
        while time.time() < over:
            with alone.turn():
                time.sleep(TURN_SECONDS)
            with studio.turn():
                for _second in range(int(TURN_SECONDS / EVERY_SECONDS)):
                    if watched:
                        http.get(f"{JOBS}/{run}").raise_for_status()
                    time.sleep(EVERY_SECONDS)
        studio.tell(signal.SIGCONT)
        process.kill()
    http.post(f"{JOBS}/{run}/stop", json={"how": "cancel"})
    ends = [float(line) for line in out.read_text().splitlines()]
    return studio.epochs(_ended(folder / "events.jsonl")), alone.epochs(ends)


def working(product: Product) -> list[psutil.Process]:
    """All but those that only wait, the supervisor, the broker and the parents of jobs: a run must not seem lost."""
    top, *others = product.family()
    waiting = ("valkey", "jobs.worker")
    return [
        process
        for process in others
        if process.ppid() != top.pid or not any(word in " ".join(process.cmdline()) for word in waiting)
    ]


def _ended(events: Path) -> Iterator[float]:
    """When each epoch of a run had done its last step."""
    for line in events.read_text().splitlines():
        event = Event.from_json(line)
        said = event.payload
        training = event.type is Type.PROGRESS and said["phase"] == "train" and said["step"] > 0
        if training and said["step"] % (said["steps"] // said["epochs"]) == 0:
            yield event.at.timestamp()


def ratio(inside: list[float], outside: list[float]) -> tuple[float, float]:
    """Ratio of two means less 1, and half of its 95 % interval (delta method)."""
    found = fmean(inside) / fmean(outside)
    error = math.sqrt(sum(variance(each) / len(each) / fmean(each) ** 2 for each in (inside, outside)))
    return found - 1, 1.96 * found * error


def until(
    http: httpx.Client, run: int, reached: Any, every_seconds: float = 0.1
) -> tuple[float, dict[str, Any]]:
    """Seconds until the run is as `reached` says, and how it is then."""
    start = time.perf_counter()
    while time.perf_counter() - start < PATIENCE_SECONDS:
        found = http.get(f"{JOBS}/{run}").json()
        if reached(found):
            return time.perf_counter() - start, found
        if found["status"] == "failed":
            raise SystemExit(f"run {run} failed: {found['error']}")
        time.sleep(every_seconds)
    raise SystemExit(f"run {run} took too long: {found}")


def rest(http: httpx.Client) -> None:
    """Wait for what follows a training, such as suggestions by the new model."""
    time.sleep(5)
    while http.get(f"{API}/queue").raise_for_status().json()["entries"]:
        time.sleep(1)


def quiet(product: Product) -> None:
    """Wait until the processes that have just started have imported what they need."""

    def used() -> float:
        """Seconds of the processor."""
        total = 0.0
        for process in product.family():
            with contextlib.suppress(psutil.Error):
                total += sum(process.cpu_times()[:2])
        return total

    now, before = used(), -1.0
    while now - before > 0.6:
        time.sleep(3)
        now, before = used(), now


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    arguments.add_argument("--minutes", type=float, default=5.0)
    arguments.add_argument("--bare", nargs=2, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.bare:
        bare(Path(given.bare[0]), given.bare[1])
        return
    with tempfile.TemporaryDirectory(prefix="veritrain-bench-") as temporary:
        product = Product(Path(temporary), free_port())
        with running(product):
            http, run = begun(product, 1)  # reads what later trainings find in the page cache
            until(http, run, lambda found: found["status"] == "succeeded")
            rest(http)
            quiet(product)
            share, figures = costs(product, http, given.minutes, watched=False)
            _share, more = costs(product, http, given.minutes, watched=True)
            pause, again = disturbed(product, http, started(http, LONG))
    ok = share <= WANTED_SHARE and pause <= WANTED_PAUSE and again <= WANTED_AGAIN
    print(f"pause to checkpoint    {pause:7.1f} s   (wanted: at most {WANTED_PAUSE:g} s)")
    print(f"kill -9 to running     {again:7.1f} s   (wanted: at most {WANTED_AGAIN:g} s)")
    figures |= {f"watched_{name}": value for name, value in more.items()}
    figures |= {"pause_s": round(pause, 2), "again_s": round(again, 1)}
    print(json.dumps({"benchmark": "studio", **figures, "ok": ok}))


def costs(
    product: Product, http: httpx.Client, minutes: float, *, watched: bool
) -> tuple[float, dict[str, float]]:
    """What share the studio costs, and its figures; prints them."""
    inside, outside = beside(product, http, minutes, watched=watched)
    rest(http)
    share, error = ratio(inside, outside)
    print(f"an epoch bare          {fmean(outside):7.2f} s   ({len(outside)} epochs)")
    print(
        f"an epoch in the studio {fmean(inside):7.2f} s   ({len(inside)} epochs)   {share:+.1%} ± {error:.1%}   "
        f"({'while a page asks each second' if watched else 'wanted: at most +3 %'})",
        flush=True,
    )
    seconds = {"inside_s": round(fmean(inside), 3), "outside_s": round(fmean(outside), 3)}
    return share, {**seconds, "share": round(share, 4), "error": round(error, 4)}


def begun(product: Product, epochs: int) -> tuple[httpx.Client, int]:
    """Ada, who has the handwritten digits and has just started a training of them; and its number."""
    http = httpx.Client(base_url=product.url, timeout=60, trust_env=False, headers={"Origin": product.url})
    http.post("/api/auth/first-run", json=PERSON).raise_for_status()
    theme = http.post("/api/demo").raise_for_status().json()["id"]
    return http, started(http, epochs, theme)


def started(http: httpx.Client, epochs: int, theme: int = 1) -> int:
    """The number of a training of so many epochs that was just put on the queue."""
    settings = {
        "training": {"epochs": epochs},
        "early_stopping": {"enabled": False},
        "data": {"image_size": 64},
    }
    http.post(f"/api/theme/{theme}/training/config/save", json={"params": settings}).raise_for_status()
    return int(http.post(JOBS, json={"theme_id": theme}).raise_for_status().json()["id"])


@contextlib.contextmanager
def running(product: Product) -> Iterator[None]:
    product.start()
    try:
        yield
    finally:
        product.stop()


def disturbed(product: Product, http: httpx.Client, run: int) -> tuple[float, float]:
    """Seconds from a pause asked for to the run paused, and from a worker killed to the run running again."""

    def learning(found: dict[str, Any]) -> bool:
        now = found["progress"] or {}
        return found["status"] == "running" and now.get("phase") == "train" and now.get("step", 0) > 3

    until(http, run, learning)
    http.post(f"{JOBS}/{run}/pause").raise_for_status()
    pause, _found = until(http, run, lambda found: found["status"] == "paused")
    http.post(f"{JOBS}/{run}/resume").raise_for_status()
    _seconds, found = until(http, run, learning)
    attempt = found["attempt"]
    for process in product.family():
        with contextlib.suppress(psutil.Error):
            if process.cmdline()[1:] == ["-m", "jobs.worker", "--queue", "train"]:
                os.kill(process.pid, 9)
    again, _found = until(http, run, lambda f: f["attempt"] > attempt and f["status"] == "running")
    http.post(f"{JOBS}/{run}/stop").raise_for_status()
    return pause, again


if __name__ == "__main__":
    main()
