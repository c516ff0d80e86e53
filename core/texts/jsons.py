"""Pure. Rows of JSON and JSON Lines, one after the other; a broken one is named by its line.

JSON is cut into its elements by its brackets and strings alone, so that a file never is in memory
as a whole, nesting is counted before anything is parsed, and one wrong element spoils no other.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn

from core.errors import InvalidInput
from core.texts.tables import Limits, Report, Row, shown, too_deep

CHUNK = 1 << 18
"""Characters."""

_TOKEN = re.compile(r'"[^"\\]*(?:\\(?:.|\Z)[^"\\]*)*("|\Z)|[\[\]{}]|[^\s,\[\]{}"]+', re.DOTALL)
_BRACKET = frozenset("[]{}")
_BRACKETS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[{]|[\]}]', re.DOTALL)


def read_lines(text: Iterable[str], limits: Limits, report: Report) -> Iterator[Row]:
    """One object a line; empty lines are passed over."""
    for number, line in enumerate(text, 1):
        if line.strip():
            yield from _parsed(line, number, limits, report)


def read(chunk: Callable[[int], str], name: str, limits: Limits, report: Report) -> Iterator[Row]:
    """The elements of `[…]`, or of the list under "data" of `{"data": […]}`; `chunk(n)` gives n characters.

    Raises InvalidInput where there is no such list.
    """
    for line, element in _elements(chunk, name, limits, report):
        if isinstance(element, dict):
            yield Row(line, element)
        else:
            yield from _parsed(element, line, limits, report)


def _parsed(text: str, line: int, limits: Limits, report: Report) -> Iterator[Row]:
    try:
        if text.count("[") + text.count("{") > limits.depth and _depth(text) > limits.depth:
            raise too_deep(line, limits)
        values = _loads(text, line)
        if not isinstance(values, dict):
            raise InvalidInput("Line {line} is not a JSON object ({{…}}); write one object a row.", line=line)
    except InvalidInput as error:
        report.refuse(line, error)
        return
    yield Row(line, values)


def _loads(text: str, line: int) -> Any:
    try:
        return json.loads(text, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise InvalidInput(
            "Line {line} is not valid JSON at character {column}; correct it.",
            line=line,
            column=error.pos + 1,
        ) from None
    except (ValueError, RecursionError):
        raise InvalidInput(
            "Line {line} holds a number that JSON does not know; correct it.", line=line
        ) from None


def _no_number(_: str) -> NoReturn:
    raise ValueError


_DECODER = json.JSONDecoder(parse_constant=_no_number)


def _depth(text: str) -> int:
    depth = deepest = 0
    for match in _BRACKETS.finditer(text):
        first = match.group()[0]
        if first in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif first in "]}":
            depth -= 1
    return deepest


def _elements(
    chunk: Callable[[int], str], name: str, limits: Limits, report: Report
) -> Iterator[tuple[int, str | dict[str, Any]]]:
    """(line, element) of each element of the list of rows; as text where it is not a faultless object."""
    buffer, position, line = "", 0, 1
    depth = 0
    rows_at: int | None = None
    """Depth at which the elements of the list of rows stand, once it is found."""
    key = ""
    begin, begin_line, counted = -1, 1, 0
    """Where the element in work begins in the buffer; up to where its lines are counted."""
    found = at_end = False
    while True:
        match = None if not buffer else _TOKEN.search(buffer, position)
        cut = match is None or (match.end() == len(buffer) and match.group() not in _BRACKET)
        if cut and not at_end:
            keep = begin if begin >= 0 else (match.start() if match else len(buffer))
            line += buffer.count("\n", counted, keep) if keep > counted else 0
            counted = max(counted, keep) - keep
            if len(buffer) - keep > limits.row:
                raise InvalidInput(
                    "“{name}” has a row from line {line} on with more than {limit} characters; shorten it, "
                    "or look for a bracket or quote that is not closed.",
                    name=shown(name),
                    line=begin_line if begin >= 0 else line,
                    limit=limits.row,
                )
            position = (match.start() if match else len(buffer)) - keep
            begin = 0 if begin >= 0 else -1
            more = chunk(max(CHUNK, len(buffer) - keep))
            buffer = buffer[keep:] + more
            at_end = not more
            continue
        if match is None or (match.group(1) == ""):
            break
        token, position = match.group(), match.end()
        opens, closes = token in ("[", "{"), token in ("]", "}")
        if rows_at is not None:
            if begin < 0 and not closes:
                begin = match.start()
                line += buffer.count("\n", counted, begin)
                begin_line, counted = line, begin
                if token == "{":
                    try:
                        element, position = _DECODER.raw_decode(buffer, begin)
                    except (ValueError, RecursionError):
                        pass  # wrong, or not all of it is in the buffer: by brackets, then
                    else:
                        yield begin_line, element
                        begin = -1
                        continue
            depth += opens - closes
            if begin >= 0 and depth == rows_at:
                yield begin_line, buffer[begin:position]
                begin = -1
            elif depth < rows_at:
                rows_at = None
        else:
            depth += opens - closes
            if token == "[" and not found and (depth == 1 or (depth == 2 and key == '"data"')):
                rows_at, found = depth, True
            if depth > limits.depth:
                line += buffer.count("\n", counted, position)
                raise too_deep(line, limits)
            if depth <= 1 and token[0] == '"':
                key = token
            elif depth <= 1 and token != ":" and not opens:
                key = ""
    if not found:
        raise InvalidInput(
            '“{name}” holds no list of rows; write [{{…}}, {{…}}] or {{"data": [{{…}}, {{…}}]}}.',
            name=shown(name),
        )
    if depth > 0:
        line = begin_line if begin >= 0 else line + buffer.count("\n", counted)
        report.refuse(
            line,
            InvalidInput(
                "What begins at line {line} is not closed before the end of the file; add the missing quote or bracket.",
                line=line,
            ),
        )
