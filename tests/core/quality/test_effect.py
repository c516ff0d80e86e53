from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar

from core.quality import effect

cells = st.tuples(*[st.integers(0, 60)] * 4).filter(any)


@pytest.mark.parametrize(
    ("both", "first", "second", "neither", "low", "high"),
    [
        (36, 12, 2, 0, 0.0569, 0.3404),  # Newcombe 1998
        (14, 5, 0, 22, 0.011, 0.226),  # Altman et al., Statistics with Confidence, 2000, table 6.2
        (1, 1, 7, 12, -0.507, -0.026),  # Fagerland, Lydersen, Laake, BMC Med. Res. Methodol. 14, 2014
    ],
)
def test_the_interval_of_a_paired_difference_is_the_published_one(
    both: int, first: int, second: int, neither: int, low: float, high: float
) -> None:
    assert effect.newcombe_paired(both, first, second, neither) == pytest.approx((low, high), abs=6e-4)


@given(cells)
def test_the_interval_holds_the_difference_and_turns_with_the_sides(four: tuple[int, int, int, int]) -> None:
    both, first, second, neither = four
    low, high = effect.newcombe_paired(both, first, second, neither)
    assert -1 - 1e-9 <= low <= (first - second) / sum(four) <= high <= 1 + 1e-9
    turned = effect.newcombe_paired(both, second, first, neither)
    assert turned == pytest.approx((-high, -low))


@given(cells)
def test_p_is_the_exact_one_of_mcnemar(four: tuple[int, int, int, int]) -> None:
    both, gained, lost, neither = four
    before = np.repeat([True, False, True, False], [both, gained, lost, neither])
    after = np.repeat([True, True, False, False], [both, gained, lost, neither])
    found = effect.paired(before, after)
    assert found.p == pytest.approx(mcnemar([[both, lost], [gained, neither]], exact=True).pvalue)
    assert (found.n, found.difference) == (sum(four), pytest.approx(after.mean() - before.mean()))


def test_what_differs_between_two_versions_is_counted() -> None:
    before = {1: (7, "train"), 2: (7, "train"), 3: (8, "test"), 4: (8, "valid")}
    after = {1: (8, "train"), 2: (7, "test"), 3: (8, "test"), 5: (7, "train"), 6: (7, "train")}
    assert effect.changes(before, after) == effect.Changes(added=2, removed=1, relabelled=1, moved=1)
    assert not effect.changes(before, before).any
