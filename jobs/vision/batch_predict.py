"""The answers of a model version for every image of a batch.

Called by jobs.predict in a worker: `main(job, spec)`. Answers are kept in parts beside the run, each whole or not
there, so an attempt after a kill or a stop computes only what is missing; at the end they become one file. They are
computed in fp32 by the version's own preprocessing, so they are those of its model server.
"""

from __future__ import annotations

import os
import shutil
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from core.errors import InvalidInput
from core.events import Type
from core.files import sha256_of
from core.gateway import tables
from core.gateway.tables import Row
from core.prediction_files import PART, Tally, folder
from core.spec import PredictSpec
from jobs.runtime import Job
from jobs.vision import hardware
from jobs.vision.inference import PATIENCE_SECONDS, Network, chunks, decoded, fetched, heed

PREPARED, PREDICTED = 0.02, 0.98
"""Shares of the whole at which the phases end."""


def main(job: Job, spec: PredictSpec, *, patience_s: float = PATIENCE_SECONDS) -> None:
    """Predict what is missing, put all together. Raises Cancelled, and errors that `jobs.runtime.classify` knows."""
    job.progress(phase="prepare", fraction=0.0)
    with job.files.open(spec.manifest) as file:
        given = pq.read_table(file)
    parts = Parts(job.folder / "parts", len(given), spec.labels)
    if missing := parts.missing():
        _predict(job, spec, given, parts, missing, patience_s)
    images = len(given) - given["path"].null_count
    job.progress(phase="collect", fraction=PREDICTED, step=images, steps=images)
    whole, told = _collect(job, parts, spec.labels)
    answers = job.files.put_from(whole, f"{folder(spec.batch_id)}/answers", "parquet")
    job.log(f"{told['n']} images have answers; {told['errors']} have none.")
    job.progress(phase="collect", fraction=1.0, step=images, steps=images, eta_s=0.0)
    job.emit(Type.RESULT, {"answers": answers, "version_id": spec.version.id, **told})
    whole.unlink()
    for name in ("model", "parts"):
        shutil.rmtree(job.folder / name, ignore_errors=True)


class Parts:
    """Answers of PART rows each, in files that are whole or not there."""

    def __init__(self, place: Path, rows: int, labels: Sequence[str]) -> None:
        self._place = place
        self._labels = labels
        self.ranges = [range(begin, min(begin + PART, rows)) for begin in range(0, rows, PART)]
        """Rows of each part."""
        place.mkdir(exist_ok=True)

    def missing(self) -> list[int]:
        return [number for number, rows in enumerate(self.ranges) if not self._is_whole(number, len(rows))]

    def path(self, number: int) -> Path:
        return self._place / f"{number:05d}.parquet"

    def write(self, number: int, answers: Sequence[Row]) -> Path:
        path = self.path(number)
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            pq.write_table(tables.table(answers, self._labels), file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        return path

    def read(self) -> Iterator[pa.Table]:
        for number in range(len(self.ranges)):
            yield pq.read_table(self.path(number))

    def _is_whole(self, number: int, rows: int) -> bool:
        try:
            found: int = pq.read_metadata(self.path(number)).num_rows
        except (OSError, pa.ArrowInvalid):
            return False
        return found == rows


def _predict(
    job: Job, spec: PredictSpec, given: pa.Table, parts: Parts, missing: list[int], patience_s: float
) -> None:
    """Compute the missing parts, in their order."""
    chosen = hardware.choose("fp32", job.settings.workers, job.folder / "hardware.json")
    torch.set_num_threads(chosen.threads)
    job.log(f"Computing on {hardware.name(chosen)} in {chosen.precision} with {chosen.threads} threads.")
    network = Network(fetched(job, spec.version, patience_s), chosen)
    if network.labels != spec.labels:
        raise InvalidInput(
            "The model tells other labels apart than its version says; predict with another version."
        )
    readable = given["path"].is_valid().to_numpy()
    orders = [
        rows.start + np.flatnonzero(readable[rows.start : rows.stop])
        for rows in (parts.ranges[number] for number in missing)
    ]
    left = sum(map(len, orders))
    total = int(readable.sum())
    before = total - left
    if before:
        job.log(f"Going on after {before} images that have their answers.")
    writer = _Writer(job, parts, missing, given, readable)
    writer.write(-1)
    began = time.monotonic()
    done = 0
    # Nothing is computed together over the edge of a part: then going on gives the same bits as never having stopped.
    wanted = (chunk for order in orders for chunk in chunks(order))
    for places, pictures in decoded(job.files, network, writer.paths, wanted):
        writer.take(places, pictures, network)
        writer.write(int(places[-1]))
        done += len(places)
        heed(job)
        job.progress(
            phase="predict",
            fraction=PREPARED + (PREDICTED - PREPARED) * (before + done) / total,
            step=before + done,
            steps=total,
            eta_s=round((time.monotonic() - began) / done * (left - done), 1),
        )


class _Writer:
    """Gathers answers, which come in the order of the rows, and writes a part as soon as it is complete."""

    def __init__(
        self, job: Job, parts: Parts, missing: Sequence[int], given: pa.Table, readable: np.ndarray
    ) -> None:
        self._job = job
        self._parts = parts
        self._waiting = deque(missing)
        self._readable = readable
        self._names = [str(name) for name in given["file"].to_pylist()]
        self._refused = given["error"].to_pylist()
        self.paths: list[str] = [path or "" for path in given["path"].to_pylist()]
        self._found: dict[int, Row] = {}

    def take(self, places: np.ndarray, pictures: Sequence[np.ndarray | str], network: Network) -> None:
        """The answers for prepared images, or why there are none."""
        good = [picture for picture in pictures if not isinstance(picture, str)]
        shares = iter(network(np.stack(good))[0] if good else ())
        for place, picture in zip(places.tolist(), pictures, strict=True):
            name = self._names[place]
            if isinstance(picture, str):
                self._found[place] = Row(name, None, None, None, picture)
                continue
            share = next(shares)
            best = int(share.argmax())
            self._found[place] = Row(name, network.labels[best], float(share[best]), share, None)

    def write(self, reached: int) -> None:
        """Write the parts of which nothing is missing after all readable images up to the row `reached` are done."""
        while self._waiting:
            rows = self._parts.ranges[self._waiting[0]]
            if self._readable[max(reached + 1, rows.start) : rows.stop].any():
                return
            path = self._parts.write(
                self._waiting.popleft(),
                [
                    self._found.pop(row)
                    if self._readable[row]
                    else Row(self._names[row], None, None, None, self._refused[row])
                    for row in rows
                ],
            )
            kept = str(path.relative_to(self._job.settings.artifacts_dir))
            self._job.emit(
                Type.CHECKPOINT,
                {
                    "path": kept,
                    "sha256": sha256_of(path),
                    "epoch": 0,
                    "step": rows.stop,
                    "metric": None,
                    "kind": "part",
                },
            )


def _collect(job: Job, parts: Parts, labels: Sequence[str]) -> tuple[Path, dict[str, Any]]:
    """All parts as one file, and what is told of them."""
    tally = Tally(labels)
    whole = job.folder / "answers.parquet"
    with pq.ParquetWriter(whole, tables.schema(labels), compression="zstd") as writer:
        for answers in parts.read():
            heed(job)
            writer.write_table(answers)
            tally.add(answers)
    return whole, tally.told()
