"""What a plan needs is said from the team's own past, and a rehearsal plays the rule that decides."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from statsmodels.stats.power import TTestIndPower

from core import auth
from core.ab import analysis, assigning, past, planner, rehearsal, trials, verdict
from core.ab.metrics import METRICS, P95
from core.ab.plan import Plan, read
from core.ab.planner import Past, Seen
from core.db.tables import ab_phases
from core.errors import InvalidInput
from core.workbench import Workbench
from tests.core.ab.rig import PLAN, log, rows, started, two_versions

pytestmark = pytest.mark.usefixtures("fixed_salt")
NOTHING = Past(0, None, {name: np.empty((0, 2)) for name in METRICS})


def plan(**change: Any) -> Plan:
    return read(PLAN | {"versions": [1, 2], "days": 30} | change)


def test_the_past_is_that_of_the_rows(wb: Workbench, trainer: auth.User) -> None:
    trial = started(wb, trainer, coverage=0.5, holdout=0.2)
    given = [row for row in rows(trial, 1_000, cost=2.0) if trial.rule().arm(row["unit"])]
    given = [row for row in given if assigning.arm_of(trial, row["unit"]) is not None]
    for row in given:
        if int(row["unit"].split("-")[1]) % 4:
            row["rating"] = None
        row["status"] = "error" if row["key"].endswith("1-1") else "ok"
    log(wb, trial, given)
    assigning.assign(wb, trial.id, "tester", force="A")
    began = datetime.now(UTC) - timedelta(days=4)
    wb.db.write(lambda c: c.execute(ab_phases.update().values(started_at=began)) and None)
    found = past.of_theme(wb, trial.theme_id)
    units = {row["unit"] for row in given}
    assert found.users == len(units) and len(found.values["rating"]) == len(units)
    assert found.users_a_day == pytest.approx(len(units) / 4 / (0.5 * 0.8), rel=0.01)
    rated: dict[str, list[int]] = {}
    for row in given:
        if row["rating"]:
            rated.setdefault(row["unit"], []).append(row["rating"])
    means = [float(np.mean(stars)) for stars in rated.values()]
    rating = planner.seen(found, "rating")
    assert rating == Seen(
        pytest.approx(np.mean(means)), pytest.approx(np.std(means, ddof=1)), len(rated) / len(units), True
    )
    errors = planner.seen(found, "error_rate")
    assert errors.mean == pytest.approx(np.mean([row["status"] == "error" for row in given]))
    assert planner.seen(found, "cost") == Seen(*planner.USUAL["cost"], 1.0, False)  # no spread at all
    other, _ = two_versions(wb, trainer)
    assert past.of_theme(wb, other.id).users == 0


def test_the_number_of_users_is_that_of_the_rule_that_decides() -> None:
    seen = Seen(3.5, 1.15, 0.4, True)
    two = planner.advise(seen, 0.2, users_a_day=500)
    assert planner.smallest(seen, two.users, [0.5, 0.5]) <= 0.2
    fixed = 2 * TTestIndPower().solve_power(0.2 / 1.15, None, 0.05, 0.8)
    assert two.users / fixed == pytest.approx(1.92, abs=0.05)  # the price of looking at any time
    assert (two.people, two.days) == (planner.rounded(two.users / 0.4), 10)
    assert two.trap == pytest.approx(TTestIndPower().solve_power(None, 30, 0.05, 0.8) * 1.15, rel=1e-3)
    four = planner.advise(seen, 0.2, [0.25] * 4)
    skewed = planner.advise(seen, 0.2, [0.9, 0.1])
    assert 2 * two.users < four.users < 3 * two.users and skewed.users / two.users == pytest.approx(
        2.78, abs=0.1
    )
    assert planner.advise(seen, 0.4).users == pytest.approx(two.users / 4, rel=0.1)
    assert planner.advise(seen, 100).users == 200
    with pytest.raises(InvalidInput, match="larger difference"):
        planner.advise(seen, 1e-5)


def test_false_alarms_stay_below_alpha_and_power_grows_with_users() -> None:
    few, right, many = (rehearsal.rehearse(plan(planned_users=n), NOTHING) for n in (600, 2_000, 4_000))
    for found in (few, right, many):
        assert sum(found.equal.ends) == sum(found.different.ends) == 1_000
        assert found.interval(found.false_winners)[0] < 0.05 and found.false_winners <= 50
        assert not found.own
    assert few.found < right.found < many.found
    assert right.found >= 800  # what the planner promises for 0.2 stars
    assert right.different.users is not None and right.different.users < 2_000
    assert right.different.days is not None and right.different.days < 30
    again = rehearsal.rehearse(plan(planned_users=600), NOTHING)
    assert again == few != rehearsal.rehearse(plan(planned_users=600), NOTHING, seed=1)


@pytest.mark.parametrize(
    "change",
    [
        {"versions": [1, 2, 3, 4], "planned_users": 4_900},
        {"weights": [0.9, 0.1], "planned_users": 5_600},
        {"primary": "error_rate", "minimum": 0.02, "planned_users": 7_300},
        {"primary": "response_time_ms", "minimum": 10.0, "planned_users": 24_000, "days": 90},
    ],
)
def test_other_plans_keep_alpha_and_find_what_they_are_planned_for(change: dict[str, Any]) -> None:
    found = rehearsal.rehearse(plan(**change), NOTHING)
    assert found.false_winners <= 50 and found.found >= 780


def test_own_users_with_guardrails_and_many_silent_ones() -> None:
    rng = np.random.default_rng(7)
    users = 4_000
    rated = np.where(rng.random(users) < 0.3, 1.0, np.nan)
    values = {
        "cost": np.full((users, 2), np.nan),  # never logged: its guardrail says nothing
        "rating": np.stack([rated, rated * rng.integers(1, 6, users)], axis=1),
        "error_rate": np.stack([n := rng.integers(1, 9, users), rng.binomial(n, 0.1)], axis=1).astype(float),
        "response_time_ms": np.stack([n, n * rng.gamma(4, 30, users)], axis=1).astype(float),
    }
    of = Past(users, 300.0, NOTHING.values | values)
    guards = [{"metric": name, "margin": 0.05} for name in ("error_rate", "cost", P95)]
    found = rehearsal.rehearse(plan(minimum=0.25, planned_users=3_000, guardrails=guards), of)
    assert found.own and found.false_winners <= 50 and found.found >= 780
    assert found.equal.ends[rehearsal.STOPPED] <= 50
    tight = rehearsal.rehearse(
        plan(planned_users=3_000, guardrails=[{"metric": "error_rate", "margin": 1e-6}]), of
    )
    assert 0 < tight.equal.ends[rehearsal.STOPPED] <= 50  # even without any margin
    with pytest.raises(InvalidInput, match="can be rehearsed"):
        rehearsal.rehearse(plan(planned_users=10**9), of)


@pytest.mark.parametrize(
    ("gain", "users", "errors", "slow"),
    [(0.6, 1_500, (0.1, 0.1), 1), (-0.6, 1_500, (0.1, 0.1), 1), (0.0, 1_500, (0.1, 0.1), 1),
     (0.1, 500, (0.1, 0.1), 1), (0.6, 150, (0.1, 0.1), 1), (0.6, 1_500, (0.1, 0.4), 1),
     (0.6, 1_500, (0.1, 0.1), 3), (0.6, 1_500, (0, 0.4), 1), (0.6, 1_500, (0, 0.003), 1)],
)  # fmt: skip
def test_a_rehearsed_look_decides_as_the_live_one(
    wb_duckdb: Workbench,
    trainer: auth.User,
    gain: float,
    users: int,
    errors: tuple[float, float],
    slow: float,
) -> None:
    wb = wb_duckdb
    guards = [{"metric": "error_rate", "margin": 0.5}, {"metric": P95, "margin": 0.5}]
    trial = started(wb, trainer, minimum=0.3, guardrails=guards)
    rng, rule = np.random.default_rng(3), trial.rule()
    given = rows(trial, users, gain=gain, each=1)
    for row in given:
        b = rule.arm(row["unit"]) == "B"
        row["status"] = "error" if rng.random() < errors[b] else "ok"
        row["response_time_ms"] *= slow if b else 1
    log(wb, trial, given)
    live = verdict.judge(analysis.results(wb, trials.get(wb, trial.id)))

    def values(of: list[dict[str, Any]], y: Any) -> np.ndarray:
        return np.array([[1.0, float(y(row))] for row in of])

    times = values(given, lambda row: row["response_time_ms"])
    edges = rehearsal.edges_of(times)
    drawn: list[list[np.ndarray]] = [[], [], []]
    for arm in "AB":
        of = [row for row in given if rule.arm(row["unit"]) == arm]
        drawn[0].append(rehearsal.sums_of(values(of, lambda row: row["rating"])).sum(axis=0))
        drawn[1].append(rehearsal.sums_of(values(of, lambda row: row["status"] != "ok")).sum(axis=0))
        drawn[2].append(rehearsal.below(values(of, lambda row: row["response_time_ms"]), edges).sum(axis=0))
    [end], _ = rehearsal.judge(trial.plan, [np.array(sums)[None, None] for sums in drawn], edges)
    ends = {
        ("better", "interval"): rehearsal.B_WINS,
        ("worse", "interval"): rehearsal.A_WINS,
        ("worse", "guardrail"): rehearsal.STOPPED,
        ("same", "within"): rehearsal.SAME,
    }
    assert end == ends.get((live.kind, live.reason), rehearsal.OPEN)


def test_a_rehearsed_guardrail_shares_alpha_among_the_variants() -> None:
    times = np.stack([np.ones(2_000), np.random.default_rng(5).gamma(4, 25, 2_000)], axis=1)
    edges = rehearsal.edges_of(times)
    rating = rehearsal.sums_of(np.stack([np.ones(2_000), np.tile([2.0, 4.0], 1_000)], axis=1)).sum(axis=0)

    def stops(variants: int, slower: float) -> bool:
        of = plan(versions=[1, 2, 3][:variants], guardrails=[{"metric": P95, "margin": 0.05}])
        each = [times, *[times * [1, slower]] * (variants - 1)]
        slow = np.array([rehearsal.below(values, edges).sum(axis=0) for values in each])
        drawn = [np.array([rating] * variants)[None, None], slow[None, None]]
        [end], _ = rehearsal.judge(of, drawn, edges)
        return bool(end == rehearsal.STOPPED)

    grid = np.arange(1, 2, 0.005)
    two, three = (next(slower for slower in grid if stops(variants, slower)) for variants in (2, 3))
    assert 1.05 < two < three < 1.5
