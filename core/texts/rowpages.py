"""Pure. Some rows of a row file (core.texts.rowfile), or all with other splits, without all of it in memory."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from core.texts import rowfile
from core.texts.rowfile import DataRow, rows_of

NO_SPLIT = "none"
"""As a split: the rows that have none yet."""

Places = NDArray[np.int64]
_TEXTS = ["turns", "context", "system", "extra"]


def find(
    path: Path, *, ids: Sequence[int] | None = None, split: str | None = None, search: str = ""
) -> Places:
    """Positions, ascending, of the rows with these ids, this split and this text, in any case, anywhere."""
    with pq.ParquetFile(path) as file:
        fits = np.ones(file.metadata.num_rows, bool)
        if ids is not None:
            fits &= np.isin(_numpy(file.read(["row_id"])["row_id"]), np.fromiter(ids, np.int64))
        if split is not None:
            fits &= _numpy(_is(file.read(["split"])["split"], split))
        if search:
            first = 0
            for group in range(file.num_row_groups):
                here = slice(first, first + file.metadata.row_group(group).num_rows)
                if fits[here].any():
                    fits[here] &= _contains(file.read_row_group(group, _TEXTS), search)
                first = here.stop
    return np.flatnonzero(fits)


def groups(path: Path, split: str | None = None) -> Iterator[pa.Table]:
    """All rows, or those of this split, some ten thousand at a time."""
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            rows = file.read_row_group(group)
            yield rows if split is None else rows.filter(_is(rows["split"], split))


def take(path: Path, places: Places) -> list[DataRow]:
    """The rows at these positions, ascending; only the row groups that hold them are read."""
    found: list[DataRow] = []
    with pq.ParquetFile(path) as file:
        first = 0
        for group in range(file.num_row_groups):
            size = file.metadata.row_group(group).num_rows
            here = places[(places >= first) & (places < first + size)] - first
            if len(here):
                found += rows_of(file.read_row_group(group).take(here))
            first += size
    return found


def resplit(path: Path, splits: NDArray[np.object_]) -> tuple[bytes, str]:
    """The file with these splits, row by row, and what `core.texts.rowfile.table_hash` says of it.

    No more than one row group of texts is in memory.
    """
    place = rowfile.SCHEMA.get_field_index("split")
    out = io.BytesIO()
    first = 0
    with pq.ParquetWriter(out, rowfile.SCHEMA, compression="zstd") as writer:
        for rows in groups(path):
            some = pa.array(splits[first : first + len(rows)], pa.string())
            writer.write_table(rows.set_column(place, rowfile.SCHEMA.field(place), some), rowfile.GROUP_ROWS)
            first += len(rows)
    told = pq.read_table(path, columns=["row_id", "hash"]).append_column(
        "split", pa.array(splits, pa.string())
    )
    return out.getvalue(), rowfile.table_hash(told)


def _is(splits: Any, split: str) -> Any:
    return pc.equal(splits.fill_null(""), pa.scalar("" if split == NO_SPLIT else split))


def _contains(rows: pa.Table, search: str) -> NDArray[np.bool_]:
    fits = np.zeros(len(rows), bool)
    turns = rows["turns"].combine_chunks()
    _, contents = pc.list_flatten(turns).flatten()
    owner = np.repeat(np.arange(len(rows)), _numpy(pc.list_value_length(turns)))
    fits[owner[_numpy(_matches(contents, search))]] = True
    for name in _TEXTS[1:]:
        fits |= _numpy(_matches(rows[name], search))
    return fits


def _matches(texts: Any, search: str) -> Any:
    return pc.match_substring(texts, search, ignore_case=True)


def _numpy(values: Any) -> NDArray[Any]:
    if isinstance(values, pa.ChunkedArray):
        return np.asarray(values.to_numpy())
    return np.asarray(values.to_numpy(zero_copy_only=False))
