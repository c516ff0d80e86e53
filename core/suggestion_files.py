"""Pure. The two Parquet files of a job that suggests labels: what it is given and what it gives back."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

BATCH = 100_000
"""Images of one row group, and of one transaction; a label that a person gives waits for one at most."""

_MANIFEST: list[pa.Field[Any]] = [
    pa.field("image_id", pa.int64()),
    pa.field("sha256", pa.string()),
    pa.field("image_path", pa.string()),
    pa.field("label_id", pa.int64()),
    pa.field("split", pa.string()),
]
MANIFEST = pa.schema(_MANIFEST)
"""One row a live image, by image id."""

_RESULT: list[pa.Field[Any]] = [
    pa.field("image_id", pa.int64()),
    pa.field("label_id", pa.int64()),
    pa.field("confidence", pa.float64()),
    pa.field("margin", pa.float64()),
    pa.field("embedding", pa.binary()),
    pa.field("teach_rank", pa.int64()),
    pa.field("sweep_rank", pa.int64()),
]
RESULT = pa.schema(_RESULT)
"""One row an image that could be read, by image id, in row groups of BATCH.

`margin` is the best minus the second-best probability, `embedding` a unit vector times 127 in int8,
`teach_rank` null for labelled images.
"""
