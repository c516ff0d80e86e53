"""A test from draft to end: sealed at the start, sticky, logged once, and with the right verdict."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from core import auth, registry
from core.ab import (
    analysis,
    assigning,
    figures,
    interactions,
    many,
    rehearsal,
    report,
    sequences,
    trials,
    verdict,
    words,
)  # fmt: skip
from core.ab.moments import Moments
from core.ab.plan import seal
from core.ab.verdict import Verdict
from core.db.tables import ab_assignments, ab_experiments, ab_test_logs
from core.errors import Conflict, InvalidInput, NotAllowed, NotFound, VeritrainError
from core.workbench import Workbench
from tests.core.ab.rig import PLAN, another_version, log, rows, started, two_versions

pytestmark = pytest.mark.usefixtures("fixed_salt")


def judged(wb: Workbench, trial_id: int) -> Verdict:
    return verdict.judge(analysis.results(wb, trials.get(wb, trial_id)))


def test_a_plan_is_sealed_and_a_test_ends_once(wb: Workbench, trainer: auth.User, labeler: auth.User) -> None:
    theme, versions = two_versions(wb, trainer)
    with pytest.raises(NotAllowed):
        trials.create(wb, labeler, theme.id, "x", PLAN | {"versions": versions})
    trial = trials.create(wb, trainer, theme.id, "  Is  B better? ", PLAN | {"versions": versions})
    assert (trial.name, trial.status, trial.plan.weights) == ("Is B better?", "draft", (0.5, 0.5))
    with pytest.raises(Conflict, match="not running"):
        assigning.assign(wb, trial.id, "ada")
    trial = trials.update(wb, trainer, trial.id, plan=PLAN | {"versions": versions, "coverage": 0.5})
    trial = trials.start(wb, trainer, trial.id)
    assert (
        trial.seal == seal(trial.plan.plain())
        and trial.intact
        and trial.phase is not None
        and trial.phase.coverage == 0.5
    )
    with pytest.raises(Conflict, match="sealed"):
        trials.update(wb, trainer, trial.id, plan=PLAN | {"versions": versions})
    with pytest.raises(Conflict, match="started already"):
        trials.start(wb, trainer, trial.id)
    with pytest.raises(InvalidInput, match="not a variant"):
        trials.end(wb, trainer, trial.id, trials.CONCLUDED, "done", winner="C")
    with pytest.raises(InvalidInput, match="Say why"):
        trials.end(wb, trainer, trial.id, trials.STOPPED, " ")
    with pytest.raises(InvalidInput, match="“reason” has a character"):
        trials.end(wb, trainer, trial.id, trials.STOPPED, "so\0so")
    with pytest.raises(InvalidInput, match="“name” has a character"):
        trials.update(wb, trainer, trial.id, name="a\0b")
    ended = trials.end(
        wb, trainer, trial.id, trials.CONCLUDED, "clear enough", winner="B", verdict={"kind": "better"}
    )
    assert ended.outcome is not None and ended.outcome["winner"] == "B" and ended.ended_at is not None
    with pytest.raises(Conflict):
        trials.end(wb, trainer, trial.id, trials.STOPPED, "again")
    with pytest.raises(Conflict):
        interactions.log(wb, trial.id, [{"unit": "late"}])
    assert [each.id for each in trials.listed(wb, theme.id)] == [trial.id]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"versions": [1, 1]}, "A and B are the same version"),
        ({"versions": [1]}, "2 to 8"),
        ({"versions": [1, 2, 1], "weights": []}, "A and C are the same version"),
        ({"versions": [1, 999]}, "no model version 999"),
        ({"weights": [0.6, 0.6]}, "add up to 1"),
        ({"weights": [1.0, 0.0]}, "above 0"),
        ({"weights": [0.5, 0.3, 0.2]}, "2 numbers"),
        ({"weights": [0.0, 0.5, 0.5], "versions": [1, 2, 3]}, "A needs a weight"),
        ({"minimum": 0}, "above 0"),
        ({"minimum": float("inf")}, "above 0"),
        ({"planned_users": 199}, "from 200"),
        ({"days": 366}, "1 to 365"),
        ({"alpha": 0.5}, "at most 0.2"),
        ({"holdout": 0.6}, "0 to 0.5"),
        ({"coverage": 0}, "above 0"),
        ({"primary": "beauty"}, "choose one of"),
        ({"segments": ["a", "a"]}, "different names"),
        ({"segments": ['"; drop']}, "letters"),
        ({"guardrails": [{"metric": "cost", "margin": 0.1}] * 2}, "named twice"),
        ({"guardrails": [{"metric": "beauty", "margin": 0.1}]}, "a metric, one of"),
        ({"exclusion": {"group": "", "part": 0.5}}, "1 to 64 letters"),
        ({"exclusion": {"group": "x", "part": 0}}, "a part above 0"),
        ({"unknown": 1}, "“unknown” is not part of a plan"),
    ],
)
def test_a_plan_that_is_not_right_is_one_sentence(
    wb_duckdb: Workbench, trainer: auth.User, change: dict[str, Any], sentence: str
) -> None:
    theme, versions = two_versions(wb_duckdb, trainer)
    with pytest.raises(VeritrainError, match=sentence):
        trials.create(wb_duckdb, trainer, theme.id, "x", PLAN | {"versions": versions} | change)


def test_one_new_user_gets_one_variant_under_many_threads_and_keeps_it(
    wb: Workbench, trainer: auth.User
) -> None:
    trial = started(wb, trainer)
    barrier, got = threading.Barrier(32), []

    def ask() -> None:
        barrier.wait()
        found = assigning.assign(wb, trial.id, "new user")
        assert found is not None
        got.append((found.variant, found.new))

    threads = [threading.Thread(target=ask) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({variant for variant, _ in got}) == 1 and sum(new for _, new in got) == 1
    peeked = assigning.peek(wb, trial.id, "somebody else")
    assert peeked is not None and not peeked.new
    with wb.db.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(ab_assignments)).scalar() == 1
    tester = assigning.assign(wb, trial.id, "tester", force="B")
    assert (
        tester is not None and tester.forced and assigning.assign(wb, trial.id, "tester") == Assigned(tester)
    )


def Assigned(of: assigning.Assigned) -> assigning.Assigned:
    return assigning.Assigned(of.unit, of.variant, of.version_id, of.phase, of.forced, False)


def test_ramping_moves_nobody_and_new_weights_are_a_new_phase(
    wb_duckdb: Workbench, trainer: auth.User
) -> None:
    wb = wb_duckdb
    trial = started(wb, trainer, coverage=0.1, holdout=0.1)
    units = [f"u{n}" for n in range(400)]
    first = {unit: found.variant for unit in units if (found := assigning.assign(wb, trial.id, unit))}
    trials.update(wb, trainer, trial.id, coverage=0.6)
    then = {unit: found.variant for unit in units if (found := assigning.assign(wb, trial.id, unit))}
    assert first.items() <= then.items() and 20 < len(first) < 65 < 150 < len(then) < 280
    with pytest.raises(Conflict, match="begin a phase"):
        trials.update(wb, trainer, trial.id, coverage=0.2)
    changed = trials.update(wb, trainer, trial.id, weights=(0.9, 0.1))
    assert changed.phase is not None and trial.phase is not None
    assert changed.phase.number == 2 and changed.phase.salt != trial.phase.salt


def test_what_is_wrong_with_an_interaction_is_said_and_the_rest_is_kept(
    wb: Workbench, trainer: auth.User
) -> None:
    trial = started(wb, trainer, segments=["country"])
    now = datetime.now(UTC)
    good = {
        "unit": "ada",
        "key": "k1",
        "rating": 4,
        "feedback": "<b>bold</b>",
        "segments": {"country": "한국"},
    }
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"unit": None}, "unit is missing"),
        ({"unit": ""}, "unit is missing"),
        ({"unit": "a", "rating": 0}, "1 to 5"),
        ({"unit": "a", "rating": 6}, "1 to 5"),
        ({"unit": "a", "rating": 4.5}, "1 to 5"),
        ({"unit": "a", "variant": "Z"}, "not a variant"),
        ({"unit": "a", "status": "fine"}, "ok, error or timeout"),
        ({"unit": "a", "at": (now + timedelta(hours=2)).isoformat()}, "in the future"),
        ({"unit": "a", "at": (now - timedelta(days=2)).isoformat()}, "before the test started"),
        ({"unit": "a", "at": "2026-11-21T10:00:00"}, "needs its zone"),
        ({"unit": "a", "cost": -1}, "at least 0"),
        ({"unit": "a", "segments": {"planet": "Mars"}}, "not a segment"),
        ({"unit": "a", "colour": "red"}, "colour"),
        *(
            ({"unit": "a", field: "a\0b"}, f"“{field}” has a character that cannot be stored")
            for field in ("key", "query", "response", "feedback")
        ),
        ({"unit": "a", "segments": {"country": "K\0R"}}, "“country” has a character that cannot be stored"),
    ]
    report = interactions.log(wb, trial.id, [good, *(row for row, _ in wrong), good])
    assert (report.added, report.known, report.keys[0]) == (1, 1, "k1")
    assert [index for index, _ in report.refused] == list(range(1, len(wrong) + 1))
    for (_, error), (_, sentence) in zip(report.refused, wrong, strict=True):
        assert sentence in str(error)
    interactions.rate(wb, trial.id, "k1", 2, "changed my mind")
    with pytest.raises(NotFound, match="nobody"):
        interactions.rate(wb, trial.id, "nobody", 2)
    with pytest.raises(InvalidInput, match="1 to 5"):
        interactions.rate(wb, trial.id, "k1", 6)
    for key, feedback, field in (
        ("k\0", None, "key"),
        ("k1", "a\0b", "feedback"),
        ("k1", "\ud800", "feedback"),
    ):
        with pytest.raises(InvalidInput, match=f"“{field}” has a character that cannot be stored"):
            interactions.rate(wb, trial.id, key, 2, feedback)
    [kept] = interactions.logged(wb, trial.id)
    assert (kept["rating"], kept["feedback"], kept["unit"]) == (2, "changed my mind", "ada")


def test_the_results_are_those_of_the_rows(wb: Workbench, trainer: auth.User) -> None:
    trial = started(wb, trainer, segments=["country"])
    given = rows(trial, 600, gain=0.3, cost=2.0)
    for row in given:
        row["segments"] = {"country": "KR" if int(row["unit"].split("-")[1]) % 2 else "JP"}
    log(wb, trial, given)
    found = analysis.results(wb, trial)
    of_user: dict[str, list[int]] = {}
    for row in given:
        of_user.setdefault(row["unit"], []).append(row["rating"])
    rule = trial.rule()
    means = {arm: [float(np.mean(v)) for u, v in of_user.items() if rule.arm(u) == arm] for arm in "AB"}
    for arm in found.arms:
        expected = Moments.of(means[arm.name])
        assert (arm.users, arm.interactions) == (expected.n, 2 * expected.n)
        assert (arm.value, arm.sd) == pytest.approx((expected.mean, expected.sd), abs=1e-9)
        times = [row["response_time_ms"] for row in given if rule.arm(row["unit"]) == arm.name]
        assert arm.p95 is not None and arm.p95.value == pytest.approx(np.quantile(times, 0.95))
        assert arm.p95.low < arm.p95.value < arm.p95.high
        assert sum(arm.stars) == arm.users and arm.cost == pytest.approx(2.0)
    [against] = found.against
    assert against.primary.est == pytest.approx(np.mean(means["B"]) - np.mean(means["A"]), abs=1e-9)
    assert against.primary.low < against.primary.fixed_low < against.primary.fixed_high < against.primary.high
    assert {segment.value for segment in against.segments} == {"JP", "KR"}
    assert sum(segment.users for segment in against.segments) == 600


def test_each_truth_gets_its_verdict(wb_duckdb: Workbench, trainer: auth.User) -> None:
    wb = wb_duckdb
    trial = started(wb, trainer)
    assert (judged(wb, trial.id).kind, judged(wb, trial.id).reason) == ("unclear", "few")
    log(wb, trial, rows(trial, 3_000, gain=0.6))
    better = judged(wb, trial.id)
    assert (better.kind, better.variant) == ("better", "B")
    said = words.say(better, "rating")
    assert said.sentence == "B is better than A." and "stars" in said.reason and "on average" in said.cost

    worse = started(wb, trainer)
    log(wb, worse, rows(worse, 3_000, gain=-0.6, seed=1))
    assert judged(wb, worse.id).kind == "worse"

    same = started(wb, trainer, minimum=0.3)
    log(wb, same, rows(same, 3_000, seed=2))
    assert judged(wb, same.id).kind == "same"
    assert "practically the same" in words.say(judged(wb, same.id), "rating").sentence

    slow = started(wb, trainer, guardrails=[{"metric": "response_time_p95", "margin": 0.2}])
    rule = slow.rule()
    given = rows(slow, 3_000, gain=0.6, seed=3)
    for row in given:
        row["response_time_ms"] *= 2 if rule.arm(row["unit"]) == "B" else 1
    log(wb, slow, given)
    assert (judged(wb, slow.id).kind, judged(wb, slow.id).reason) == ("worse", "guardrail")
    assert "20 % were allowed" in words.say(judged(wb, slow.id), "rating").reason


def test_a_variant_that_was_taken_out_does_not_hide_what_is_known(
    wb_duckdb: Workbench, trainer: auth.User
) -> None:
    wb = wb_duckdb
    theme, versions = two_versions(wb, trainer)
    another_version(wb, trainer, theme, 3)
    versions = sorted(version.id for version in registry.versions(wb, theme.id))
    made = trials.create(wb, trainer, theme.id, "three", PLAN | {"versions": versions, "minimum": 0.3})
    trial = trials.start(wb, trainer, made.id)
    trial = trials.update(wb, trainer, trial.id, weights=(0.5, 0.5, 0.0))
    log(wb, trial, rows(trial, 3_000))
    assert (judged(wb, trial.id).kind, judged(wb, trial.id).variant) == ("same", "B")
    found = analysis.results(wb, trial)
    out = verdict.judge_one(found, found.against[1])
    assert (out.kind, out.reason) == ("unclear", "out") and found.overall is None
    assert words.say(out, "rating").reason.startswith("C has no share of the users")

    made = trials.create(
        wb, trainer, theme.id, "four", PLAN | {"versions": versions, "weights": [0.5, 0, 0.5]}
    )
    drawn = np.zeros((1, 1, 3, 6))
    each = rehearsal.sums_of(np.stack([np.ones(900), np.tile([2.0, 4.0], 450)], axis=1)).sum(axis=0)
    drawn[..., (0, 2), :] = each
    assert rehearsal.judge(made.plan, [drawn], np.zeros(1))[0] == [rehearsal.SAME]


def test_each_phase_spends_half_of_what_the_one_before_did(wb_duckdb: Workbench, trainer: auth.User) -> None:
    wb = wb_duckdb
    trial = started(wb, trainer)
    log(wb, trial, rows(trial, 1_000))
    [first] = analysis.results(wb, trial).against
    made = report.make(wb, trial.id)
    assert "phase" not in {row.key for row in figures.health(made["health"])}
    for weights in ((0.6, 0.4), (0.5, 0.5)):
        trial = trials.update(wb, trainer, trial.id, weights=weights)
    given = rows(trial, 1_000, gain=0.6)
    log(wb, trial, [row | {"key": f"{row['key']}-{trial.id}"} for row in given])
    found = analysis.results(wb, trial)
    [third] = found.against
    plan, primary = trial.plan, third.primary
    reach = float(sequences.reach(primary.users, plan.planned_users, plan.alpha / 4))
    assert primary.high - primary.est == pytest.approx(primary.se * reach)
    assert first.primary.high - first.primary.est == pytest.approx(
        first.primary.se * float(sequences.reach(first.primary.users, plan.planned_users, plan.alpha))
    )
    assert trial.intact and verdict.judge(found).kind == "better"
    assert sum(many.of_phase(0.05, phase) for phase in (1, 2, 3)) == pytest.approx(found.health.spent)
    assert found.health.spent == pytest.approx(0.0875) and many.spent(0.05, 60) <= 0.1
    made = report.make(wb, trial.id)
    [row] = [row for row in figures.health(made["health"]) if row.key == "phase"]
    assert row.value == "2" and "at most 8.75 %" in row.meaning and "below 10 %" in row.meaning
    proof = {row.key: row for row in figures.rows(made["comparisons"][0], made["test"])}["adjusted_p"]
    assert "below 1.25 % it is proof" in proof.meaning


def test_a_broken_test_says_so_and_hides_the_numbers(wb_duckdb: Workbench, trainer: auth.User) -> None:
    wb = wb_duckdb
    lost = started(wb, trainer)
    rule = lost.rule()
    given = rows(lost, 3_000, gain=0.6)
    log(wb, lost, [row for n, row in enumerate(given) if rule.arm(row["unit"]) == "A" or n % 4])
    log(wb, lost, rows(lost, 1, seed=9))
    crashed = [row for row in rows(lost, 2_000, gain=0.6, seed=8) if rule.arm(row["unit"]) == "A"]
    log(wb, lost, crashed)
    broken = judged(wb, lost.id)
    assert (broken.kind, broken.reason, broken.hides_numbers) == ("broken", "mismatch", True)
    assert "Chance does" in words.say(broken, "rating").reason

    both = started(wb, trainer)
    given = rows(both, 1_000, seed=4)
    for n, row in enumerate(given):
        row["variant"] = "AB"[n % 2] if n < 60 else None
    log(wb, both, given)
    assert judged(wb, both.id).reason == "both"

    ignored = started(wb, trainer)  # each user sees one variant only, but some not the assigned one
    given = rows(ignored, 300, seed=6, each=1)
    for n, row in enumerate(given):
        found = assigning.assign(wb, ignored.id, row["unit"])
        assert found is not None
        row["variant"] = "B" if n % 20 == 0 else found.variant
    log(wb, ignored, given)
    assert judged(wb, ignored.id).reason == "both"
    found = analysis.results(wb, ignored)  # and those are left out
    assert found.health.both_arms > 3 and found.health.seen == 300
    assert sum(arm.users for arm in found.arms) == sum(sum(arm.ratings) for arm in found.arms)
    assert sum(arm.users for arm in found.arms) == 300 - found.health.both_arms

    dropped = started(wb, trainer)  # fairly assigned, but half of B's rows never arrive
    given = rows(dropped, 300, seed=7, each=1)
    variants = {row["unit"]: assigning.assign(wb, dropped.id, row["unit"]) for row in given}
    kept = [row for n, row in enumerate(given) if n % 2 or variants[row["unit"]].variant == "A"]
    log(wb, dropped, kept)
    found = judged(wb, dropped.id)
    assert found.reason == "mismatch" and min(found.fields["users"]) < 100

    silent = started(wb, trainer)
    log(wb, silent, rows(silent, 500, seed=5))
    units = [f"u5-{n}" for n in range(500) if silent.rule().arm(f"u5-{n}") == "B"]
    for n, unit in enumerate(units[:100]):
        assert interactions.expose(wb, silent, unit, "B", f"gone{n}")
        assert not interactions.expose(wb, silent, unit, "B", f"gone{n}")
    later = datetime.now(UTC) + timedelta(minutes=10)
    found = verdict.judge(analysis.results(wb, silent, now=later))
    assert (found.kind, found.reason, found.variant) == ("broken", "lost", "B")


def test_chi_square_decides_once_at_the_planned_end(wb: Workbench, trainer: auth.User) -> None:
    trial = started(wb, trainer)
    rule, left = trial.rule(), {"A": 480, "B": 370}
    given = []
    for row in rows(trial, 1_500, each=1):
        arm = rule.arm(row["unit"])
        if arm and left[arm]:
            left[arm] -= 1
            given.append(row)
    log(wb, trial, given)
    end = trial.planned_end
    assert end is not None and not any(left.values())
    early, late = (analysis.results(wb, trial, now=end + timedelta(days=days)) for days in (-1, 1))
    for found in (early, late):
        assert found.health.users == (480, 370)
        assert found.health.mismatch_p < 0.001 < found.health.mismatch_sequential_p
    assert verdict.judge(early).kind != "broken" and verdict.judge(late).reason == "mismatch"

    def earlier(
        connection: sa.Connection,
    ) -> None:  # whoever comes after the planned end does not count in it
        table = ab_experiments
        began = end - timedelta(days=30)
        connection.execute(table.update().where(table.c.id == trial.id).values(started_at=began))

    wb.db.write(earlier)
    found = analysis.results(wb, trials.get(wb, trial.id), now=end)
    assert found.health.past_end and found.health.mismatch_p == 1 and not found.health.mismatched


def test_testers_are_not_counted(wb_duckdb: Workbench, trainer: auth.User) -> None:
    wb = wb_duckdb
    trial = started(wb, trainer)
    assigning.assign(wb, trial.id, "tester", force="B")
    log(wb, trial, [{"unit": "tester", "rating": 5}, {"unit": "person", "rating": 3}])
    found = analysis.results(wb, trial)
    assert sum(arm.users for arm in found.arms) == 1 and sum(found.health.users) == 1
    with wb.db.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(ab_test_logs)).scalar() == 2


def test_several_people_may_look_at_once(wb: Workbench, trainer: auth.User) -> None:
    trial = started(wb, trainer)
    log(wb, trial, rows(trial, 400))
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: analysis.results(wb, trial).against[0].primary.est, range(24)))
    assert len(set(found)) == 1
