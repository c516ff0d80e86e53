"""Stored. What a version's training images looked like and were called, and how far requests have moved from that."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import sqlalchemy as sa

from core import snapshots
from core.db.engine import Database
from core.db.tables import model_registry
from core.db.tables import snapshots as snapshot_rows
from core.monitoring.counts import FEATURES, Counts
from core.quality import batches, drift
from core.quality.drift import LEAST, Drift, Feature
from core.registry import Version
from core.workbench import Workbench

MOST = 10_000
"""Values of either side that a comparison takes; of more, each bin's share of them."""
ANSWER = "answer"
"""What the feature of the answers is called: the mix of labels, against that of the training."""


@dataclass(frozen=True)
class Reference:
    """A training snapshot in the bins of core.monitoring.counts."""

    snapshot_id: int
    images: int
    features: dict[str, Counter[int]]
    classes: Counter[str]


_KNOWN: WeakKeyDictionary[Database, dict[int, Reference | None]] = WeakKeyDictionary()
_lock = threading.Lock()


def of(wb: Workbench, version: Version) -> Reference | None:
    """Of the images that a version learnt from; None where its snapshot is not there. Read once a process."""
    with _lock:
        kept = _KNOWN.setdefault(wb.db, {})
        if version.id not in kept:
            kept[version.id] = _read(wb, version)
        return kept[version.id]


def _read(wb: Workbench, version: Version) -> Reference | None:
    query = (
        sa.select(snapshot_rows.c.id)
        .join(model_registry, model_registry.c.snapshot_hash == snapshot_rows.c.hash)
        .where(model_registry.c.id == version.id, snapshot_rows.c.theme_id == version.theme_id)
    )
    with wb.db.read() as connection:
        snapshot_id = connection.execute(query).scalar()
    if snapshot_id is None:
        return None
    snapshot = snapshots.get(wb, snapshot_id)
    classes: Counter[str] = Counter()
    for of_split in snapshot.counts.values():
        classes.update(of_split)
    ids = drift.sample(snapshots.read(wb, snapshot)["image_id"].to_numpy(), batches.MOST)
    with wb.db.read() as connection:
        found = batches.values(connection, ids, {}, {})
    features = {
        name: Counter(scale.place(value) for value in found[name][np.isfinite(found[name])].tolist())
        for name, scale in FEATURES.items()
    }
    return Reference(snapshot_id, classes.total(), features, classes)


def compare(reference: Reference, counts: Counts) -> Drift:
    """What was asked and answered against the training, see core.quality.drift.

    Features with fewer than LEAST values on either side are left out.
    """
    found: list[Feature] = []
    for name, scale in FEATURES.items():
        before, now = reference.features.get(name, Counter()), counts.features.get(name, Counter())
        if min(before.total(), now.total()) >= LEAST:
            sides = [_spread(each, scale.middle) for each in (before, now)]
            found.append(drift.number(name, *sides))
    if min(reference.classes.total(), counts.classes.total()) >= LEAST:
        found.append(drift.counted(ANSWER, reference.classes, counts.classes))
    return drift.ranked(found)


def _spread(bins: Counter[int], middle: Callable[[int], float]) -> np.ndarray:
    """The middles of bins, each as often as values lie in it, at most about MOST in all."""
    places = sorted(bins)
    n = np.array([bins[place] for place in places], dtype=np.float64)
    if n.sum() > MOST:
        n *= MOST / n.sum()
    found: np.ndarray = np.repeat([middle(place) for place in places], np.rint(n).astype(np.int64))
    return found
