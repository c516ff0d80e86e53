"""Pairs that come after a check are judged by what was learnt then, until too many came or went."""

from __future__ import annotations

import numpy as np

from core.quality.texts.paired import GROWTH, Paired, check
from core.quality.texts.rules import Rules
from core.quality.texts.run import Checked
from core.quality.texts.run import check as check_all
from core.quality.texts.seen import Before, Rows
from core.texts.records import Record
from core.texts.rowfile import DataRow, table
from tests.core.quality.test_text_alignment import corpus, shuffle

PAIRS, MORE, MANY = 3_000, 50, 120


def wrong(found: Checked) -> set[int]:
    return {each["row_id"] for each in found.findings.to_pylist() if each["kind"] == "misaligned"}


def test_new_pairs_are_judged_by_the_old_ones_and_too_many_by_all_together() -> None:
    sources, targets = corpus(PAIRS + MANY)
    shuffled, moved = shuffle(targets[:PAIRS], 0.2)
    late, late_moved = shuffle(targets[PAIRS:], 0.5)
    texts = zip(sources, [*shuffled, *late], strict=True)
    rows = [DataRow(n, Record.pair(*each), "train") for n, each in enumerate(texts)]
    planted = set(np.flatnonzero([*moved, *late_moved]).tolist())

    def checked(some: list[DataRow], before: Checked | None, *, anew: bool = False) -> Checked:
        known = Before(before.findings, before.seen, before.learnt) if before else None
        return check_all(table(some), "parallel", Rules(), known, anew=anew)

    first = checked(rows[:PAIRS], None)
    assert (first.summary["together"], first.summary["since"]) == (PAIRS, 0)
    copy = DataRow(9_999, rows[1].record, "train")
    few = [*rows[1 : PAIRS + MORE], copy]  # one pair went, a copy of another came: no new content
    more = checked(few, first)
    assert (more.summary["together"], more.summary["since"]) == (PAIRS, MORE + 1)
    assert more.summary["pairs"] == len(few)
    old = {n for n in wrong(more) if n < PAIRS}
    assert old == wrong(first) - {0}
    new = {n for n in wrong(more) if PAIRS <= n < 9_999}
    expected = {n for n in planted if PAIRS <= n < PAIRS + MORE}
    assert len(new & expected) >= 0.9 * len(expected) and len(new - expected) <= 0.05 * MORE
    assert (9_999 in wrong(more)) == (1 in wrong(first))
    # What was learnt is handed on, and a third check counts from the first.
    third = checked([*few, rows[PAIRS + MORE]], more)
    assert (third.summary["together"], third.summary["since"]) == (PAIRS, MORE + 2)
    whole = checked([*few, rows[PAIRS + MORE]], third, anew=True)
    assert (whole.summary["together"], whole.summary["since"]) == (PAIRS + MORE, 0)
    assert MANY > GROWTH * PAIRS
    many = checked(rows, first)
    assert many.summary["since"] == 0
    scratch = checked(rows, None)
    assert many.findings.equals(scratch.findings) and many.learnt == scratch.learnt


def test_what_others_say_counts_no_longer_once_another_model_reads_them() -> None:
    sources, targets = corpus(1_200)
    rows = [DataRow(n, Record.pair(*each), None) for n, each in enumerate(zip(sources, targets, strict=True))]

    def judged(some: list[DataRow], before: Paired | None, without: str) -> Paired:
        of = Rows(table(some))
        seen = check_all(table(rows[:1_190]), "parallel", Rules()) if before else None
        known = Before(seen.findings, seen.seen, before.learnt) if seen and before else None
        return check(of, known, None, without)

    first = judged(rows[:1_190], None, "no model is set")
    assert judged(rows, first, "no model is set").said.since == 10
    assert judged(rows, first, "the model is broken").said.since == 0
