"""Stored. New images of a theme against those of its newest training: what drifted, with examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import sqlalchemy as sa

from core import snapshots, themes
from core.db.engine import fetch_column
from core.db.tables import finetuning_jobs, labels, train_data
from core.db.tables import snapshots as snapshot_rows
from core.image_filter import Filter
from core.looks import units
from core.quality import conditions, drift
from core.quality.drift import LEAST, LOOK, Drift
from core.quality.measures import NAMES
from core.workbench import Workbench

MOST = 5_000
"""Images of either side that are read: by then chance moves the index by less than 0.01."""
EXAMPLES = 8
NUMBERS = (*NAMES, "width", "height", "aspect", "size")
CATEGORIES = ("label", "format", "orientation")

Ids = np.ndarray
"""n image ids, int64."""


@dataclass(frozen=True)
class Comparison:
    """New images against a training snapshot, or why there is none."""

    snapshot_id: int | None
    since: datetime | None
    """When the snapshot was frozen."""
    images: int
    """New images, of which at most MOST were read."""
    reference: int
    drift: Drift | None
    why: str = ""
    """no-snapshot, no-images, too-few or overlap (hardly a training image is not among the new) where `drift` is None."""
    moved: str | None = None
    """The feature that moved most, of which `examples` are the extremes; None where nothing drifted."""
    examples: tuple[int, ...] = ()


def newest(wb: Workbench, theme_id: int) -> int | None:
    """Id of the snapshot that the theme's newest run learnt from."""
    job = finetuning_jobs.c
    query = (
        sa.select(job.snapshot_id)
        .where(job.theme_id == theme_id, job.snapshot_id.is_not(None))
        .order_by(job.id.desc())
        .limit(1)
    )
    with wb.db.read() as connection:
        found = connection.execute(query).scalar()
    return None if found is None else int(found)


def compare(wb: Workbench, theme_id: int, which: Filter | None = None) -> Comparison:
    """The images that came since the newest training, or those of a filter, against its snapshot.

    Images of the filter that the snapshot has are taken out of it first. Raises NotFound.
    """
    themes.get(wb, theme_id)
    snapshot_id = newest(wb, theme_id)
    if snapshot_id is None:
        return Comparison(None, None, 0, 0, None, "no-snapshot")
    snapshot = snapshots.get(wb, snapshot_id)
    with wb.db.read() as connection:
        since: datetime = connection.execute(
            sa.select(snapshot_rows.c.created_at).where(snapshot_rows.c.id == snapshot_id)
        ).scalar_one()
        where = (
            [conditions.live(theme_id), train_data.c.created_at > since]
            if which is None
            else which.where(theme_id)
        )
        batch = fetch_column(connection, sa.select(train_data.c.id).where(*where))
    manifest = snapshots.read(wb, snapshot)
    learnt = manifest["image_id"].to_numpy()
    reference = np.setdiff1d(learnt, batch)
    labelled = dict(zip(learnt.tolist(), manifest["label_id"].to_pylist(), strict=True))
    return against(wb, theme_id, (snapshot_id, since), reference, batch, labelled)


def against(
    wb: Workbench,
    theme_id: int,
    snapshot: tuple[int, datetime],
    reference: Ids,
    batch: Ids,
    labelled: Mapping[int, int],
) -> Comparison:
    """`batch` against `reference`, images of a snapshot (its id and date) with the labels `labelled` they had there.

    Other images count with the label they have now.
    """
    counts = (*snapshot, len(batch), len(reference))
    if not len(batch):
        return Comparison(*counts, None, "no-images")
    if len(batch) < LEAST:
        return Comparison(*counts, None, "too-few")
    if len(reference) < LEAST:
        return Comparison(*counts, None, "overlap")
    sides = [drift.sample(each, MOST) for each in (reference, batch)]
    with wb.db.read() as connection:
        names = dict(
            connection.execute(sa.select(labels.c.id, labels.c.name).where(labels.c.theme_id == theme_id))
            .tuples()
            .all()
        )
        one, two = (values(connection, ids, names, labelled) for ids in sides)
        looked, looks = _vectors(connection, [ids[: drift.LOOKED_AT] for ids in sides])
    found = drift.compare(
        {name: (one[name], two[name]) for name in NUMBERS},
        {name: (one[name], two[name]) for name in CATEGORIES},
        (looks[0], looks[1]),
    )
    if not found.drifted:
        return Comparison(*counts, found)
    most = found.drifted[0]
    if most.name == LOOK:
        places = np.argsort(-drift.unlike(looks[0], looks[1]), kind="stable")[:EXAMPLES]
        examples = looked[1][places]
    else:
        examples = sides[1][drift.extremes(most, two[most.name])[:EXAMPLES]]
    return Comparison(*counts, found, moved=most.name, examples=tuple(examples.tolist()))


def values(
    connection: sa.Connection, ids: Ids, names: Mapping[int, str], labelled: Mapping[int, int]
) -> dict[str, np.ndarray]:
    """Every feature of the images, in the order of ids; an image that is no longer there has none."""
    found: dict[int, Any] = {row.id: row for row in connection.execute(_MEASURES, {"ids": ids.tolist()})}
    rows = [found.get(image_id) for image_id in ids.tolist()]

    def number(name: str) -> np.ndarray:
        return np.array([getattr(row, name, None) for row in rows], dtype=np.float64)

    columns = {name: number(name) for name in (*NAMES, "width", "height", "size")}
    columns["aspect"] = columns["width"] / columns["height"]
    columns["label"] = np.array(
        [
            names.get(labelled.get(image_id, row.label_id if row else None) or 0)
            for image_id, row in zip(ids.tolist(), rows, strict=True)
        ],
        dtype=object,
    )
    columns["format"] = np.array([getattr(row, "format", None) for row in rows], dtype=object)
    columns["orientation"] = np.array([_shape(row) for row in rows], dtype=object)
    return columns


def _shape(row: Any) -> str | None:
    if row is None:
        return None
    return "square" if row.width == row.height else "wide" if row.width > row.height else "tall"


def _vectors(connection: sa.Connection, sides: Sequence[Ids]) -> tuple[list[Ids], list[np.ndarray]]:
    """The images that have one, and their unit vectors: the model's where one version made all, else their looks."""
    everyone = np.concatenate(sides).tolist()
    found: dict[int, Any] = {row.image_id: row for row in connection.execute(_VECTORS, {"ids": everyone})}
    versions = {row.version_id for row in found.values()}
    column = "embedding" if len(versions) == 1 and None not in versions else "look"
    known = [ids[np.isin(ids, list(found))] for ids in sides]
    return known, [_matrix([getattr(found[image_id], column) for image_id in ids.tolist()]) for ids in known]


def _matrix(vectors: Sequence[bytes]) -> np.ndarray:
    if not vectors:
        return np.empty((0, 1), dtype=np.float32)
    return units(np.frombuffer(b"".join(vectors), dtype=np.int8).reshape(len(vectors), -1))


_MEASURES = sa.text(
    "SELECT t.id, t.label_id, t.format, t.width, t.height, t.size, "
    + ", ".join(f"f.{name}" for name in NAMES)
    + " FROM train_data t LEFT JOIN image_features f ON f.image_id = t.id"
    " WHERE t.id IN (SELECT unnest(CAST(:ids AS BIGINT[])))"
)
_VECTORS = sa.text(
    "SELECT image_id, look, embedding, version_id FROM image_features"
    " WHERE image_id IN (SELECT unnest(CAST(:ids AS BIGINT[])))"
)
