"""Pure. Files of texts, read row by row: CSV, TSV, JSON, JSON Lines and Parquet, each also gzipped.

    with reading.opened(path, "faq.csv.gz") as table:
        for row in table:            # Row(line, values)
            ...
        table.report.columns, table.report.broken

A row that is wrong is left out and named in `report.broken` with its line and one sentence; the others
are kept. What makes the whole file unreadable, or is beyond a limit of the file, raises InvalidInput.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from core.errors import InvalidInput, TooLarge
from core.settings import MIB
from core.texts import delimited, encodings, jsons, parquet
from core.texts.tables import (
    BrokenRow,
    Limits,
    Report,
    Row,
    Table,
    check_columns,
    check_row,
    check_rows,
    shown,
)

__all__ = ["FORMATS", "BrokenRow", "Limits", "Report", "Row", "Rows", "Table", "opened", "read"]

FORMATS = ("csv", "tsv", "json", "jsonl", "parquet")
SUFFIXES = {
    ".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".json": "json",
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".pq": "parquet",
}  # fmt: skip

Source = bytes | Path | IO[bytes]

_GZIP = b"\x1f\x8b"
_CHUNK = MIB
_IN_MEMORY = 16 * MIB
"""Unpacked bytes that are kept in memory; more go to a temporary file."""
_FIRST_LINE = 1 << 20
"""Characters of a first line that may be an object of JSON Lines."""


class Rows:
    """The rows of an open file, once; `report` is complete when they are used up."""

    def __init__(self, rows: Iterator[Row], name: str, limits: Limits, report: Report) -> None:
        self.report = report
        self._rows, self._name, self._limits = rows, name, limits

    def __iter__(self) -> Iterator[Row]:
        report, limits = self.report, self._limits
        known = set(report.columns)
        for row in self._rows:
            try:
                check_row(row, limits, report)
            except InvalidInput as error:
                report.refuse(row.line, error)
                continue
            if not known:
                known.update(report.columns)
            for column in row.values:
                if column not in known:
                    known.add(column)
                    report.columns.append(column)
                    check_columns(self._name, len(known), limits)
            report.rows += 1
            check_rows(self._name, report.rows + report.broken_total, limits)
            yield row
        if report.rows == 0:
            if report.broken:
                raise report.broken[0].error
            raise InvalidInput("“{name}” holds no rows; add some below the header.", name=shown(self._name))


@contextmanager
def opened(
    source: Source,
    name: str,
    limits: Limits | None = None,
    *,
    format: str | None = None,
    encoding: str | None = None,
) -> Iterator[Rows]:
    """The rows of a file called `name`; `format` (one of FORMATS) and `encoding` None are found out.

    Raises TooLarge or InvalidInput, here or while the rows are read.
    """
    limits = limits or Limits()
    report = Report()
    with _file(source) as raw:
        if raw.seek(0, os.SEEK_END) > limits.bytes:
            raise TooLarge(
                "“{name}” is larger than {limit} MB; divide it into several files.",
                name=shown(name),
                limit=limits.bytes // MIB,
            )
        raw.seek(0)
        with _unpacked(raw, name, limits) as (file, plain_name):
            report.format = format or _format(file, plain_name)
            if report.format not in FORMATS:
                raise InvalidInput(
                    "The format “{format}” is not one of: {all}.",
                    format=shown(report.format),
                    all=", ".join(FORMATS),
                )
            if report.format == "parquet":
                report.encoding = ""
                yield Rows(parquet.read(file, name, limits, report), name, limits, report)
                return
            report.encoding, sure = (encoding, False) if encoding else encodings.sniff(file, name)
            report.replaced = not sure
            try:
                text = io.TextIOWrapper(file, report.encoding, "replace", newline="")
            except LookupError:
                raise InvalidInput(
                    "The encoding “{encoding}” is not known.", encoding=shown(report.encoding)
                ) from None
            try:
                yield Rows(_text_rows(text, plain_name, limits, report), name, limits, report)
            finally:
                text.detach()


def read(
    source: Source,
    name: str,
    limits: Limits | None = None,
    *,
    format: str | None = None,
    encoding: str | None = None,
) -> Table:
    """All of it in memory; see `opened`."""
    with opened(source, name, limits, format=format, encoding=encoding) as rows:
        kept = list(rows)
        return Table(rows.report, kept)


def _text_rows(text: io.TextIOWrapper, name: str, limits: Limits, report: Report) -> Iterator[Row]:
    if report.format in ("json", "jsonl"):
        report.format = "jsonl" if _first_line_is_a_row(text, report.format) else "json"
    if report.format == "json":
        yield from jsons.read(text.read, name, limits, report)
    elif report.format == "jsonl":
        yield from jsons.read_lines(_lines(text, name, limits), limits, report)
    else:
        delimiter = "\t" if report.format == "tsv" else None
        yield from delimited.read(_lines(text, name, limits), name, delimiter, limits, report)


def _lines(text: io.TextIOWrapper, name: str, limits: Limits) -> Iterator[str]:
    number = 0
    while line := text.readline(limits.row + 1):
        number += 1
        if len(line) > limits.row:
            raise InvalidInput(
                "Line {line} of “{name}” has more than {limit} characters; is this a table of texts?",
                line=number,
                name=shown(name),
                limit=limits.row,
            )
        yield line


def _first_line_is_a_row(text: io.TextIOWrapper, format: str) -> bool:
    """Files called .json often hold JSON Lines, and the other way round."""
    first = ""
    for _ in range(100):
        first = text.readline(_FIRST_LINE)
        if first.strip():
            break
    rest = text.readline(_FIRST_LINE).strip() if first.rstrip("\r\n") != first else ""
    text.seek(0)
    start = first.lstrip()[:1]
    if start != "{":
        return format == "jsonl" and start != "["
    try:
        row = json.loads(first)
    except (ValueError, RecursionError):
        return format == "jsonl" and first.strip() not in ("{", "[")
    return bool(rest) or not isinstance(row.get("data"), list)


def _format(file: IO[bytes], name: str) -> str:
    """From the first bytes where they leave no doubt, else from the name, else from the first character."""
    head = file.read(64)
    file.seek(0)
    if head.startswith(parquet.MAGIC):
        return "parquet"
    by_name = SUFFIXES.get(Path(name.lower()).suffix)
    if by_name:
        return by_name
    start = head.lstrip(b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n")[:1]
    return "json" if start in (b"{", b"[") else "csv"


@contextmanager
def _file(source: Source) -> Iterator[IO[bytes]]:
    if isinstance(source, bytes):
        yield io.BytesIO(source)
    elif isinstance(source, Path):
        with source.open("rb") as file:
            yield file
    else:
        yield source


@contextmanager
def _unpacked(file: IO[bytes], name: str, limits: Limits) -> Iterator[tuple[IO[bytes], str]]:
    """The file itself, or what is in it where it is gzipped; and its name without “.gz”."""
    magic = file.read(2)
    file.seek(0)
    if magic != _GZIP:
        yield file, name
        return
    with tempfile.TemporaryFile() if limits.unpacked > _IN_MEMORY else io.BytesIO() as plain:
        size = 0
        try:
            with gzip.GzipFile(fileobj=file, mode="rb") as packed:
                while chunk := packed.read(_CHUNK):
                    size += len(chunk)
                    if size > limits.unpacked:
                        raise InvalidInput(
                            "“{name}” unpacks to more than {limit} MB; divide it into several files.",
                            name=shown(name),
                            limit=limits.unpacked // MIB,
                        )
                    plain.write(chunk)
        except (OSError, EOFError, zlib.error):
            raise InvalidInput(
                "“{name}” is not a whole gzip file; pack it again.", name=shown(name)
            ) from None
        plain.seek(0)
        yield plain, name[: -len(".gz")] if name.lower().endswith(".gz") else name
