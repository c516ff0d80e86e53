"""Pure. One variant compared with A in every way the report shows, from sums alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from scipy import stats

from core.ab import bayes, many, means, novelty, proportions, quantiles, ranks, ratios, sequences, silence
from core.ab.findings import (
    Adjusted,
    Against,
    Arm,
    Day,
    Estimate,
    Guard,
    Overall,
    Segment,
    Shares,
)  # fmt: skip
from core.ab.metrics import METRICS, P95, Metric
from core.ab.moments import Moments, Pairs
from core.ab.plan import Plan
from core.ab.quantiles import Quantile

NOBODY = Pairs.of([], [])


@dataclass(frozen=True)
class Sums:
    """What is known of the users, as sums: everything a comparison is made from."""

    of: Mapping[tuple[str, int], Pairs]
    """By (metric, arm)."""
    p95: Mapping[int, Quantile] = field(default_factory=dict)
    segments: Mapping[str, Mapping[str, Mapping[int, Pairs]]] = field(default_factory=dict)
    """By field, value and arm."""
    days: novelty.Daily = ()
    before: Mapping[int, Pairs] = field(default_factory=dict)
    """x from before the test, y now, by arm; a user without a past has the mean of those who have one."""
    known: Mapping[int, int] = field(default_factory=dict)
    """By arm, users of whom something from before is known."""

    def arm(self, metric: Metric, index: int) -> Pairs:
        return self.of.get((metric.name, index), NOBODY)


def all_against(plan: Plan, given: Sums, arms: Sequence[Arm]) -> tuple[Against, ...]:
    """Every variant against A; the p-values corrected for their number by Holm's method."""
    found = [_against(plan, given, arms, index) for index in range(1, len(plan.versions))]
    adjusted = many.holm([each.primary.p for each in found])
    return tuple(replace(each, adjusted_p=p) for each, p in zip(found, adjusted, strict=True))


def overall(plan: Plan, given: Sums) -> Overall | None:
    """Whether any of three variants or more with a share of the users differ; None for two, and before each has
    two users with a value."""
    metric = METRICS[plan.primary]
    used = [index for index, weight in enumerate(plan.weights) if weight]
    arms = [given.arm(metric, index) for index in used]
    if len(arms) < 3 or any(arm.y.n < 2 for arm in arms):
        return None
    p = means.welch_anova([_users(arm, metric) for arm in arms])[1]
    counts = [_counts(given.arm(METRICS["satisfied"], index)) for index in used]
    mixed = all(n for _, n in counts) and 0 < sum(s for s, _ in counts) < sum(n for _, n in counts)
    return Overall(p, proportions.of_arms(counts).p if mixed else None)


def estimate(metric: Metric, plan: Plan, a: Pairs, b: Pairs) -> Estimate:
    """One arm against another in the metric: at any look, and once at the planned end.

    With several variants each interval gets its part of α, so that all hold together.
    """
    users = a.x.n + b.x.n
    alpha = plan.alpha / (len(plan.versions) - 1)
    if min(a.x.n, b.x.n) < 2 or not a.x.mean or not b.x.mean:
        return Estimate(math.nan, math.nan, -math.inf, math.inf, 1.0, -math.inf, math.inf, 1.0, users, False)
    if metric.x == "1":
        fixed = means.welch(a.y, b.y, alpha)
        est, se = fixed.est, fixed.se
        span = fixed.low, fixed.high, fixed.p
    else:
        ratio = ratios.ratio_difference(a, b, alpha)
        est, se = ratio.est, math.sqrt(ratio.var_a + ratio.var_b)
        span = ratio.low, ratio.high, ratio.p
    return _always(plan, est, se, users, span, min(a.x.n, b.x.n))


def interval(metric: Metric, of: Pairs, alpha: float) -> tuple[float, float]:
    """An arm's own interval: Student's for a mean, the delta method's for a ratio; NaN without spread."""
    if of.x.n < 2 or not of.x.mean:
        return math.nan, math.nan
    value, variance = ratios.ratio(of)
    reach = float(stats.t.ppf(1 - alpha / 2, of.x.n - 1)) * math.sqrt(variance)
    return value - reach, value + reach


def spread(metric: Metric, of: Pairs) -> float:
    """SD of the users around the arm's value; of a ratio, that of its linearised users."""
    return _users(of, metric).sd if of.x.n > 1 and of.x.mean else math.nan


def _always(
    plan: Plan, est: float, se: float, users: int, fixed: tuple[float, float, float], least: int
) -> Estimate:
    alpha = plan.alpha / (len(plan.versions) - 1)
    low, high, p = sequences.boundary(est, se, users, plan.planned_users, alpha)
    # Without any spread there is nothing to doubt by formula, and everything by sense.
    ready = least >= sequences.MIN_USERS and se > 0
    return Estimate(est, se, low, high, p, *fixed, users, ready)


def _normal(plan: Plan, est: float, se: float, a: Pairs, b: Pairs) -> Estimate:
    """An estimate that is normal in large numbers, with both intervals."""
    alpha = plan.alpha / (len(plan.versions) - 1)
    reach = float(stats.norm.ppf(1 - alpha / 2)) * se
    p = 2 * float(stats.norm.sf(abs(est) / se)) if se else float(est == 0)
    return _always(plan, est, se, a.x.n + b.x.n, (est - reach, est + reach, p), min(a.x.n, b.x.n))


def _against(plan: Plan, given: Sums, arms: Sequence[Arm], index: int) -> Against:
    metric = METRICS[plan.primary]
    a, b = given.arm(metric, 0), given.arm(metric, index)
    found = estimate(metric, plan, a, b)
    sign = 1 if metric.higher_is_better else -1
    chance, ship, keep = 0.5, math.nan, math.nan
    if found.se and math.isfinite(found.se):
        posterior = bayes.normal(sign * found.est, found.se**2)
        chance, ship, keep = posterior.chance_to_win, posterior.loss_ship, posterior.loss_keep
    superiority = None
    if min(sum(arms[0].stars), sum(arms[index].stars)) >= 2:
        superiority = ranks.brunner_munzel(arms[0].stars, arms[index].stars, plan.alpha)
    equal = None
    if found.se and math.isfinite(found.se):
        df = means.welch(a.y, b.y).df if metric.x == "1" else math.inf
        equal = means.within(found.est, found.se, df, plan.minimum, plan.alpha)
    return Against(
        name=plan.names[index],
        primary=found,
        adjusted_p=found.p,
        lift=_lift(plan, metric, a, b),
        equivalence=equal,
        chance_to_win=chance,
        loss_ship=ship,
        loss_keep=keep,
        superiority=superiority,
        effect_size=_effect(metric, a, b),
        shares=_shares(plan, given, index),
        p95=_p95(plan, given, index),
        cuped=_cuped(plan, metric, given, index),
        novelty=novelty.novelty(
            given.days, index, lambda one, two: estimate(metric, plan, one, two), plan.alpha
        ),
        silence=silence.tipping(
            metric.name,
            found,
            plan.minimum,
            arms[index].value,
            (arms[0].rated_users, arms[0].users),
            (arms[index].rated_users, arms[index].users),
        ),
        guards=tuple(_guard(plan, each.metric, each.margin, given, index) for each in plan.guardrails),
        segments=_segments(plan, metric, given, index),
        days=_course(plan, metric, given, index),
    )


def _lift(plan: Plan, metric: Metric, a: Pairs, b: Pairs) -> Estimate | None:
    """(B − A)/|A| by the delta method; None where A's own interval comes near zero."""
    if min(a.x.n, b.x.n) < 2 or not a.x.mean or not b.x.mean:
        return None
    (base, var_a), (other, var_b) = ratios.ratio(a), ratios.ratio(b)
    if abs(base) <= float(stats.norm.ppf(1 - plan.alpha / 2)) * math.sqrt(var_a):
        return None
    variance = var_b / base**2 + var_a * other**2 / base**4
    return _normal(plan, (other - base) / abs(base), math.sqrt(variance), a, b)


def _effect(metric: Metric, a: Pairs, b: Pairs) -> float | None:
    if metric.x != "1" or min(a.y.n, b.y.n) < 2:
        return None
    if metric.unit == "share":
        return proportions.cohens_h(b.y.mean, a.y.mean)
    return means.effect_size(a.y, b.y)[1] if a.y.deviation + b.y.deviation > 0 else None


def _shares(plan: Plan, given: Sums, index: int) -> Shares | None:
    """Satisfied users of both, whatever the test is about."""
    satisfied = METRICS["satisfied"]
    a, b = _counts(given.arm(satisfied, 0)), _counts(given.arm(satisfied, index))
    if not a[1] or not b[1]:
        return None
    low, high = proportions.newcombe(a, b, plan.alpha / (len(plan.versions) - 1))
    table = proportions.two_arms(a, b) if 0 < a[0] + b[0] < a[1] + b[1] else None
    one, two = a[0] / a[1], b[0] / b[1]
    return Shares(one, two, two - one, low, high, table.p if table else 1.0, table.exact if table else False)


def _counts(of: Pairs) -> tuple[int, int]:
    """(users who said yes, users) of a metric that is 0 or 1 a user."""
    return (round(of.y.mean * of.y.n), of.y.n) if of.y.n else (0, 0)


def _p95(plan: Plan, given: Sums, index: int) -> Estimate | None:
    a, b = given.p95.get(0), given.p95.get(index)
    if a is None or b is None:
        return None
    times = METRICS["response_time_ms"]
    gap = quantiles.difference(a, b)[0]
    return _normal(plan, gap, math.hypot(a.se(), b.se()), given.arm(times, 0), given.arm(times, index))


def _cuped(plan: Plan, metric: Metric, given: Sums, index: int) -> Adjusted | None:
    """Means only: a ratio's users have two numbers each."""
    a, b = given.before.get(0), given.before.get(index)
    known = given.known.get(0, 0) + given.known.get(index, 0)
    if metric.x != "1" or a is None or b is None or min(a.x.n, b.x.n) < 2 or not known:
        return None
    alpha = plan.alpha / (len(plan.versions) - 1)
    found = ratios.cuped(a, b, alpha)
    best = found.adjusted
    span = best.low, best.high, best.p
    return Adjusted(
        _always(plan, best.est, best.se, a.x.n + b.x.n, span, min(a.x.n, b.x.n)), found.kept, known
    )


def _guard(plan: Plan, name: str, margin: float, given: Sums, index: int) -> Guard:
    """Every guardrail is worse when higher; the interval is always valid, so it may stop a test.

    Where A has nothing at all (no error, no cost), anything proven above nothing is more than any margin.
    """
    nothing = Guard(name, margin, math.nan, -math.inf, math.inf, False, False)
    if name == P95:
        one = given.p95.get(0)
        found = _p95(plan, given, index)
        if one is None or found is None:
            return nothing
        base = one.value
    else:
        metric = METRICS[name]
        a, b = given.arm(metric, 0), given.arm(metric, index)
        found = estimate(metric, plan, a, b)
        if not found.ready:
            return nothing
        base = a.y.mean / a.x.mean
        if not base:
            found = _above_nothing(plan, metric, a, b)
    worse, low, high = (_share(value, base) for value in (found.est, found.low, found.high))
    return Guard(name, margin, worse, low, high, found.ready and low > margin, found.ready and high < margin)


def _above_nothing(plan: Plan, metric: Metric, a: Pairs, b: Pairs) -> Estimate:
    """A variant against an A that has nothing, with the spread of both together.

    A's own spread is zero then, which would take a small A without an error by luck for a perfect one.
    """
    both = a + b
    est = ratios.ratio(b)[0]
    se = spread(metric, both) * math.sqrt(1 / a.x.n + 1 / b.x.n)
    return _normal(plan, est, se, a, b)


def _share(difference: float, base: float) -> float:
    """A difference as a share of A's value; of nothing, any difference is infinitely much."""
    if base > 0:
        return difference / base
    return math.copysign(math.inf, difference) if difference else 0.0


def _segments(plan: Plan, metric: Metric, given: Sums, index: int) -> tuple[Segment, ...]:
    rows = []
    for name, values in given.segments.items():
        for value, by_arm in sorted(values.items()):
            if 0 not in by_arm or index not in by_arm:
                continue
            found = estimate(metric, plan, by_arm[0], by_arm[index])
            if found.ready:
                rows.append((name, value, found))
    adjusted = many.benjamini_hochberg([found.fixed_p for _, _, found in rows]) if rows else []
    return tuple(
        Segment(name, value, found.users, found.est, found.fixed_low, found.fixed_high, p)
        for (name, value, found), p in zip(rows, adjusted, strict=True)
    )


def _course(plan: Plan, metric: Metric, given: Sums, index: int) -> tuple[Day, ...]:
    so_far = {0: NOBODY, index: NOBODY}
    found: dict[object, Day] = {}
    for day, arm, pairs in given.days:
        if arm in so_far:
            so_far[arm] = so_far[arm] + pairs
            now = estimate(metric, plan, so_far[0], so_far[index])
            if now.ready:
                found[day] = Day(day, now.est, now.low, now.high)
    return tuple(found.values())


def _users(of: Pairs, metric: Metric) -> Moments:
    """A ratio's users linearised around the ratio, so that their mean is R and its variance the delta method's."""
    if metric.x == "1":
        return of.y
    value, variance = ratios.ratio(of)
    n = of.x.n
    return Moments(n, value, variance * n * (n - 1))
