"""Pure. The files of a batch of images to be predicted, and what is told of its answers.

What a job answers has the columns of `core.gateway.tables`, in row groups of PART: the file that people download.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from core.i18n import N_

PART = 2_048
"""Images whose answers are written together; a job that was killed computes no more than these again."""
UNSURE = 24
"""Answers with the least confidence that are told one by one."""
FAILED = 60
"""Files without an answer that are told one by one; the download has them all."""
GONE = N_("The file is not in the store.")

_GIVEN: list[pa.Field[Any]] = [
    pa.field("file", pa.string()),
    pa.field("path", pa.string()),
    pa.field("error", pa.string()),
]
GIVEN = pa.schema(_GIVEN)
"""One row a file, in the order in which they came: its name with folders; its key in the file store or, where it was
refused, why. All of a batch are its manifest."""


def folder(batch_id: int) -> str:
    """Where the files of a batch lie in the file store."""
    return f"batches/{batch_id}"


def given(rows: Sequence[tuple[str, str | None, str | None]]) -> pa.Table:
    """Of (file, path, error)."""
    columns = list(zip(*rows, strict=True)) or [()] * len(GIVEN)
    arrays = [pa.array(list(values), field.type) for values, field in zip(columns, GIVEN, strict=True)]
    return pa.Table.from_arrays(arrays, schema=GIVEN)


def packed(table: pa.Table) -> bytes:
    """As a file, in row groups of PART."""
    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd", row_group_size=PART)
    return out.getvalue()


class Tally:
    """What is told of the answers of a batch; they come part by part, in their order."""

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = labels
        self._rows = 0
        self._n = np.zeros(len(labels), dtype=np.int64)
        self._confidence = np.zeros(len(labels))
        self._unsure: list[dict[str, Any]] = []
        self._failed: list[dict[str, Any]] = []

    def add(self, answers: pa.Table) -> None:
        """A part, in the schema of `core.gateway.tables`."""
        answered = answers["label"].is_valid().to_numpy()
        places = np.flatnonzero(answered)
        good = answers.take(places)
        confidence = good["confidence"].to_numpy()
        said = pc.index_in(good["label"], pa.array(self._labels, pa.string())).to_numpy()
        np.add.at(self._n, said, 1)
        np.add.at(self._confidence, said, confidence)
        least = np.argsort(confidence, kind="stable")[:UNSURE]
        for row, place in zip(good.take(least).to_pylist(), places[least], strict=True):
            shares = zip(self._labels, row["probabilities"], strict=True)
            others = [(share, label) for label, share in shares if label != row["label"]]
            self._unsure.append(
                {
                    "row": self._rows + int(place),
                    "file": row["file"],
                    "label": row["label"],
                    "confidence": row["confidence"],
                    "next": max(others)[1] if others else None,
                }
            )
        self._unsure = sorted(self._unsure, key=lambda each: (each["confidence"], each["row"]))[:UNSURE]
        bad = answers.take(np.flatnonzero(~answered)[: FAILED - len(self._failed)])
        self._failed += [{"file": row["file"], "error": row["error"]} for row in bad.to_pylist()]
        self._rows += len(answers)

    def told(self) -> dict[str, Any]:
        """`n` answers and `errors`, counts and mean confidence by label, the least sure ones, the first failed ones."""
        n = int(self._n.sum())
        return {
            "n": n,
            "errors": self._rows - n,
            "by_label": [
                {"label": label, "n": count, "confidence": total / count if count else None}
                for label, count, total in zip(
                    self._labels, self._n.tolist(), self._confidence.tolist(), strict=True
                )
            ],
            "unsure": self._unsure,
            "failed": self._failed,
        }
