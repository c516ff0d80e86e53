"""Stored. A file of texts becomes a dataset, or more rows of one.

Rows that cannot be read are left out and named by their line: `version.source["broken"]` has the first
ones as {"line", "message", "fields"} (see `sentence`), `version.source["broken_total"]` counts them all.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from typing import IO, Any

import numpy as np
import pyarrow as pa

from core import auth
from core.datasets import store
from core.datasets.rows import check_size
from core.datasets.store import Dataset, Version
from core.errors import Conflict, InvalidInput
from core.i18n import gettext
from core.settings import Settings
from core.texts import formats, mapping, reading, rowfile
from core.texts.mapping import Columns
from core.texts.records import Record
from core.texts.rowfile import DataRow
from core.texts.tables import LISTED, BrokenRow, Limits, Report, Row, shown
from core.workbench import Workbench

PEEK = 100
"""Rows that decide which column is what."""
PREVIEWED = 1_000
"""Rows that a preview reads."""
SHOWN = 20
"""Rows that it shows."""
UNPACKED = 10
"""How many times larger than the largest file its unpacked content may be."""

_BATCH = 10_000
_TRIES = 5


@dataclass(frozen=True)
class Preview:
    report: Report
    """Of the rows that were read: PREVIEWED at most."""
    whole: bool
    """They are all that the file has."""
    columns: Columns
    """As given, else the likeliest ones."""
    rows: list[Row]
    """The first SHOWN, as they stand in the file."""
    records: list[Record]
    """What they become."""


def limits(settings: Settings) -> Limits:
    size = settings.max_text_bytes
    return Limits(bytes=size, unpacked=UNPACKED * size, rows=store.MAX_ROWS)


def preview(file: IO[bytes], name: str, settings: Settings, columns: Columns | None = None) -> Preview:
    """How a file called `name` would be read; nothing is kept. Raises TooLarge, InvalidInput."""
    with reading.opened(file, name, limits(settings)) as opened:
        report = opened.report
        rows = iter(opened)
        read = list(islice(rows, PREVIEWED))
        whole = next(rows, None) is None
    chosen = columns or mapping.guess(report.columns, [row.values for row in read[:PEEK]])
    chosen.check(report.columns)
    refused = Report()
    records = list(formats.records(chosen, read, refused))
    report.rows = len(records)
    _join(report, refused)
    return Preview(report, whole, chosen, read[:SHOWN], records[:SHOWN])


def create(
    wb: Workbench,
    actor: auth.User,
    name: str,
    file: IO[bytes],
    file_name: str,
    columns: Columns | None = None,
    description: str = "",
) -> Dataset:
    """A dataset of a file's rows; `columns` None are guessed. Raises TooLarge, InvalidInput, Conflict, NotAllowed."""
    auth.require(actor, auth.LABELER)
    store.check_new(wb, name, description)
    read = _read(file, file_name, wb.settings, columns)
    return store.create(
        wb, actor, name, read.rows, shape=read.columns.shape, description=description, source=read.source
    )


def append(
    wb: Workbench,
    actor: auth.User,
    dataset_id: int,
    file: IO[bytes],
    file_name: str,
    columns: Columns | None = None,
) -> Version:
    """A version with the file's rows behind those that are there, which keep their ids and splits.

    It goes on top of whatever version is the newest once the file is read: nobody's work is in its way.
    Raises TooLarge, InvalidInput, NotFound, Conflict, NotAllowed.
    """
    auth.require(actor, auth.LABELER)
    dataset = store.get(wb, dataset_id)
    read = _read(file, file_name, wb.settings, columns)
    if read.columns.shape != dataset.shape:
        raise InvalidInput(
            "“{file}” is read as {shape} and the dataset “{name}” holds {other}; choose its columns or make"
            " a dataset of its own.",
            file=shown(file_name),
            shape=read.columns.shape,
            name=dataset.name,
            other=dataset.shape,
        )
    for attempt in range(_TRIES):
        parent = store.version(wb, dataset_id)
        ids = np.arange(len(read.rows)) + parent.statistics["next_row"]
        fresh = read.rows.set_column(0, rowfile.SCHEMA.field("row_id"), pa.array(ids))
        rows = pa.concat_tables([store.table(wb, parent), fresh])
        change = {"kind": "append", "file": shown(file_name)}
        try:
            return store.add_version(
                wb, actor, dataset_id, rows, change, parent=parent.id, source=read.source
            )
        except Conflict:
            if attempt == _TRIES - 1:
                raise
    raise AssertionError("unreachable")


def sentence(broken: Mapping[str, Any]) -> str:
    """What is wrong with a row of `version.source["broken"]`, in the reader's language."""
    return InvalidInput(broken["message"], **broken["fields"]).text(gettext)


@dataclass(frozen=True)
class _Read:
    rows: pa.Table
    """With row ids from 1 and without splits."""
    columns: Columns
    source: dict[str, Any]


def _read(file: IO[bytes], name: str, settings: Settings, columns: Columns | None) -> _Read:
    refused = Report()
    with reading.opened(file, name, limits(settings)) as opened:
        report = opened.report
        rows = iter(opened)
        first = list(islice(rows, PEEK))
        chosen = columns or mapping.guess(report.columns, [row.values for row in first])
        parts, size = [], 0
        for part in _tables(formats.records(chosen, chain(first, rows), refused)):
            size += part.nbytes
            check_size(size)  # before all of it is in memory
            parts.append(part)
    if columns is not None:
        columns.check(report.columns)
    _join(report, refused)
    if not parts:
        raise report.broken[0].error
    source = {
        "file": shown(name),
        "bytes": file.seek(0, os.SEEK_END),
        "format": report.format,
        "encoding": report.encoding,
        "columns": {"shape": chosen.shape, "of": dict(chosen.of), "sure": chosen.sure},
        "broken": [_kept(row) for row in report.broken],
        "broken_total": report.broken_total,
    }
    return _Read(pa.concat_tables(parts), chosen, source)


def _tables(records: Iterator[Record]) -> Iterator[pa.Table]:
    """Batch by batch, so that no more than one batch of Python's objects is alive."""
    number = 1
    while some := list(islice(records, _BATCH)):
        yield rowfile.table([DataRow(n, record) for n, record in enumerate(some, number)])
        number += len(some)


def _join(report: Report, refused: Report) -> None:
    report.broken = sorted(report.broken + refused.broken, key=lambda row: row.line)[:LISTED]
    report.broken_total += refused.broken_total


def _kept(row: BrokenRow) -> dict[str, Any]:
    return {"line": row.line, "message": row.error.message, "fields": row.error.fields}
