"""Pure. Rows become records, and records become Alpaca, ShareGPT, messages or parallel rows.

    columns = mapping.guess(table.report.columns, [row.values for row in table.rows[:50]])
    records = list(formats.records(columns, table, table.report))
    formats.row(records[0], "sharegpt")

Nothing is lost on the way: `record(READ_BACK[shape], row(record, shape))` is the same record. (An extra
column whose name the shape needs itself gets “_” behind it.)
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from core.errors import InvalidInput
from core.texts.mapping import FIELDS, Columns, turn_keys, value_of
from core.texts.records import ASSISTANT, SYSTEM, USER, Record, Turn
from core.texts.tables import Report, Row, shown

OUTPUTS = ("alpaca", "sharegpt", "messages", "parallel")
"""What records can become."""

READ_BACK: Mapping[str, Columns] = {
    "alpaca": Columns("alpaca", {name: name for name in FIELDS["alpaca"]}),
    "sharegpt": Columns("chat", {"conversation": "conversations", "system": "system", "input": "input"}),
    "messages": Columns("chat", {"conversation": "messages", "system": "system", "input": "input"}),
    "parallel": Columns("parallel", {"source": "source", "target": "target"}),
}
"""How rows that `row` made are read again."""

_ROLES = {
    "human": USER, "prompter": USER, "question": USER,
    "gpt": ASSISTANT, "bot": ASSISTANT, "model": ASSISTANT, "chatgpt": ASSISTANT,
}  # fmt: skip
_SHAREGPT = {USER: "human", ASSISTANT: "gpt"}
_JOINT = "\n\n"
"""Between the first turn and its input where a format has one place for both."""


def records(columns: Columns, rows: Iterable[Row], report: Report) -> Iterator[Record]:
    """A record a row; rows that cannot become one go to `report.broken`. Raises InvalidInput for the columns."""
    columns.check()
    for row in rows:
        try:
            yield record(columns, row.values, row.line)
        except InvalidInput as error:
            report.refuse(row.line, error)


def record(columns: Columns, row: Mapping[str, Any], line: int = 0) -> Record:
    """Raises InvalidInput where a field is not text. Empty and missing fields are "" (a check finds them)."""
    used = {column.split(".")[0] if column not in row else column for column in columns.of.values()}
    extra = {column: value for column, value in row.items() if column not in used and value is not None}
    get = {name: value_of(row, column) for name, column in columns.of.items()}

    def text(name: str) -> str:
        return _text(get.get(name), columns.of.get(name, name), line)

    if columns.shape == "parallel":
        return Record.pair(text("source"), text("target"), extra=extra, line=line)
    if columns.shape == "alpaca":
        past = _history(get.get("history"), columns.of.get("history", ""), line)
        turns = (*past, Turn(USER, text("instruction")), Turn(ASSISTANT, text("output")))
        return Record(turns, text("input"), text("system"), extra, line)
    column = columns.of["conversation"]
    system, turns = text("system"), _turns(get["conversation"], column, line)
    if not system and turns and turns[0].role == SYSTEM:
        system, turns = turns[0].content, turns[1:]
    return _without_context(Record(turns, text("input"), system, extra, line))


def row(record: Record, shape: str) -> dict[str, Any]:
    """One row of Alpaca (with history and system where there are any), ShareGPT, messages or parallel data.

    Raises InvalidInput where the record cannot have this shape.
    """
    if shape == "sharegpt":
        turns = [{"from": _SHAREGPT.get(t.role, t.role), "value": t.content} for t in _with_context(record)]
        rest = {"system": record.system} if record.system else {}
        made: dict[str, Any] = {"conversations": turns, **rest, **_context(record)}
    elif shape == "messages":
        head = [{"role": SYSTEM, "content": record.system}] if record.system else []
        turns = [{"role": turn.role, "content": turn.content} for turn in _with_context(record)]
        made = {"messages": head + turns, **_context(record)}
    elif shape == "alpaca":
        made = _alpaca(record)
    elif shape == "parallel":
        made = _parallel(record)
    else:
        raise InvalidInput(
            "The shape “{shape}” is not one of: {all}.", shape=shown(shape), all=", ".join(OUTPUTS)
        )
    for column, value in record.extra.items():
        if column in made or column in READ_BACK[shape].of.values():
            column = _free(f"{column}_", made)
        made[column] = value
    return made


def can_be(record: Record, shape: str) -> bool:
    """Alpaca wants turns of user and assistant by turns, parallel data one of each and nothing else."""
    if shape == "alpaca":
        expected = (USER, ASSISTANT)
        roles = [turn.role for turn in record.turns]
        return (
            len(roles) >= 2
            and len(roles) % 2 == 0
            and all(role == expected[n % 2] for n, role in enumerate(roles))
        )
    if shape == "parallel":
        return record.is_pair and not record.context and not record.system
    return True


def _alpaca(record: Record) -> dict[str, Any]:
    if not can_be(record, "alpaca"):
        raise InvalidInput(
            "Line {line}: Alpaca needs turns of user and assistant, one after the other; choose ShareGPT.",
            line=record.line,
        )
    *past, instruction, output = [turn.content for turn in record.turns]
    made: dict[str, Any] = {"instruction": instruction, "input": record.context, "output": output}
    if record.system:
        made["system"] = record.system
    if past:
        made["history"] = [list(pair) for pair in zip(past[::2], past[1::2], strict=True)]
    return made


def _parallel(record: Record) -> dict[str, Any]:
    if not can_be(record, "parallel"):
        raise InvalidInput(
            "Line {line}: parallel data needs one source and one target alone; choose Alpaca or ShareGPT.",
            line=record.line,
        )
    return {"source": record.turns[0].content, "target": record.turns[1].content}


def _context(record: Record) -> dict[str, str]:
    return {"input": record.context} if record.context else {}


def _asked(record: Record) -> int | None:
    """The turn that a context belongs to: Alpaca's instruction, which is the last of the user."""
    users = [number for number, turn in enumerate(record.turns) if turn.role == USER]
    return users[-1] if users else None


def _with_context(record: Record) -> tuple[Turn, ...]:
    """A trainer reads the conversation alone, so the context stands there too, below what was asked."""
    place = _asked(record)
    if not record.context or place is None:
        return record.turns
    joined = Turn(USER, record.turns[place].content + _JOINT + record.context)
    return (*record.turns[:place], joined, *record.turns[place + 1 :])


def _without_context(record: Record) -> Record:
    place, tail = _asked(record), _JOINT + record.context
    if not record.context or place is None or not record.turns[place].content.endswith(tail):
        return record
    asked = Turn(USER, record.turns[place].content.removesuffix(tail))
    turns = (*record.turns[:place], asked, *record.turns[place + 1 :])
    return Record(turns, record.context, record.system, record.extra, record.line)


def _turns(value: Any, column: str, line: int) -> tuple[Turn, ...]:
    """The turns of a conversation: a list of objects, or JSON of one in a CSV."""
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.strip() else []
        except (ValueError, RecursionError):
            raise _wrong(line, column) from None
    turns = []
    if not isinstance(value, (list, type(None))):
        raise _wrong(line, column)
    for item in value or []:
        keys = turn_keys(item) if isinstance(item, Mapping) else None
        if keys is None:
            raise _wrong(line, column)
        role = item[keys[0]]
        if not isinstance(role, str):
            raise _wrong(line, column)
        role = role.strip()
        turns.append(Turn(_ROLES.get(role.lower(), role), _content(item[keys[1]], column, line)))
    return tuple(turns)


def _content(value: Any, column: str, line: int) -> str:
    """Text, or the parts of text that newer chat formats write: [{"type": "text", "text": …}]."""
    if isinstance(value, list) and all(
        isinstance(part, Mapping) and isinstance(part.get("text"), str) for part in value
    ):
        return "".join(part["text"] for part in value)
    return _text(value, column, line)


def _history(value: Any, column: str, line: int) -> tuple[Turn, ...]:
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.strip() else []
        except (ValueError, RecursionError):
            raise _wrong(line, column) from None
    turns: list[Turn] = []
    for pair in value if isinstance(value, list) else [value] if value else []:
        if not isinstance(pair, list) or len(pair) != 2:
            raise InvalidInput(
                "Line {line}: “{column}” is not a list of [question, answer]; correct it.",
                line=line,
                column=shown(column),
            )
        turns += Turn(USER, _text(pair[0], column, line)), Turn(ASSISTANT, _text(pair[1], column, line))
    return tuple(turns)


def _text(value: Any, column: str, line: int) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidInput(
            "Line {line}: “{column}” is not text; choose another column or correct it.",
            line=line,
            column=shown(column),
        )
    return str(value)


def _wrong(line: int, column: str) -> InvalidInput:
    return InvalidInput(
        'Line {line}: “{column}” is not a conversation; write [{{"role": "user", "content": "…"}}, …].',
        line=line,
        column=shown(column),
    )


def _free(column: str, taken: Mapping[str, Any]) -> str:
    while column in taken:
        column += "_"
    return column
