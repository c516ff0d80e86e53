"""The pictures of a check, and what they are made of (core.quality.textures): only of new ones, kept with the views."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageOps
from threadpoolctl import threadpool_limits

from core.files import FileStore, content_key
from core.images_io import THUMBNAIL_SIDES
from core.quality import textures
from core.quality.check_files import DICTIONARY, TEXTURES
from core.spec import CheckSpec
from jobs.runtime import Cancelled, Job

CHUNK = 256
"""Images between two looks at whether somebody pressed Stop."""
PART = 32
"""Images that one thread describes at a time."""
BEGIN, END = 0.7, 0.85
"""Shares of the check's progress."""

_Item = tuple[int, str, str]
"""Image id, path, hash."""


def small(files: FileStore, path: str, sha256: str) -> Image.Image | None:
    """The smallest thumbnail there is, else the file, upright; None where it cannot be decoded."""
    keys = [content_key(sha256, "thumbs", "webp", suffix=f"-{side}") for side in THUMBNAIL_SIDES]
    for key in (*keys, path):
        if files.size(key) is None:
            continue
        try:
            return ImageOps.exif_transpose(Image.open(io.BytesIO(files.read(key)))).convert("RGB")
        except Exception:  # Pillow raises nearly anything on damaged bytes, which the look at files reports
            return None
    return None


def beside(job: Job, spec: CheckSpec, manifest: pa.Table, views: pa.Table) -> pa.Table:
    """`views` (core.quality.check_files.VIEWS, a row a row of the manifest) with each picture's texture.

    The dictionary is learnt once a theme: textures of different dictionaries cannot be compared.
    """
    known, dictionary = _last(job, spec)
    names = ("image_id", "image_path", "sha256")
    items: list[_Item] = list(zip(*(manifest[name].to_pylist() for name in names), strict=True))
    if dictionary is None:
        some = np.random.default_rng(0).permutation(len(items))[: textures.SAMPLE]
        pictures = [each for _, each in _pictures(job, [items[i] for i in np.sort(some)]) if each is not None]
        if pictures:
            with threadpool_limits(1):
                dictionary = textures.learn(np.stack(pictures))
    if dictionary is not None:
        known |= _described(job, [item for item in items if item[0] not in known], dictionary)
    column = pa.array([known.get(image_id) for image_id, _, _ in items], pa.binary())
    packed = {DICTIONARY: dictionary.packed()} if dictionary else {}
    return pa.table([*views.columns, column], schema=TEXTURES.with_metadata(packed))


def _last(job: Job, spec: CheckSpec) -> tuple[dict[int, bytes], textures.Dictionary | None]:
    """Textures by image id, and their dictionary, of the last check; none where it was of another kind."""
    if spec.views is None:
        return {}, None
    with job.files.open(spec.views) as file:
        table = pq.read_table(file)
    dictionary = textures.Dictionary.unpacked((table.schema.metadata or {}).get(DICTIONARY, b""))
    if dictionary is None:
        return {}, None
    rows = table.filter(table["texture"].is_valid()).select(["image_id", "texture"]).to_pylist()
    return {row["image_id"]: row["texture"] for row in rows}, dictionary


def _described(job: Job, items: list[_Item], dictionary: textures.Dictionary) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    for start in range(0, len(items), CHUNK):
        good = [
            (image_id, each)
            for image_id, each in _pictures(job, items[start : start + CHUNK])
            if each is not None
        ]
        parts = [good[n : n + PART] for n in range(0, len(good), PART)]
        # One thread a core and none inside: most of the work is not matrix products.
        with threadpool_limits(1), ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            described = pool.map(
                lambda part: textures.describe(np.stack([each for _, each in part]), dictionary), parts
            )
            for part, rows in zip(parts, described, strict=True):
                found |= {image_id: row.tobytes() for (image_id, _), row in zip(part, rows, strict=True)}
        job.progress(phase="check", fraction=BEGIN + (END - BEGIN) * min(1.0, (start + CHUNK) / len(items)))
    return found


def _pictures(job: Job, items: list[_Item]) -> Iterator[tuple[int, np.ndarray | None]]:
    def one(item: _Item) -> tuple[int, np.ndarray | None]:
        image = small(job.files, item[1], item[2])
        return item[0], None if image is None else textures.picture(image)

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for start in range(0, len(items), CHUNK):
            if job.wanted() == "cancel":
                raise Cancelled
            yield from pool.map(one, items[start : start + CHUNK])
