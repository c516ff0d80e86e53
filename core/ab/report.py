"""Stored. The report of a test as plain data: what the screen, REST and the files show, all the same numbers."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from core import auth, cells, registry
from core.ab import analysis, lost, page, shared, trials, verdict, words
from core.ab.findings import Against, Arm, Results
from core.ab.plain import plain
from core.ab.trials import Trial
from core.ab.verdict import Verdict
from core.db.tables import ab_test_results
from core.errors import Conflict
from core.i18n import gettext as _
from core.workbench import Workbench

log = logging.getLogger(__name__)

Plain = dict[str, Any]


def make(wb: Workbench, test_id: int, *, conversations: bool = False, share: bool = False) -> Plain:
    """The report of a started test, in the reader's language; a look at it is remembered.

    Of an ended test it holds the verdict it ended with; with `conversations` also a few that went badly, which
    the screen reads when somebody asks for them, and with `share` the figures may be some seconds old, computed
    once for all who look. Raises NotFound, Conflict before the start.
    """
    trial = trials.get(wb, test_id)
    results = shared.results(wb, trial) if share else analysis.results(wb, trial)
    judged = verdict.judge(results)
    if trial.status == trials.RUNNING:
        _remember(wb, results, judged)
    kept = _sealed(trial) if trial.intact else None  # of a plan that was bent no verdict stands
    shown = kept or judged
    made = _report(wb, results, shown)
    if conversations:
        made["conversations"] = {
            name: [] if shown.hides_numbers else lost.examples(wb, trial, index)
            for index, name in enumerate(trial.plan.names)
        }
    return plain(made)


def conclude(wb: Workbench, actor: auth.User, test_id: int, winner: str, reason: str) -> Trial:
    """End a test with a winner, and seal the verdict of this moment with it. Raises as `trials.end` does."""
    return _end(wb, actor, test_id, trials.CONCLUDED, reason, winner)


def stop(wb: Workbench, actor: auth.User | None, test_id: int, reason: str) -> Trial:
    """End a test without a winner. Raises as `trials.end` does."""
    return _end(wb, actor, test_id, trials.STOPPED, reason, None)


def watch(wb: Workbench) -> list[int]:
    """Stop every running test in which a variant breaks a guardrail; the ids of those stopped.

    The intervals are valid at every look, so looking each minute costs no false alarms. A test that cannot
    be looked at is logged, and leaves the others watched.
    """
    stopped = []
    for trial in trials.running(wb):
        if not trial.plan.guardrails:
            continue
        try:
            if found := verdict.breached(analysis.results(wb, trial)):
                stop(wb, None, trial.id, words.say(found, trial.plan.primary).reason)
                stopped.append(trial.id)
        except Conflict:  # a person was faster
            continue
        except Exception:
            log.exception("the guardrails of A/B test %d could not be looked at", trial.id)
    return stopped


def as_csv(report: Plain) -> str:
    """The report's figures, one a line: where it stands in the report, and its value."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["figure", "value"])
    for path, value in leaves(report):
        writer.writerow([path, cells.escaped(value) if isinstance(value, str) else value])
    return out.getvalue()


def as_html(report: Plain) -> str:
    """The report as one page that needs nothing else."""
    return page.render(report, list(leaves(report)))


def as_pdf(report: Plain) -> bytes:
    """The report as a PDF of the same figures."""
    from core.ab import paper  # reportlab is needed for nothing else here

    return paper.render(report, list(leaves(report)))


def leaves(report: Plain) -> Iterator[tuple[str, Any]]:
    """Every figure of the report with the path at which it stands: what the files list."""
    return _leaves(report, "")


def _end(
    wb: Workbench, actor: auth.User | None, test_id: int, status: str, reason: str, winner: str | None
) -> Trial:
    judged = verdict.judge(analysis.results(wb, trials.get(wb, test_id)))
    return trials.end(wb, actor, test_id, status, reason, winner=winner, verdict=plain(asdict(judged)))


def _sealed(trial: Trial) -> Verdict | None:
    found = (trial.outcome or {}).get("verdict")
    return verdict.kept(found) if found else None


def _remember(wb: Workbench, results: Results, judged: Verdict) -> None:
    """Once for each new number of users: a look at the same data is no new look."""
    table = ab_test_results.c
    query = sa.select(table.users).where(table.test_id == results.trial.id).order_by(table.id.desc()).limit(1)
    with wb.db.read() as connection:
        last = connection.execute(query).scalar()
    if last != sum(arm.users for arm in results.arms):
        analysis.look(wb, results, judged.kind)


def _report(wb: Workbench, results: Results, judged: Verdict) -> Plain:
    trial, plan = results.trial, results.trial.plan
    versions = registry.by_id(wb, set(plan.versions))
    hidden = judged.hides_numbers
    return {
        "test": {
            "id": trial.id,
            "name": trial.name,
            "theme": versions[plan.versions[0]].theme_name,
            "status": trial.status,
            "started_at": trial.started_at,
            "planned_end": trial.planned_end,
            "ended_at": trial.ended_at,
            "metric": plan.primary,
            "metric_name": words.metric_name(plan.primary),
            "smallest_difference_that_matters": plan.minimum,
            "alpha": plan.alpha,
            "planned_users": plan.planned_users,
            "phase": trial.phase.number if trial.phase else 0,
            "coverage": trial.phase.coverage if trial.phase else 0.0,
            "seal": trial.seal,
            "outcome": {k: v for k, v in (trial.outcome or {}).items() if k != "verdict"} or None,
        },
        "verdict": _said(judged, plan.primary),
        "variants": [
            {
                "name": arm.name,
                "model": _("version {n}").format(n=versions[arm.version_id].version),
                "weight": trial.phase.weights[index] if trial.phase else 0.0,
                "users": arm.users,
                "interactions": arm.interactions,
                "users_who_rated": arm.rated_users,
                "users_who_never_rated": arm.silent_users,
            }
            | ({} if hidden else _figures(arm))
            for index, arm in enumerate(results.arms)
        ],
        "comparisons": [] if hidden else [_comparison(results, each) for each in results.against],
        "overall": asdict(results.overall) if results.overall and not hidden else None,
        "health": asdict(results.health) | {"users_a_day": results.users_a_day},
    }


def _said(judged: Verdict, primary: str) -> Plain:
    said = words.say(judged, primary)
    return {
        "kind": judged.kind,
        "variant": judged.variant,
        "sentence": said.sentence,
        "reason": said.reason,
        "cost_of_being_wrong": said.cost,
        "how_long_still": said.still,
    }


def _figures(arm: Arm) -> Plain:
    return {
        "mean": arm.value,
        "sd": arm.sd,
        "low": arm.low,
        "high": arm.high,
        "stars": list(arm.stars),
        "ratings": list(arm.ratings),
        "latency": list(arm.latency),
        "response_time_p95": asdict(arm.p95) if arm.p95 else None,
        "error_rate": arm.error_rate,
        "cost": arm.cost,
    }


def _comparison(results: Results, each: Against) -> Plain:
    found = asdict(each)
    found["variant"] = found.pop("name")
    found["verdict"] = _said(verdict.judge_one(results, each), results.trial.plan.primary)
    return found


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    parts: Iterable[tuple[Any, Any]]
    if isinstance(value, dict):
        parts = value.items()
    elif isinstance(value, list):
        parts = ((_name(each, number), each) for number, each in enumerate(value))
    else:
        yield path, value
        return
    for key, each in parts:
        yield from _leaves(each, f"{path}.{key}" if path else str(key))


def _name(item: Any, number: int) -> Any:
    """What a list's item is called in a path: its own name, else its number."""
    return (item.get("name") or item.get("variant") or number) if isinstance(item, dict) else number
