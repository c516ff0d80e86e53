"""Users' sums are those of their interactions, whatever came in whichever order, and what is read from them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from core import auth
from core.ab import answers, assigning, interactions, latency, rollups, sums, trials
from core.ab.metrics import METRICS
from core.ab.moments import Pairs
from core.ab.trials import Trial
from core.db.tables import ab_assignments
from core.workbench import Workbench
from tests.conftest import ROOT
from tests.core.ab.rig import PLAN, log, rows, started

MIGRATION = ROOT / "core" / "db" / "migrations" / "versions" / "0004_ab_users.py"

pytestmark = pytest.mark.usefixtures("fixed_salt")

Users = dict[tuple[Any, ...], dict[str, Any]]

interaction = st.fixed_dictionaries(
    {
        "unit": st.sampled_from(["ada", "bob", "김", "o'neil", "tester"]),
        "key": st.integers(0, 15).map(lambda n: f"k{n}"),
        "variant": st.sampled_from([None, None, "A", "B"]),
        "status": st.sampled_from(["ok", "ok", "error", "timeout"]),
        "rating": st.none() | st.integers(1, 5),
        "response_time_ms": st.none() | st.sampled_from([0.0, 80.5]) | st.floats(0, 5_000),
        "cost": st.none() | st.floats(0, 1),
        "at": st.integers(0, 5),
        "segments": st.none()
        | st.dictionaries(st.sampled_from(["land", "my plan"]), st.sampled_from(["a", "B", "é"]), max_size=2),
    }
)
late_rating = st.tuples(st.integers(0, 15).map(lambda n: f"k{n}"), st.integers(1, 5))
happening = st.lists(st.lists(interaction, max_size=8) | late_rating, min_size=1, max_size=8)


def kept(wb: Workbench, trial: Trial) -> Users:
    """What the sums say, by user and by (user, segment)."""
    where = "test_id = :test"
    with wb.db.read() as connection:
        of_users, of_segments = (
            connection.execute(sa.text(query), {"test": trial.id}).mappings().all()
            for query in (rollups.folded(where), rollups.folded_segments(where))
        )
    found = {(row["unit"],): dict(row) for row in of_users}
    return found | {(row["unit"], row["field"]): dict(row) for row in of_segments}


def of_rows(trial: Trial, logged: Sequence[Mapping[str, Any]]) -> Users:
    """The same from the interactions, in plain Python."""
    found: Users = {}
    ids = {"test_id": trial.id, "phase": 1}
    counted = [row for row in logged if not row["forced"]]
    for unit in {row["unit"] for row in counted}:
        own = [row for row in counted if row["unit"] == unit]
        ratings, times, costs = (
            [row[name] for row in own if row[name] is not None]
            for name in ("rating", "response_time_ms", "cost")
        )
        found[unit,] = ids | {
            "unit": unit,
            "arm": min(row["arm"] for row in own),
            "last_arm": max(row["arm"] for row in own),
            "n": len(own),
            "bad": sum(row["status"] != "ok" for row in own),
            "rating_n": len(ratings),
            "rating_sum": sum(ratings),
            "time_n": len(times),
            "time_sum": math.fsum(times),
            "cost_n": len(costs),
            "cost_sum": math.fsum(costs),
            "first_at": min(row["at"] for row in own),
            "last_at": max(row["at"] for row in own),
            "logged_at": max(row["logged_at"] for row in own),
        }
        told = [(row["at"], name, value) for row in own for name, value in (row["segments"] or {}).items()]
        for field in {name for _, name, _ in told}:
            at = min(when for when, name, _ in told if name == field)
            first = {value for when, name, value in told if (when, name) == (at, field)}
            found[unit, field] = ids | {"unit": unit, "field": field, "at": at, "value": first}
    return found


def of_one_arm(wb: Workbench, trial: Trial, logged: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The interactions of users who were logged in the arm they were assigned and in no other; of no tester."""
    with wb.db.read() as connection:
        query = sa.select(ab_assignments.c.unit, ab_assignments.c.arm).where(
            ab_assignments.c.test_id == trial.id
        )
        assigned = {unit: arm for unit, arm in connection.execute(query)}
    arms: dict[str, set[int]] = {}
    for row in logged:
        arms.setdefault(row["unit"], set()).add(row["arm"])
    return [row for row in logged if not row["forced"] and arms[row["unit"]] == {assigned[row["unit"]]}]


def same(found: Users, wanted: Users) -> None:
    assert found.keys() == wanted.keys()
    for key, row in wanted.items():
        for name, value in row.items():
            if isinstance(value, float):
                assert found[key][name] == pytest.approx(value, abs=1e-9), (key, name)
            elif isinstance(value, set):  # of several at one time, each database has its own first
                assert found[key][name] in value
            else:
                assert found[key][name] == value, (key, name)


@settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    events=happening,
    fold_after=st.sampled_from([1, 5, 1_000]),
    few=st.sampled_from([1, 20]),
    parts=st.sampled_from([2, 250_000]),
)
def test_sums_are_those_of_the_rows_whatever_happens(
    wb: Workbench,
    trainer: auth.User,
    monkeypatch: pytest.MonkeyPatch,
    events: list[Any],
    fold_after: int,
    few: int,
    parts: int,
) -> None:
    monkeypatch.setattr(assigning, "FEW", few)
    monkeypatch.setattr(rollups, "LOOK_AFTER", fold_after)
    monkeypatch.setattr(rollups, "MANY", 1)
    monkeypatch.setattr(rollups, "SLICE", parts)
    trial = again(wb, trainer, segments=["land", "my plan"])
    assigning.assign(wb, trial.id, "tester", force="B")
    assert trial.started_at is not None
    keys = set()
    for event in events:
        if isinstance(event, tuple):
            if event[0] in keys:
                interactions.rate(wb, trial.id, *event)
            continue
        batch = [row | {"at": (trial.started_at + timedelta(seconds=row["at"])).isoformat()} for row in event]
        report = interactions.log(wb, trial.id, batch)
        assert not report.refused
        keys |= set(report.keys)
    logged = interactions.logged(wb, trial.id, limit=1_000)
    wanted = of_rows(trial, logged)
    incremental = kept(wb, trial)
    same(incremental, wanted)
    with wb.db.read() as connection, sums.gathered(connection, {"test": trial.id, "phase": 1}):
        p95, ratings = latency.p95(connection), answers.ratings(connection)
        users = {arm: row["users"] for arm, row in sums.people(connection).items()}
    counted = of_one_arm(wb, trial, logged)
    for arm in (0, 1):
        own = [row for row in counted if row["arm"] == arm]
        assert users.get(arm, 0) == len({row["unit"] for row in own})
        stars = [row["rating"] for row in own]
        assert ratings.get(arm, (0,) * 5) == tuple(stars.count(n) for n in range(1, 6))
    for arm, quantile in p95.items():
        times = [row["response_time_ms"] for row in counted if row["arm"] == arm]
        times = [time for time in times if time is not None]
        assert quantile.value == pytest.approx(np.quantile(times, 0.95), abs=1e-9)
        assert quantile.low <= quantile.value <= quantile.high
    rollups.rebuild(wb, trial.id)
    rebuilt = kept(wb, trial)
    same(rebuilt, wanted)
    assert {key: row.get("value") for key, row in rebuilt.items()} == {
        key: row.get("value") for key, row in incremental.items()
    }


def again(wb: Workbench, actor: auth.User, **plan: Any) -> Trial:
    """One more test of the same theme, where there is one."""
    for trial in trials.listed(wb):
        chosen = PLAN | {"versions": list(trial.plan.versions)} | plan
        return trials.start(wb, actor, trials.create(wb, actor, trial.theme_id, "again", chosen).id)
    return started(wb, actor, **plan)


def test_parts_are_folded_once_there_are_many_a_user(
    wb: Workbench, trainer: auth.User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollups, "LOOK_AFTER", 100)
    trial = started(wb, trainer)
    found = []
    for number in range(4):
        log(wb, trial, [row | {"key": f"{number} {row['key']}"} for row in rows(trial, 50, each=1)])
        with wb.db.read() as connection:
            found.append(
                tuple(connection.execute(sa.text("SELECT count(*), sum(n) FROM ab_user_sums")).one())
            )
    assert found == [(50, 50), (100, 100), (150, 150), (50, 200)]


def test_others_write_between_two_slices_of_a_fold(
    wb: Workbench, trainer: auth.User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollups, "SLICE", 40)
    trial = started(wb, trainer, segments=["land"])
    for number in range(3):
        log(
            wb,
            trial,
            [
                row | {"key": f"{number} {row['key']}"}
                for row in rows(trial, 50, each=1, segments={"land": "KR"})
            ],
        )
    seen = []

    @sa.event.listens_for(wb.db.engine, "commit")
    def committed(_: sa.Connection) -> None:
        with wb.db.read() as connection:
            query = "SELECT (SELECT count(*) FROM ab_user_sums), (SELECT count(*) FROM ab_user_segments)"
            seen.append(tuple(connection.execute(sa.text(query)).one()))

    rollups.tidy(wb, trial.id, 1, rollups.LOOK_AFTER)
    with wb.db.read() as connection:
        left = [
            connection.execute(sa.text(f"SELECT count(*), {total} FROM {table}")).one()
            for table, total in (("ab_user_sums", "sum(n)"), ("ab_user_segments", "count(DISTINCT unit)"))
        ]
    assert [tuple(each) for each in left] == [(50, 150), (50, 50)]
    # Four slices of each table, each a write by itself; what was seen is from just before each.
    assert len(seen) == 8 and len({sums for sums, _ in seen}) == 5


def test_the_migration_sums_what_was_there(wb: Workbench, trainer: auth.User) -> None:
    trial = started(wb, trainer, segments=["land"])
    log(wb, trial, rows(trial, 30, segments={"land": "KR"}, cost=0.5))
    before = kept(wb, trial)

    def back(connection: sa.Connection) -> None:
        for statement in (
            "DROP TABLE ab_user_sums",
            "DROP TABLE ab_user_segments",
            "DROP INDEX IF EXISTS ix_ab_assignments_unit",
        ):
            connection.execute(sa.text(statement))
        script = MIGRATION.with_suffix(f".{connection.dialect.name}.sql").read_text(encoding="utf-8")
        for statement in filter(str.strip, script.split(";\n")):
            connection.execute(sa.text(statement))

    wb.db.write(back)
    after = kept(wb, trial)
    assert len(after) == 60
    same(after, before)


def test_a_key_sent_twice_at_once_is_stored_once(wb: Workbench, trainer: auth.User) -> None:
    trial = started(wb, trainer)
    given = rows(trial, 20)
    first = interactions.log(wb, trial.id, given[:25])
    second = interactions.log(wb, trial.id, given)
    assert (first.added, second.added, second.known) == (25, 15, 25)
    assert sum(row["n"] for row in kept(wb, trial).values()) == 40
    assert interactions.expose(wb, trial, "u0-0", "A", "e") and not interactions.expose(
        wb, trial, "u0-0", "A", "e"
    )


def test_a_user_counts_under_the_first_segment_and_by_when_they_came(
    wb: Workbench, trainer: auth.User
) -> None:
    trial = started(wb, trainer, segments=["land"])
    assert trial.started_at is not None
    arm = trial.plan.names.index(str(trial.rule().arm("ada")))
    log(wb, trial, [{"unit": "ada", "rating": 2, "segments": {"land": "KR"}}])
    log(wb, trial, [{"unit": "ada", "rating": 4, "segments": {"land": "JP"}}, {"unit": "bob", "rating": 5}])
    cut = datetime.now(UTC)
    log(wb, trial, [{"unit": "ada", "rating": 3}])
    late = [unit for unit in ("cy", "di", "ed", "flo") if trial.rule().arm(unit) == trial.plan.names[arm]]
    log(wb, trial, [{"unit": unit, "rating": 1} for unit in late])
    bound = {"test": trial.id, "phase": 1}
    with wb.db.read() as connection, sums.gathered(connection, bound):
        parts = sums.by_segment(connection, bound, METRICS["rating"], "land")
        ages = sums.by_age(connection, METRICS["rating"], cut)
    assert list(parts) == ["KR"] and parts["KR"][arm].y.mean == 3
    early, later = ages[arm]
    assert early.y.n + later.y.n == 1 + len(late) + (trial.rule().arm("bob") == trial.plan.names[arm])
    assert (later.y.n, later.y.mean) == (len(late), 1)


def test_users_values_from_before_are_those_that_ended_before_they_came(
    wb: Workbench, trainer: auth.User
) -> None:
    first = started(wb, trainer)
    other = started(wb, trainer)  # of another theme
    log(wb, other, [{"unit": "new", "rating": 1}])
    log(wb, first, [{"unit": u, "rating": r} for u, r in (("a", 1), ("a", 2), ("b", 5), ("c", 4), ("d", 3))])
    second = again(wb, trainer)
    third = trials.create(wb, trainer, first.theme_id, "now", PLAN | {"versions": list(first.plan.versions)})
    third = trials.start(wb, trainer, third.id)
    log(wb, second, [{"unit": "a", "rating": 4}])
    log(wb, third, [{"unit": u, "rating": r, "variant": v} for u, r, v in (
        ("a", 2, "A"), ("b", 4, "A"), ("c", 5, "B"), ("d", 1, "B"), ("new", 3, "B"), ("x", 4, "B"), ("x", 2, "A")
    )])  # fmt: skip
    log(wb, second, [{"unit": "a", "rating": 5}, {"unit": "d", "rating": 5}])  # not over before they came
    bound = {"test": third.id, "phase": 1}
    with wb.db.read() as connection, sums.gathered(connection, bound):
        found = sums.before(connection, bound, METRICS["rating"])
    assert found.known == {0: 2, 1: 2}
    mean = (1.5 + 5 + 4 + 3) / 4
    for arm, (x, y) in {0: ([1.5, 5], [2, 4]), 1: ([4, 3, mean], [5, 1, 3])}.items():
        wanted, got = Pairs.of(x, y), found.pairs[arm]
        assert (got.x.n, got.x.mean, got.y.mean) == pytest.approx((wanted.x.n, wanted.x.mean, wanted.y.mean))
        assert (got.x.variance, got.y.variance) == pytest.approx((wanted.x.variance, wanted.y.variance))
        assert got.covariance == pytest.approx(wanted.covariance)
    with wb.db.read() as connection, sums.gathered(connection, {"test": first.id, "phase": 1}):
        nothing = sums.before(connection, {"test": first.id, "phase": 1}, METRICS["rating"])
    assert set(nothing.known.values()) == {0} and all(each.x.mean == 0 for each in nothing.pairs.values())
