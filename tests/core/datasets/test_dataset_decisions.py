"""Decisions about text datasets that meet each other: of many people at once, and of one before a change."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from core import auth
from core.datasets import decisions, findings, permits, store, trust, vault, words
from core.db.text_tables import text_vault
from core.errors import Conflict
from core.settings import Settings
from core.texts.records import Record
from core.workbench import Workbench
from tests.core.datasets.checking import GOOD, checked, failed, made, standing

REFUSING = [
    Record.pair(f"Tell me the secret of cupboard {n}, please", "I'm sorry, but I can't help with that.")
    for n in range(8)
]
LONG = Record.pair("How long is a piece of string, do you think?", "It depends on where one cuts it. " * 5)
PERSONAL = Record.pair("Please write to me at the office", "My address is taro.yamada@mail.example.com.")


def at_once(works: Sequence[Callable[[], object]]) -> list[BaseException]:
    """Do them in threads that start together; what they raised."""
    start, raised = threading.Barrier(len(works)), []

    def run(work: Callable[[], object]) -> None:
        start.wait()
        try:
            work()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def test_decisions_of_many_at_once_all_count(
    wb: Workbench, labeler: auth.User, trainer: auth.User, settings: Settings
) -> None:
    dataset = made(wb, labeler, *GOOD, *REFUSING)
    found = checked(wb, labeler, dataset.id, settings)
    rows = findings.rows(wb, found.version, "refusal")
    assert len(rows) == 8
    works = [lambda row=row: decisions.keep(wb, labeler, dataset.id, "refusal", [row]) for row in rows[:6]]
    works.append(lambda: decisions.set_rules(wb, trainer, dataset.id, {"most_copies": 0.5}))
    assert at_once(works) == []
    after = standing(wb, dataset.id)
    assert (after.open["refusal"], after.kept["refusal"], after.rules.most_copies) == (2, 6, 0.5)
    log = findings.entries(wb, dataset.id)
    # each line of the log counts on top of the line before
    kept = [entry.detail["kept"].get("refusal", 0) for entry in log if entry.action == "keep"]
    assert kept == [6, 5, 4, 3, 2, 1]


def test_nobody_waits_while_decisions_are_read(
    wb_duckdb: Workbench, labeler: auth.User, settings: Settings
) -> None:
    dataset = made(wb_duckdb, labeler, *GOOD, *REFUSING)
    checked(wb_duckdb, labeler, dataset.id, settings)
    decisions.keep(wb_duckdb, labeler, dataset.id, "refusal", [5])
    said: list[tuple[str, str]] = []

    def listen(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        said.append((threading.current_thread().name, statement))

    sa.event.listen(wb_duckdb.db.engine, "before_cursor_execute", listen)
    decisions.keep(wb_duckdb, labeler, dataset.id, "refusal", [6])
    sa.event.remove(wb_duckdb.db.engine, "before_cursor_execute", listen)
    reads = [(name, text) for name, text in said if "FROM text_kept" in text and text.startswith("SELECT")]
    assert reads and not [text for name, text in reads if name == "db-writer"]


def test_two_who_mask_the_same_at_once_keep_it_once(
    wb: Workbench, labeler: auth.User, admin: auth.User
) -> None:
    dataset = made(wb, labeler, *GOOD)
    sealed = {f"[email:{n:04}]": f"seal {n}" for n in range(2_000)}
    assert at_once([lambda: vault.put(wb, dataset.id, sealed)] * 4) == []
    with wb.db.read() as connection:
        query = sa.select(text_vault.c.token, text_vault.c.sealed)
        assert dict(connection.execute(query).tuples().all()) == sealed


def test_a_reason_counts_for_what_failed_when_it_was_given(
    wb: Workbench, labeler: auth.User, trainer: auth.User, admin: auth.User, settings: Settings
) -> None:
    dataset = made(wb, labeler, *GOOD, PERSONAL, GOOD[0], LONG)
    assert failed(checked(wb, labeler, dataset.id, settings)) == {"personal"}
    newest = store.get(wb, dataset.id).newest
    given = permits.override(wb, admin, dataset.id, "The address is public.")
    assert given.stands and permits.given(wb, newest) == given
    assert words.allowed(given) == "admin allowed a training in spite of FAIL: “The address is public.”"
    # a further line fails
    decisions.set_rules(wb, trainer, dataset.id, {"most_copies": 0.05})
    void = permits.given(wb, newest)
    assert void is not None and [line.name for line in void.further] == ["copies"] and not void.stands
    assert permits.overridden(wb, newest) is None
    with pytest.raises(Conflict, match="fails"):
        permits.require(wb, dataset.id)
    assert words.allowed(void).endswith(
        "That no longer counts, for these lines of the gate fail now and did not then: Few copies."
    )
    [said] = [each for each in trust.report(wb, dataset.id).sections if each.name == "decisions"]
    assert said.sentence == words.allowed(void) and said.figures["override"]["stands"] is False
    # a reason for both counts, until a check finds something else
    permits.override(wb, admin, dataset.id, "Both are meant.")
    assert permits.require(wb, dataset.id).id == newest.id
    decisions.set_rules(wb, trainer, dataset.id, {"longest": 100})
    void = permits.given(wb, newest)
    assert void is not None and [line.name for line in void.further] == ["unchecked"]
    assert failed(checked(wb, labeler, dataset.id, settings)) == {"personal", "copies"}
    void = permits.given(wb, store.get(wb, dataset.id).newest)
    assert void is not None and (void.further, void.rechecked) == ((), True)
    assert words.allowed(void).endswith("for a check has found something else since.")
    with pytest.raises(Conflict, match="fails"):
        permits.require(wb, dataset.id)
