"""Stored. A test's users as a few numbers an arm, by SQL over their sums (core.ab.rollups).

Users seen in two arms or in another than they were assigned are left out, and so are testers. All but
`assigned` and `unlogged` read what `gathered` has put there, so that work grows with users, not with interactions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from core.ab import rollups
from core.ab.metrics import Metric
from core.ab.moments import Moments, Pairs

Bound = Mapping[str, Any]
"""The parameters `test` and `phase` of every query here."""
Row = Mapping[Any, Any]
_HERE = "test_id = :test AND phase = :phase"
_ELSEWHERE = (
    "UPDATE ab_users SET last_arm = -1 FROM ab_assignments a WHERE a.test_id = :test AND a.phase = :phase"
    " AND a.unit = ab_users.unit AND a.arm <> ab_users.arm"
)


@dataclass(frozen=True)
class Earlier:
    """Users' values now (y) beside those in earlier tests (x), for CUPED."""

    pairs: dict[int, Pairs]
    """By arm, of every user who has a value now; who has none from earlier got the mean of those who have."""
    known: dict[int, int]
    """By arm, how many users have a value from earlier."""


@contextmanager
def gathered(connection: sa.Connection, bound: Bound) -> Iterator[None]:
    """A temporary table `ab_users` with one row a user, made once for all the questions that follow.

    Whoever was logged in two arms has another `last_arm` than `arm`, and so has, with -1, whoever was logged in
    another arm than assigned. The view `ab_answers` has the interactions of all others, one by one.
    """
    connection.execute(sa.text(f"CREATE TEMPORARY TABLE ab_users AS {rollups.folded(_HERE)}"), bound)
    try:
        connection.execute(sa.text(_ELSEWHERE), bound)
        connection.execute(sa.text(_answers(connection, bound)))
        yield
    finally:
        connection.execute(sa.text("DROP VIEW IF EXISTS ab_answers"))
        connection.execute(sa.text("DROP TABLE ab_users"))


def _answers(connection: sa.Connection, bound: Bound) -> str:
    """SQL of the view, which takes no parameters. Users are looked up only where one is left out."""
    where = f"test_id = {int(bound['test'])} AND phase = {int(bound['phase'])} AND NOT forced"
    left_out = "SELECT unit FROM ab_users WHERE arm <> last_arm"
    if connection.execute(sa.text(f"SELECT count(*) FROM ({left_out}) AS those")).scalar():
        where += f" AND unit NOT IN ({left_out})"
    return f"CREATE TEMPORARY VIEW ab_answers AS SELECT * FROM ab_test_logs WHERE {where}"


def _pairs(row: Row, prefix: str) -> Pairs | None:
    n = int(row[f"{prefix}_n"] or 0)
    if not n:
        return None
    return Pairs.of_sums(n, *(float(row[f"{prefix}_{part}"]) for part in ("x", "y", "xx", "yy", "xy")))


def _six(metric: Metric, prefix: str) -> str:
    """The six sums of a metric over a table with one row a user."""
    x, y = f"CAST({metric.x} AS DOUBLE PRECISION)", f"CAST({metric.y} AS DOUBLE PRECISION)"
    parts = {"x": x, "y": y, "xx": f"{x} * {x}", "yy": f"{y} * {y}", "xy": f"{x} * {y}"}
    only = f"FILTER (WHERE {metric.counted})"
    return ", ".join(
        [f"count(*) {only} AS {prefix}_n"]
        + [f"sum({value}) {only} AS {prefix}_{name}" for name, value in parts.items()]
    )


def by_metric(connection: sa.Connection, metrics: Sequence[Metric]) -> dict[tuple[str, int], Pairs]:
    """The sums of each metric by (metric, arm)."""
    columns = ", ".join(_six(metric, f"m{i}") for i, metric in enumerate(metrics))
    query = f"SELECT arm, {columns} FROM ab_users WHERE arm = last_arm GROUP BY arm"
    found = {}
    for row in connection.execute(sa.text(query)).mappings():
        for i, metric in enumerate(metrics):
            if (pairs := _pairs(row, f"m{i}")) is not None:
                found[metric.name, int(row["arm"])] = pairs
    return found


def people(connection: sa.Connection) -> dict[int, dict[Any, Any]]:
    """By arm: `users`, their `n` interactions, and how many of them `rated`."""
    query = (
        "SELECT arm, count(*) AS users, sum(n) AS n,"
        " count(*) FILTER (WHERE rating_n > 0) AS rated FROM ab_users WHERE arm = last_arm GROUP BY arm"
    )
    return {int(row["arm"]): dict(row) for row in connection.execute(sa.text(query)).mappings()}


def stars(connection: sa.Connection) -> dict[int, tuple[int, ...]]:
    """By arm: users by their mean rating, rounded to 1 … 5 stars."""
    query = (
        "SELECT arm, CAST(floor(rating_sum / rating_n + 0.5) AS INTEGER) AS star,"
        " count(*) AS n FROM ab_users WHERE arm = last_arm AND rating_n > 0 GROUP BY 1, 2"
    )
    found: dict[int, list[int]] = {}
    for arm, star, n in connection.execute(sa.text(query)):
        found.setdefault(int(arm), [0] * 5)[int(star) - 1] = int(n)
    return {arm: tuple(counts) for arm, counts in found.items()}


def by_segment(
    connection: sa.Connection, bound: Bound, metric: Metric, field: str
) -> dict[str, dict[int, Pairs]]:
    """A metric's sums by the value of a segment; a user who had several counts for the one that was first."""
    told = rollups.folded_segments(f"{_HERE} AND field = :field")
    query = (
        f"SELECT told.value AS part, arm, {_six(metric, 'm')} FROM ab_users JOIN ({told}) AS told"
        " ON told.unit = ab_users.unit WHERE arm = last_arm GROUP BY 1, 2"
    )
    found: dict[str, dict[int, Pairs]] = {}
    for row in connection.execute(sa.text(query), {**bound, "field": field}).mappings():
        if (pairs := _pairs(row, "m")) is not None:
            found.setdefault(str(row["part"]), {})[int(row["arm"])] = pairs
    return found


def by_day(connection: sa.Connection, metric: Metric) -> list[tuple[date, int, Pairs]]:
    """(day, arm, sums) of the users who came first on that day, in the order of days."""
    query = (
        f"SELECT CAST(first_at AS DATE) AS day, arm, {_six(metric, 'm')} FROM ab_users"
        " WHERE arm = last_arm GROUP BY 1, 2 ORDER BY 1, 2"
    )
    rows = connection.execute(sa.text(query)).mappings()
    return [(row["day"], int(row["arm"]), pairs) for row in rows if (pairs := _pairs(row, "m")) is not None]


def by_age(connection: sa.Connection, metric: Metric, cut: datetime) -> dict[int, tuple[Pairs, Pairs]]:
    """By arm: a metric's sums of the users who came first before a time, and of those who came later.

    A novelty wears off: then the earlier users, who have seen the most of it, differ less than the later.
    """
    query = (
        f"SELECT arm, first_at >= :cut AS late, {_six(metric, 'm')} FROM ab_users"
        " WHERE arm = last_arm GROUP BY 1, 2"
    )
    found: dict[int, list[Pairs]] = {}
    for row in connection.execute(sa.text(query), {"cut": cut}).mappings():
        if (pairs := _pairs(row, "m")) is not None:
            found.setdefault(int(row["arm"]), [Pairs.of([], [])] * 2)[int(row["late"])] = pairs
    return {arm: (early, late) for arm, (early, late) in found.items()}


def before(connection: sa.Connection, bound: Bound, metric: Metric) -> Earlier:
    """Each user's value now beside their value in the theme's other tests and phases.

    Only what had ended, for this user, before they came first to this phase counts: what the variant
    may have touched must not correct it. The value is y over x of the metric, of all that counts.
    """
    parts = ("n", "bad", "rating_n", "rating_sum", "time_n", "time_sum", "cost_n", "cost_sum")
    added = ", ".join(f"sum(other.{name}) AS {name}" for name in parts)
    others = rollups.folded(
        f"NOT ({_HERE}) AND test_id IN (SELECT id FROM ab_experiments WHERE theme_id ="
        " (SELECT theme_id FROM ab_experiments WHERE id = :test))"
    )
    value = f"CAST({metric.y} AS DOUBLE PRECISION) / ({metric.x})"
    pair = Metric(metric.name, metric.higher_is_better, "past.value", "now.value", "past.value IS NOT NULL")
    query = (
        f"WITH now AS (SELECT unit, arm, {value} AS value FROM ab_users"
        f" WHERE arm = last_arm AND {metric.counted}),"
        f" past AS (SELECT unit, {value} AS value FROM (SELECT other.unit, {added} FROM ({others}) AS other"
        " JOIN ab_users ON ab_users.unit = other.unit AND other.last_at < ab_users.first_at"
        f" GROUP BY other.unit) AS added WHERE {metric.counted})"
        f" SELECT now.arm AS arm, {_six(pair, 'm')}, count(*) AS users, sum(now.value) AS y,"
        " sum(now.value * now.value) AS yy"
        " FROM now LEFT JOIN past ON past.unit = now.unit GROUP BY now.arm"
    )
    rows = list(connection.execute(sa.text(query), bound).mappings())
    known = {int(row["arm"]): int(row["m_n"]) for row in rows}
    of_known = {int(row["arm"]): _pairs(row, "m") or Pairs.of([], []) for row in rows}
    n = sum(known.values())
    mean = sum(each.x.n * each.x.mean for each in of_known.values() if each.x.n) / n if n else 0.0
    pairs = {}
    for row in rows:
        arm = int(row["arm"])
        new = int(row["users"]) - known[arm]
        pairs[arm] = of_known[arm]
        if new:
            y, yy = (float(row[name]) - float(row[f"m_{name}"] or 0) for name in ("y", "yy"))
            pairs[arm] += Pairs(Moments(new, mean, 0.0), Moments.of_sums(new, y, yy), 0.0)
    return Earlier(pairs, known)


def assigned(connection: sa.Connection, bound: Bound, until: datetime) -> dict[int, tuple[int, int]]:
    """By arm, users as they were assigned: all, and those by a time."""
    query = (
        'SELECT arm, count(*), count(*) FILTER (WHERE "at" <= :until) FROM ab_assignments'
        " WHERE test_id = :test AND phase = :phase AND NOT forced GROUP BY arm"
    )
    rows = connection.execute(sa.text(query), {**bound, "until": until})
    return {int(arm): (int(n), int(by_then)) for arm, n, by_then in rows}


def logged(connection: sa.Connection, until: datetime) -> dict[int, tuple[int, int]]:
    """By arm, users as they were logged: all, and those who came first by a time."""
    query = (
        "SELECT arm, count(*), count(*) FILTER (WHERE first_at <= :until) FROM ab_users"
        " WHERE arm = last_arm GROUP BY arm"
    )
    rows = connection.execute(sa.text(query), {"until": until})
    return {int(arm): (int(n), int(by_then)) for arm, n, by_then in rows}


def seen(connection: sa.Connection, bound: Bound) -> tuple[int, int, datetime | None]:
    """(users, users in more than one arm or in another than they were assigned, when something was logged last)."""
    query = (
        "SELECT count(*), count(*) FILTER (WHERE arm <> last_arm),"
        " (SELECT max(logged_at) FROM ab_user_sums WHERE test_id = :test) FROM ab_users"
    )
    n, both, last = connection.execute(sa.text(query), bound).one()
    return int(n), int(both), last


def unlogged(connection: sa.Connection, bound: Bound, before: datetime) -> dict[int, int]:
    """Exposures from before a time that no interaction followed, by arm: calls that never came back."""
    query = (
        "SELECT e.arm, count(*) FROM ab_exposures e LEFT JOIN ab_test_logs l"
        " ON l.test_id = e.test_id AND l.key = e.key WHERE e.test_id = :test AND e.phase = :phase"
        ' AND l.key IS NULL AND e."at" < :before GROUP BY e.arm'
    )
    return {int(arm): int(n) for arm, n in connection.execute(sa.text(query), {**bound, "before": before})}
