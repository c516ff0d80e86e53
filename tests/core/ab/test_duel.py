"""Who wins a duel, and how sure that is: known intervals, symmetry, and one side that won everything."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from core.ab import duel
from core.ab.duel import Tally
from core.errors import InvalidInput

tallies = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 3), st.integers(0, 4)).filter(any), min_size=1, max_size=60
)

drawn = settings(deadline=None, max_examples=50)
"""Each example draws twenty thousand times, which a busy machine may take its time for."""


def won(b: int, of: int) -> list[Tally]:
    return [(0, 0, 1)] * b + [(1, 0, 0)] * (of - b)


@pytest.mark.parametrize(("b", "of"), [(56, 100), (5, 10), (3, 40), (199, 200), (1, 12)])
def test_one_judge_without_ties_gives_the_interval_of_jeffreys(b: int, of: int) -> None:
    found = duel.preference(won(b, of))
    expected = stats.beta(b + 0.5, of - b + 0.5).ppf([0.025, 0.975])
    assert found.win == b / of and found.items == of
    assert (found.low, found.high) == pytest.approx(expected, abs=0.004)


@pytest.mark.parametrize("of", [1, 9, 10, 500])
def test_a_side_that_won_everything_gets_a_bound(of: int) -> None:
    found = duel.preference(won(of, of))
    assert (found.win, found.high) == (1, 1)
    assert found.low == pytest.approx(stats.beta(of + 0.5, 0.5).ppf(0.025), abs=0.01)
    gap, least, most = found.elo
    assert math.isinf(gap) and math.isinf(most) and math.isfinite(least)
    assert found.winner == ("B" if of >= duel.FEW else None)  # few items prove nothing


@drawn
@given(tallies)
def test_exchanging_the_sides_mirrors_everything(items: list[Tally]) -> None:
    there, back = duel.preference(items), duel.preference((b, tie, a) for a, tie, b in items)
    assert (there.win, there.low, there.high) == pytest.approx((1 - back.win, 1 - back.high, 1 - back.low))
    assert there.winner == {"A": "B", "B": "A", None: None}[back.winner]
    assert there.low <= there.high and there.low >= 0 and there.high <= 1


@drawn
@given(tallies, st.randoms())
def test_the_order_of_items_does_not_matter_and_drawing_again_gives_the_same(
    items: list[Tally], rng: random.Random
) -> None:
    assert duel.preference(items) == duel.preference(rng.sample(items, len(items)))


@drawn
@given(tallies, st.integers(2, 5))
def test_judges_who_say_the_same_add_nothing(items: list[Tally], judges: int) -> None:
    more = [(a * judges, tie * judges, b * judges) for a, tie, b in items]
    assert duel.preference(more) == duel.preference(items)


@drawn
@given(st.integers(1, 200), st.integers(1, 200))
def test_the_gap_is_that_of_bradley_and_terry(a: int, b: int) -> None:
    [gap, _] = duel.bradley_terry([[0, b], [a, 0]], 1)
    assert duel.preference(won(b, a + b)).elo[0] == pytest.approx(gap * duel.ELO)


def test_sides_are_dealt_evenly_and_stay() -> None:
    dealt = [duel.a_is_left("salt", item, judge) for item in range(1, 1_001) for judge in (1, 2)]
    assert 900 < sum(dealt) < 1_100
    assert sum(x == y for x, y in zip(dealt[::2], dealt[1::2], strict=True)) < 600  # each judge's own
    assert duel.a_is_left("salt", 7, 3) == duel.a_is_left("salt", 7, 3)


def test_nothing_judged_is_one_sentence() -> None:
    with pytest.raises(InvalidInput, match="Nothing has been judged"):
        duel.preference([(0, 0, 0)])
