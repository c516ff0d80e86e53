"""Pure. Answers to texts, user ids and rows as a table, to look at and to take away as CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from core.cells import escaped
from core.gateway.rows import Output

ANSWER = "output"
"""Column of an answer that has no columns of its own."""


def table(asked: Sequence[Mapping[str, Any]], answers: Sequence[Output]) -> list[dict[str, Any]]:
    """What was asked and what was answered, row by row; every row has every column."""
    rows = [dict(row) | _columns(row, answer.output) for row, answer in zip(asked, answers, strict=True)]
    names = list(dict.fromkeys(name for row in rows for name in row))
    return [{name: row.get(name) for name in names} for row in rows]


def as_csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """UTF-8 with a mark for Excel."""
    out = io.StringIO()
    out.write("\ufeff")
    writer = csv.writer(out)
    writer.writerow(map(escaped, rows[0] if rows else ()))
    for row in rows:
        writer.writerow(
            escaped(each) if isinstance(each, str) else "" if each is None else each for each in row.values()
        )
    return out.getvalue().encode("utf-8")


def _columns(row: Mapping[str, Any], output: Any) -> dict[str, Any]:
    """An answer's columns; one that was asked by the same name is told apart."""
    found = output if isinstance(output, dict) else {ANSWER: output}
    return {name if name not in row else f"{ANSWER}.{name}": _cell(value) for name, value in found.items()}


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value
