"""Pure. The Parquet file that holds the rows of one version of a text dataset."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from core.shares import SPLITS
from core.texts.records import Record, Turn

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
# Made once: json.dumps makes an encoder for every call that has options.
_canonical = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode
_json = json.JSONEncoder(ensure_ascii=False).encode

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
    return hashlib.sha256(_canonical(content).encode("utf-8", "surrogatepass")).hexdigest()


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
    records = [row.record for row in rows]
    turns = [turn for record in records for turn in record.turns]
    texts = pa.string()
    offsets: Any = pa.array(np.cumsum([0, *(len(record.turns) for record in records)], dtype=np.int32))
    columns: dict[str, pa.Array[Any]] = {
        "row_id": pa.array([row.row_id for row in rows], pa.int64()),
        "hash": pa.array([content_hash(record) for record in records], texts),
        "split": pa.array([row.split for row in rows], texts),
        "line": pa.array([record.line for record in records], pa.int64()),
        "turns": pa.ListArray.from_arrays(
            offsets,
            pa.StructArray.from_arrays(
                [
                    pa.array([turn.role for turn in turns], texts),
                    pa.array([turn.content for turn in turns], texts),
                ],
                ["role", "content"],
            ),
        ),
        "context": pa.array([record.context for record in records], texts),
        "system": pa.array([record.system for record in records], texts),
        "extra": pa.array([_json(dict(record.extra)) if record.extra else "{}" for record in records], texts),
    }
    return pa.Table.from_arrays([columns[name] for name in SCHEMA.names], schema=SCHEMA)


def packed(rows: pa.Table) -> bytes:
    """The file of a table with SCHEMA; the same rows give the same bytes."""
    out = io.BytesIO()
    pq.write_table(rows, out, row_group_size=GROUP_ROWS, compression="zstd")
    return out.getvalue()


def opened(file: IO[bytes]) -> pa.Table:
    return pq.read_table(file, schema=SCHEMA)


def rows_of(rows: pa.Table) -> Iterator[DataRow]:
    for batch in rows.to_batches(max_chunksize=GROUP_ROWS):
        turns: Any = batch.column("turns")
        roles, contents = (column.to_pylist() for column in turns.flatten().flatten())
        made = list(map(Turn, roles, contents))
        end = 0
        rest = (batch.column(name).to_pylist() for name in SCHEMA.names if name not in ("turns", "hash"))
        for size, row_id, split, line, context, system, extra in zip(
            pc.list_value_length(turns).to_pylist(), *rest, strict=True
        ):
            first, end = end, end + size
            others = {} if extra == "{}" else json.loads(extra)
            record = Record(tuple(made[first:end]), context, system, others, line)
            yield DataRow(row_id, record, split)
