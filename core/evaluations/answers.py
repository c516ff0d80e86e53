"""Stored. What a finished run's model said of single images, and what is known of these images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import sqlalchemy as sa

from core import snapshots
from core.db.tables import image_features, train_data, users
from core.runs import Run
from core.workbench import Workbench

NUMBERS = ("light", "contrast", "sharpness", "colour", "area")
"""Measured facts of an image; `area` is in pixels."""
CATEGORIES = ("added", "labelled_by")
"""`added` is the day (UTC) on which it came, `labelled_by` the person."""


@dataclass(frozen=True)
class Answers:
    """A run's answers to the n images of one split, by image id."""

    labels: tuple[str, ...]
    ids: np.ndarray
    """(n,) int64."""
    truth: np.ndarray
    """(n,) places in `labels`, as labelled when the run began."""
    predicted: np.ndarray
    """(n,) places in `labels`."""
    probabilities: np.ndarray
    """(n, k) float64."""

    @property
    def right(self) -> np.ndarray:
        """(n,) bool."""
        found: np.ndarray = self.truth == self.predicted
        return found

    @property
    def confidence(self) -> np.ndarray:
        """(n,) 0–1, that of the answer given."""
        found: np.ndarray = self.probabilities.max(axis=1)
        return found


def of_run(wb: Workbench, run: Run, split: str = "test") -> Answers | None:
    """None where the run kept no answers, or the file store lost them."""
    result = run.result or {}
    if not result.get("answers"):
        return None
    try:
        with wb.files.open(result["answers"]) as file:
            table = pq.read_table(file, filters=[("split", "=", split)]).sort_by("image_id")
    except OSError:
        return None
    if not len(table):
        return None
    labels = tuple(str(name) for name in result["labels"])
    place = {name: number for number, name in enumerate(labels)}
    columns: dict[str, list[Any]] = table.to_pydict()
    return Answers(
        labels,
        np.array(columns["image_id"], dtype=np.int64),
        np.array([place[name] for name in columns["label"]]),
        np.array([place[name] for name in columns["predicted"]]),
        np.array(columns["probabilities"], dtype=np.float64),
    )


def manifest(wb: Workbench, run: Run) -> dict[int, tuple[int, str, str]]:
    """{image: (label id, split, label's name then)} of the run's snapshot."""
    table = snapshots.read(wb, snapshots.get(wb, run.spec.snapshot.id))
    columns: dict[str, list[Any]] = table.select(["image_id", "label_id", "split", "label"]).to_pydict()
    rows = zip(columns["label_id"], columns["split"], columns["label"], strict=True)
    return dict(zip(columns["image_id"], rows, strict=True))


def by_label_id(
    wb: Workbench, run: Run, rows: dict[int, tuple[int, str, str]]
) -> dict[int, int | None] | None:
    """{test image: id of the label that the run's model said}, `rows` its manifest; None as in `of_run`.

    A label counts by its id, whatever it was called then.
    """
    found = of_run(wb, run)
    if found is None:
        return None
    ids = {name: label_id for label_id, _split, name in rows.values()}
    said = [ids.get(found.labels[place]) for place in found.predicted]
    return dict(zip(found.ids.tolist(), said, strict=True))


def facts(wb: Workbench, ids: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, list[str | None]]]:
    """NUMBERS, NaN where not measured, and CATEGORIES of the images, in the order of `ids`.

    Images that were deleted since are still known.
    """
    image, feature = train_data.c, image_features.c
    query = (
        sa.select(
            image.id,
            *(getattr(feature, name) for name in NUMBERS[:-1]),
            image.width,
            image.height,
            image.created_at,
            users.c.name,
        )
        .select_from(train_data)
        .outerjoin(image_features, feature.image_id == image.id)
        .outerjoin(users, users.c.id == image.labeled_by)
        .where(image.id.in_(sa.text("SELECT unnest(CAST(:ids AS BIGINT[]))")))
    )
    with wb.db.read() as connection:
        found: dict[int, Any] = {row[0]: row for row in connection.execute(query, {"ids": ids.tolist()})}
    rows = [found.get(int(each)) for each in ids]
    numbers = {
        name: np.array(
            [np.nan if row is None or row[at] is None else row[at] for row in rows], dtype=np.float64
        )
        for at, name in enumerate(NUMBERS[:-1], 1)
    }
    at = len(NUMBERS)
    numbers["area"] = np.array([np.nan if row is None else row[at] * row[at + 1] for row in rows], np.float64)
    categories: dict[str, list[str | None]] = {
        "added": [None if row is None else f"{row[at + 2]:%Y-%m-%d}" for row in rows],
        "labelled_by": [None if row is None else row[at + 3] for row in rows],
    }
    return numbers, categories
