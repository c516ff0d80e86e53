"""Tunings through their doors, with real Optuna and a real MLflow server; trials end as events say."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from core import auth, params, queue, repeats, runs
from core.collector import Collector
from core.db.tables import finetuning_jobs
from core.errors import Conflict, InvalidInput, NotAllowed, NotFound
from core.events import Event, Type, Wish
from core.processes import die_with_parent, kill_session, wait_until
from core.runs import Run
from core.settings import ROOT
from core.tuning import conductor, search, space, tunings
from core.tuning.tunings import Tuning
from core.workbench import Workbench
from tests.conftest import free_port
from tests.steps import ready_theme
from tests.trained import finished

SEARCH = """
trials: 3
parallel: 2
sampler: random
search:
  training.learning_rate: {low: 0.0001, high: 0.01, log: true}
  training.batch_size: {choices: [16, 32, 64]}
"""


@pytest.fixture(scope="module")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("mlflow-server")
    port = free_port()
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port),
        "--static-prefix", "/mlflow", "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}",
        "--workers", "1",
    ]  # fmt: skip
    # Its own queue of jobs would start seven processes, which outlive it.
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
    url = f"http://127.0.0.1:{port}/mlflow"

    def ready() -> bool:
        try:
            return httpx.get(f"{url}/health", trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    assert wait_until(ready, 120, lambda: server.poll() is not None), (folder / "log").read_text()
    yield url
    kill_session(server.pid)
    server.wait()


@pytest.fixture
def bench(wb_duckdb: Workbench, mlflow_server: str) -> Workbench:
    return replace(wb_duckdb, settings=replace(wb_duckdb.settings, mlflow_url=mlflow_server))


def begun(wb: Workbench, trainer: auth.User, text: str = SEARCH) -> Tuning:
    theme = ready_theme(wb, trainer)
    params.save(wb.settings, theme.id, "trainer", params.parse_yaml(text, params.OptunaParams))
    return tunings.start(wb, trainer, theme.id)


def told(wb: Workbench, run: Run, losses: list[float], status: str | None = "succeeded") -> None:
    """Let a run have these validation losses from its next epoch on, and then end."""
    with wb.db.read() as connection:
        query = sa.select(finetuning_jobs.c.last_event).where(finetuning_jobs.c.id == run.id)
        number = connection.execute(query).scalar_one()
    said = [
        (Type.METRIC, {"step": 10 * epoch, "epoch": float(epoch), "values": {"valid_loss": loss}})
        for epoch, loss in enumerate(losses, 1)
    ]
    if status:
        result = {"epochs_run": len(losses), "best_epoch": 1}
        said += [(Type.RESULT, result)] if status == "succeeded" else []
        said += [(Type.STATUS, {"status": status})]
    now = datetime.now(UTC)
    Collector(wb).store(
        [Event(run.id, number + n, run.attempt, now, *each) for n, each in enumerate(said, 1)]
    )


def checkpoint_of(wb: Workbench, run: Run) -> Path:
    path = wb.settings.artifacts_dir / "runs" / str(run.id) / "checkpoints" / "best.ckpt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"weights")
    return path


def test_trials_run_side_by_side_and_the_best_ones_model_is_taken(
    wb: Workbench, trainer: auth.User, viewer: auth.User, mlflow_server: str
) -> None:
    wb = replace(wb, settings=replace(wb.settings, mlflow_url=mlflow_server))
    tuning = begun(wb, trainer)
    with pytest.raises(Conflict, match="still under way"):
        tunings.start(wb, trainer, tuning.theme_id)
    for _ in range(3):
        conductor.turn(wb)
    first, second = tunings.trials(wb, tuning.id)  # two at a time
    assert first.kind == "trial" and first.status == "queued"
    assert queue.place(wb, first.rq_job_id or "") == 1
    assert first.spec.params == tuning.spec.base.params  # what is set now comes first
    assert second.spec.params["training"]["batch_size"] in (16, 32, 64)
    assert first.spec.snapshot == second.spec.snapshot
    assert runs.history(wb, tuning.theme_id) == [] and runs.workers_busy(wb)
    parent = tunings.get(wb, tuning.id).mlflow_run_id
    assert first.spec.trial is not None and first.spec.trial.mlflow_parent == parent

    kept = {run.id: checkpoint_of(wb, run) for run in (first, second)}
    told(wb, first, [0.9, 0.5, 0.6])
    conductor.turn(wb)
    told(wb, second, [0.9, 0.7])
    for _ in range(2):
        conductor.turn(wb)
    third = tunings.trials(wb, tuning.id)[-1]
    assert kept[first.id].exists() and not kept[second.id].exists()
    kept[third.id] = checkpoint_of(wb, third)
    told(wb, third, [0.8, 0.4])
    queue.ask(wb, third.id, Wish.CANCEL)  # given up just as it ended: too late
    for _ in range(3):
        conductor.turn(wb)
    ended = tunings.get(wb, tuning.id)
    assert ended.status == "succeeded" and ended.result is not None
    best = ended.result["best"]
    assert (best["run"], best["value"], ended.result["trials"]) == (third.id, 0.4, 3)
    assert best["params"] == third.spec.params
    taken = runs.get(wb, third.id)
    assert queue.wish_of(wb, third.id) is None
    assert (taken.kind, taken.status, taken.attempt) == ("vision", "queued", 2)
    assert [run.id for run in runs.history(wb, tuning.theme_id)] == [third.id]
    assert not kept[first.id].exists() and kept[third.id].exists()
    assert len(tunings.trials(wb, tuning.id)) == 3
    found = httpx.get(f"{mlflow_server}/api/2.0/mlflow/runs/get", params={"run_id": parent}, trust_env=False)
    assert found.json()["run"]["info"]["status"] == "FINISHED"

    with pytest.raises(NotAllowed):
        tunings.use(wb, viewer, tuning.id, third.id)
    with pytest.raises(NotFound, match="no trial that is run"):
        tunings.use(wb, trainer, tuning.id, 10**6)
    tunings.use(wb, trainer, tuning.id, third.id)
    saved, _augmented = params.saved(wb.settings, tuning.theme_id)
    assert saved.model_dump(mode="json") == third.spec.params
    with pytest.raises(Conflict, match="all its trials"):
        tunings.resume(wb, trainer, tuning.id)
    # A repetition of the taken run belongs to nobody.
    told(wb, taken, [0.4])
    again = repeats.start(wb, trainer, third.id)
    assert again.spec.trial is None and len(tunings.trials(wb, tuning.id)) == 3


def test_a_trial_that_does_not_look_good_is_given_up(bench: Workbench, trainer: auth.User) -> None:
    wb = bench
    tuning = begun(
        wb, trainer, SEARCH.replace("trials: 3", "trials: 7").replace("parallel: 2", "parallel: 1")
    )
    for number in range(search.WARM_TRIALS):
        conductor.turn(wb)
        conductor.turn(wb)
        told(wb, tunings.trials(wb, tuning.id)[-1], [0.5, 0.4 + number / 100, 0.3])
        conductor.turn(wb)
    conductor.turn(wb)
    bad = tunings.trials(wb, tuning.id)[-1]
    told(wb, bad, [0.9, 0.9], status=None)
    conductor.turn(wb)
    assert runs.get(wb, bad.id).status == "cancelled"  # nobody had taken it yet
    for _ in range(2):
        conductor.turn(wb)
    study = search.study(wb.settings.optuna_url, tuning.spec)
    [pruned] = [each for each in study.trials if each.state.name == "PRUNED"]
    assert pruned.user_attrs["pruned_at"] == 2 and pruned.user_attrs["run"] == bad.id
    good = tunings.trials(wb, tuning.id)[-1]
    told(wb, good, [0.5, 0.3], status=None)
    conductor.turn(wb)
    assert queue.wish_of(wb, good.id) is None  # as good as the others: it goes on
    # What a person ends is no trial that was given up.
    wb.broker.set(f"veritrain:run:{good.id}:control", Wish.CANCEL)
    told(wb, good, [], status="cancelled")
    conductor.turn(wb)
    assert [each.state.name for each in study.trials][-1] == "FAIL"


def test_what_was_proposed_before_a_crash_becomes_a_run_after_it(
    bench: Workbench, trainer: auth.User
) -> None:
    wb = bench
    tuning = begun(wb, trainer)
    study = search.study(wb.settings.optuna_url, tuning.spec)
    asked = study.ask(space.distributions(tuning.search))  # … and the app was killed here
    conductor.turn(wb)
    first = tunings.trials(wb, tuning.id)[0]
    assert first.spec.trial is not None and first.spec.trial.number == asked.number
    assert first.spec.params["training"]["batch_size"] == asked.params["training.batch_size"]
    for _ in range(3):
        conductor.turn(wb)
    assert len(tunings.trials(wb, tuning.id)) == 2  # the other one beside it, none twice


def test_stopped_it_keeps_the_best_so_far_and_can_go_on(bench: Workbench, trainer: auth.User) -> None:
    wb = bench
    tuning = begun(wb, trainer)
    conductor.turn(wb)
    conductor.turn(wb)
    first, second = tunings.trials(wb, tuning.id)
    told(wb, first, [0.5])
    assert tunings.stop(wb, trainer, tuning.id).stopping
    for _ in range(3):
        conductor.turn(wb)
    ended = tunings.get(wb, tuning.id)
    assert ended.status == "cancelled" and ended.result is not None
    assert ended.result["best"]["run"] == first.id
    assert runs.get(wb, second.id).status == "cancelled"
    with pytest.raises(Conflict, match="nothing to stop"):
        tunings.stop(wb, trainer, tuning.id)
    tunings.resume(wb, trainer, tuning.id)
    for _ in range(2):
        conductor.turn(wb)
    assert [run.status for run in tunings.trials(wb, tuning.id)][2:] == ["queued"]


def test_trials_that_all_fail_end_it_with_their_reason(bench: Workbench, trainer: auth.User) -> None:
    wb = bench
    text = "trials: 9\nparallel: 2\nsearch: {data.image_size: {choices: [40]}, model.architecture: {choices: [vit_b_16]}}"
    tuning = begun(wb, trainer, text)
    for _ in range(2 * conductor.HOPELESS):
        conductor.turn(wb)
    ended = tunings.get(wb, tuning.id)
    assert ended.status == "failed" and ended.error is not None
    assert tunings.trials(wb, tuning.id) == []
    assert "needs a multiple of" in ended.error["message"]


def test_earlier_runs_on_the_same_images_count_as_trials(bench: Workbench, trainer: auth.User) -> None:
    wb = bench
    theme = ready_theme(wb, trainer)
    earlier = finished(wb, trainer, theme.id, lambda _id: True)
    now, _augmented = params.saved(wb.settings, theme.id)
    other = now.model_copy(update={"training": now.training.model_copy(update={"epochs": 3})})
    params.save(wb.settings, theme.id, "trainer", other)
    finished(wb, trainer, theme.id, lambda _id: True)  # differs in what is not searched
    params.save(wb.settings, theme.id, "trainer", now, params.parse_yaml(SEARCH, params.OptunaParams))
    tuning = tunings.start(wb, trainer, theme.id)
    conductor.turn(wb)
    study = search.study(wb.settings.optuna_url, tuning.spec)
    [taken] = [each for each in study.trials if each.user_attrs.get("earlier")]
    assert taken.user_attrs["run"] == earlier.id
    assert taken.params["training.learning_rate"] == now.training.learning_rate


def test_nothing_starts_without_a_search(wb_duckdb: Workbench, trainer: auth.User, viewer: auth.User) -> None:
    theme = ready_theme(wb_duckdb, trainer)
    with pytest.raises(NotAllowed):
        tunings.start(wb_duckdb, viewer, theme.id)
    params.save(wb_duckdb.settings, theme.id, "trainer", params.OptunaParams())
    with pytest.raises(InvalidInput, match="Nothing is searched"):
        tunings.start(wb_duckdb, trainer, theme.id)
    assert tunings.listed(wb_duckdb, theme.id) == []


def test_mlflow_being_away_lets_a_tuning_wait(wb_duckdb: Workbench, trainer: auth.User) -> None:
    tuning = begun(wb_duckdb, trainer)
    conductor.turn(wb_duckdb)
    assert tunings.get(wb_duckdb, tuning.id).status == "queued"
    assert tunings.trials(wb_duckdb, tuning.id) == []
