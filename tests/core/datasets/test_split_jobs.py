"""A large text dataset is split by a job: the same split, and whatever happens meanwhile loses nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa

from core import auth, queue
from core.collector import Collector
from core.datasets import repair, split_jobs, splitting, store
from core.db.tables import finetuning_jobs
from core.errors import Conflict, InvalidInput, NotAllowed, NotFound
from core.run_watch import rows_where
from core.settings import Settings
from core.spec import TextSplitSpec, job_spec
from core.texts import rowfile
from core.texts.records import Record
from core.texts.rowfile import DataRow
from core.workbench import Workbench
from jobs import split_texts
from jobs.runtime import Job
from tests.core.datasets.test_splitting import planted, store_of
from tests.steps import in_file

RATIOS = (0.8, 0.1, 0.1)


def run(wb: Workbench, actor: auth.User, dataset_id: int, settings: Settings) -> int:
    """Start a split and run it here, up to its events in the database; the job's id."""
    run_id = split_jobs.start(wb, actor, dataset_id, ratios=RATIOS, seed=3)
    [row] = rows_where(wb, finetuning_jobs.c.id == run_id)
    spec = job_spec(row["spec"])
    assert isinstance(spec, TextSplitSpec)
    with Job(spec, 1, settings) as job:
        split_texts.main(job, spec)
    Collector(wb).store(in_file(settings, run_id))
    return run_id


def test_a_job_splits_as_the_app_does(
    wb: Workbench, labeler: auth.User, viewer: auth.User, settings: Settings
) -> None:
    records = [record for _, record in planted()]
    one, two = (store_of(wb, labeler, name, records) for name in ("at once", "as a job"))
    at_once = splitting.split(wb, labeler, one.id, ratios=RATIOS, seed=3)
    with pytest.raises(NotAllowed):
        split_jobs.start(wb, viewer, two.id)
    with pytest.raises(InvalidInput, match="add up to"):
        split_jobs.start(wb, labeler, two.id, ratios=(0.5, 0.1, 0.1))
    run(wb, labeler, two.id, settings)
    assert split_jobs.state(wb, two.id).running  # until its version is there
    with pytest.raises(Conflict, match="being split already"):
        split_jobs.start(wb, labeler, two.id)
    split_jobs.tend(wb)
    split_jobs.tend(wb)
    newest = store.get(wb, two.id).newest
    state = split_jobs.state(wb, two.id)
    assert (state.running, state.error, state.version_id, state.torn) == (False, None, newest.id, 0)
    found = at_once.version
    for name in ("number", "hash", "path", "splits", "statistics", "change", "created_by", "status"):
        assert getattr(newest, name) == getattr(found, name), name
    # the file is the one that any version with these rows has
    assert wb.files.read(newest.path) == rowfile.packed(store.table(wb, newest))
    assert rowfile.table_hash(store.table(wb, newest)) == newest.hash
    assert newest.change["resplit"] == sum(newest.change["dealt"].values()) == 240
    with pytest.raises(Conflict, match="Every row has its split"):
        split_jobs.start(wb, labeler, two.id)


def test_a_version_made_meanwhile_stays_and_the_split_says_so(
    wb: Workbench, labeler: auth.User, trainer: auth.User, settings: Settings
) -> None:
    dataset = store_of(wb, labeler, "x", [record for _, record in planted()])
    run(wb, labeler, dataset.id, settings)
    edited = repair.edit(wb, trainer, dataset.id, 1, {"output": "Something else by now."})
    split_jobs.tend(wb)
    state = split_jobs.state(wb, dataset.id)
    assert state.error is not None and "version 2 by now, made by trainer" in state.error["message"]
    assert (store.get(wb, dataset.id).newest, state.version_id) == (edited, None)
    run(wb, labeler, dataset.id, settings)
    store.delete(wb, trainer, dataset.id)
    split_jobs.tend(wb)
    assert not split_jobs.state(wb, dataset.id).running
    with pytest.raises(NotFound):
        split_jobs.start(wb, labeler, dataset.id)
    assert store.restore(wb, trainer, dataset.id).newest == edited


def test_a_split_is_stopped_and_rows_that_it_left_out_are_said(
    wb_duckdb: Workbench, labeler: auth.User, settings: Settings
) -> None:
    text = " ".join(f"word{n}" for n in range(30))
    given = [("train", text), ("test", text), (None, text)]
    rows = [DataRow(n, Record.pair(text, text), split) for n, (split, text) in enumerate(given, 1)]
    dataset = store.create(wb_duckdb, labeler, "x", rowfile.table(rows), shape="alpaca")
    run_id = split_jobs.start(wb_duckdb, labeler, dataset.id)
    assert queue.place(wb_duckdb, f"run-{run_id}-1") == 1
    split_jobs.cancel(wb_duckdb, labeler, dataset.id)
    assert not split_jobs.state(wb_duckdb, dataset.id).running
    run_id = run(wb_duckdb, labeler, dataset.id, settings)
    split_jobs.tend(wb_duckdb)
    state = split_jobs.state(wb_duckdb, dataset.id)
    assert (state.torn, state.version_id, state.error) == (1, dataset.newest.id, None)
    assert store.get(wb_duckdb, dataset.id).newest == dataset.newest
    with wb_duckdb.db.read() as connection:
        column = finetuning_jobs.c
        result = connection.execute(sa.select(column.result).where(column.id == run_id)).scalar_one()
    assert result["done"] == "applied"


def test_only_what_takes_long_is_a_job(wb_duckdb: Workbench, labeler: auth.User) -> None:
    newest = store_of(wb_duckdb, labeler, "x", [Record.pair("q", "a")]).newest
    assert not splitting.takes_long(replace(newest, row_count=100_000))
    assert splitting.takes_long(replace(newest, row_count=100_001))
    assert not splitting.takes_long(replace(newest, row_count=100_001, splits={"train": 100_001, "": 0}))
