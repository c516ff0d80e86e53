"""Pure. Texts, user ids and rows of a table on their way to a model that was trained elsewhere, and what it says of each.

Every value is checked against the columns of the model's signature before a model server sees it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from core.errors import InvalidInput, VeritrainError
from core.gateway import inputs
from core.gateway.observed import Told
from core.settings import Settings
from core.signatures import FIELDS, ROWS, WHOLE, Column

PART = 32
"""Rows of one request that are asked for together."""
MAX_TEXT = 100_000
"""Characters of one value: dozens of pages."""
MAX_LABEL = 60
"""Characters up to which an answer that is a text counts as a label; a longer one is a text that was written."""
NUMBER_BYTES = 20
"""Of a value that is no text, in JSON."""
PATH = "/invocations"
"""Of MLflow's model server."""
_HALF = re.compile("[\ud800-\udfff]")
_SINGLE = 3.4028235e38
"""The largest number of 32 bits."""
_GAPLESS = frozenset({"boolean", *WHOLE})
"""Types of which MLflow makes something else where a value of a column is missing."""

Values = tuple[Any, ...]
"""A row: a value for each of the model's columns, None where it has none."""


@dataclass(frozen=True)
class Output:
    """The answer for one row."""

    output: Any
    """What the model said: a number, a text, an object of columns, …"""
    told: Told


def given(settings: Settings, body: Mapping[str, Any], kind: str, columns: Sequence[Column]) -> list[Values]:
    """The rows of `{"texts": […]}`, `{"user_ids": […]}` or `{"rows": [{column: value}]}`. Raises InvalidInput."""
    field = FIELDS[kind]
    for other in sorted(body.keys() - {field}):
        if other in FIELDS.values():
            raise InvalidInput("This model takes “{field}”, not “{given}”.", field=field, given=other)
        raise InvalidInput("There is no field “{field}”; leave it out.", field=other[:50])
    rows = body.get(field)
    if not isinstance(rows, list) or not rows:
        raise InvalidInput("“{field}” is missing or empty; send a list, one for each answer.", field=field)
    _not_too_many(settings, rows)
    if kind == ROWS:
        return _checked(_known(rows, columns), columns)
    return _checked([(value,) for value in rows], columns, field)


def frame(settings: Settings, body: Mapping[str, Any], kind: str, columns: Sequence[Column]) -> list[Values]:
    """The rows of a request in MLflow's protocol; further columns are left alone, as MLflow does. Raises InvalidInput."""
    form = inputs.form(body)
    if body.get("params"):
        raise InvalidInput("“params” are not taken here; leave them out.")
    value = body[form]
    if form == "dataframe_split":
        split = inputs.split_rows(value)
        names = [str(each) for each in value["columns"]]
        rows = [dict(zip(names, row, strict=True)) for row in split]
    elif form == "inputs" and isinstance(value, dict):
        rows = _of_columns(value)
    elif isinstance(value, list):
        rows = value
    else:
        raise InvalidInput("“{field}” is a list, one for each answer.", field=form)
    if not rows:
        raise InvalidInput("“{field}” has no rows; send at least one.", field=form)
    _not_too_many(settings, rows)
    return _checked([_picked(number, row, columns) for number, row in enumerate(rows, 1)], columns)


def parts(rows: Sequence[Values]) -> Iterator[Sequence[Values]]:
    for start in range(0, len(rows), PART):
        yield rows[start : start + PART]


def output(said: Any) -> Output:
    """What the model said of a row, and what of it is counted: a label, where it looks like one."""
    label, confidence = said, None
    if isinstance(said, dict):  # as pipelines that classify answer
        label, confidence = said.get("label"), said.get("confidence", said.get("score"))
    if not isinstance(label, str) or not 0 < len(label) <= MAX_LABEL or "\n" in label:
        label = None
    sure = isinstance(confidence, float | int) and 0 <= confidence <= 1 and label is not None
    return Output(said, Told(label, confidence if sure else None, answered=True))


class Table:
    """core.gateway.lanes.Wire: rows as MLflow's model server takes them."""

    path = PATH
    headers: ClassVar[Mapping[str, str]] = {"Content-Type": "application/json"}

    def __init__(self, columns: Sequence[Column]) -> None:
        self.columns = tuple(columns)

    def size(self, item: Values, /) -> int:
        return sum(len(value) if isinstance(value, str) else NUMBER_BYTES for value in item)

    def shape(self, items: Sequence[Values]) -> Hashable:
        """Places of the columns that are sent: a row that lacks one is answered the same whoever else asks."""
        places = range(len(self.columns))
        given = tuple(
            place
            for place in places
            if self.columns[place].required or any(row[place] is not None for row in items)
        )
        return given or (0,)

    def body(self, items: Sequence[Values]) -> bytes:
        places = self.shape(items)
        assert isinstance(places, tuple)
        if not self.columns[0].name:  # a model whose signature is from type hints reads nothing else
            return json.dumps({"inputs": [row[0] for row in items]}).encode()
        table = {
            "columns": [self.columns[place].name for place in places],
            "data": [[row[place] for place in places] for row in items],
        }
        return json.dumps({"dataframe_split": table}).encode()

    def answers(self, data: bytes) -> Any:
        """JSON has neither NaN nor infinity, which models say all the same."""
        return json.loads(data, parse_constant=lambda _: None)["predictions"]

    def refused(self, status: int) -> VeritrainError:
        return InvalidInput(
            "The model could not answer these rows ({status}); a trainer can read why in its log under Models.",
            status=status,
        )


def _not_too_many(settings: Settings, rows: Sequence[Any]) -> None:
    if len(rows) > settings.predict_images:
        raise InvalidInput(
            "Predict at most {limit} rows at once; send the rest after.", limit=settings.predict_images
        )


def _known(rows: Sequence[Any], columns: Sequence[Column]) -> list[Values]:
    names = [column.name for column in columns]
    found = []
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise InvalidInput("Row {n} is no object of columns and their values.", n=number)
        for unknown in sorted(row.keys() - set(names)):
            raise InvalidInput(
                "Row {n} has “{column}”, which the model does not take; it takes {all}.",
                n=number,
                column=unknown[:100],
                all=", ".join(names)[:300],
            )
        found.append(tuple(map(row.get, names)))
    return found


def _picked(number: int, row: Any, columns: Sequence[Column]) -> Values:
    """A row in MLflow's protocol; of a model with one column also its value alone."""
    if not isinstance(row, dict):
        if len(columns) > 1 or isinstance(row, list):
            raise InvalidInput("Row {n} is no object of columns and their values.", n=number)
        return (row,)
    if not columns[0].name:  # the signature has no name for its one column, so any will do
        return (next(iter(row.values()), None),)
    return tuple(row.get(column.name) for column in columns)


def _of_columns(value: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of `{column: [values]}`, or of one value each."""
    lists = {name: each if isinstance(each, list) else [each] for name, each in value.items()}
    if len({len(each) for each in lists.values()}) > 1:
        raise InvalidInput("The columns of “inputs” have different numbers of values; give each as many.")
    return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]


def _checked(rows: list[Values], columns: Sequence[Column], field: str = "") -> list[Values]:
    """As they are sent. `field` is what people call the only column."""
    checks = [(_CHECKS[column.type], field or column.name or "inputs", column.required) for column in columns]
    found = []
    for number, row in enumerate(rows, 1):
        values: list[Any] = []
        for value, (check, name, required) in zip(row, checks, strict=True):
            if value is None:
                if required:
                    raise InvalidInput(
                        "Row {n} has no “{column}”, which the model needs.", n=number, column=name
                    )
                values.append(None)
            else:
                values.append(check(value, number, name))
        found.append(tuple(values))
    for place, column in enumerate(columns):
        gaps = {row[place] is None for row in found}
        if column.type in _GAPLESS and len(gaps) > 1:
            raise InvalidInput(
                "“{column}” is missing in some rows; give it in all of them or in none.", column=column.name
            )
    return found


def _text(value: Any, number: int, name: str) -> str:
    if not isinstance(value, str):
        raise InvalidInput("Row {n}: “{column}” is no text; put it in quotes.", n=number, column=name)
    if len(value) > MAX_TEXT:
        raise InvalidInput(
            "Row {n}: “{column}” has {length} characters; send at most {limit}.",
            n=number,
            column=name,
            length=len(value),
            limit=MAX_TEXT,
        )
    if _HALF.search(value):
        raise InvalidInput("Row {n}: “{column}” has half a character; send it whole.", n=number, column=name)
    return value


def _boolean(value: Any, number: int, name: str) -> bool:
    if not isinstance(value, bool):
        raise InvalidInput("Row {n}: “{column}” is neither true nor false.", n=number, column=name)
    return value


def _whole(bits: int) -> Callable[[Any, int, str], int]:
    limit = 2 ** (bits - 1)

    def check(value: Any, number: int, name: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not -limit <= value < limit:
            raise InvalidInput(
                "Row {n}: “{column}” is no whole number of {bits} bits.", n=number, column=name, bits=bits
            )
        return value

    return check


def _number(largest: float) -> Callable[[Any, int, str], float]:
    def check(value: Any, number: int, name: str) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool):
            with suppress(OverflowError):
                found = float(value)
                if math.isfinite(found) and abs(found) <= largest:
                    return found
        raise InvalidInput(
            "Row {n}: “{column}” is no number, or none that it can hold.", n=number, column=name
        )

    return check


def _moment(value: Any, number: int, name: str) -> str:
    with suppress(ValueError, TypeError):
        datetime.fromisoformat(value)
        return str(value)
    raise InvalidInput(
        "Row {n}: “{column}” is no moment; write it as 2026-11-28T09:30:00.", n=number, column=name
    )


_CHECKS: dict[str, Callable[[Any, int, str], Any]] = {
    "boolean": _boolean,
    "integer": _whole(32),
    "long": _whole(64),
    "float": _number(_SINGLE),
    "double": _number(math.inf),
    "string": _text,
    "datetime": _moment,
}
"""By the types of core.signatures.SCALARS."""
