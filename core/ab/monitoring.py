"""Stored. A running test watched: counts, rates, times and errors by hour or day, and what is alarming.

In a broken test the variants' rates are left out, as everywhere: only what all of them did together is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from core import serving
from core.ab import analysis, answers, figures, proportions, shared, trials, verdict, words
from core.ab.answers import Per, Tally
from core.ab.findings import Results
from core.ab.plain import plain
from core.ab.trials import Trial
from core.ab.verdict import Verdict
from core.i18n import gettext as _
from core.workbench import Workbench

Plain = dict[str, Any]

REACH = {"hour": timedelta(hours=48), "day": timedelta(days=90)}
"""How far back the charts go."""
STEP = {"hour": timedelta(hours=1), "day": timedelta(days=1)}
SURE = 0.001
"""Chance of a false alarm at a look, for what is compared with its own past."""
SLOWER = 1.5
"""Times the usual p95 from which on an hour counts as slow."""
ENOUGH = 30
"""Answers of an hour from which on its rates are looked at."""
LATE = timedelta(minutes=10)
"""Delay of logging that is worth an alarm."""
QUIET = 20
"""A test is silent when nothing came for this many times the usual gap between answers, an hour at least."""


def now(
    wb: Workbench, test_id: int, per: Per = "hour", *, at: datetime | None = None, share: bool = False
) -> Plain:
    """Counts, pace, errors, a series by hour or day, and alarms as sentences. Raises as `analysis.results` does.

    With `share` the figures may be some seconds old, computed once for all who look.
    """
    trial = trials.get(wb, test_id)
    at = at or datetime.now(UTC)
    results = shared.results(wb, trial) if share else analysis.results(wb, trial, now=at)
    judged = verdict.judge(results)
    until = trial.ended_at or at

    def tallies(per: Per) -> list[Tally]:
        if share:
            return shared.once(wb, trial, f"tallies {per}", lambda: _tallies(wb, trial, per, until))
        return _tallies(wb, trial, per, until)

    found = tallies(per)
    hours = found if per == "hour" else tallies("hour")
    hidden = judged.hides_numbers
    arms = results.arms
    return plain(
        {
            "status": trial.status,
            "users": {arm.name: arm.users for arm in arms},
            "interactions": {arm.name: arm.interactions for arm in arms},
            "error_rate": {} if hidden else {arm.name: arm.error_rate for arm in arms},
            "response_time_p95": {}
            if hidden
            else {arm.name: arm.p95.value if arm.p95 else None for arm in arms},
            "users_a_day": results.users_a_day,
            "last_logged": results.health.last_logged,
            "alarms": list(alarms(wb, results, judged, hours, at)),
            "per": per,
            "series": _series(trial, found, STEP[per], hidden),
        }
    )


def _tallies(wb: Workbench, trial: Trial, per: Per, until: datetime) -> list[Tally]:
    assert trial.phase is not None
    bound = {"test": trial.id, "phase": trial.phase.number}
    with wb.db.read() as connection:
        return answers.tallies(connection, bound, per, until - REACH[per])


def alarms(
    wb: Workbench, results: Results, judged: Verdict, hours: Sequence[Tally], at: datetime
) -> Iterator[str]:
    """What a person should look at now, one sentence each; nothing of a test that has ended by itself."""
    trial = results.trial
    said = words.say(judged, trial.plan.primary)
    if judged.kind == verdict.BROKEN:
        yield f"{said.sentence} {said.reason}"
    elif found := verdict.breached(results):
        said = words.say(found, trial.plan.primary)
        yield f"{said.sentence} {said.reason}"
    if trial.status != trials.RUNNING:
        return
    yield from _silent(results, at)
    if judged.kind != verdict.BROKEN:
        yield from _changed(trial, hours, at)
    yield from _late(results)
    yield from _servers(wb, trial, results)
    if trial.planned_end and at > trial.planned_end:
        yield _("The planned end was {day}. Decide, or say in a new plan why it takes longer.").format(
            day=f"{trial.planned_end:%Y-%m-%d}"
        )


def _silent(results: Results, at: datetime) -> Iterator[str]:
    last, phase = results.health.last_logged, results.trial.phase
    total = sum(arm.interactions for arm in results.arms)
    if last is None or phase is None or total < ENOUGH:
        return
    gap = max(timedelta(hours=1), QUIET * (last - phase.started_at) / total)
    if at - last > gap:
        yield _(
            "Nothing was logged since {when}. See whether the program that sends the answers still runs."
        ).format(when=f"{last:%Y-%m-%d %H:%M} UTC")


def _changed(trial: Trial, hours: Sequence[Tally], at: datetime) -> Iterator[str]:
    """The last two full hours of a variant against its own hours before; the running one is not complete yet."""
    until = at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    since = until - 2 * STEP["hour"]
    for index, name in enumerate(trial.plan.names):
        own = [each for each in hours if each.arm == index and each.at < until]
        before, last = [each for each in own if each.at < since], [each for each in own if each.at >= since]
        n, bad = sum(each.answers for each in last), sum(each.errors for each in last)
        n_before, bad_before = sum(each.answers for each in before), sum(each.errors for each in before)
        if n < ENOUGH or n_before < ENOUGH:
            continue
        worse = bad / n > bad_before / n_before
        if worse and proportions.two_arms((bad_before, n_before), (bad, n)).p < SURE:
            yield _(
                "{name} fails more often than it did: {new} of 1,000 answers in the last two hours, {old} before. "
                "Look at its model server."
            ).format(name=name, new=round(1000 * bad / n), old=round(1000 * bad_before / n_before))
        usual = sorted(each.p95 for each in before if each.p95 is not None)
        slow = [each.p95 for each in last if each.p95 is not None and each.answers >= ENOUGH]
        if usual and len(slow) == 2 and min(slow) > SLOWER * usual[len(usual) // 2]:
            yield _(
                "{name} is slower than it was: 95 of 100 answers within {new} in the last two hours, {old} before."
            ).format(
                name=name,
                new=words.amount("response_time_ms", min(slow)),
                old=words.amount("response_time_ms", usual[len(usual) // 2]),
            )


def _late(results: Results) -> Iterator[str]:
    late = results.health.lag_p95
    if late is not None and late > LATE.total_seconds():
        yield _(
            "Answers are logged late: 5 of 100 after more than {time}. The latest hours are not complete yet."
        ).format(time=figures.seconds(late))


def _servers(wb: Workbench, trial: Trial, results: Results) -> Iterator[str]:
    """Variants whose model server is down, where answers go through Veritrain."""
    if not sum(results.health.exposures):
        return
    up = {each.version.id for each in serving.deployments(wb, trial.theme_id) if each.status == serving.UP}
    for name, version in zip(trial.plan.names, trial.plan.versions, strict=True):
        if version not in up:
            yield _("The model of {name} is not being served. Look under Models.").format(name=name)


def _series(trial: Trial, found: Sequence[Tally], step: timedelta, hidden: bool) -> list[Plain]:
    """One entry an hour or day and variant; of a broken test counts only."""
    seconds = step.total_seconds()
    return [
        {
            "at": each.at,
            "variant": trial.plan.names[each.arm],
            "answers": each.answers,
            "answers_a_minute": each.answers / seconds * 60,
        }
        | (
            {}
            if hidden
            else {
                "error_rate": each.errors / each.answers,
                "rating": each.stars / each.ratings if each.ratings else None,
                "response_time_p50": each.p50,
                "response_time_p95": each.p95,
            }
        )
        for each in found
    ]
