"""Pure. A table of texts that comes from a file: its limits, its rows, and what of it could not be read."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from core.errors import InvalidInput
from core.i18n import gettext
from core.settings import MIB

LISTED = 1_000
"""Broken rows that a table names one by one; the rest it counts."""
SHOWN = 80
"""Characters of a name from a file that a sentence repeats."""

_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Limits:
    """How much of a file is accepted. What is over a limit of the whole file refuses the file."""

    bytes: int = 100 * MIB
    """Of the file as it came."""
    unpacked: int = 1024 * MIB
    """Of the text after gzip or Parquet is unpacked."""
    rows: int = 1_000_000
    columns: int = 500
    cell: int = 1_000_000
    """Characters of one cell; a longer one breaks its row only."""
    row: int = 4_000_000
    """Characters of one row as it is written."""
    depth: int = 32
    """Lists and objects inside each other; a deeper row breaks alone."""


@dataclass(frozen=True, slots=True)
class Row:
    line: int
    """Where it begins in the file, from 1; in Parquet its number."""
    values: dict[str, Any]
    """By column: text, number, truth value, None, or lists and objects of them."""


@dataclass(frozen=True)
class BrokenRow:
    line: int
    error: InvalidInput

    @property
    def text(self) -> str:
        """The sentence in the reader's language."""
        return self.error.text(gettext)


@dataclass
class Report:
    """What became of a file; it grows while the rows are read."""

    format: str = ""
    """csv, tsv, json, jsonl or parquet."""
    encoding: str = "utf-8"
    """Python's name of it; "" for Parquet."""
    replaced: bool = False
    """Bytes that the encoding does not know have become U+FFFD; rows with one are broken."""
    columns: list[str] = field(default_factory=list)
    """In the order in which they are first seen."""
    rows: int = 0
    broken: list[BrokenRow] = field(default_factory=list)
    """The first LISTED of them."""
    broken_total: int = 0

    def refuse(self, line: int, error: InvalidInput) -> None:
        self.broken_total += 1
        if len(self.broken) < LISTED:
            self.broken.append(BrokenRow(line, error))


@dataclass
class Table:
    """A whole file in memory."""

    report: Report
    rows: list[Row]


def shown(name: object) -> str:
    """A name from a file as a sentence may repeat it: short, on one line, without control characters."""
    text = "".join(c if c.isprintable() else " " for c in str(name)[: SHOWN + 1])
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def check_columns(name: str, columns: int, limits: Limits) -> None:
    """Raises InvalidInput."""
    if columns > limits.columns:
        raise InvalidInput(
            "“{name}” has {n} columns and at most {limit} are accepted; keep the columns that hold the texts.",
            name=shown(name),
            n=columns,
            limit=limits.columns,
        )


def check_rows(name: str, rows: int, limits: Limits) -> None:
    """Raises InvalidInput."""
    if rows > limits.rows:
        raise InvalidInput(
            "“{name}” has more than {limit} rows; divide it into several files.",
            name=shown(name),
            limit=limits.rows,
        )


def check_row(row: Row, limits: Limits, report: Report) -> None:
    """Raises InvalidInput where a cell holds what cannot be kept."""
    for column, value in row.values.items():
        _check_value(row.line, column, value, limits, report, 1)


def _check_value(line: int, column: str, value: object, limits: Limits, report: Report, depth: int) -> None:
    if isinstance(value, str):
        _check_text(line, column, value, limits, report)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidInput("Line {line} holds a number that JSON does not know; correct it.", line=line)
    elif isinstance(value, (dict, list)):
        if depth >= limits.depth:
            raise too_deep(line, limits)
        inner: Iterable[object] = value
        if isinstance(value, dict):
            inner = value.values()
            for key in value:
                _check_text(line, column, key, limits, report)
        for item in inner:
            _check_value(line, column, item, limits, report, depth + 1)


def _check_text(line: int, column: str, text: str, limits: Limits, report: Report) -> None:
    if len(text) > limits.cell:
        raise InvalidInput(
            "Line {line}: “{column}” has {n} characters and at most {limit} are accepted; shorten it.",
            line=line,
            column=shown(column),
            n=len(text),
            limit=limits.cell,
        )
    if "\x00" in text:
        raise InvalidInput(
            "Line {line}: “{column}” holds a NUL character; remove it.", line=line, column=shown(column)
        )
    if text.isascii():
        return
    if report.replaced and "\ufffd" in text:
        raise InvalidInput(
            "Line {line}: “{column}” holds bytes that are not {encoding}; write the text out again.",
            line=line,
            column=shown(column),
            encoding=report.encoding,
        )
    if _SURROGATE.search(text):
        raise InvalidInput(
            "Line {line}: “{column}” holds half a character (\\ud800–\\udfff); write the text out again.",
            line=line,
            column=shown(column),
        )


def too_deep(line: int, limits: Limits) -> InvalidInput:
    return InvalidInput(
        "Line {line} nests lists and objects more than {limit} deep; flatten it.",
        line=line,
        limit=limits.depth,
    )
