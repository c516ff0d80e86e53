"""Pure. What a check of images keeps of what it judged on all of them, and when the next one may go on from there.

Labels, sides and distances are told by comparing every picture with all others. Distances are brought up to date
exactly. What is learnt of labels and sides hardly changes with a few pictures more, so while few came or went
(GROWTH) the old ones keep what was said of them, and new ones are judged by what was learnt then.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa

from core.quality import doubts, turned
from core.quality.maps import NEIGHBOURS

CHECKS = 2
"""Raised whenever the same pictures are judged otherwise: older files then do not count."""
GROWTH = 0.02
"""Share of the pictures that came or went since all were judged, beyond which all are judged anew."""

_FIELDS: list[pa.Field[Any]] = [
    pa.field("image_id", pa.int64()),
    pa.field("digest", pa.int64()),
    pa.field("label_id", pa.int64()),
    pa.field("learnt", pa.bool_()),
    pa.field("own", pa.float64()),
    pa.field("guess_id", pa.int64()),
    pa.field("turn", pa.int32()),
    pa.field("lies_right", pa.float64()),
    pa.field("nearest", pa.binary()),
]
JUDGED = pa.schema(_FIELDS)
"""A row a picture, by image id; `digest` of its vector, view and texture; the rest as in check_files.RESULT.

`own`: how probable its label is to models that did not see it, a doubt's score; NULL where nothing can be said of that.
`nearest`: see core.quality.maps.far, float32; NULL where nothing was measured.
"""
SAID, LABELS, SIDES = b"said", b"labels", b"sides"
"""Keys of the file's metadata: JSON of `Said`, and the arrays of doubts.Learnt and of turned.Learnt."""


@dataclass(frozen=True)
class Said:
    images: int
    """That were judged together."""
    since: int
    """That came or went after that."""
    labels: list[int]
    """Whose pictures are judged, in the order in which they were numbered."""
    sides: list[int]
    """That the models of sides know, in the order in which they were numbered."""
    accuracy: float | None
    upright: float | None
    """See check_jobs.State."""


@dataclass(frozen=True)
class Judged:
    """One check's answer, for the next one."""

    rows: pa.Table
    said: Said
    of_labels: doubts.Learnt | None
    of_sides: turned.Learnt | None

    def packed(self) -> pa.Table:
        metadata = {SAID: json.dumps({"checks": CHECKS, **self.said.__dict__}).encode()}
        for key, learnt in ((LABELS, self.of_labels), (SIDES, self.of_sides)):
            if learnt is not None:
                out = io.BytesIO()
                np.savez(out, **{each.name: getattr(learnt, each.name) for each in fields(learnt)})
                metadata[key] = out.getvalue()
        return self.rows.replace_schema_metadata(metadata)

    @classmethod
    def unpacked(cls, table: pa.Table) -> Judged | None:
        """None where it was made by other CHECKS."""
        metadata = table.schema.metadata or {}
        said = json.loads(metadata[SAID])
        if said.pop("checks") != CHECKS:
            return None

        def arrays(key: bytes) -> dict[str, np.ndarray] | None:
            return dict(np.load(io.BytesIO(metadata[key]))) if key in metadata else None

        labels, sides = arrays(LABELS), arrays(SIDES)
        return cls(
            table,
            Said(**said),
            None if labels is None else doubts.Learnt(**labels),
            None if sides is None else turned.Learnt(**sides),
        )

    def nearest(self, ids: Sequence[int]) -> np.ndarray | None:
        """What core.quality.maps.far may go on from, for pictures `ids` with vectors; None where one has gone."""
        known = self.rows.filter(self.rows["nearest"].is_valid())
        if known["image_id"].to_pylist() != list(ids[: len(known)]):
            return None
        packed = b"".join(each for each in known["nearest"].to_pylist() if each is not None)
        return np.frombuffer(packed, np.float32).reshape(-1, NEIGHBOURS + 1)


@dataclass(frozen=True)
class Later:
    """How a check goes on from an earlier one."""

    before: Judged
    said: Said
    new: np.ndarray
    """n, bool: pictures that came since."""


def digest(*parts: bytes | None) -> int:
    """64 bits of what a picture is judged by."""
    whole = hashlib.blake2b(digest_size=8)
    for part in parts:
        whole.update(b"-" if part is None else b"+" + len(part).to_bytes(8, "little") + part)
    return int.from_bytes(whole.digest(), "little", signed=True)


def later(before: Judged, now: pa.Table, labels: Sequence[int], sides: Sequence[int]) -> Later | None:
    """Whether what was judged still counts for the pictures `now` (the first four columns of JUDGED).

    None where a picture or its label is another one, where other labels can be judged, or where more than GROWTH
    came or went: then all must be judged.
    """
    keys = JUDGED.names[:4]
    old = {row[0]: row for row in zip(*(before.rows[name].to_pylist() for name in keys), strict=True)}
    rows = list(zip(*(now[name].to_pylist() for name in keys), strict=True))
    new = np.array([row[0] not in old for row in rows], bool)
    if any(old.get(row[0], row) != row for row in rows):
        return None
    gone = len(old) - (len(rows) - int(new.sum()))
    since = before.said.since + int(new.sum()) + gone
    if since > GROWTH * before.said.images:
        return None
    if list(labels) != before.said.labels or list(sides) != before.said.sides:
        return None
    said = Said(**{**before.said.__dict__, "since": since})
    return Later(before, said, new)
