"""Pure. The two Parquet files of a check of one version of a text dataset: what it found, what it saw."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

CHECKS = 4
"""Raised whenever the checks find something else in the same rows: older files then do not count."""

_FIELDS: list[pa.Field[Any]] = [
    pa.field("row_id", pa.int64(), nullable=False),
    pa.field("hash", pa.string(), nullable=False),
    pa.field("where", pa.string(), nullable=False),
    pa.field("kind", pa.string(), nullable=False),
    pa.field("severity", pa.string(), nullable=False),
    pa.field("message", pa.string(), nullable=False),
    pa.field("fields", pa.string(), nullable=False),
    pa.field("group", pa.int64()),
]
SCHEMA = pa.schema(_FIELDS)
"""One row a finding (core.quality.texts.findings), by row id. `hash` is the row's content hash, `fields` JSON.

`group`: of copies and leaks, the least row id of those that belong together; NULL for other kinds.
No text that could be secret is in it.
"""

_SEEN: list[pa.Field[Any]] = [
    pa.field("hash", pa.string(), nullable=False),
    pa.field("languages", pa.string(), nullable=False),
    pa.field("whole", pa.uint64(), nullable=False),
    pa.field("keys", pa.binary()),
    pa.field("runs", pa.list_(pa.uint32())),
]
SEEN = pa.schema(_SEEN)
"""One row a content that was looked at by itself, so that the next check need not do it again.

`languages`: what core.quality.texts.language.told says of it, JSON. `whole` and `keys`: its sketch
(core.quality.texts.copies), little-endian; no keys where it has no letter or digit. `runs`: its outline
(core.quality.texts.leakage), where the row was learnt from. The file's metadata says the rest, see
core.quality.texts.seen.
"""


def packed(table: pa.Table) -> bytes:
    """The file of a table; the same rows give the same bytes."""
    out = io.BytesIO()
    # Hashes and outlines hold nearly nothing twice.
    often = [
        name for name in ("where", "kind", "severity", "message", "languages") if name in table.column_names
    ]
    pq.write_table(table, out, compression="zstd", use_dictionary=often)  # type: ignore[arg-type]
    return out.getvalue()
