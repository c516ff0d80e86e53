"""Stored. The rows of a version: read as a whole or page by page, and made ready for a new one."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from core.errors import InvalidInput, TooLarge
from core.settings import MIB
from core.texts import rowfile, rowpages, statistics
from core.texts.rowfile import SPLITS, DataRow
from core.texts.rowpages import NO_SPLIT
from core.texts.tables import shown
from core.texts.tokens import Counter
from core.workbench import Workbench

MAX_ROWS = 1_000_000
"""Of one dataset: what a check can hold in the memory of an ordinary machine."""
MAX_BYTES = 1_536 * MIB
"""Of the rows of one dataset in memory, for the same reason."""
MAX_PAGE = 1_000
UNCHECKED, PASSED, FAILED = "unchecked", "passed", "failed"
STATUSES = (UNCHECKED, PASSED, FAILED)


@dataclass(frozen=True)
class Version:
    id: int
    dataset_id: int
    number: int
    """From 1 within the dataset."""
    parent_id: int | None
    row_count: int
    path: str
    """Key of the Parquet file (core.texts.rowfile) in the file store."""
    hash: str
    """Two versions with one hash have the same rows in the same splits."""
    source: dict[str, Any] | None
    """The uploaded file and how it was read, see core.datasets.uploads; None where a fix made the version."""
    change: dict[str, Any]
    """`kind`, what else its maker noted, and the counts of core.texts.differences against its parent."""
    splits: dict[str, int]
    statistics: dict[str, Any]
    """See core.texts.statistics; and `next_row`, the least row id that no version has used."""
    status: str
    """One of STATUSES."""
    found: dict[str, Any] | None
    created_by: int
    created_at: datetime


@dataclass(frozen=True)
class RowsPage:
    rows: list[DataRow]
    total: int
    """Of all rows that fit, on this page or not."""


def table(wb: Workbench, version: Version, columns: Sequence[str] | None = None) -> pa.Table:
    """All rows of a version, by row id, with core.texts.rowfile.SCHEMA or these columns of it."""
    if columns is None:
        with wb.files.open(version.path) as file:
            return rowfile.opened(file)
    return pq.read_table(wb.files.local_path(version.path), columns=list(columns))


def check_split(split: str | None) -> None:
    """Raises InvalidInput unless it is one of SPLITS, NO_SPLIT, or None for all rows."""
    if split is not None and split not in (*SPLITS, NO_SPLIT):
        raise InvalidInput(
            "The split “{split}” is not one of: {all}.",
            split=shown(split),
            all=", ".join((*SPLITS, NO_SPLIT)),
        )


def page(
    wb: Workbench,
    version: Version,
    *,
    ids: Sequence[int] | None = None,
    split: str | None = None,
    search: str = "",
    offset: int = 0,
    limit: int = 50,
) -> RowsPage:
    """Rows by row id: those with these ids, of this split (NO_SPLIT: without one), with this text in them.

    Reads the parts of the file that it needs. Raises InvalidInput.
    """
    check_split(split)
    if offset < 0 or not 0 <= limit <= MAX_PAGE:
        raise InvalidInput("A page has at most {limit} rows; ask for fewer.", limit=MAX_PAGE)
    path = wb.files.local_path(version.path)
    if ids is None and split is None and not search:
        places = np.arange(version.row_count)
    else:
        places = rowpages.find(path, ids=ids, split=split, search=search)
    return RowsPage(rowpages.take(path, places[offset : offset + limit]), len(places))


def check_size(size: int) -> None:
    """Raises TooLarge for rows that take more bytes of memory than a dataset may."""
    if size > MAX_BYTES:
        raise TooLarge(
            "The rows take more than {limit} MB of memory, and a dataset may take no more; divide it or leave some.",
            limit=MAX_BYTES // MIB,
        )


@dataclass(frozen=True)
class Made:
    """Rows on their way into a version, stored as a file already."""

    row_count: int
    hash: str
    path: str
    splits: dict[str, int]
    statistics: dict[str, Any]


def ordered(rows: pa.Table) -> pa.Table:
    """By row id, as the file of a version has them."""
    assert rows.schema.equals(rowfile.SCHEMA)
    ids = np.asarray(rows["row_id"].to_numpy(), np.int64)
    if (np.diff(ids) <= 0).any():
        rows = rows.take(np.argsort(ids))
        assert (np.diff(np.sort(ids)) > 0).all(), "two rows have one id"
    return rows


def made(wb: Workbench, rows: pa.Table, parent: Version | None = None) -> Made:
    """All that a version of these rows, `ordered`, takes time for, so that it is done before its transaction.

    Nothing is stored twice. Raises InvalidInput, TooLarge, Unavailable.
    """
    check_size(rows.nbytes)
    _check_count(len(rows))
    digest = rowfile.table_hash(rows)
    if parent is not None and digest == parent.hash:
        return Made(len(rows), digest, parent.path, parent.splits, parent.statistics)
    return _stored(wb, rowfile.packed(rows), rows, digest, parent)


def rewritten(wb: Workbench, parent: Version, removed: Collection[int], changed: pa.Table) -> Made:
    """As `made`, of the parent's rows without some and with `changed` ones in their places, in little memory."""
    size = 0

    def weighed() -> Iterator[pa.Table]:
        nonlocal size
        for part in rowpages.rewritten(wb.files.local_path(parent.path), removed, changed):
            size += part.nbytes
            check_size(size)
            yield part

    data, told = rowpages.packed(weighed())
    _check_count(len(told))
    digest = rowfile.table_hash(told)
    if digest == parent.hash:
        return Made(len(told), digest, parent.path, parent.splits, parent.statistics)
    return _stored(wb, data, told, digest, parent)


def _stored(wb: Workbench, data: bytes, told: pa.Table, digest: str, parent: Version | None) -> Made:
    """`told`: the rows of the file, or their ids, hashes and splits alone."""
    path = wb.files.put(data, "texts", "parquet")
    used = parent.statistics["next_row"] if parent else 1
    figures = statistics.of(rowpages.groups(wb.files.local_path(path)), Counter(wb.settings.tokenizer))
    figures["next_row"] = max(used, int(told["row_id"][-1].as_py()) + 1)
    return Made(len(told), digest, path, statistics.splits(told), figures)


def _check_count(rows: int) -> None:
    if not 1 <= rows <= MAX_ROWS:
        raise InvalidInput(
            "A dataset has 1 to {limit} rows, and this would have {n}; divide it or leave some.",
            limit=MAX_ROWS,
            n=rows,
        )
