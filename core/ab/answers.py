"""Stored. A test's answers one by one, not by user: how long they took, how they were rated, how late they came in.

Testers are left out; users seen in two arms only from `ratings`, for the rest watches programs, not people.
Everything is a query that groups in the database.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import sqlalchemy as sa

Bound = Mapping[str, Any]
"""The parameters `test` and `phase` of every query here."""
Per = Literal["hour", "day"]

SECONDS: Mapping[Per, int] = {"hour": 3_600, "day": 86_400}
PER_E = 32
"""Bands of a delay that grows e times."""
_WHERE = "FROM ab_test_logs WHERE test_id = :test AND phase = :phase AND NOT forced"


@dataclass(frozen=True)
class Tally:
    """The answers of one variant in one hour or day; times in ms, None where none was sent."""

    at: datetime
    """When the hour or day began, UTC."""
    arm: int
    answers: int
    errors: int
    ratings: int
    stars: float
    """Sum of the ratings."""
    p50: float | None
    p95: float | None


def ratings(connection: sa.Connection) -> dict[int, tuple[int, ...]]:
    """By arm: how many answers got 1 … 5 stars. Must run within `core.ab.sums.gathered`."""
    query = "SELECT arm, rating, count(*) FROM ab_answers WHERE rating IS NOT NULL GROUP BY arm, rating"
    found: dict[int, list[int]] = {}
    for arm, rating, n in connection.execute(sa.text(query)):
        found.setdefault(int(arm), [0] * 5)[int(rating) - 1] = int(n)
    return {arm: tuple(counts) for arm, counts in found.items()}


def lag(connection: sa.Connection, bound: Bound) -> tuple[float, float] | None:
    """Seconds from the answer until it was logged, that 50 and 95 of 100 stay below, to within 3 %.

    Counted by magnitude: sorting ten million would take hundreds of MiB. A clock ahead counts as 0.
    """
    late = f"greatest(0.0, {_seconds(connection, 'logged_at')} - {_seconds(connection, 'at')})"
    band = f"CAST(floor(ln(1 + {late}) * {PER_E}) AS INTEGER)"
    query = f"SELECT {band} AS band, count(*) {_WHERE} GROUP BY 1 ORDER BY 1"
    bands = [(int(number), int(n)) for number, n in connection.execute(sa.text(query), bound)]
    total = sum(n for _, n in bands)
    return (_at(bands, total * 0.5), _at(bands, total * 0.95)) if total else None


def _at(bands: list[tuple[int, int]], rank: float) -> float:
    """The seconds at a rank: the middle of its band, 0 in the first."""
    below = itertools.accumulate(n for _, n in bands)
    number = next(number for (number, _), upto in zip(bands, below, strict=True) if upto >= rank)
    return math.expm1((number + 0.5) / PER_E) if number else 0.0


def exposures(connection: sa.Connection, bound: Bound) -> dict[int, int]:
    """By arm: answers that were about to be asked of a model."""
    query = "SELECT arm, count(*) FROM ab_exposures WHERE test_id = :test AND phase = :phase GROUP BY arm"
    return {int(arm): int(n) for arm, n in connection.execute(sa.text(query), bound)}


def tallies(connection: sa.Connection, bound: Bound, per: Per, since: datetime) -> list[Tally]:
    """Answers by hour or day and arm, by the time they happened, oldest first."""
    at = f"CAST(floor({_seconds(connection, 'at')} / {SECONDS[per]}) AS BIGINT)"
    times = _quantiles(connection, (0.5, 0.95), "response_time_ms")
    query = (
        f"SELECT {at} AS began, arm, count(*) AS n, count(*) FILTER (WHERE status <> 'ok') AS bad,"
        " count(rating) AS ratings, coalesce(sum(rating), 0) AS stars,"
        f' {times} AS times {_WHERE} AND "at" >= :since GROUP BY 1, 2 ORDER BY 1, 2'
    )
    rows = connection.execute(sa.text(query), {**bound, "since": since}).mappings()
    return [
        Tally(
            datetime.fromtimestamp(int(row["began"]) * SECONDS[per], UTC),
            int(row["arm"]),
            int(row["n"]),
            int(row["bad"]),
            int(row["ratings"]),
            float(row["stars"]),
            *_two(row["times"]),
        )
        for row in rows
    ]


def _seconds(connection: sa.Connection, column: str) -> str:
    """A time as seconds since 1970. DuckDB takes a second for a million differences of times, and 5 ms for these."""
    if connection.dialect.name == "duckdb":
        return f'(epoch_us("{column}") / 1e6)'
    return f'CAST(extract(epoch FROM "{column}") AS DOUBLE PRECISION)'


def _two(found: Any) -> tuple[float | None, float | None]:
    if not found or found[0] is None:
        return None, None
    return float(found[0]), float(found[1])


def _quantiles(connection: sa.Connection, of: tuple[float, ...], value: str) -> str:
    """Several quantiles of a value in one pass, as a list."""
    parts = ", ".join(map(str, of))
    wanted = f"[{parts}]" if connection.dialect.name == "duckdb" else f"ARRAY[{parts}]"
    return f"percentile_cont({wanted}) WITHIN GROUP (ORDER BY {value})"
