"""Several processes that train one network: each learns from its share of every batch.

Lightning's DDP averages their gradients, so the effective batch is the one people set. The first of them is the job;
it starts the others with what it decoded, and they die with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from core.processes import MARK, die_with_parent, free_port
from core.settings import ROOT
from core.spec import RunSpec
from jobs.vision.data import Pictures, Rows
from jobs.vision.hardware import Hardware

FOLDER = "team"
LOST = 76
"""Exit code of a job whose helper ended: the others would wait for it for ever."""
LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class Team:
    """Which of `size` processes this is; `rank` 0 reports and writes."""

    rank: int = 0
    size: int = 1

    def gather(self, own: torch.Tensor) -> torch.Tensor:
        """Everybody's rows (n, …), in the order of the ranks; for each the same."""
        if self.size == 1:
            return own
        found: list[Any] = [None] * self.size
        torch.distributed.all_gather_object(found, own.cpu())
        return torch.cat(found).to(own.device)

    def first_says(self, what: Any) -> Any:
        """What the first process says, so that all do the same."""
        if self.size == 1:
            return what
        said = [what]
        torch.distributed.broadcast_object_list(said, src=0)
        return said[0]

    def mean(self, value: float) -> float:
        """The mean of everybody's value; each has the same."""
        if self.size == 1:
            return value
        found: list[Any] = [None] * self.size
        torch.distributed.all_gather_object(found, value)
        return float(np.mean(found))


ALONE = Team()


@contextlib.contextmanager
def assembled(
    spec: RunSpec, chosen: Hardware, folder: Path, pictures: Mapping[str, Pictures]
) -> Iterator[Team]:
    """Start the other processes of a team, and end them; a team of 1 has none.

    `folder` is the run's own. Ends this process where one of the others fails: the run then counts as lost and is
    tried again from its last checkpoint.
    """
    size = chosen.processes
    if size == 1:
        yield ALONE
        return
    place = folder / FOLDER
    place.mkdir(exist_ok=True)
    for name, found in pictures.items():
        rows = found.rows
        np.savez(place / f"{name}.npz", ids=rows.ids, targets=rows.targets, shape=found.pixels.shape)
        pixels = found.pixels.numpy()
        on_disk = np.memmap(place / f"{name}.pixels", np.uint8, mode="w+", shape=pixels.shape)
        on_disk[:] = pixels
        on_disk.flush()
    (place / "spec.json").write_text(spec.model_dump_json(), encoding="utf-8")
    shared = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "WORLD_SIZE": str(size),
        "NODE_RANK": "0",
        "OMP_NUM_THREADS": str(chosen.threads),  # or Lightning would choose, and leave its choice behind
    }
    before = {name: os.environ.get(name) for name in (*shared, "LOCAL_RANK")}
    os.environ.update(shared | {"LOCAL_RANK": "0"})
    logs = [(place / f"{rank}.log").open("wb") for rank in range(1, size)]
    helpers = [
        subprocess.Popen(
            [sys.executable, "-m", "jobs.vision.helper", str(folder), str(os.getpid())],
            env=os.environ | {"LOCAL_RANK": str(rank), MARK: os.environ.get(MARK, "")},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=logs[rank - 1],
            stderr=subprocess.STDOUT,
        )
        for rank in range(1, size)
    ]
    over = threading.Event()
    threading.Thread(target=_watch, args=(helpers, over), name="team", daemon=True).start()
    try:
        yield Team(0, size)
    finally:
        over.set()
        for helper in helpers:
            helper.kill()
            helper.wait()
        for log in logs:
            log.close()
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _watch(helpers: list[subprocess.Popen[bytes]], over: threading.Event) -> None:
    while not over.is_set():
        if any(helper.poll() not in (None, 0) for helper in helpers):
            time.sleep(LOOK_SECONDS)  # the same error may end the job in its own words
            if not over.is_set():
                os._exit(LOST)
        over.wait(LOOK_SECONDS)


def joined(folder: Path, parent: int) -> tuple[RunSpec, Team, dict[str, Pictures]]:
    """What a helper finds: the run, which one it is, and the images, mapped from the first one's files."""
    die_with_parent(parent)
    place = folder / FOLDER
    spec = RunSpec.model_validate(json.loads((place / "spec.json").read_text(encoding="utf-8")))
    pictures = {}
    for name in ("train", "valid"):
        kept = np.load(place / f"{name}.npz")
        pixels = np.memmap(place / f"{name}.pixels", np.uint8, mode="c", shape=tuple(kept["shape"]))
        rows = Rows(kept["ids"], ("",) * len(kept["ids"]), kept["targets"])
        pictures[name] = Pictures(rows, torch.from_numpy(pixels))
    return spec, Team(int(os.environ["LOCAL_RANK"]), int(os.environ["WORLD_SIZE"])), pictures
