"""Pure. The Parquet file that holds what the check of one version of a text dataset found."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

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
