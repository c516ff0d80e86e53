"""Pure. The Parquet file that holds the rows of one version of a text dataset."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from core.texts.records import Record, Turn

SPLITS = ("train", "valid", "test")
GROUP_ROWS = 10_000
"""Rows of one row group: what a page of a table has to read."""

_FIELDS: list[pa.Field[Any]] = [
    pa.field("row_id", pa.int64(), nullable=False),
    pa.field("hash", pa.string(), nullable=False),
    pa.field("split", pa.string()),
    pa.field("line", pa.int64(), nullable=False),
    pa.field(
        "turns",
        pa.list_(pa.struct([pa.field("role", pa.string()), pa.field("content", pa.string())])),
        nullable=False,
    ),
    pa.field("context", pa.string(), nullable=False),
    pa.field("system", pa.string(), nullable=False),
    pa.field("extra", pa.string(), nullable=False),
]
SCHEMA = pa.schema(_FIELDS)
"""One row an example, by row id. `extra` is JSON; `split` is one of SPLITS or NULL (not dealt yet)."""


@dataclass(frozen=True, slots=True)
class DataRow:
    row_id: int
    """Stays with the example through all versions of its dataset."""
    record: Record
    split: str | None = None

    def __post_init__(self) -> None:
        assert self.split is None or self.split in SPLITS

    def with_record(self, record: Record) -> DataRow:
        return replace(self, record=record)


def content_hash(record: Record) -> str:
    """SHA-256 of what the example says, whatever its row id, line and split."""
    content = [
        [[turn.role, turn.content] for turn in record.turns],
        record.context,
        record.system,
        dict(record.extra),
    ]
    plain = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()


def dataset_hash(hashes: Iterable[tuple[int, str, str | None]]) -> str:
    """SHA-256 over (row id, content hash, split) of every row, by row id: two versions with one hash are the same."""
    whole = hashlib.sha256()
    for row_id, digest, split in sorted(hashes):
        whole.update(f"{row_id} {digest} {split or '-'}\n".encode())
    return whole.hexdigest()


def table_hash(rows: pa.Table) -> str:
    """`dataset_hash` of a table that is in the order of its row ids."""
    whole = hashlib.sha256()
    for batch in rows.select(["row_id", "hash", "split"]).to_batches():
        columns = zip(*(column.to_pylist() for column in batch.columns), strict=True)
        for row_id, digest, split in columns:
            whole.update(f"{row_id} {digest} {split or '-'}\n".encode())
    return whole.hexdigest()


def table(rows: Sequence[DataRow]) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {
                "row_id": row.row_id,
                "hash": content_hash(row.record),
                "split": row.split,
                "line": row.record.line,
                "turns": [{"role": turn.role, "content": turn.content} for turn in row.record.turns],
                "context": row.record.context,
                "system": row.record.system,
                "extra": json.dumps(dict(row.record.extra), ensure_ascii=False),
            }
            for row in rows
        ],
        SCHEMA,
    )


def packed(rows: pa.Table) -> bytes:
    """The file of a table with SCHEMA; the same rows give the same bytes."""
    out = io.BytesIO()
    pq.write_table(rows, out, row_group_size=GROUP_ROWS, compression="zstd")
    return out.getvalue()


def opened(file: IO[bytes]) -> pa.Table:
    return pq.read_table(file, schema=SCHEMA)


def rows_of(rows: pa.Table) -> Iterator[DataRow]:
    for batch in rows.to_batches(max_chunksize=GROUP_ROWS):
        for row in batch.to_pylist():
            turns = tuple(Turn(turn["role"], turn["content"]) for turn in row["turns"])
            extra = json.loads(row["extra"])
            record = Record(turns, row["context"], row["system"], extra, row["line"])
            yield DataRow(row["row_id"], record, row["split"])
