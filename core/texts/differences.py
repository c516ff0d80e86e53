"""Pure. What became of the rows from one version of a text dataset to another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Ids = NDArray[np.int64]

COLUMNS = ("row_id", "hash", "split")
"""Those of core.texts.rowfile.SCHEMA that a comparison needs."""


@dataclass(frozen=True)
class Differences:
    """Row ids, ascending."""

    added: Ids
    removed: Ids
    changed: Ids
    """In both, with other content."""
    resplit: Ids
    """In both, in another split."""

    @property
    def counts(self) -> dict[str, int]:
        return {
            "added": len(self.added),
            "removed": len(self.removed),
            "changed": len(self.changed),
            "resplit": len(self.resplit),
        }


def compare(before: pa.Table, after: pa.Table) -> Differences:
    """Of two tables with COLUMNS at least; a row is the same row where its id is."""
    ids_before, ids_after = (np.asarray(rows["row_id"].to_numpy(), np.int64) for rows in (before, after))
    both, places_before, places_after = np.intersect1d(
        ids_before, ids_after, assume_unique=True, return_indices=True
    )

    def differ(column: str) -> Ids:
        old: Any = before[column].take(places_before)
        new: Any = after[column].take(places_after)
        return both[pc.not_equal(old.fill_null(""), new.fill_null("")).to_numpy()]

    return Differences(
        np.setdiff1d(ids_after, ids_before, assume_unique=True),
        np.setdiff1d(ids_before, ids_after, assume_unique=True),
        differ("hash"),
        differ("split"),
    )
