"""Stored. Keeps tunings going: asks Optuna for values, starts runs with them, tells it what came of them.

Everything that must last is in the database and in Optuna's storage, so a turn may end anywhere and the next one,
in whatever process, goes on: trials that Optuna knows and no run has get one, runs that ended are told of.
"""

from __future__ import annotations

import logging
import shutil
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from core import params, queue, run_reports, runs
from core.errors import VeritrainError
from core.events import ENDED, Status
from core.runs import Run
from core.spec import RunSpec, Trial
from core.tuning import mlflow_parent, search, space, tunings
from core.tuning.tunings import Tuning
from core.workbench import Workbench

log = logging.getLogger(__name__)

HOPELESS = 3
"""So many trials that failed, and none that did not: something is wrong with all of them."""
ALL_POINTS = 1_000_000


def turn(wb: Workbench) -> None:
    """Look after every tuning once."""
    for tuning in tunings.active(wb):
        try:
            _look_after(wb, tuning)
        except VeritrainError as error:  # the broker or MLflow is away: the next turn tries again
            log.warning("tuning %s: %s", tuning.id, error)


def _look_after(wb: Workbench, tuning: Tuning) -> None:
    study = search.study(wb.settings.optuna_url, tuning.spec)
    if tuning.status == Status.QUEUED:
        _begin(wb, tuning, study)
    mine = {run.spec.trial.number: run for run in tunings.trials(wb, tuning.id) if run.spec.trial}
    for frozen in search.running(study):
        run = mine.get(frozen.number)
        if run is None:
            _start(wb, tuning, study, frozen)
        else:
            _follow(wb, tuning, study, frozen, run)
    _clear_away(wb, study, mine)
    own = search.own(study)
    going = search.running(study)
    failed = [each for each in own if each.state == TrialState.FAIL]
    hopeless = len(failed) >= HOPELESS and not any(
        each.state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING) for each in own
    )
    waiting = [each for each in own if each.state == TrialState.WAITING]
    wanted = len(own) - len(waiting) < tuning.search.trials
    if wanted and not (tuning.stopping or hopeless or _time_is_over(tuning)):
        if len(going) < tuning.search.parallel:
            asked = study.ask(space.distributions(tuning.search))
            [frozen] = [each for each in search.running(study) if each.number == asked.number]
            _start(wb, tuning, study, frozen)
    elif not going:
        _end(wb, tuning, study, mine)


def _begin(wb: Workbench, tuning: Tuning, study: Study) -> None:
    """MLflow's run of the tuning, what earlier runs tell, and the present parameters as the first trial."""
    parent = mlflow_parent.begin(wb, tuning)
    if not study.get_trials(deepcopy=False):
        if tuning.search.earlier:
            _take_over(wb, tuning, study)
        present = space.values_of(tuning.spec.base.params, tuning.search)
        if present is not None:
            study.enqueue_trial(present)
    wb.db.write(
        lambda connection: tunings.change(
            connection, tuning.id, status=Status.RUNNING.value, mlflow_run_id=parent
        )
    )


def _take_over(wb: Workbench, tuning: Tuning, study: Study) -> None:
    base = tuning.spec.base
    for run in runs.history(wb, tuning.theme_id):
        spec = run.spec
        alike = spec.snapshot.hash == base.snapshot.hash and spec.auguments == base.auguments
        if run.status != Status.SUCCEEDED or not alike or spec.continues is not None:
            continue
        if not space.same_elsewhere(spec.params, base.params, tuning.search):
            continue
        values = space.values_of(spec.params, tuning.search)
        reached = _reached(wb, run, tuning.spec.metric)
        best = search.best(tuning.spec.metric, (value for _epoch, value in reached))
        if values is not None and best is not None:
            search.take_over(study, values, space.distributions(tuning.search), best, run.id)


def _start(wb: Workbench, tuning: Tuning, study: Study, frozen: FrozenTrial) -> None:
    """A run for a trial that Optuna proposed."""
    try:
        chosen = space.with_proposed(tuning.spec.base.params, frozen.params)
        augmented = params.check(tuning.spec.base.auguments, params.Auguments)
        params.check_together(chosen, augmented)
    except VeritrainError as error:
        search.trial(study, frozen).set_user_attr(search.REASON, error.text())
        study.tell(frozen.number, state=TrialState.FAIL)
        return
    parent = tuning.mlflow_run_id or tunings.get(wb, tuning.id).mlflow_run_id or ""
    spec = tuning.spec.base.model_copy(
        update={
            "kind": runs.TRIAL,
            "params": chosen.model_dump(mode="json"),
            "trial": Trial(tuning=tuning.id, number=frozen.number, mlflow_parent=parent),
        }
    )

    def work(connection: sa.Connection) -> RunSpec:
        return runs.enlist(connection, tuning.created_by_id, spec)

    numbered = wb.db.write(work)
    search.trial(study, frozen).set_user_attr(search.RUN, numbered.run_id)
    queue.enqueue(wb, numbered, 1)


def _follow(wb: Workbench, tuning: Tuning, study: Study, frozen: FrozenTrial, run: Run) -> None:
    """Tell Optuna what the run has reached; end a run that it gives up, tell of one that ended."""
    reached = _reached(wb, run, tuning.spec.metric)
    trial = search.trial(study, frozen)
    for epoch, value in reached:
        if epoch not in frozen.intermediate_values:
            trial.report(value, epoch)
    if Status(run.status) not in ENDED:
        given_up = frozen.user_attrs.get(search.PRUNED_AT)
        if tuning.stopping:
            tunings.end_trial(wb, run)
        elif given_up is None and reached and trial.should_prune():
            trial.set_user_attr(search.PRUNED_AT, reached[-1][0])
            tunings.end_trial(wb, run)
        return
    best = search.best(tuning.spec.metric, (value for _epoch, value in reached))
    if run.status == Status.SUCCEEDED and best is not None:
        study.tell(frozen.number, best)
    elif search.PRUNED_AT in frozen.user_attrs:
        study.tell(frozen.number, state=TrialState.PRUNED)
    else:
        reason = (run.error or {}).get("message", "It was stopped.")
        trial.set_user_attr(search.REASON, reason)
        study.tell(frozen.number, state=TrialState.FAIL)


def _clear_away(wb: Workbench, study: Study, mine: dict[int, Run]) -> None:
    """Keep the checkpoints of the best trial and of those that still run; twenty trials would fill a disk."""
    own = [each for each in search.own(study) if each.state == TrialState.COMPLETE]
    best = _winner(study, own)
    for frozen in search.own(study):
        run = mine.get(frozen.number)
        if run is None or frozen.state in (TrialState.RUNNING, TrialState.WAITING) or frozen is best:
            continue
        if run.kind == runs.TRIAL:
            folder = wb.settings.artifacts_dir / "runs" / str(run.id) / "checkpoints"
            if folder.exists():
                shutil.rmtree(folder, ignore_errors=True)


def _end(wb: Workbench, tuning: Tuning, study: Study, mine: dict[int, Run]) -> None:
    """Say what came out, and have the best trial's model measured and registered."""
    own = search.own(study)
    best = _winner(study, [each for each in own if each.state == TrialState.COMPLETE])
    values: dict[str, Any] = {"ended_at": datetime.now(UTC), "progress": sa.null()}
    if best is None:
        last = next((each.user_attrs.get(search.REASON) for each in reversed(own)), None)
        stopped = tuning.stopping
        values["status"] = (Status.CANCELLED if stopped else Status.FAILED).value
        if not stopped:
            values["error"] = {
                "kind": "configuration",
                "message": f"No trial came to an end. The last one: {last or 'it did not say why.'}",
                "next_step": "Correct this under Parameters or in the search, then press Resume.",
                "id": "",
            }
    else:
        run = mine[best.number]
        values["status"] = (Status.CANCELLED if tuning.stopping else Status.SUCCEEDED).value
        values["result"] = {
            "best": {
                "run": run.id,
                "number": best.number,
                "value": best.value,
                "values": best.params,
                "params": run.spec.params,
            },
            "trials": len(own),
        }
        if run.kind == runs.TRIAL:
            tunings.take(wb, run)
    wb.db.write(lambda connection: tunings.change(connection, tuning.id, **values))
    mlflow_parent.end(wb, tuning, values.get("result"))


def _winner(study: Study, complete: list[FrozenTrial]) -> FrozenTrial | None:
    """The first of those with the best value."""
    sign = 1 if study.direction.name == "MINIMIZE" else -1
    return min(complete, key=lambda each: (sign * float(each.value or 0.0), each.number), default=None)


def _reached(wb: Workbench, run: Run, metric: str) -> list[tuple[int, float]]:
    """(epoch, value) of the run so far."""
    points = run_reports.metrics(wb, run.id, ALL_POINTS).get(metric, [])
    return [(round(epoch), value) for _step, epoch, value in points]


def _time_is_over(tuning: Tuning) -> bool:
    hours = tuning.search.hours
    return bool(hours) and datetime.now(UTC) - tuning.started_at > timedelta(hours=hours)
