"""What RQ calls for a job that checks a theme's images: `jobs.check.run(spec, attempt)`."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from core.errors import InvalidInput
from core.events import Type
from core.files import FileStore
from core.images_io import Limits, look_again
from core.processes import die_with_parent
from core.quality import maps, turned, twins
from core.quality.check_files import MAP, RESULT, TWINS, VIEWS
from core.quality.measures import NAMES
from core.settings import Settings
from core.spec import CheckSpec
from jobs import judging, textures
from jobs.runtime import Cancelled, Job

CHUNK = 256
"""Images between two looks at whether somebody pressed Stop."""
PART = 32
"""Images that one thread looks at before it takes others."""
MOST_PAIRS = 50_000**2
"""Comparisons of vectors, which take less than a minute."""
READ, SEEN, JUDGED = 0.4, 0.7, 0.9
"""Shares of the progress: every file is there, every picture was seen, labels and sides were judged; then the map."""


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
    views = _views(job, spec, manifest)
    views = textures.beside(job, spec, manifest, views)
    judged, left_out = judging.judge(job, spec, manifest, views, rows)
    job.progress(phase="check", fraction=JUDGED)
    if job.wanted() == "cancel":
        raise Cancelled
    ids, vectors = _vectors(manifest)
    near = _twins(job, spec, ids, vectors)
    places = _places(job, spec, ids, vectors)
    names = RESULT.names[1:]
    table = pa.Table.from_pylist(
        [{"image_id": i, **dict.fromkeys(names), **row} for i, row in sorted(rows.items())], schema=RESULT
    )
    job.emit(
        Type.RESULT,
        {
            "findings": _put(job, table),
            "views": _put(job, views),
            "map": _put(job, places),
            "twins": _put(job, near),
            "judged": _put(job, judged.packed()),
            "vectors": spec.vectors,
            "images": manifest.num_rows,
            "accuracy": judged.said.accuracy,
            "left_out": left_out,
            "upright": judged.said.upright,
            "together": judged.said.images,
            "since": judged.said.since,
        },
    )
    job.progress(phase="check", fraction=1.0)


def _put(job: Job, table: pa.Table) -> str:
    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd")
    return job.files.put(out.getvalue(), "checks", "parquet")


def _views(job: Job, spec: CheckSpec, manifest: pa.Table) -> pa.Table:
    """Every picture as core.quality.turned sees it; only those that the last check did not have are read."""
    known: dict[int, bytes] = {}
    if spec.views is not None:
        with job.files.open(spec.views) as file:
            last = pq.read_table(file, columns=VIEWS.names)
            known = dict(zip(*last.to_pydict().values(), strict=True))
    names = ("image_id", "image_path", "sha256")
    items = list(zip(*(manifest[name].to_pylist() for name in names), strict=True))
    fresh = [item for item in items if known.get(item[0]) is None]

    def one(item: tuple[int, str, str]) -> bytes | None:
        return _view(job.files, item[1], item[2])

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for start in range(0, len(fresh), CHUNK):
            if job.wanted() == "cancel":
                raise Cancelled
            part = fresh[start : start + CHUNK]
            for (image_id, _, _), seen in zip(part, pool.map(one, part), strict=True):
                if seen is not None:
                    known[image_id] = seen
            job.progress(
                phase="check", fraction=READ + (SEEN - READ) * min(1.0, (start + CHUNK) / len(fresh))
            )
    ids = [image_id for image_id, _, _ in items]
    return pa.table({"image_id": ids, "view": [known.get(each) for each in ids]}, schema=VIEWS)


def _view(files: FileStore, path: str, sha256: str) -> bytes | None:
    image = textures.small(files, path, sha256)
    return None if image is None else turned.view(image)


def _vectors(manifest: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Ids of the images that have a vector (n, int64), and these (n × d, int8)."""
    table = manifest.select(["image_id", "vector"]).filter(manifest["vector"].is_valid())
    ids = table["image_id"].to_numpy()
    packed = b"".join(vector or b"" for vector in table["vector"].to_pylist())
    return ids, np.frombuffer(packed, dtype=np.int8).reshape(len(ids), -1 if len(ids) else 0)


def _twins(job: Job, spec: CheckSpec, ids: np.ndarray, vectors: np.ndarray) -> pa.Table:
    """What may be twins by the vectors; only images that the last check did not compare are compared with all.

    Where these are more than MOST_PAIRS, as in a theme of a million images, their hashes must do.
    """
    found = [TWINS.empty_table()]
    if spec.twins is not None:
        with job.files.open(spec.twins) as file:
            last = pq.read_table(file)
        found.append(last.filter(pc.is_in(last["image_id"], pa.array(ids))))
    compared = found[-1]["image_id"].to_numpy()
    fresh = np.flatnonzero(~np.isin(ids, compared))
    if len(fresh) * len(ids) > MOST_PAIRS:
        return pa.concat_tables(found)
    alone = [pa.array(ids[fresh]), pa.nulls(len(fresh), pa.int64())]
    found.append(pa.Table.from_arrays(alone, schema=TWINS))
    for pairs in twins.nearest(vectors, fresh):
        if job.wanted() == "cancel":
            raise Cancelled
        found.append(pa.Table.from_arrays([pa.array(ids[side]) for side in pairs.T], schema=TWINS))
    return pa.concat_tables(found)


def _places(job: Job, spec: CheckSpec, ids: np.ndarray, vectors: np.ndarray) -> pa.Table:
    """The map."""
    if not len(ids):
        return MAP.empty_table()
    shown = maps.chosen(ids)
    before = None
    if spec.map is not None:
        with job.files.open(spec.map) as file:
            old = {row["image_id"]: (row["x"], row["y"]) for row in pq.read_table(file).to_pylist()}
        nowhere = (np.nan, np.nan)
        before = np.array([old.get(image_id, nowhere) for image_id in ids[shown].tolist()])
    places = maps.lay_out(vectors[shown], before)
    columns = [pa.array(each) for each in (ids[shown], places[:, 0], places[:, 1])]
    return pa.Table.from_arrays(columns, schema=MAP)


def _files(job: Job, spec: CheckSpec, manifest: pa.Table) -> Iterator[tuple[int, dict[str, Any]]]:
    """Every file is there with its size; one that was never measured is read."""
    limits = Limits(spec.max_file_bytes, spec.max_pixels)
    columns = [manifest[name].to_pylist() for name in ("image_id", "image_path", "size", "measured")]
    items = list(zip(*columns, strict=True))

    def some(items: list[tuple[int, str, int, bool]]) -> list[tuple[int, dict[str, Any]]]:
        looked = ((each[0], _look(job.files, each[1], each[2], each[3], limits)) for each in items)
        return [(image_id, found) for image_id, found in looked if found]

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for start in range(0, len(items), CHUNK):
            if job.wanted() == "cancel":
                raise Cancelled
            # Most files are only asked for their size: a task for each would cost more than that.
            parts = [items[n : n + PART] for n in range(start, min(start + CHUNK, len(items)), PART)]
            for found in pool.map(some, parts):
                yield from found
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
