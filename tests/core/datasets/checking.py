"""Text datasets of a few rows, and their check by the real job's code, as the collector would have it stored."""

from __future__ import annotations

from core import auth
from core.collector import Collector
from core.datasets import check_jobs, findings, store
from core.db.tables import finetuning_jobs
from core.run_watch import rows_where
from core.settings import Settings
from core.spec import TextCheckSpec
from core.texts.records import Record
from core.texts.rowfile import DataRow, table
from core.workbench import Workbench
from jobs import check_texts
from jobs.runtime import Job
from tests.steps import in_file

GOOD = (
    Record.pair("What is the capital of France, please?", "The capital of France is Paris, of course."),
    Record.pair("How does one boil an egg at home?", "Put it into boiling water for seven minutes."),
    Record.pair("Why do cats purr in the evening?", "Mostly because they are content with their day."),
    Record.pair("Where does the river Rhine begin?", "It begins high up in the mountains of Switzerland."),
)


def made(
    wb: Workbench,
    actor: auth.User,
    *records: Record,
    shape: str = "alpaca",
    splits: str = "",
    broken: int = 0,
) -> store.Dataset:
    """A dataset of these rows; `splits` is a letter a row of train, valid, test."""
    names = {"t": "train", "v": "valid", "e": "test"}
    rows = [DataRow(n + 1, record, names[splits[n]] if splits else None) for n, record in enumerate(records)]
    source = {"file": "a.jsonl", "broken": [], "broken_total": broken}
    return store.create(wb, actor, "Questions", table(rows), shape=shape, source=source)


def run(wb: Workbench, actor: auth.User, dataset_id: int, settings: Settings) -> int:
    """Start a check and run it here, up to its events in the file; the job's id."""
    run_id = check_jobs.start(wb, actor, dataset_id)
    [row] = rows_where(wb, finetuning_jobs.c.id == run_id)
    spec = TextCheckSpec.model_validate(row["spec"])
    with Job(spec, 1, settings) as job:
        check_texts.main(job, spec)
    Collector(wb).store(in_file(settings, run_id))
    return run_id


def checked(wb: Workbench, actor: auth.User, dataset_id: int, settings: Settings) -> findings.Standing:
    """Check the newest version; where it stands then."""
    run(wb, actor, dataset_id, settings)
    check_jobs.tend(wb)
    return standing(wb, dataset_id)


def standing(wb: Workbench, dataset_id: int) -> findings.Standing:
    return findings.standing(wb, store.get(wb, dataset_id).newest)


def failed(found: findings.Standing) -> set[str]:
    return {line.name for line in found.gate.failed}


def looked_at(wb: Workbench, dataset_id: int) -> int:
    """Contents that the newest check looked at."""
    return next(
        int(entry.detail["looked_at"])
        for entry in findings.entries(wb, dataset_id)
        if entry.action == "check"
    )
