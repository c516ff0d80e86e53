"""Tests of one group share no users, some users are touched by no test, and a bent plan is seen."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from core import auth
from core.ab import analysis, assigning, lanes, plan, report, trials, verdict, words
from core.ab.trials import Trial
from core.db.tables import ab_experiments
from core.errors import Conflict
from core.workbench import Workbench
from tests.core.ab.rig import PLAN, log, rows, started, two_versions

pytestmark = pytest.mark.usefixtures("fixed_salt")
UNITS = [f"user-{n}" for n in range(3_000)]


@given(st.lists(st.sampled_from([0.1, 0.2, 0.25, 1 / 3, 0.5]), max_size=12), st.data())
def test_lanes_never_overlap_and_are_given_while_there_is_room(parts: Sequence[float], data: Any) -> None:
    taken: list[lanes.Lane] = []
    for part in parts:
        lane = lanes.free(taken, part)
        if lane is None:
            assert lanes.room(taken) < part
            if taken:
                taken.remove(data.draw(st.sampled_from(taken)))
            continue
        assert lane[1] - lane[0] == pytest.approx(part)
        taken.append(lane)
        ordered = sorted(taken)
        assert ordered[0][0] >= 0 and ordered[-1][1] <= 1
        assert all(one[1] <= two[0] for one, two in itertools.pairwise(ordered))


def draft(
    wb: Workbench, actor: auth.User, theme_id: int, versions: list[int], part: float, **more: Any
) -> Trial:
    chosen = PLAN | {"versions": versions, "exclusion": {"group": "checkout", "part": part}} | more
    return trials.create(wb, actor, theme_id, f"{part:.0%}", chosen)


def test_tests_of_a_group_share_no_users_and_the_last_one_waits_for_room(
    wb: Workbench, trainer: auth.User
) -> None:
    theme, versions = two_versions(wb, trainer)
    every = [draft(wb, trainer, theme.id, versions, part) for part in (0.5, 0.3, 0.4)]
    assert all(trial.plan.exclusion and trial.plan.exclusion.lane is None for trial in every)
    running = [trials.start(wb, trainer, trial.id) for trial in every[:2]]
    taking = [{unit for unit in UNITS if assigning.arm_of(trial, unit) is not None} for trial in running]
    assert not taking[0] & taking[1]
    assert [len(units) / len(UNITS) for units in taking] == pytest.approx([0.5, 0.3], abs=0.03)
    with pytest.raises(Conflict, match=r"“checkout” 20% .* wants 40%.*50%, 30%"):
        trials.start(wb, trainer, every[2].id)
    assert trials.get(wb, every[2].id).status == trials.DRAFT
    assert trials.room(wb, theme.id, "checkout") == pytest.approx(0.2)
    trials.end(wb, trainer, running[0].id, trials.STOPPED, "room for another")
    third = trials.start(wb, trainer, every[2].id)
    assert third.plan.exclusion is not None and third.plan.exclusion.lane == (0.0, 0.4)
    assert third.seal == plan.seal(third.plan.plain()) and third.intact
    taking[0] = {unit for unit in UNITS if assigning.arm_of(third, unit) is not None}
    assert taking[0] and not taking[0] & taking[1]
    # A lane belongs to the start: a plan that is copied with one gets its own.
    copied = trials.create(wb, trainer, theme.id, "copy", third.plan.plain())
    assert copied.plan.exclusion is not None and copied.plan.exclusion.lane is None


def test_two_starts_at_once_are_not_given_one_lane(wb: Workbench, trainer: auth.User) -> None:
    theme, versions = two_versions(wb, trainer)
    every = [draft(wb, trainer, theme.id, versions, 0.5) for _ in range(6)]
    barrier, refused = threading.Barrier(len(every)), []

    def start(trial: Trial) -> None:
        barrier.wait()
        try:
            trials.start(wb, trainer, trial.id)
        except Conflict as error:
            refused.append(error)

    threads = [threading.Thread(target=start, args=(trial,)) for trial in every]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    given = [trial.plan.exclusion.lane for trial in trials.running(wb) if trial.plan.exclusion]
    assert sorted(given) == [(0.0, 0.5), (0.5, 1.0)] and len(refused) == 4


def test_the_held_out_are_the_same_for_every_test_and_nobody_meets_them(
    wb_duckdb: Workbench, trainer: auth.User
) -> None:
    wb = wb_duckdb
    theme, versions = two_versions(wb, trainer)
    found, some = [], UNITS[:1_000]
    for holdout in (0.1, 0.1, 0.2):
        chosen = PLAN | {"versions": versions, "holdout": holdout}
        trial = trials.start(wb, trainer, trials.create(wb, trainer, theme.id, "x", chosen).id)
        found.append({unit for unit in some if assigning.peek(wb, trial.id, unit) is None})
        held = next(iter(found[-1]))
        assert assigning.assign(wb, trial.id, held) is None
        tester = assigning.assign(wb, trial.id, held, force="B")
        assert tester is not None and tester.forced
    assert found[0] == found[1] < found[2]
    assert len(found[0]) / len(some) == pytest.approx(0.1, abs=0.03)


def bend(wb: Workbench, trial: Trial, **change: Any) -> None:
    """As somebody would who can write to the database."""
    stored = trial.plan.plain() | change
    wb.db.write(
        lambda connection: (
            connection.execute(
                ab_experiments.update().where(ab_experiments.c.id == trial.id).values(plan=stored)
            )
            and None
        )
    )


def test_a_plan_that_was_changed_after_the_start_breaks_the_test(wb: Workbench, trainer: auth.User) -> None:
    trial = started(wb, trainer)
    log(wb, trial, rows(trial, 1_500, gain=0.6))
    assert verdict.judge(analysis.results(wb, trials.get(wb, trial.id))).kind == verdict.BETTER
    bend(wb, trial, minimum=0.01)
    now = trials.get(wb, trial.id)
    assert not now.intact and not trials.listed(wb, trial.theme_id)[0].intact
    found = verdict.judge(analysis.results(wb, now))
    assert (found.kind, found.reason, found.hides_numbers) == ("broken", "seal", True)
    assert "changed after the start" in words.say(found, "rating").reason
    bend(wb, trial)
    assert trials.get(wb, trial.id).intact
    # The verdict that was sealed with the end does not stand either, once the plan is bent.
    report.conclude(wb, trainer, trial.id, "B", "clear")
    assert report.make(wb, trial.id)["verdict"]["kind"] == "better"
    bend(wb, trial, minimum=0.01)
    assert report.make(wb, trial.id)["verdict"]["kind"] == "broken"


def test_a_seal_of_before_there_were_groups_goes_on_to_hold(wb: Workbench, trainer: auth.User) -> None:
    trial = started(wb, trainer)
    with wb.db.read() as connection:
        stored = connection.execute(sa.select(ab_experiments.c.plan)).scalar_one()
    assert "exclusion" not in stored and trial.seal == plan.seal(stored)
    assert plan.seal({"b": 0.1, "a": [1, 2]}) == plan.seal({"a": [1, 2], "b": 0.1})
    assert (
        plan.seal({"versions": [1, 2], "minimum": 0.2})
        == "318e0cbc7fbab965e7e39a043e5b0467b0a2a267b50bf76c2e63569dc2efda06"
    )


def test_other_weights_are_a_phase_of_their_own_with_its_own_salt(wb: Workbench, trainer: auth.User) -> None:
    trial = started(wb, trainer)
    before = {unit: assigning.arm_of(trial, unit) for unit in UNITS}
    log(wb, trial, rows(trial, 200))
    changed = trials.update(wb, trainer, trial.id, weights=(0.8, 0.2))
    assert changed.seal == trial.seal and changed.intact and changed.plan == trial.plan
    assert changed.phase is not None and changed.phase.weights == (0.8, 0.2)
    after = {unit: assigning.arm_of(changed, unit) for unit in UNITS}
    moved = sum(before[unit] == 0 and after[unit] == 1 for unit in UNITS) / len(UNITS)
    assert moved == pytest.approx(0.5 * 0.2, abs=0.03)  # a new salt deals everybody anew
    assert sum(arm.users for arm in analysis.results(wb, changed).arms) == 0  # phases are not mixed
    trials.end(wb, trainer, trial.id, trials.STOPPED, "enough")
    with pytest.raises(Conflict, match="Only a running test"):
        trials.update(wb, trainer, trial.id, weights=(0.5, 0.5))
