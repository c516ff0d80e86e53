"""Stored. What each user did, as sums kept beside the interactions, so that no look reads them all again.

A user's sums lie in parts that add up. Every batch and every late rating appends parts in the
transaction that stores it, at the same cost however much is stored (an upsert would not do: DuckDB's
reads the whole table). `tidy` folds the parts together once they are many. Testers never enter.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import sqlalchemy as sa

from core.db.engine import Database
from core.db.tables import ab_assignments, ab_user_segments, ab_user_sums
from core.workbench import Workbench

LOOK_AFTER = 50_000
"""New parts of a phase after which `tidy` looks whether it is time to fold."""
MANY = 2
"""Parts a user on average from which on they are folded; a fold reads and writes them all."""
SLICE, SLICES = 250_000, 8
"""Parts from which on a fold is cut, so that others write in between, and into how many slices at most.

2.5 million parts are 1.4 s in one write. Each write of DuckDB costs 0.3 s there however few it folds (the
checkpoint after it touches every row group), so that many slices would only take longer.
"""

_KEY = "test_id, phase, unit"
_COUNTS = ("n", "bad", "rating_n", "time_n", "cost_n")
_TOTALS = ("rating_sum", "time_sum", "cost_sum")
_OF_ROWS = {
    "arm": "min(arm)",
    "last_arm": "max(arm)",
    "n": "count(*)",
    "bad": "count(*) FILTER (WHERE status <> 'ok')",
    "rating_n": "count(rating)",
    "rating_sum": "CAST(coalesce(sum(rating), 0) AS DOUBLE PRECISION)",
    "time_n": "count(response_time_ms)",
    "time_sum": "CAST(coalesce(sum(response_time_ms), 0) AS DOUBLE PRECISION)",
    "cost_n": "count(cost)",
    "cost_sum": "CAST(coalesce(sum(cost), 0) AS DOUBLE PRECISION)",
    "first_at": 'min("at")',
    "last_at": 'max("at")',
    "logged_at": "max(logged_at)",
}
_OF_PARTS = {
    "arm": "min(arm)",
    "last_arm": "max(last_arm)",
    **{name: f"CAST(sum({name}) AS BIGINT)" for name in _COUNTS},
    **{name: f"sum({name})" for name in _TOTALS},
    "first_at": "min(first_at)",
    "last_at": "max(last_at)",
    "logged_at": "max(logged_at)",
}
_EACH_SEGMENT = {
    "duckdb": (
        f"SELECT {_KEY}, field, json_extract_string(segments, '$.\"' || field || '\"') AS value, \"at\""
        " FROM (SELECT *, unnest(json_keys(segments)) AS field FROM {source} WHERE {where}) AS told"
    ),
    "postgresql": (
        f'SELECT {_KEY}, told.key AS field, told.value AS value, "at"'
        " FROM {source} CROSS JOIN LATERAL json_each_text(segments) AS told WHERE {where}"
    ),
}
# All of a user's parts lie in one slice; the same one next time is not needed.
_SLICE_OF = {
    "duckdb": "hash(unit) % :slices = :slice",
    "postgresql": "abs(CAST(hashtext(unit) AS BIGINT)) % :slices = :slice",
}
_new_parts: WeakKeyDictionary[Database, Counter[tuple[int, int]]] = WeakKeyDictionary()


def folded(where: str, source: str = "ab_user_sums") -> str:
    """SQL of one row for each (test_id, phase, unit), of the parts for which `where` holds."""
    return _summed(_OF_PARTS, source, where)


def folded_segments(where: str, source: str = "ab_user_segments") -> str:
    """SQL of one row for each (test_id, phase, unit, field): of several values the first to be said."""
    return (
        f'SELECT DISTINCT ON ({_KEY}, field) {_KEY}, field, value, "at" FROM {source}'
        f' WHERE {where} ORDER BY {_KEY}, field, "at", value'
    )


def append(connection: sa.Connection, source: str, given: Mapping[str, Any], *, segments: bool) -> None:
    """Add the parts of interactions that are stored in this transaction.

    `source` and `given` are those of `core.db.engine.relation` over rows of ab_test_logs;
    `segments` says whether any row has some.
    """
    connection.execute(sa.text(_insert(ab_user_sums, _summed(_OF_ROWS, source, "NOT forced"))), given)
    if segments:
        connection.execute(sa.text(_segments_of(connection, source, "NOT forced")), given)


def append_each(connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """The same for a few rows, each a part of its own."""
    counted = [row for row in rows if not row["forced"]]
    if counted:
        connection.execute(ab_user_sums.insert(), [_part(row) for row in counted])
    told = [
        {name: row[name] for name in ("test_id", "phase", "unit", "at")} | {"field": field, "value": value}
        for row in counted
        for field, value in (row["segments"] or {}).items()
    ]
    if told:
        connection.execute(ab_user_segments.insert(), told)


def rerate(connection: sa.Connection, row: Mapping[Any, Any], rating: int) -> None:
    """Add the part that puts `rating` in the place of the one which a row of ab_test_logs has."""
    old = row["rating"]
    part = _part(row) | dict.fromkeys((*_COUNTS, *_TOTALS), 0)
    part |= {"rating_n": 1 if old is None else 0, "rating_sum": rating - (old or 0)}
    connection.execute(ab_user_sums.insert().values(**part))


def tidy(wb: Workbench, test_id: int, phase: int, parts: int) -> None:
    """Note that a phase got so many parts more, and fold them where there are many a user, a slice of users a write."""
    counts = _new_parts.setdefault(wb.db, Counter())
    counts[test_id, phase] += parts
    if counts[test_id, phase] < LOOK_AFTER:
        return
    counts[test_id, phase] = 0
    bound = {"test": test_id, "phase": phase}
    with wb.db.read() as connection:
        have, users = (
            connection.execute(
                sa.select(sa.func.count()).where(table.c.test_id == test_id, table.c.phase == phase)
            ).scalar_one()
            for table in (ab_user_sums, ab_assignments)
        )
    if have > MANY * users:
        slices = min(SLICES, math.ceil(have / SLICE))
        for number in range(slices):
            for table, select in ((ab_user_sums, folded), (ab_user_segments, folded_segments)):
                wb.db.write(partial(_fold, table, select, bound | {"slices": slices, "slice": number}))


def rebuild(wb: Workbench, test_id: int) -> None:
    """Make a test's sums anew from its interactions; nothing but a doubt about them needs it."""
    bound = {"test": test_id}
    rows = "test_id = :test AND NOT forced"

    def work(connection: sa.Connection) -> None:
        if connection.dialect.name == "postgresql":  # whoever logs meanwhile appends their parts after this
            connection.execute(
                sa.text("LOCK TABLE ab_user_sums, ab_user_segments IN SHARE ROW EXCLUSIVE MODE")
            )
        for table in (ab_user_sums, ab_user_segments):
            connection.execute(table.delete().where(table.c.test_id == test_id))
        connection.execute(sa.text(_insert(ab_user_sums, _summed(_OF_ROWS, "ab_test_logs", rows))), bound)
        connection.execute(sa.text(_segments_of(connection, "ab_test_logs", rows)), bound)

    wb.db.write(work)


def _fold(
    table: sa.Table, select: Callable[[str, str], str], bound: Mapping[str, int], connection: sa.Connection
) -> None:
    """Put one part in the place of the several of each user of a slice. Those appended meanwhile stay beside it."""
    mine = _SLICE_OF[connection.dialect.name]
    gone = f"DELETE FROM {table.name} WHERE test_id = :test AND phase = :phase AND {mine} RETURNING *"
    connection.execute(sa.text(f"WITH gone AS ({gone}) {_insert(table, select('true', 'gone'))}"), bound)


def _part(row: Mapping[Any, Any]) -> dict[str, Any]:
    part = {name: row[name] for name in ("test_id", "phase", "unit", "arm", "logged_at")}
    part |= {"last_arm": row["arm"], "first_at": row["at"], "last_at": row["at"]}
    part |= {"n": 1, "bad": int(row["status"] != "ok")}
    for name, column in (("rating", "rating"), ("time", "response_time_ms"), ("cost", "cost")):
        part |= {f"{name}_n": int(row[column] is not None), f"{name}_sum": row[column] or 0}
    return part


def _summed(parts: Mapping[str, str], source: str, where: str) -> str:
    columns = ", ".join(f"{value} AS {name}" for name, value in parts.items())
    return f"SELECT {_KEY}, {columns} FROM {source} WHERE {where} GROUP BY {_KEY}"


def _segments_of(connection: sa.Connection, source: str, where: str) -> str:
    each = _EACH_SEGMENT[connection.dialect.name].format(source=source, where=where)
    return _insert(ab_user_segments, folded_segments("true", f"({each}) AS each"))


def _insert(table: sa.Table, select: str) -> str:
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    return f"INSERT INTO {table.name} ({names}) SELECT {names} FROM ({select}) AS made"
