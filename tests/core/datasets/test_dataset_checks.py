"""The check of a text dataset as a job: its result with the version, what people decide, and who may train."""

from __future__ import annotations

import threading
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from core import auth
from core.collector import Collector
from core.datasets import check_jobs, decisions, findings, permits, repair, store, vault
from core.db.columns import metadata
from core.db.tables import finetuning_jobs
from core.db.text_tables import training_dataset_versions
from core.errors import Conflict, InvalidInput, NotAllowed, NotFound
from core.settings import Settings
from core.texts.records import Record
from core.texts.rowfile import rows_of, table
from core.workbench import Workbench
from tests.core.datasets.checking import GOOD, checked, failed, looked_at, made, run, standing
from tests.core.quality.planted_pii import planted
from tests.steps import file_of

LEAKY = Record.pair(
    "Please write to me at the office", "My address is taro.yamada@mail.example.com, thank you."
)
EMPTY = Record.pair("Is there an answer to this question?", "")


def test_a_version_is_unchecked_then_passes_or_fails_and_says_why(
    wb: Workbench, labeler: auth.User, settings: Settings
) -> None:
    dataset = made(wb, labeler, *GOOD, LEAKY, GOOD[0])
    before = standing(wb, dataset.id)
    assert (before.stale, failed(before), before.version.status) == (True, {"unchecked"}, "unchecked")
    with pytest.raises(Conflict, match="not checked yet"):
        findings.found(wb, dataset.newest)
    found = checked(wb, labeler, dataset.id, settings)
    assert (found.stale, failed(found), found.version.status) == (False, {"personal"}, "failed")
    assert found.open == {"email": 1, "copy": 1}
    assert found.gate.score < 100 and found.checked_at is not None
    assert looked_at(wb, dataset.id) == 5
    page = findings.found(wb, found.version, "copy")
    assert [(each.row_id, each.group, each.text()) for each in page.items] == [
        (6, 1, "The same text as in row 1.")
    ]
    assert findings.rows(wb, found.version, "email") == [5]
    assert findings.found(wb, found.version, limit=1).total == 2
    [entry] = findings.entries(wb, dataset.id)
    assert (entry.action, entry.person, entry.version, entry.passed) == ("check", "labeler", 1, False)
    with pytest.raises(InvalidInput, match="no finding “ugly”"):
        findings.found(wb, found.version, "ugly")
    # the row goes, the rest needs no second look
    version = repair.apply(wb, labeler, dataset.id, "remove", "email")
    assert (version.number, version.row_count, version.status) == (2, 5, "unchecked")
    assert standing(wb, dataset.id).open == {"copy": 1}
    after = checked(wb, labeler, dataset.id, settings)
    assert after.gate.passed and after.version.status == "passed" and after.gate.score == 100
    assert looked_at(wb, dataset.id) == 0
    assert findings.standing(wb, store.version(wb, dataset.id, 1)).open == {"email": 1, "copy": 1}


def test_only_new_and_changed_rows_are_looked_at(
    wb: Workbench, labeler: auth.User, trainer: auth.User, settings: Settings
) -> None:
    dataset = made(wb, labeler, *GOOD)
    checked(wb, labeler, dataset.id, settings)
    assert looked_at(wb, dataset.id) == 4
    repair.edit(wb, labeler, dataset.id, 2, {"output": "Ten minutes in boiling water, then cold water."})
    checked(wb, labeler, dataset.id, settings)
    assert looked_at(wb, dataset.id) == 1
    newest = store.get(wb, dataset.id).newest
    more = [*rows_of(store.table(wb, newest))]
    more.append(replace(more[0], row_id=9, record=LEAKY))
    store.add_version(wb, labeler, dataset.id, table(more), {"kind": "append"}, parent=newest.id)
    assert checked(wb, labeler, dataset.id, settings).open == {"email": 1}
    assert looked_at(wb, dataset.id) == 1
    # another length counts as another check of every row
    decisions.set_rules(wb, trainer, dataset.id, {"longest": 100})
    assert standing(wb, dataset.id).stale and store.get(wb, dataset.id).newest.status == "unchecked"
    assert checked(wb, labeler, dataset.id, settings).open == {"email": 1}
    assert looked_at(wb, dataset.id) == 5


def test_what_people_call_fine_does_not_count_until_the_row_changes(
    wb: Workbench, labeler: auth.User, trainer: auth.User, settings: Settings
) -> None:
    dataset = made(wb, labeler, *GOOD, LEAKY, EMPTY)
    checked(wb, labeler, dataset.id, settings)
    with pytest.raises(NotAllowed):
        decisions.keep(wb, labeler, dataset.id, "email")
    with pytest.raises(InvalidInput, match="cannot be called fine"):
        decisions.keep(wb, trainer, dataset.id, "empty")
    assert decisions.keep(wb, trainer, dataset.id, "email", [1]) == 0
    assert decisions.keep(wb, trainer, dataset.id, "email", [5]) == 1
    found = standing(wb, dataset.id)
    assert (found.open, found.kept, failed(found)) == ({"empty": 1}, {"email": 1}, {"unreadable"})
    assert findings.rows(wb, found.version, "email") == []
    assert findings.rows(wb, found.version, "email", kept=True) == [5]
    # a fix leaves it alone, a new version and a new check know it
    assert repair.apply(wb, labeler, dataset.id, "mask").number == 1
    repair.apply(wb, labeler, dataset.id, "remove", "empty")
    found = checked(wb, labeler, dataset.id, settings)
    assert found.gate.passed and found.kept == {"email": 1}
    assert decisions.keep(wb, trainer, dataset.id, "email", keep=False) == 1
    assert failed(standing(wb, dataset.id)) == {"personal"}
    assert store.get(wb, dataset.id).newest.status == "failed"
    decisions.keep(wb, trainer, dataset.id, "email")
    repair.edit(wb, labeler, dataset.id, 5, {"output": "Write to taro.yamada@mail.example.com instead."})
    assert failed(checked(wb, labeler, dataset.id, settings)) == {"personal"}
    actions = [entry.action for entry in findings.entries(wb, dataset.id)]
    assert actions == ["check", "edit", "keep", "reopen", "check", "fix", "keep", "check"]


def test_broken_rows_of_uploads_count_until_somebody_leaves_them_out(
    wb: Workbench, labeler: auth.User, settings: Settings
) -> None:
    dataset = made(wb, labeler, *GOOD, broken=3)
    found = checked(wb, labeler, dataset.id, settings)
    assert (found.broken, failed(found)) == (3, {"unreadable"})
    repair.edit(wb, labeler, dataset.id, 1, {"output": "It is Paris, the city on the river Seine."})
    assert checked(wb, labeler, dataset.id, settings).broken == 3
    assert decisions.leave_out(wb, labeler, dataset.id) == 3
    assert decisions.leave_out(wb, labeler, dataset.id) == 0
    assert standing(wb, dataset.id).gate.passed and store.get(wb, dataset.id).newest.status == "passed"


def test_thresholds_move_the_gate_at_once(
    wb: Workbench, labeler: auth.User, trainer: auth.User, settings: Settings
) -> None:
    dataset = made(wb, labeler, *GOOD, GOOD[0], GOOD[1])
    assert failed(checked(wb, labeler, dataset.id, settings)) == {"copies"}
    with pytest.raises(NotAllowed):
        decisions.set_rules(wb, labeler, dataset.id, {"most_copies": 0.5})
    decisions.set_rules(wb, trainer, dataset.id, {"most_copies": 0.5})
    assert standing(wb, dataset.id).gate.passed and store.get(wb, dataset.id).newest.status == "passed"
    entry = findings.entries(wb, dataset.id)[0]
    assert (entry.action, entry.passed, entry.detail["changed"]) == (
        "rules",
        True,
        {"most_copies": [0.2, 0.5]},
    )


def test_training_waits_for_the_gate_or_for_an_administrators_reason(
    wb: Workbench, labeler: auth.User, trainer: auth.User, admin: auth.User, settings: Settings
) -> None:
    dataset = made(wb, labeler, *GOOD, LEAKY)
    with pytest.raises(Conflict, match="was not checked"):
        permits.require(wb, dataset.id)
    permits.override(wb, admin, dataset.id, "I know the file.")
    assert permits.require(wb, dataset.id).number == 1
    # what the check finds was not known when the reason was given
    checked(wb, labeler, dataset.id, settings)
    with pytest.raises(Conflict, match="gate of version 1 of “Questions” fails"):
        permits.require(wb, dataset.id)
    with pytest.raises(NotAllowed):
        permits.override(wb, trainer, dataset.id, "in a hurry")
    for reason, why in (("  ", "Say why"), ("x" * 2_001, "at most"), ("a\0b", "cannot be stored")):
        with pytest.raises(InvalidInput, match=why):
            permits.override(wb, admin, dataset.id, reason)
    permits.override(wb, admin, dataset.id, "The address is public.")
    assert permits.require(wb, dataset.id).number == 1
    [entry] = [each for each in findings.entries(wb, dataset.id) if each.action == "override"][:1]
    assert (entry.detail["reason"], entry.detail["failed"]) == ("The address is public.", ["personal"])
    # a line that fails only afterwards was not part of that reason
    decisions.set_rules(wb, trainer, dataset.id, {"least_consistent": 1.0, "most_personal": 5})
    decisions.set_rules(wb, trainer, dataset.id, {"most_personal": 0})
    assert permits.require(wb, dataset.id).number == 1
    with wb.db.read() as connection:
        counted = connection.execute(sa.select(training_dataset_versions.c.found)).scalar_one()
    torn = {**counted, "counts": {**counted["counts"], "copies": counted["counts"]["rows"]}}
    wb.db.write(lambda c: c.execute(training_dataset_versions.update().values(found=torn)))
    with pytest.raises(Conflict, match="fails"):
        permits.require(wb, dataset.id)
    wb.db.write(lambda c: c.execute(training_dataset_versions.update().values(found=counted)))
    # a new version needs its own
    repair.edit(wb, labeler, dataset.id, 1, {"output": "It is Paris, the city on the river Seine."})
    with pytest.raises(Conflict):
        permits.require(wb, dataset.id)
    repair.apply(wb, labeler, dataset.id, "mask")
    assert checked(wb, labeler, dataset.id, settings).gate.passed
    assert permits.require(wb, dataset.id).number == 3
    with pytest.raises(Conflict, match="needs no reason"):
        permits.override(wb, admin, dataset.id, "why not")


def test_one_check_at_a_time_and_none_of_what_is_gone(
    wb: Workbench, labeler: auth.User, trainer: auth.User, viewer: auth.User, settings: Settings
) -> None:
    dataset = made(wb, labeler, *GOOD)
    with pytest.raises(NotAllowed):
        check_jobs.start(wb, viewer, dataset.id)
    check_jobs.start(wb, labeler, dataset.id)
    assert check_jobs.state(wb, dataset.id).running
    with pytest.raises(Conflict, match="being checked already"):
        check_jobs.start(wb, labeler, dataset.id)
    check_jobs.cancel(wb, labeler, dataset.id)
    assert not check_jobs.state(wb, dataset.id).running
    run_id = run(wb, labeler, dataset.id, settings)
    store.delete(wb, trainer, dataset.id)
    check_jobs.tend(wb)
    with wb.db.read() as connection:
        job = finetuning_jobs.c
        result = connection.execute(sa.select(job.result).where(job.id == run_id)).scalar_one()
    assert result["done"] == "superseded"
    with pytest.raises(NotFound):
        check_jobs.start(wb, labeler, dataset.id)


def test_findings_that_cannot_be_read_are_said_and_checked_again(
    wb: Workbench, labeler: auth.User, settings: Settings
) -> None:
    dataset = made(wb, labeler, *GOOD)
    run_id = run(wb, labeler, dataset.id, settings)
    with wb.db.read() as connection:
        job = finetuning_jobs.c
        result = connection.execute(sa.select(job.result).where(job.id == run_id)).scalar_one()
    wb.files.write(result["findings"], b"torn")
    check_jobs.tend(wb)
    error = check_jobs.state(wb, dataset.id).error
    assert error is not None and error["next_step"]
    assert checked(wb, labeler, dataset.id, settings).gate.passed


def test_no_secret_is_written_anywhere_but_with_the_rows(
    wb: Workbench, labeler: auth.User, trainer: auth.User, admin: auth.User, settings: Settings
) -> None:
    examples = [each for each in planted(120) if each.spans]
    values = {each.text[start:end] for each in examples for start, end, _ in each.spans}
    records = [Record.pair(each.text, f"I have noted it: {each.text}") for each in examples]
    dataset = made(wb, labeler, *records)
    run_id = run(wb, labeler, dataset.id, settings)
    check_jobs.tend(wb)
    found = standing(wb, dataset.id)
    shown = str(repair.preview(wb, dataset.id, "mask")) + str(
        repair.preview(wb, dataset.id, "remove", "phone")
    )
    decisions.keep(wb, trainer, dataset.id, "ip")
    version = repair.apply(wb, labeler, dataset.id, "mask")
    repair.edit(wb, labeler, dataset.id, 1, {"output": f"It is {next(iter(values))}"})
    vault.unmask(wb, admin, dataset.id, 2)
    checked(wb, labeler, dataset.id, settings)
    written = [
        shown,
        file_of(settings, run_id).read_text(),
        str(findings.found(wb, found.version, limit=999)),
    ]
    for standing_ in (found, standing(wb, dataset.id)):
        assert standing_.version.found is not None
        for key in ("findings", "seen"):
            written.append(str(pq.read_table(wb.files.local_path(standing_.version.found[key])).to_pylist()))
    with wb.db.read() as connection:
        for each in metadata.sorted_tables:
            written.append(str(connection.execute(sa.select(each)).all()))
    everything = "\n".join(written)
    assert len(values) > 60
    assert [value for value in values if value in everything] == []
    # and the masked rows hold none either, but for the addresses that somebody called fine
    masked = str(store.table(wb, version).to_pylist())
    kept = {each.text[start:end] for each in examples for start, end, kind in each.spans if kind == "ip"}
    assert [value for value in values - kept if value in masked] == []


@pytest.mark.parametrize("wb", ["postgres"], indirect=True)  # where one row can be held, and not all writes
def test_a_result_that_takes_long_to_apply_keeps_the_collector_from_nothing(
    wb: Workbench, labeler: auth.User, settings: Settings
) -> None:
    dataset = made(wb, labeler, *GOOD)
    run(wb, labeler, dataset.id, settings)
    held, free = threading.Event(), threading.Event()

    def hold(connection: sa.Connection) -> None:
        decisions.lock(connection, dataset.id)
        held.set()
        free.wait()

    collector = Collector(wb)

    def begin_all() -> None:
        for _ in collector.chores.all:
            collector.turn()

    threads = [threading.Thread(target=wb.db.write, args=(hold,)), threading.Thread(target=begin_all)]
    try:
        threads[0].start()
        held.wait()
        threads[1].start()
        threads[1].join(timeout=60)
        assert not threads[1].is_alive()
        assert check_jobs.state(wb, dataset.id).running
    finally:
        free.set()
        for thread in threads:
            thread.join()
        collector.thread.start()
        collector.stop()  # ends once what it began is done
    assert standing(wb, dataset.id).gate.passed
