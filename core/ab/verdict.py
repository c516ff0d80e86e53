"""Pure. One sentence for a manager: exactly one of five verdicts, with its reason and the cost of being wrong.

The order matters: a broken test outranks all and hides the numbers; a guardrail stops B whatever the
primary metric says; a difference too small to matter is called that, even where it is proven.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core.ab.findings import Against, Arm, Results
from core.ab.metrics import P95

BETTER, WORSE, SAME, UNCLEAR, BROKEN = "better", "worse", "same", "unclear", "broken"
OUT = "out"
"""Why nothing is said of a variant that the present phase sends nobody to; `judge` passes over it."""
MOST_IN_BOTH = 0.01
"""Share of users in two arms above which the assignment is broken."""
LOST = 0.05
"""Share of exposures without an interaction above which an arm's numbers are those of survivors."""
RULE = (
    (WORSE, "guardrail"),
    (UNCLEAR, "few"),
    (SAME, "within"),
    (BETTER, "interval"),
    (WORSE, "interval"),
    (UNCLEAR, "wide"),
)
"""What is said of one variant, (kind, reason): the first of these that holds, by `first_that_holds`."""
ORDER = (BETTER, UNCLEAR, SAME, WORSE)
"""What is said of several variants: the first of these that is said of any."""


def first_that_holds(
    low: ArrayLike, high: ArrayLike, minimum: float, ready: ArrayLike, breached: ArrayLike
) -> NDArray[np.intp]:
    """Place in `RULE`, for numbers or arrays of one shape: this and nothing else decides, live and in rehearsal.

    `low` and `high` bound how much better than A the variant is, `ready` says that the interval may be
    trusted, `breached` that a guardrail is.
    """
    low, high = np.asarray(low), np.asarray(high)
    holds = [
        np.asarray(breached),
        ~np.asarray(ready),
        (-minimum < low) & (high < minimum),
        low > 0,
        high < 0,
    ]
    return np.asarray(np.select(holds, range(len(holds)), len(holds)), dtype=np.intp)


@dataclass(frozen=True)
class Verdict:
    """`kind` and `reason` are codes; `fields` fill the sentences of core.ab.words."""

    kind: str
    reason: str
    variant: str
    """The variant it is about; A only where nothing is compared."""
    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def hides_numbers(self) -> bool:
        return self.kind == BROKEN


def kept(found: Mapping[str, Any]) -> Verdict:
    """A verdict as it was kept with its test; JSON has no NaN."""
    fields = {name: math.nan if value is None else value for name, value in found["fields"].items()}
    fields |= {name: None for name in ("superiority", "days") if found["fields"].get(name, 0) is None}
    return Verdict(found["kind"], found["reason"], found["variant"], fields)


def judge(results: Results) -> Verdict:
    """The verdict over all variants with users to come: the first that holds of broken, worse by guardrail, better, …"""
    if broken := _broken(results):
        return broken
    each = [found for against in results.against if (found := judge_one(results, against)).reason != OUT]
    first = min(each, key=lambda verdict: ORDER.index(verdict.kind))
    if first.kind != BETTER:
        return first
    sign = 1 if results.metric.higher_is_better else -1
    by_name = {against.name: against for against in results.against}
    winners = [verdict for verdict in each if verdict.kind == BETTER]
    return max(winners, key=lambda verdict: sign * by_name[verdict.variant].primary.est)


def judge_one(results: Results, against: Against) -> Verdict:
    """The verdict on one variant against A, the test being sound."""
    phase = results.trial.phase
    if phase is not None and not phase.weights[results.trial.plan.names.index(against.name)]:
        return Verdict(UNCLEAR, OUT, against.name)
    arms = {arm.name: arm for arm in results.arms}
    a, b = arms[results.trial.plan.names[0]], arms[against.name]
    primary = against.primary
    sign = 1 if results.metric.higher_is_better else -1
    low, high = sorted((sign * primary.low, sign * primary.high))
    broken = [guard for guard in against.guards if guard.breached]
    place = first_that_holds(low, high, results.trial.plan.minimum, primary.ready, bool(broken))
    kind, reason = RULE[int(place)]
    if reason == "guardrail":
        guard = broken[0]
        fields = {
            "metric": guard.metric,
            "worse": guard.worse,
            "margin": guard.margin,
            "value_a": _value(a, guard.metric),
            "value_b": _value(b, guard.metric),
            "loss_ship": against.loss_ship,
            "loss_keep": against.loss_keep,
        }
        return Verdict(kind, reason, against.name, fields)
    fields = {
        "est": primary.est,
        "low": primary.low,
        "high": primary.high,
        "superiority": against.superiority.superiority if against.superiority else None,
        "loss_ship": against.loss_ship,
        "loss_keep": against.loss_keep,
        "chance": against.chance_to_win,
        "value_a": a.value,
        "value_b": b.value,
        "users": primary.users,
    }
    if kind == UNCLEAR:
        fields |= _missing(results, against)
    elif kind == BETTER:
        fields["unsafe"] = [guard.metric for guard in against.guards if not guard.safe]
    return Verdict(kind, reason, against.name, fields)


def breached(results: Results) -> Verdict | None:
    """The verdict on the first variant that breaks a guardrail; None in a broken test, whose numbers say nothing."""
    if _broken(results):
        return None
    each = (judge_one(results, against) for against in results.against)
    return next((found for found in each if found.reason == "guardrail"), None)


def _value(arm: Arm, metric: str) -> float:
    """What a guardrail watches, as it stands in an arm."""
    if metric == P95:
        return arm.p95.value if arm.p95 else math.nan
    return arm.error_rate if metric == "error_rate" else arm.cost


def _broken(results: Results) -> Verdict | None:
    health = results.health
    if not results.trial.intact:
        return Verdict(BROKEN, "seal", "A", {})
    if health.mismatched:
        fields = {"users": list(health.users), "expected": [round(n) for n in health.expected]}
        return Verdict(BROKEN, "mismatch", "A", fields)
    if health.seen and health.both_arms / health.seen > MOST_IN_BOTH:
        return Verdict(BROKEN, "both", "A", {"both": health.both_arms, "seen": health.seen})
    for arm, lost in zip(results.arms, health.unlogged, strict=True):
        if lost > LOST * (arm.interactions + lost) and lost >= 20:
            return Verdict(BROKEN, "lost", arm.name, {"lost": lost, "of": arm.interactions + lost})
    return None


def _missing(results: Results, against: Against) -> dict[str, Any]:
    """About how many more users with a value, and days, until the interval should be narrow enough."""
    plan, primary = results.trial.plan, against.primary
    if primary.ready:
        # The interval's reach falls with the root of the users; it must come down to what matters.
        reach = (primary.high - primary.low) / 2
        wanted = max(plan.minimum, abs(primary.est))
        needed = primary.users * (reach / wanted) ** 2
    else:
        needed = float(plan.planned_users)
    more = max(1, math.ceil(needed - primary.users))
    rate = results.users_a_day
    return {"more": more, "days": max(1, math.ceil(more / rate)) if rate > 0 else None}
