"""Stored. What users of a theme did in its earlier A/B tests: how many come a day, and a sample of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import sqlalchemy as sa

from core.ab.metrics import METRICS
from core.ab.plan import Plan
from core.ab.planner import Past
from core.workbench import Workbench

SAMPLE = 10_000
"""Users drawn; enough that an SD is known to 1 in 100."""
MIN_DAYS = 1.0
"""Days of earlier tests from which on users a day are said."""


def of_theme(wb: Workbench, theme_id: int) -> Past:
    """From the theme's tests: testers left out, the sample drawn by a hash of the users' ids."""
    bound: dict[str, Any] = {"theme": theme_id, "limit": SAMPLE}
    with wb.db.read() as connection:
        periods = list(connection.execute(sa.text(_PERIODS), bound).mappings())
        rows = np.array(
            [tuple(row) for row in connection.execute(sa.text(_sample()), bound)], dtype=float
        ).reshape(-1, 2 * len(METRICS))
    values = {name: rows[:, 2 * place : 2 * place + 2] for place, name in enumerate(METRICS)}
    return Past(sum(int(row["users"]) for row in periods), _pace(periods), values)


def _pace(periods: list[Any]) -> float | None:
    """Users a day over all phases, each as if everybody had taken part.

    A phase that let more users in later counts with its last share, so the pace is rather too low than
    too high and a plan's days are rather too many.
    """
    users = days = 0.0
    for row in periods:
        plan = Plan.model_validate(row["plan"])
        share = plan.share / plan.coverage * float(row["coverage"])
        users += int(row["users"]) / share
        days += (row["last"] - row["started_at"]).total_seconds() / 86_400
    return users / days if days >= MIN_DAYS else None


_PERIODS = """
WITH counted AS (
  SELECT a.test_id, a.phase, count(*) AS users, max(a."at") AS last FROM ab_assignments a
  JOIN ab_experiments e ON e.id = a.test_id WHERE e.theme_id = :theme AND NOT a.forced GROUP BY 1, 2
)
SELECT c.users, c.last, p.started_at, p.coverage, e.plan FROM counted c
JOIN ab_phases p ON p.test_id = c.test_id AND p.number = c.phase JOIN ab_experiments e ON e.id = c.test_id
"""


def _sample() -> str:
    columns = ", ".join(
        f"CASE WHEN {of.counted} THEN CAST({part} AS DOUBLE PRECISION) END AS {side}{place}"
        for place, of in enumerate(METRICS.values())
        for side, part in (("x", of.x), ("y", of.y))
    )
    return f"""
WITH chosen AS (
  SELECT a.test_id, a.phase, a.unit, a."at" FROM ab_assignments a JOIN ab_experiments e ON e.id = a.test_id
  WHERE e.theme_id = :theme AND NOT a.forced ORDER BY md5(a.unit), a.test_id, a.phase LIMIT :limit
), ab_users AS (
  SELECT c.unit, c.test_id, min(c."at") AS came, count(l.key) AS n,
    sum(CASE WHEN l.status <> 'ok' THEN 1 ELSE 0 END) AS bad,
    count(l.rating) AS rating_n, CAST(sum(l.rating) AS DOUBLE PRECISION) AS rating_sum,
    count(l.response_time_ms) AS time_n, sum(l.response_time_ms) AS time_sum,
    count(l.cost) AS cost_n, sum(l.cost) AS cost_sum
  FROM chosen c LEFT JOIN ab_test_logs l ON l.test_id = c.test_id AND l.phase = c.phase AND l.unit = c.unit
  GROUP BY c.test_id, c.phase, c.unit
)
SELECT {columns} FROM ab_users ORDER BY came, test_id, unit
"""
