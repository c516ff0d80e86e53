"""Stored. What a test's interactions say: sums a user, made by SQL, and the statistics of core.ab on them.

The unit is the user. Users seen in two arms or in another than they were assigned are left out and counted;
testers are left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from core.ab import answers, comparison, latency, many, mismatch, sums
from core.ab.comparison import Sums
from core.ab.findings import Arm, Health, Results
from core.ab.metrics import METRICS
from core.ab.plan import Plan
from core.ab.quantiles import Quantile
from core.ab.trials import Phase, Trial
from core.db.tables import ab_test_results
from core.workbench import Workbench

LAG = timedelta(minutes=5)
"""How long an answer may be on its way before its exposure counts as lost."""


def results(wb: Workbench, trial: Trial, *, now: datetime | None = None) -> Results:
    """Everything the report shows, from the interactions of the present phase. Raises Conflict before the start.

    A later phase is judged at its part of α (core.ab.many.of_phase): it is one more chance of a false winner.
    """
    trial.rule()
    assert trial.phase is not None
    at = now or datetime.now(UTC)
    bound = {"test": trial.id, "phase": trial.phase.number}
    plan, metric = _of_phase(trial.plan, trial.phase), METRICS[trial.plan.primary]
    with wb.db.read() as connection, sums.gathered(connection, bound):
        found = sums.by_metric(connection, tuple(METRICS.values()))
        people, stars = sums.people(connection), sums.stars(connection)
        days = sums.by_day(connection, metric)
        # CUPED is for means; a ratio's users have two numbers each.
        earlier = sums.before(connection, bound, metric) if metric.x == "1" else sums.Earlier({}, {})
        health = _health(connection, trial, bound, at)
        bands = latency.bands(connection)
        p95, times = latency.p95(connection, bands), latency.times(connection, bands)
        segments = {field: sums.by_segment(connection, bound, metric, field) for field in plan.segments}
        ratings = answers.ratings(connection)
    given = Sums(found, p95, segments, days, earlier.pairs, earlier.known)
    arms = tuple(
        _arm(
            plan,
            index,
            given,
            people.get(index, {}),
            (stars.get(index, (0,) * 5), ratings.get(index, (0,) * 5)),
            times.get(index, ()),
            p95.get(index),
        )
        for index in range(len(plan.versions))
    )
    started = trial.phase.started_at
    elapsed = max(1e-3, ((trial.ended_at or at) - started).total_seconds() / 86_400)
    counted = sum(given.arm(metric, index).x.n for index in range(len(arms)))
    return Results(
        trial,
        at,
        arms,
        comparison.all_against(plan, given, arms),
        health,
        counted / elapsed,
        comparison.overall(plan, given),
    )


def look(wb: Workbench, found: Results, verdict: str) -> None:
    """Remember this look: the always-valid p-values are the smallest of all looks."""
    assert found.trial.phase is not None
    wb.db.write(
        lambda connection: (
            connection.execute(
                ab_test_results.insert().values(
                    test_id=found.trial.id,
                    phase=found.trial.phase.number if found.trial.phase else 0,
                    at=found.at,
                    users=sum(arm.users for arm in found.arms),
                    p=min((each.adjusted_p for each in found.against), default=1.0),
                    mismatch_p=found.health.mismatch_sequential_p,
                    verdict=verdict,
                )
            )
            and None
        )
    )


def _of_phase(plan: Plan, phase: Phase) -> Plan:
    """The sealed plan with what the phase has its own: the shares of the users, and its part of α."""
    return plan.model_copy(
        update={"weights": phase.weights, "alpha": many.of_phase(plan.alpha, phase.number)}
    )


def _arm(
    plan: Plan,
    index: int,
    given: Sums,
    row: Mapping[Any, Any],
    rated: tuple[tuple[int, ...], tuple[int, ...]],
    times: tuple[float, ...],
    p95: Quantile | None,
) -> Arm:
    metric = METRICS[plan.primary]
    own = given.arm(metric, index)
    low, high = comparison.interval(metric, own, plan.alpha)
    users, raters = int(row.get("users", 0)), int(row.get("rated", 0))

    def ratio(name: str) -> float:
        of = given.arm(METRICS[name], index)
        return of.y.mean / of.x.mean if of.x.n and of.x.mean else math.nan

    return Arm(
        name=plan.names[index],
        version_id=plan.versions[index],
        users=users,
        interactions=int(row.get("n", 0)),
        rated_users=raters,
        silent_users=users - raters,
        value=ratio(metric.name),
        sd=comparison.spread(metric, own),
        low=low,
        high=high,
        stars=rated[0],
        ratings=rated[1],
        latency=times,
        p95=p95,
        error_rate=ratio("error_rate"),
        cost=ratio("cost"),
    )


def _health(
    connection: sa.Connection,
    trial: Trial,
    bound: Mapping[str, Any],
    at: datetime,
) -> Health:
    planned_end = trial.planned_end
    assert trial.phase is not None and planned_end is not None
    arms, weights = range(len(trial.plan.versions)), trial.phase.weights
    seen, both, last = sums.seen(connection, bound)
    unlogged = sums.unlogged(connection, bound, at - LAG)
    exposures = answers.exposures(connection, bound)
    lag = answers.lag(connection, bound)
    table = ab_test_results.c
    before = connection.execute(
        sa.select(sa.func.min(table.mismatch_p)).where(
            table.test_id == trial.id, table.phase == trial.phase.number
        )
    ).scalar()
    # A program may lose one arm's rows after users were assigned fairly, so both counts are looked at.
    counted = sums.assigned(connection, bound, planned_end), sums.logged(connection, planned_end)
    now, by_end = ([[of.get(arm, (0, 0))[part] for arm in arms] for of in counted] for part in (0, 1))
    users = max(now, key=lambda each: mismatch.log_bayes_factor(each, weights))
    return Health(
        expected=tuple(sum(users) * weight for weight in weights),
        users=tuple(users),
        mismatch_p=mismatch.once(by_end, weights),
        mismatch_sequential_p=mismatch.any_time(now, weights, 1.0 if before is None else before),
        past_end=(trial.ended_at or at) >= planned_end,
        both_arms=both,
        seen=seen,
        exposures=tuple(exposures.get(arm, 0) for arm in arms),
        unlogged=tuple(unlogged.get(arm, 0) for arm in arms),
        last_logged=last,
        lag_p50=lag[0] if lag else None,
        lag_p95=lag[1] if lag else None,
        phase=trial.phase.number,
        level=many.of_phase(trial.plan.alpha, trial.phase.number),
        spent=many.spent(trial.plan.alpha, trial.phase.number),
    )
