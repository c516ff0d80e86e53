"""The queue as people see it, with a real broker and a real worker's record in it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rq import Queue

from core import auth, queue, repeats, run_control, runs, waiting
from core.errors import Conflict, NotAllowed, NotFound, TooMany
from core.workbench import Workbench
from jobs.worker import TrainWorker, device
from tests.steps import ready_theme
from tests.trained import finished


def order(wb: Workbench) -> list[int]:
    return [entry.id for entry in waiting.overview(wb).entries]


def test_waiting_runs_are_listed_in_their_order_and_moved_by_administrators(
    wb: Workbench, trainer: auth.User, admin: auth.User
) -> None:
    theme = ready_theme(wb, trainer)
    ids = [runs.start(wb, trainer, theme.id).id for _ in range(4)]
    a, b, c, d = ids
    assert order(wb) == ids
    found = waiting.overview(wb)
    assert [entry.place for entry in found.entries] == [1, 2, 3, 4]
    first = found.entries[0]
    assert (first.about, first.queue, first.created_by) == (theme.name, "train", "trainer")
    assert found.workers == [] and first.expected is None  # nobody will take it
    with pytest.raises(NotAllowed):
        waiting.move(wb, trainer, d, "first")
    for to, expected in (
        ("first", [d, a, b, c]),
        ("later", [a, d, b, c]),
        ("last", [a, b, c, d]),
        ("earlier", [a, b, d, c]),
        ("earlier", [a, d, b, c]),
        ("earlier", [d, a, b, c]),
        ("earlier", [d, a, b, c]),
        ("last", [a, b, c, d]),
        ("later", [a, b, c, d]),
    ):
        waiting.move(wb, admin, d, to)  # type: ignore[arg-type]
        assert order(wb) == expected, to
    assert Queue("train", connection=wb.broker).get_job_ids()[0] == f"run-{a}-1"
    run_control.stop(wb, trainer, b)
    assert order(wb) == [a, c, d]
    with pytest.raises(Conflict, match="does not wait any more"):
        waiting.move(wb, admin, b, "first")
    with pytest.raises(NotFound):
        waiting.move(wb, admin, 10**6, "first")


def test_workers_are_shown_and_tell_when_a_run_may_start(wb_duckdb: Workbench, trainer: auth.User) -> None:
    wb = wb_duckdb
    theme = ready_theme(wb, trainer)
    finished(wb, trainer, theme.id, lambda _id: True)
    wb.broker.delete(Queue("train", connection=wb.broker).key)
    worker = TrainWorker([Queue("train", connection=wb.broker)], connection=wb.broker)
    worker.computes_on = "GPU 1"
    worker.register_birth()
    ids = [runs.start(wb, trainer, theme.id).id for _ in range(2)]
    found = waiting.overview(wb)
    [serving] = found.workers
    assert (serving.queues, serving.device, serving.run_id) == (("train",), "GPU 1", None)
    starts = [entry.expected for entry in found.entries if entry.id in ids]
    assert starts[0] is not None and starts[1] is not None and starts[0] < starts[1]
    worker.register_death()
    assert queue.workers(wb) == []


def test_each_worker_has_a_gpu_of_its_own() -> None:
    for number, expected in (("0", "0"), ("1", "1"), ("2", "0")):
        env = {"VERITRAIN_WORKER": number}
        assert device(1, 2, env) == f"GPU {expected}" and env["CUDA_VISIBLE_DEVICES"] == expected
    env = {"CUDA_VISIBLE_DEVICES": "3"}
    assert device(1, 4, env) == "GPU 3"
    env = {}
    assert device(2, 2, env) == "GPU 0, 1" and env == {}  # shared by the processes of one training
    assert device(1, 0, env) == "" and env == {}


def test_a_person_may_have_so_many_runs_under_way(
    wb_duckdb: Workbench, trainer: auth.User, admin: auth.User
) -> None:
    wb = replace(wb_duckdb, settings=replace(wb_duckdb.settings, runs_per_person=2))
    theme = ready_theme(wb, trainer)
    done = finished(wb, trainer, theme.id, lambda _id: True)
    first = runs.start(wb, trainer, theme.id)
    repeats.start(wb, trainer, done.id)
    before = len(runs.history(wb))
    for attempt in (lambda: runs.start(wb, trainer, theme.id), lambda: repeats.start(wb, trainer, done.id)):
        with pytest.raises(TooMany, match="You have 2 runs under way"):
            attempt()
    assert len(runs.history(wb)) == before
    runs.start(wb, admin, theme.id)  # somebody else may
    run_control.stop(wb, trainer, first.id)
    runs.start(wb, trainer, theme.id)
