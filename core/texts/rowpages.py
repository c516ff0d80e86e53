"""Pure. A row file (core.texts.rowfile) read and written in parts, without all of it in memory."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable, Iterator, Sequence
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
_TOLD = ["row_id", "hash", "split"]
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


def of_ids(path: Path, ids: Collection[int]) -> pa.Table:
    """The rows with these ids, by row id."""
    wanted = pa.array(sorted(ids), pa.int64())
    found = [rows.filter(pc.is_in(rows["row_id"], wanted)) for rows in groups(path)]
    return pa.concat_tables(found) if found else rowfile.SCHEMA.empty_table()


def resplit(path: Path, splits: NDArray[np.object_]) -> Iterator[pa.Table]:
    """All rows with these splits, row by row, part by part."""
    place = rowfile.SCHEMA.get_field_index("split")
    first = 0
    for rows in groups(path):
        some = pa.array(splits[first : first + len(rows)], pa.string())
        yield rows.set_column(place, rowfile.SCHEMA.field(place), some)
        first += len(rows)


def rewritten(path: Path, removed: Collection[int], changed: pa.Table) -> Iterator[pa.Table]:
    """All rows but those with the ids `removed`, and those that `changed` has as they are there, part by part."""
    gone = pa.concat_arrays([pa.array(sorted(removed), pa.int64()), *changed["row_id"].chunks])
    for rows in groups(path):
        rest = rows.filter(pc.invert(pc.is_in(rows["row_id"], gone)))
        if len(rest) == len(rows):
            yield rows
            continue
        new = changed.filter(pc.is_in(changed["row_id"], rows["row_id"].combine_chunks()))
        yield pa.concat_tables([rest, new]).sort_by("row_id")


def packed(parts: Iterable[pa.Table]) -> tuple[bytes, pa.Table]:
    """The file of rows that come part by part, by row id; and id, hash and split of them all.

    No more of the texts than one row group and one part are in memory.
    """
    out = io.BytesIO()
    told = [rowfile.SCHEMA.empty_table().select(_TOLD)]
    with pq.ParquetWriter(out, rowfile.SCHEMA, compression="zstd") as writer:
        for rows in _regrouped(parts):
            writer.write_table(rows, rowfile.GROUP_ROWS)
            told.append(rows.select(_TOLD))
    return out.getvalue(), pa.concat_tables(told)


def _regrouped(parts: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in full row groups."""
    held = rowfile.SCHEMA.empty_table()
    for part in parts:
        held = pa.concat_tables([held, part])
        while len(held) >= rowfile.GROUP_ROWS:
            yield held.slice(0, rowfile.GROUP_ROWS)
            held = held.slice(rowfile.GROUP_ROWS)
    if len(held):
        yield held


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
