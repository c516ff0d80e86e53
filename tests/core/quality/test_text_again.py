"""A check that knows an earlier one finds what one without it does, whatever happened to the rows between them."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from core.quality.texts import leakage
from core.quality.texts.foundfile import packed
from core.quality.texts.rules import Rules
from core.quality.texts.run import Checked, check
from core.quality.texts.seen import Before, Rows
from core.texts.records import ASSISTANT, USER, Record, Turn
from core.texts.rowfile import DataRow, table

WORDS = (
    *("the", "river", "town", "library", "evening", "of", "garden", "stone"),
    *("old", "road", "walks", "under", "winter", "bright", "seven", "letters"),
)
PLANTED = (
    "mail me at jane.roe@example.org please",
    "この町の天気は一日に何度も変わるので、傘を持って行ってください。",
    "You are an idiot!",
    "caf\u00c3\u00a9 \u00c3\u00a9t\u00c3\u00a9",
    "",
    "…",
    "お前の町の図書館は夕方に閉まりますので、早めに行くことをお勧めします。",
)
SPLITS = ("train", "train", "train", "valid", "test", None)


def said(rng: np.random.Generator, least: int = 3, most: int = 40) -> str:
    if rng.random() < 0.15:
        return PLANTED[rng.integers(len(PLANTED))]
    return " ".join(rng.choice(WORDS, rng.integers(least, most)))


def record(rng: np.random.Generator, rows: list[DataRow], shape: str) -> Record:
    """A new one; an old one; one with a word more; one that repeats another's prompt within a longer answer."""
    kind = rng.integers(8) if rows else 7
    old = rows[rng.integers(len(rows))].record if rows else Record(())
    if kind == 0:
        return old
    if kind == 1 and old.turns:
        more = Turn(old.turns[-1].role, old.turns[-1].content + " " + rng.choice(WORDS))
        return replace(old, turns=(*old.turns[:-1], more))
    if kind == 2:
        return Record.pair(said(rng), f"{said(rng)} {old.prompt} {said(rng)}")
    if shape == "messages" and kind < 6:
        turns = tuple(Turn((USER, ASSISTANT, "wizard")[n % 3], said(rng)) for n in range(rng.integers(0, 4)))
        return Record(turns, system=said(rng) if kind == 3 else "")
    return Record.pair(
        said(rng), said(rng), said(rng) if kind == 4 else "", extra={"a": 1} if kind == 5 else {}
    )


def edited(rng: np.random.Generator, rows: list[DataRow], shape: str, next_id: int) -> list[DataRow]:
    """Some rows gone, some said otherwise, some dealt anew, some added."""
    out = []
    for row in rows:
        what = rng.random()
        if what < 0.05:
            continue
        if what < 0.10:
            row = replace(row, record=record(rng, rows, shape))
        elif what < 0.15:
            row = replace(row, split=SPLITS[rng.integers(len(SPLITS))])
        out.append(row)
    for row_id in range(next_id, next_id + int(rng.integers(1, 30))):
        out.append(DataRow(row_id, record(rng, [*rows, *out], shape), SPLITS[rng.integers(len(SPLITS))]))
    return out


def stored(of: Checked) -> Before:
    """As the next job reads it from the files."""
    findings, seen = (pq.read_table(io.BytesIO(packed(each))) for each in (of.findings, of.seen))
    return Before(findings, seen, of.learnt)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("shape", ["alpaca", "messages"])
def test_a_chain_of_checks_finds_what_one_check_finds(shape: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = edited(rng, [], shape, 1)
    rules, before = Rules(likeness=0.8), None
    kinds: set[str] = set()
    for version in range(6):
        rows = edited(rng, rows, shape, 1_000 * (version + 1))
        if version == 4:  # the threshold that the kept sketches were made for is another one
            rules = Rules(likeness=0.6)
        whole = check(table(rows), shape, rules)
        again = check(table(rows), shape, rules, before)
        assert again.findings.to_pylist() == whole.findings.to_pylist()
        assert {**again.summary, "looked_at": 0} == {**whole.summary, "looked_at": 0}
        if before is not None:
            assert again.summary["looked_at"] < whole.summary["looked_at"]
        before = stored(again)
        kinds |= set(whole.findings["kind"].to_pylist())
    assert {"copy", "near-copy", "leakage", "email", "language"} <= kinds
    unchanged = check(table(rows), shape, rules, before)
    assert unchanged.summary["looked_at"] == 0
    assert unchanged.seen.to_pylist() == before.seen.to_pylist()


def test_pairs_are_judged_anew_as_soon_as_one_of_them_changes() -> None:
    rng = np.random.default_rng(0)
    pairs = [(said(rng, 2, 9), said(rng, 2, 9)) for _ in range(1_100)]
    rows = [DataRow(n, Record.pair(*pair), "train") for n, pair in enumerate(pairs, start=1)]
    first = check(table(rows), "parallel", Rules())
    again = check(table(rows), "parallel", Rules(), stored(first))
    assert again.findings.equals(first.findings) and again.summary == {**first.summary, "looked_at": 0}
    dealt = [replace(row, split="test" if row.row_id % 9 == 0 else "train") for row in rows]
    for some in (dealt, [*dealt[1:], DataRow(2_000, Record.pair("seven stones", "七 7"), None)]):
        whole, known = (
            check(table(some), "parallel", Rules()),
            check(table(some), "parallel", Rules(), stored(again)),
        )
        assert known.findings.to_pylist() == whole.findings.to_pylist()
        assert {**known.summary, "looked_at": 0} == {**whole.summary, "looked_at": 0}
        again = known


@pytest.mark.parametrize("shape", ["alpaca", "messages"])
def test_what_is_asked_is_the_first_turn_of_the_user_with_its_context(shape: str) -> None:
    rng = np.random.default_rng(2)
    rows: list[DataRow] = []
    for n in range(200):
        rows.append(DataRow(n, record(rng, rows, shape)))
    asked = Rows(table(rows)).asked(range(100, 200))
    assert asked == [leakage.asked(row.record.prompt, row.record.context) for row in rows[100:]]


def test_no_leak_passes_the_outline() -> None:
    """Halves of hashes decide who is read again; whoever shares a run must be among them."""
    rng = np.random.default_rng(1)
    rows: list[DataRow] = []
    for n in range(400):
        rows.append(DataRow(n, record(rng, rows, "alpaca")))
    train, tested = (
        [row.record for row in rows[:300]],
        leakage.prompts(Rows(table(rows)).asked(range(300, 400))),
    )
    outlines = leakage.outlined(train)
    suspected = {
        n
        for n, halves in enumerate(outlines)
        if leakage.suspects(np.array(halves.as_py(), np.uint32), tested).any()
    }
    found = set(leakage.shared(train, tested))
    assert found and found <= suspected
    assert len(suspected - found) <= 2
