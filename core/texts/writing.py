"""Pure. Records as a file: JSON Lines, JSON, CSV or Parquet, in any of the shapes of core.texts.formats."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from core.cells import escaped
from core.errors import InvalidInput
from core.texts import formats
from core.texts.records import Record
from core.texts.tables import Report, shown

FILE_FORMATS = ("jsonl", "json", "csv", "parquet")
_NEED_COLUMNS = ("csv", "parquet")
BATCH = 10_000
"""Rows of one row group of Parquet."""


def write(records: Iterable[Record], file: IO[bytes], file_format: str, shape: str) -> Report:
    """Write what can have this shape; the report counts the rows and names the records that were left out.

    `records` are gone through twice where the format needs its columns first, so no iterator that is used up.
    In CSV and Parquet, objects and lists of other columns become JSON; the CSV begins with a byte order
    mark and escapes what a spreadsheet would run (core.cells), which our reader takes back.
    Raises InvalidInput for an unknown format or shape.
    """
    if file_format not in FILE_FORMATS:
        raise InvalidInput(
            "The format “{format}” is not one of: {all}.",
            format=shown(file_format),
            all=", ".join(FILE_FORMATS),
        )
    report = Report(format=file_format)
    rows = _fitting(records, shape, report)
    if file_format in _NEED_COLUMNS:
        for _ in rows:
            pass
        rows = _fitting(records, shape, Report())
    _WRITERS[file_format](rows, file, report.columns)
    return report


def _fitting(records: Iterable[Record], shape: str, report: Report) -> Iterator[dict[str, Any]]:
    known: set[str] = set()
    for record in records:
        try:
            made = formats.row(record, shape)
        except InvalidInput as error:
            if shape not in formats.OUTPUTS:
                raise
            report.refuse(record.line, error)
            continue
        report.rows += 1
        if not made.keys() <= known:
            report.columns += [column for column in made if column not in known]
            known.update(made)
        yield made


def _jsonl(rows: Iterable[dict[str, Any]], file: IO[bytes], _: Sequence[str]) -> None:
    for row in rows:
        file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")


def _json(rows: Iterable[dict[str, Any]], file: IO[bytes], _: Sequence[str]) -> None:
    between = b"[\n"
    for row in rows:
        file.write(between + json.dumps(row, ensure_ascii=False).encode())
        between = b",\n"
    file.write(b"\n]\n" if between == b",\n" else b"[]\n")


def _csv(rows: Iterable[dict[str, Any]], file: IO[bytes], columns: Sequence[str]) -> None:
    text = io.TextIOWrapper(file, "utf-8-sig", newline="", write_through=True)
    writer = csv.writer(text)
    writer.writerow(map(escaped, columns))
    for row in rows:
        writer.writerow(escaped(_cell(row.get(column))) for column in columns)
    text.detach()


def _parquet(rows: Iterable[dict[str, Any]], file: IO[bytes], columns: Sequence[str]) -> None:
    schema = pa.schema([(column, _TYPES.get(column, pa.string())) for column in columns])
    rows = iter(rows)
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        while some := list(islice(rows, BATCH)):
            writer.write_table(pa.Table.from_pylist([_typed(row) for row in some], schema))


def _typed(row: dict[str, Any]) -> dict[str, Any]:
    return {
        column: value if column in _TYPES or value is None else _cell(value) for column, value in row.items()
    }


_TURNS = {
    "conversations": ("from", "value"),
    "messages": ("role", "content"),
}
_TYPES: dict[str, pa.DataType] = {
    column: pa.list_(pa.struct([(key, pa.string()) for key in keys])) for column, keys in _TURNS.items()
} | {"history": pa.list_(pa.list_(pa.string()))}
"""Columns of Parquet that are not text."""


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


_WRITERS: dict[str, Callable[[Iterable[dict[str, Any]], IO[bytes], Sequence[str]], None]] = {
    "jsonl": _jsonl,
    "json": _json,
    "csv": _csv,
    "parquet": _parquet,
}
