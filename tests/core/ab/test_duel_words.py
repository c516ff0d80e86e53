"""What is said of a duel: never more than the numbers show, and never silent about a conflict."""

from __future__ import annotations

import pytest

from core.ab import duel, duel_words, verdict
from core.ab.duel import Preference
from core.ab.duel_words import Live

FOR_B, FOR_A = (duel.preference([(a, 0, 1 - a)] * 42 + [(1 - a, 0, a)] * 8) for a in (0, 1))
CLOSE = duel.preference([(0, 0, 1)] * 24 + [(1, 0, 0)] * 23)


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (FOR_B, "Judges preferred C in 84 of 100 decided duels (72 to 92)."),
        (FOR_A, "Judges preferred A in 84 of 100 decided duels (72 to 92)."),
        (CLOSE, "Judges preferred C in 51 of 100 decided duels (37 to 65): too close to call."),
    ],
)
def test_the_sentence_names_the_side_the_share_and_the_interval(found: Preference, sentence: str) -> None:
    assert duel_words.sentence(found, 60, 10, "C") == sentence


def test_few_none_and_equal_answers_claim_nothing() -> None:
    few = duel.preference([(0, 0, 1)] * 9)
    assert duel_words.sentence(few, 9, 0, "B").endswith("at least 10 items must be judged.")
    assert "Nobody has judged" in duel_words.sentence(None, 9, 3, "B")
    assert "the same answer to all 9 items" in duel_words.sentence(None, 9, 9, "B")
    said = duel_words.reason(CLOSE, 60, 10, 4, 70)
    assert "Items judged: 47;" in said and "4 of 70 judgements" in said and "10 of 60 items" in said
    assert duel_words.reason(None, 0, 0, 0, 0) == ""


@pytest.mark.parametrize(
    ("found", "live", "state", "part"),
    [
        (FOR_B, Live(verdict.BETTER, "rating"), "agree", "agree: C is better"),
        (FOR_A, Live(verdict.WORSE, "satisfied"), "agree", "agree: A is better"),
        (CLOSE, Live(verdict.SAME, "rating"), "agree", "no difference that matters"),
        (FOR_A, Live(verdict.BETTER, "rating"), "conflict", "with C, but the judges prefer A"),
        (FOR_B, Live(verdict.WORSE, "rating"), "conflict", "with A, but the judges prefer C"),
        (FOR_B, Live(verdict.SAME, "rating"), "conflict", "prefer C, but in the live test both"),
        (CLOSE, Live(verdict.BETTER, "rating"), "open", "says C is better; the judges do not contradict"),
        (None, Live(verdict.WORSE, "rating"), "open", "says A is better; the judges do not contradict"),
        (FOR_B, Live(verdict.UNCLEAR, "rating"), "open", "the judges prefer C"),
        (CLOSE, Live(verdict.UNCLEAR, "rating"), "open", "Neither"),
        (FOR_B, Live(verdict.BROKEN, "rating"), "open", "broken"),
        (FOR_B, Live(None, "rating"), "open", "has not started"),
        (FOR_B, Live(verdict.BETTER, "cost"), "open", "judges cannot see"),
        (FOR_B, Live(verdict.WORSE, "rating", "error_rate"), "open", "stopped C by a limit (error rate)"),
    ],
)
def test_agreement_and_conflict_with_the_live_test(
    found: Preference | None, live: Live, state: str, part: str
) -> None:
    said = duel_words.against(found, live, "C")
    assert said is not None and said.state == state and part in said.sentence


def test_agreement_between_judges_is_named_by_their_number() -> None:
    assert "Cohen κ 0.71: they see the same" in duel_words.agreement(50, 44, 0.71, 2)
    assert "Krippendorff α 0.30: they agree in part" in duel_words.agreement(50, 30, 0.3, 3)
    assert "a matter of taste" in duel_words.agreement(50, 20, 0.01, 2)
    assert duel_words.agreement(50, 50, None, 2).endswith("two or more of them judged.")
    assert "by two people yet" in duel_words.agreement(0, 0, None, 2)
