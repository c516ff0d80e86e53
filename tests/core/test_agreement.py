"""Measures of agreement give the values their authors published."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import agreement

# Fleiss 1971 as reprinted with 14 raters, 10 subjects, 5 categories: kappa 0.210.
FLEISS = [
    [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
]  # fmt: skip

# Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", section C: nominal alpha 0.743.
KRIPPENDORFF = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
    [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
]


def test_fleiss_kappa_is_the_published_one() -> None:
    assert agreement.fleiss(np.array(FLEISS)) == pytest.approx(0.210, abs=5e-4)


def test_krippendorffs_alpha_is_the_published_one() -> None:
    votes = {
        unit: {rater: row[unit] for rater, row in enumerate(KRIPPENDORFF) if row[unit] is not None}
        for unit in range(12)
    }
    assert agreement.krippendorff(votes) == pytest.approx(0.743, abs=5e-4)  # type: ignore[arg-type]


def test_cohens_kappa_is_the_published_one() -> None:
    # 50 proposals, two readers: both yes 20, both no 15, only the first 5, only the second 10: kappa 0.4.
    both = [(1, 1)] * 20 + [(0, 0)] * 15 + [(1, 0)] * 5 + [(0, 1)] * 10
    assert agreement.cohen(both) == pytest.approx(0.4)


def test_pairs_and_labels_are_counted() -> None:
    votes = {1: {7: 1, 8: 1}, 2: {7: 1, 8: 2}, 3: {7: 2}, 4: {8: 2, 9: 2}}
    first, second = agreement.pairs(votes)
    assert (first.a, first.b, first.n, first.same) == (7, 8, 2, 1)
    assert (second.a, second.b, second.n, second.same, second.kappa) == (8, 9, 1, 1, None)
    assert [(each.label, each.n, each.same) for each in agreement.by_label(votes)] == [(1, 2, 1), (2, 2, 1)]
    assert agreement.chance(votes) == pytest.approx(0.5)


VOTES = st.dictionaries(
    st.integers(1, 30), st.dictionaries(st.integers(1, 4), st.integers(1, 3), max_size=4), max_size=20
)


@given(VOTES)
def test_what_is_undefined_is_none_and_the_rest_lies_in_range(votes: dict[int, dict[int, int]]) -> None:
    for value in (agreement.krippendorff(votes), agreement.fleiss_of(votes)):
        assert value is None or -1.5 <= value <= 1 + 1e-9
    for pair in agreement.pairs(votes):
        assert pair.kappa is None or -1 <= pair.kappa <= 1


@given(VOTES, st.integers(0, 100))
def test_names_of_labels_and_people_do_not_matter(votes: dict[int, dict[int, int]], shift: int) -> None:
    moved = {i: {who + shift: 100 - label for who, label in given.items()} for i, given in votes.items()}
    assert agreement.krippendorff(moved) == pytest.approx(agreement.krippendorff(votes))
