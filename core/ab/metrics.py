"""Pure. What a test can be about: the metrics, their direction, and the SQL that sums them a user.

Every metric is a ratio of two sums a user, y over x; with x = 1 it is the mean over users.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SATISFIED = 4
"""Stars from which a user counts as satisfied."""


@dataclass(frozen=True)
class Metric:
    """`x` and `y` are SQL over one user's row (see core.ab.analysis), `counted` says who has a value."""

    name: str
    higher_is_better: bool
    x: str
    y: str
    counted: str
    unit: str = ""


METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("rating", True, "1", "rating_sum / rating_n", "rating_n > 0", "stars"),
        Metric(
            "satisfied",
            True,
            "1",
            f"CASE WHEN rating_sum >= {SATISFIED} * rating_n THEN 1 ELSE 0 END",
            "rating_n > 0",
            "share",
        ),
        Metric("error_rate", False, "n", "bad", "n > 0", "share"),
        Metric("response_time_ms", False, "time_n", "time_sum", "time_n > 0", "ms"),
        Metric("cost", False, "cost_n", "cost_sum", "cost_n > 0", "cost"),
    )
}

P95 = "response_time_p95"
GUARDRAILS = (P95, "error_rate", "cost")
