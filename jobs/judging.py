"""The part of a check of images that compares each with all others: doubted labels, turned and far-away pictures."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from core.quality import doubts, maps, turned
from core.quality.judged import JUDGED, Judged, Later, Said, digest, later
from core.spec import CheckSpec
from jobs.runtime import Job

Rows = dict[int, dict[str, Any]]
"""What is found, by image id; see core.quality.check_files.RESULT."""


def judge(job: Job, spec: CheckSpec, manifest: pa.Table, views: pa.Table, rows: Rows) -> tuple[Judged, int]:
    """Judge the manifest's images by it and by `views` (check_files.TEXTURES); what is found joins `rows`.

    Returns what to keep, and how many labelled images nothing can be said about.
    """
    images = _Images(manifest, views)
    before = None
    if spec.judged is not None:
        with job.files.open(spec.judged) as file:
            before = Judged.unpacked(pq.read_table(file))
    on = None if before is None else later(before, images.keys, images.labels, images.sides)
    found: Rows = {}
    own: dict[int, float] = {}
    if on is not None:
        _kept(on, found, own)
    of_labels, accuracy = _labels(images, on, found, own)
    of_sides, upright = _sides(images, on, found)
    nearest = _far(images, on, rows)
    for image_id, each in found.items():
        rows.setdefault(image_id, {}).update(each)
    told = [[found.get(i, {}).get(name) for i in images.ids] for name in _KEPT]
    arrays = [pa.array(column, JUDGED.field(name).type) for name, column in zip(_KEPT, told, strict=True)]
    of_own = pa.array([own.get(i) for i in images.ids], pa.float64())
    table = pa.table([*images.keys.columns, of_own, *arrays, nearest], schema=JUDGED)
    fresh = Said(len(images.ids), 0, images.labels, images.sides, accuracy, upright)
    return Judged(table, fresh if on is None else on.said, of_labels, of_sides), images.left_out


_KEPT = ("guess_id", "turn", "lies_right")


class _Images:
    """Columns of a check's files, a row an image."""

    def __init__(self, manifest: pa.Table, views: pa.Table) -> None:
        self.ids: list[int] = manifest["image_id"].to_numpy().tolist()
        self.given: list[int | None] = manifest["label_id"].to_pylist()
        self.learnt: list[bool | None] = manifest["learnt"].to_pylist()
        self.vectors = [each or None for each in manifest["vector"].to_pylist()]
        self.views: list[bytes | None] = views["view"].to_pylist()
        self.textures: list[bytes | None] = views["texture"].to_pylist()
        all_three = list(zip(self.vectors, self.views, self.textures, strict=True))
        self.shown = [None not in each for each in all_three]
        counts = Counter(
            label for label, shown in zip(self.given, self.shown, strict=True) if label is not None and shown
        )
        enough = sorted(label for label, n in counts.items() if n >= doubts.LEAST_PER_LABEL)
        self.labels = enough if len(enough) > 1 else []
        """That something can be said about."""
        seen = sum(view is not None for view in self.views) >= turned.LEAST
        self.sides = sorted({label for label in self.given if label is not None}) if seen else []
        self.seen = seen
        """Whether there are pictures enough to learn which side is up."""
        digests = [digest(*each) for each in all_three]
        columns: list[list[Any]] = [self.ids, digests, self.given, self.learnt]
        schema = pa.schema(list(JUDGED)[:4])
        arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
        self.keys = pa.table(arrays, schema=schema)
        """As core.quality.judged.later compares them."""

    @property
    def judged(self) -> list[int]:
        """Rows of those whose label something can be said about."""
        known = set(self.labels)
        return [i for i, label in enumerate(self.given) if label in known and self.shown[i]]

    @property
    def left_out(self) -> int:
        """Labelled images that nothing can be said about."""
        return sum(label is not None for label in self.given) - len(self.judged)


def _kept(on: Later, found: Rows, own: dict[int, float]) -> None:
    columns = (on.before.rows[name].to_pylist() for name in ("image_id", "own", *_KEPT, "label_id"))
    for image_id, probable, guess, turn, lies_right, label in zip(*columns, strict=True):
        if probable is not None:
            own[image_id] = probable
        if guess is not None:
            found.setdefault(image_id, {}).update(guess_id=guess, score=probable, label_id=label)
        if turn is not None:
            found.setdefault(image_id, {}).update(turn=turn, lies_right=lies_right)


def _matrix(column: list[bytes | None], rows: list[int], kind: type[np.generic]) -> np.ndarray:
    return np.frombuffer(b"".join(column[i] or b"" for i in rows), dtype=kind).reshape(len(rows), -1)


def _labels(
    images: _Images, on: Later | None, found: Rows, own: dict[int, float]
) -> tuple[doubts.Learnt | None, float | None]:
    """Doubt labels; (what was learnt of them, how well unseen images are told apart)."""
    if not images.labels:
        return None, None
    rows = images.judged if on is None else [i for i in images.judged if on.new[i]]
    if on is not None and (not rows or on.before.of_labels is None):
        return on.before.of_labels, on.said.accuracy
    place = {label: number for number, label in enumerate(images.labels)}
    labels = np.array([place[images.given[i] or 0] for i in rows], dtype=np.int64)
    described = np.concatenate(
        [
            _matrix(images.textures, rows, np.uint8).astype(np.int16),
            _matrix(images.views, rows, np.int8).astype(np.int16),
        ],
        axis=1,
    )
    by_network = images.learnt[rows[0]] is not None
    learnt = np.array([images.learnt[i] for i in rows], dtype=bool) if by_network else None
    vectors = _matrix(images.vectors, rows, np.int8)
    if on is None or on.before.of_labels is None:
        doubted = doubts.find(vectors, labels, described, learnt)
        accuracy = doubted.accuracy
    else:
        doubted = on.before.of_labels.told(vectors, labels, described, learnt)
        accuracy = on.said.accuracy or 0.0
    if accuracy >= doubts.SEES_ENOUGH:
        own.update(zip((images.ids[i] for i in rows), doubted.score.tolist(), strict=True))
        for n in np.flatnonzero(doubted.suspicious):
            found.setdefault(images.ids[rows[n]], {}).update(
                guess_id=images.labels[doubted.guess[n]],
                score=float(doubted.score[n]),
                label_id=images.given[rows[n]],
            )
    return doubted.learnt, accuracy


def _sides(images: _Images, on: Later | None, found: Rows) -> tuple[turned.Learnt | None, float | None]:
    """Name pictures that lie wrong; (what was learnt of sides, how well unseen ones were told apart)."""
    if not images.seen:
        return None, None
    rows = [i for i, view in enumerate(images.views) if view is not None and (on is None or on.new[i])]
    if on is not None and (not rows or on.before.of_sides is None):
        return on.before.of_sides, on.said.upright
    place = {label: number for number, label in enumerate(images.sides)}
    labels = np.array([place.get(images.given[i] or 0, -1) for i in rows], dtype=np.int64)
    views = _matrix(images.views, rows, np.int8)
    if on is None or on.before.of_sides is None:
        lying = turned.find(views, labels)
        accuracy = lying.accuracy
    else:
        lying = on.before.of_sides.told(views, labels)
        accuracy = on.said.upright or 0.0
    if accuracy >= turned.SEES_ENOUGH:
        for n in np.flatnonzero(lying.turn):
            named = {"turn": int(lying.turn[n]), "lies_right": float(lying.score[n])}
            found.setdefault(images.ids[rows[n]], {}).update(named)
    return lying.learnt, accuracy


def _far(images: _Images, on: Later | None, rows: Rows) -> pa.Array[Any]:
    """Name pictures far from all others; the column `nearest` of JUDGED."""
    usable = [i for i, vector in enumerate(images.vectors) if vector is not None]
    nearest: list[bytes | None] = [None] * len(images.ids)
    if usable:
        ids = [images.ids[i] for i in usable]
        before = None if on is None else on.before.nearest(ids)
        distance, measured = maps.far(_matrix(images.vectors, usable, np.int8), before)
        for n in np.flatnonzero(maps.outliers(distance)):
            rows.setdefault(ids[n], {})["distance"] = float(distance[n])
        for i, each in zip(usable, measured, strict=False):  # none where there are too few to measure
            nearest[i] = each.tobytes()
    return pa.array(nearest, pa.binary())
