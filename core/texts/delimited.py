"""Pure. Rows of CSV and TSV; a row that is wrong is named by its line, and the next one is read on."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain

from core.cells import unescaped
from core.errors import InvalidInput
from core.texts.tables import Limits, Report, Row, check_columns, shown

DELIMITERS = ",\t;|"


class _Lines:
    """The physical lines of a file; those of the row in work can be given back."""

    def __init__(self, lines: Iterable[str], limits: Limits) -> None:
        self._lines = iter(lines)
        self._waiting: deque[str] = deque()
        self._limits = limits
        self.taken: list[str] = []
        self._size = 0
        self.first = 1
        """Number of the line with which the row in work begins."""

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._waiting.popleft() if self._waiting else next(self._lines)
        self.taken.append(line)
        self._size += len(line)
        if self._size > self._limits.row:
            raise _TooLong
        return line

    def done(self) -> None:
        self.first += len(self.taken)
        self.taken, self._size = [], 0

    def give_back(self) -> None:
        """All lines of the row in work but its first, which is used up."""
        self._waiting.extendleft(reversed(self.taken[1:]))
        self.taken = self.taken[:1]
        self.done()


class _TooLong(Exception):
    pass


def read(
    text: Iterable[str], name: str, delimiter: str | None, limits: Limits, report: Report
) -> Iterator[Row]:
    """Rows under the header of the first line that is not empty. Raises InvalidInput for a wrong header.

    `delimiter` None finds it out from the header.
    """
    if csv.field_size_limit() < limits.row:
        csv.field_size_limit(limits.row)  # of the whole process; our own limits are checked elsewhere
    text = iter(text)
    top = next(text, "")
    if delimiter is None:
        delimiter = max(DELIMITERS, key=top.count)
    lines = _Lines(chain([top], text), limits)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    header: list[str] | None = None
    while True:
        line = lines.first
        try:
            cells = next(reader)
        except StopIteration:
            return
        except (csv.Error, _TooLong):
            if header is None:
                raise InvalidInput(
                    "Line {line} of “{name}”, the header, has a quote that is not closed; correct it.",
                    line=line,
                    name=shown(name),
                ) from None
            report.refuse(
                line,
                InvalidInput(
                    'Line {line} has a quote (") that is not closed or not doubled; correct the quotes.',
                    line=line,
                ),
            )
            lines.give_back()
            reader = csv.reader(lines, delimiter=delimiter, strict=True)
            continue
        lines.done()
        if not cells:
            continue
        if header is None:
            header = _header(cells, name, limits)
            report.columns.extend(header)
        elif len(cells) == len(header):
            yield Row(line, dict(zip(header, map(unescaped, cells), strict=True)))
        else:
            report.refuse(
                line,
                InvalidInput(
                    "Line {line} has {n} fields where the header has {columns}; "
                    "put quotes around text with a separator.",
                    line=line,
                    n=len(cells),
                    columns=len(header),
                ),
            )


def _header(cells: list[str], name: str, limits: Limits) -> list[str]:
    check_columns(name, len(cells), limits)
    header = [unescaped(cell).strip() or f"column_{n}" for n, cell in enumerate(cells, 1)]
    double = next((column for n, column in enumerate(header) if column in header[:n]), None)
    if double is not None:
        raise InvalidInput(
            "“{name}” has two columns called “{column}”; rename one of them.",
            name=shown(name),
            column=shown(double),
        )
    if any("\x00" in column for column in header):
        raise InvalidInput("The header of “{name}” holds a NUL character; remove it.", name=shown(name))
    return header
