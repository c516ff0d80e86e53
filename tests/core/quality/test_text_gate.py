"""All checks of a version together: what they find, what they need not look at again, and what the gate says."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InvalidInput
from core.quality.texts import gate, kinds, run
from core.quality.texts.counting import tally
from core.quality.texts.gate import Counts
from core.quality.texts.kinds import KINDS
from core.quality.texts.rules import Rules, changed
from core.texts.records import Record, Turn
from core.texts.rowfile import DataRow, table
from tests.core.quality.planted_pii import planted
from tests.core.quality.test_text_alignment import HANGUL, corpus


def rows(*records: Record, splits: str = "") -> pa.Table:
    """`splits`: a letter a row of train, valid, test; “-” for none."""
    names = {"t": "train", "v": "valid", "e": "test"}
    return table(
        [DataRow(n + 1, record, names.get(splits[n]) if splits else None) for n, record in enumerate(records)]
    )


def of_kinds(checked: run.Checked) -> set[tuple[int, str]]:
    found = checked.findings
    return set(zip(found["row_id"].to_pylist(), found["kind"].to_pylist(), strict=True))


def failed(checked: run.Checked, rules: Rules = Rules()) -> set[str]:  # noqa: B008 — frozen
    counts = tally(checked.findings, checked.summary).counts
    return {line.name for line in gate.judge(counts, rules).failed}


ZOO = (
    Record.pair("What is the capital of France, please?", "The capital of France is Paris, of course."),
    Record.pair("What is the capital of France, please!", "The capital of France is PARIS of course"),
    Record.pair("", "An answer without any question at all."),
    Record.pair("Write to me", "My address is taro.yamada@mail.example.com, thank you."),
    Record.pair("Say something about the weather today", "cafÃ© Ã©tÃ© is what I read on the sign here"),
    Record.pair("Tell me what you are not able to do", "I'm sorry, but I can't help with that."),
    Record.pair("Tell me about the bell\x07", "It rings \u200bat noon in this town every day."),
    Record((Turn("wizard", "Abracadabra is what they say in fairy tales"),)),
    Record(()),
    Record.pair(
        "Please write it in one language only",
        "この町の天気は一日に何度も変わるので、傘を持って行ってください。",
    ),
    Record.pair("Long", "a " * 9_000),
)


def test_each_finding_is_of_a_known_kind_and_about_its_row() -> None:
    checked = run.check(rows(*ZOO), "alpaca", Rules())
    expected = {
        (2, "copy"),
        (3, "empty"),
        (4, "email"),
        (5, "mojibake"),
        (6, "refusal"),
        (7, "control"),
        (7, "invisible"),
        (8, "role"),
        (8, "no-answer"),
        (9, "no-turns"),
        (10, "language"),
        (11, "too-long"),
    }
    assert of_kinds(checked) == expected
    assert failed(checked) == {"personal", "unreadable"}
    assert {kind for _, kind in expected} <= KINDS.keys()
    assert run.NO_TEST in checked.summary["not_checked"]
    for name in KINDS:
        assert kinds.title(name) and kinds.meaning(name) and kinds.advice(name)
    for message, fields in zip(
        checked.findings["message"].to_pylist(), checked.findings["fields"].to_pylist(), strict=True
    ):
        assert message.format(**json.loads(fields))


def test_where_pairs_cannot_be_compared_the_gate_says_so() -> None:
    sources, targets = corpus(1_000, letters=HANGUL)
    # too few to learn from: only what is not translated at all counts
    few = run.check(rows(*map(Record.pair, sources[:20], targets[:20])), "parallel", Rules())
    assert few.summary["pairs"] == 20 and any("1,000 pairs" in said for said in few.summary["not_checked"])
    assert failed(few) == set()
    # all of them wrong: nothing can be learnt, and that is no PASS
    chaos = run.check(rows(*map(Record.pair, sources, targets[1:] + targets[:1])), "parallel", Rules())
    assert failed(chaos) == {"alignment"}
    counts = tally(chaos.findings, chaos.summary).counts
    line = next(line for line in gate.judge(counts, Rules()).lines if line.name == "alignment")
    assert "cannot be told" in gate.said(line, counts) and "set the share" in gate.advice(line, counts)


def test_what_is_tested_is_not_learnt_from() -> None:
    asked = "please explain in simple words why the sky looks blue at noon and red at dusk every day"
    checked = run.check(
        rows(
            Record.pair(asked, "Because of the air."),
            Record.pair("Quiz", f"He said: {asked}!"),
            Record.pair("Some other question about birds", "Birds fly."),
            Record.pair("Some other question about birds?", "Birds fly!"),
            Record.pair("And one about the fish of the sea", "Fish swim."),
            Record.pair("And one about the fish of the sea", "Fish swim."),
            splits="ettvt-",
        ),
        "alpaca",
        Rules(),
    )
    assert {row for row, kind in of_kinds(checked) if kind == "leakage"} == {2, 3}
    leaks = [each for each in checked.findings.to_pylist() if each["kind"] == "leakage"]
    assert [each["group"] for each in leaks] == [1, 3]
    assert [each["message"].format(**json.loads(each["fields"])) for each in leaks] == [
        "Shares a long run of words with the prompt of row 1, which is tested.",
        "Says the same as row 4, which is in “valid”.",
    ]
    assert "leakage" in failed(checked)


def test_no_finding_repeats_what_is_personal() -> None:
    examples = [each for each in planted(200) if each.spans]
    checked = run.check(rows(*(Record.pair(each.text, each.text) for each in examples)), "chat", Rules())
    written = str(checked.findings.to_pylist()) + str(checked.seen.to_pylist()) + str(checked.summary)
    values = {each.text[start:end] for each in examples for start, end, _ in each.spans}
    assert len(values) > 100
    assert [value for value in values if value in written] == []
    assert "personal" in failed(checked)


edits = st.lists(
    st.tuples(st.integers(0, len(ZOO) - 1), st.sampled_from(["same", "edit", "drop"])), min_size=1, max_size=8
)


@settings(deadline=None, max_examples=25)
@given(edits, edits)
def test_a_second_check_finds_the_same_as_a_first_one_and_looks_at_new_contents_only(
    first: list[tuple[int, str]], second: list[tuple[int, str]]
) -> None:
    def made(of: list[tuple[int, str]]) -> pa.Table:
        chosen = [
            replace(ZOO[n], context="new") if what == "edit" else ZOO[n] for n, what in of if what != "drop"
        ]
        return rows(*chosen)

    before = run.check(made(first), "alpaca", Rules())
    again = made(second)
    scratch = run.check(again, "alpaca", Rules())
    checked = run.check(again, "alpaca", Rules(), run.Before(before.findings, before.seen))
    assert checked.findings.equals(scratch.findings)
    assert checked.seen.equals(scratch.seen)
    new = set(again["hash"].to_pylist()) - set(before.seen["hash"].to_pylist())
    assert checked.summary["looked_at"] == len(new)


amounts = st.integers(0, 100)


@given(
    st.fixed_dictionaries({name: amounts for name in ("copies", "personal", "unreadable", "leaks", "broken")})
)
def test_the_score_is_100_only_where_all_passes_and_never_rises_with_more_findings(
    found: dict[str, Any],
) -> None:
    counts = Counts(rows=100, pairs=100, unaligned=found["copies"] // 2, told=100, **found)
    judged = gate.judge(counts, Rules())
    assert (judged.score == 100) == judged.passed
    for name in found:
        worse = gate.judge(replace(counts, **{name: found[name] + 1}), Rules())
        assert worse.score <= judged.score
    for line in judged.lines:
        assert gate.title(line) and gate.said(line, counts) and gate.advice(line, counts)


@pytest.mark.parametrize(
    ("counts", "lines"),
    [
        ({}, set()),
        ({"copies": 20}, set()),
        ({"copies": 21}, {"copies"}),
        ({"unaligned": 20}, set()),
        ({"unaligned": 21}, {"alignment"}),
        ({"foreign": 10}, set()),
        ({"foreign": 11}, {"language"}),
        ({"personal": 1}, {"personal"}),
        ({"broken": 1}, {"unreadable"}),
        ({"unreadable": 1}, {"unreadable"}),
        ({"leaks": 1}, {"leakage"}),
        ({"unchecked": 100}, {"unchecked"}),
    ],
)
def test_the_default_thresholds(counts: dict[str, int], lines: set[str]) -> None:
    judged = gate.judge(Counts(rows=100, pairs=100, told=100, **counts), Rules())
    assert {line.name for line in judged.failed} == lines


def test_rules_that_make_no_sense_are_refused_by_name() -> None:
    assert changed(Rules(), {"most_copies": 0.5}).most_copies == 0.5
    for values in ({"most_copies": 2}, {"likeness": 0.1}, {"longest": "x"}, {"wings": 2}):
        with pytest.raises(InvalidInput, match=f"“{next(iter(values))}” is not right"):
            changed(Rules(), values)


def test_what_raises_in_progress_ends_the_check() -> None:
    class Stop(Exception):
        pass

    def stop(done: float) -> None:
        raise Stop

    with pytest.raises(Stop):
        run.check(rows(*ZOO), "alpaca", Rules(), None, stop)
    seen: list[float] = []
    run.check(rows(*ZOO), "alpaca", Rules(), None, seen.append)
    assert seen == sorted(seen) and seen[-1] == 1.0


def test_few_pairs_that_are_not_translated_fail() -> None:
    pairs = [Record.pair(text, text) for text in (f"The lamp of room {n} is broken." for n in range(50))]
    assert "alignment" in failed(run.check(rows(*pairs), "parallel", Rules()))
