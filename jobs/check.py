"""What RQ calls for a job that checks a theme's images: `jobs.check.run(spec, attempt)`."""

from __future__ import annotations

import io
import logging
import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from core.errors import InvalidInput
from core.events import Type
from core.files import FileStore
from core.images_io import Limits, look_again
from core.processes import die_with_parent
from core.quality import doubts
from core.quality.check_files import RESULT
from core.quality.measures import NAMES
from core.settings import Settings
from core.spec import CheckSpec
from jobs.runtime import Cancelled, Job

CHUNK = 256
"""Images between two looks at whether somebody pressed Stop."""
READ = 0.7
"""Share of the progress when every file was looked at; judging the labels is the rest."""


def run(spec_json: str, attempt: int) -> None:
    """One attempt of the job that the spec describes. Failures end up in the job's row, not in RQ's."""
    die_with_parent()
    logging.basicConfig(level=logging.INFO)
    spec = CheckSpec.model_validate_json(spec_json)
    with Job(spec, attempt, Settings.from_env()) as job:
        main(job, spec)


def main(job: Job, spec: CheckSpec) -> None:
    with job.files.open(spec.manifest) as file:
        manifest = pq.read_table(file)
    rows: dict[int, dict[str, Any]] = {}
    for image_id, found in _files(job, spec, manifest):
        rows.setdefault(image_id, {}).update(found)
    accuracy, left_out = _labels(job, manifest, rows)
    names = RESULT.names[1:]
    table = pa.Table.from_pylist(
        [{"image_id": i, **dict.fromkeys(names), **row} for i, row in sorted(rows.items())], schema=RESULT
    )
    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd")
    job.emit(
        Type.RESULT,
        {
            "findings": job.files.put(out.getvalue(), "checks", "parquet"),
            "images": manifest.num_rows,
            "accuracy": accuracy,
            "left_out": left_out,
        },
    )
    job.progress(phase="check", fraction=1.0)


def _files(job: Job, spec: CheckSpec, manifest: pa.Table) -> Iterator[tuple[int, dict[str, Any]]]:
    """Every file is there with its size; one that was never measured is read."""
    limits = Limits(spec.max_file_bytes, spec.max_pixels)
    columns = [manifest[name].to_pylist() for name in ("image_id", "image_path", "size", "measured")]
    items = list(zip(*columns, strict=True))

    def one(item: tuple[int, str, int, bool]) -> tuple[int, dict[str, Any]] | None:
        image_id, path, size, measured = item
        found = _look(job.files, path, size, measured, limits)
        return (image_id, found) if found else None

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for start in range(0, len(items), CHUNK):
            if job.wanted() == "cancel":
                raise Cancelled
            yield from filter(None, pool.map(one, items[start : start + CHUNK]))
            job.progress(phase="check", fraction=READ * min(1.0, (start + CHUNK) / len(items)))


def _look(files: FileStore, path: str, size: int, measured: bool, limits: Limits) -> dict[str, Any] | None:
    if files.size(path) != size:
        return {"unreadable": True}
    if measured:
        return None
    try:
        seen = look_again(files.read(path), limits)
    except (InvalidInput, OSError):
        return {"unreadable": True}
    return {"look": seen.look, **{name: getattr(seen.measures, name) for name in NAMES}}


def _labels(job: Job, manifest: pa.Table, rows: dict[int, dict[str, Any]]) -> tuple[float | None, int]:
    """Doubt labels; (how well unseen images are told apart, labelled images nothing can be said of)."""
    ids = np.asarray(manifest["image_id"].to_pylist(), dtype=np.int64)
    given = manifest["label_id"].to_pylist()
    vectors: list[bytes] = [vector or b"" for vector in manifest["vector"].to_pylist()]
    counts = Counter(label for label, vector in zip(given, vectors, strict=True) if label and vector)
    known = sorted(label for label, n in counts.items() if n >= doubts.LEAST_PER_LABEL)
    labelled = sum(1 for label in given if label is not None)
    place = {label: number for number, label in enumerate(known)}
    usable = [i for i, label in enumerate(given) if label in place and vectors[i]]
    if len(known) < 2:
        return None, labelled
    matrix = np.frombuffer(b"".join(vectors[i] for i in usable), dtype=np.int8).reshape(len(usable), -1)
    labels = np.array([place[given[i]] for i in usable], dtype=np.int64)
    found = doubts.find(matrix, labels)
    if found.trustworthy:
        for i in np.flatnonzero(found.suspicious):
            image_id = int(ids[usable[i]])
            rows.setdefault(image_id, {}).update(
                guess_id=known[found.guess[i]], score=float(found.score[i]), label_id=given[usable[i]]
            )
    return found.accuracy, labelled - len(usable)
