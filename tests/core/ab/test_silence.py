"""Silent raters: at the tipping point, and not before, the verdict turns."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.ab import sequences, silence
from core.ab.findings import Estimate


def estimate(est: float, se: float, users: int, planned: int = 2_000) -> Estimate:
    low, high, p = sequences.boundary(est, se, users, planned, 0.05)
    return Estimate(est, se, low, high, p, low, high, p, users, True)


@given(
    est=st.floats(-2, 2),
    se=st.floats(0.001, 0.2),
    rated=st.integers(100, 900),
    minimum=st.floats(0.05, 0.5),
)
def test_shifting_the_silent_users_by_the_tip_puts_the_interval_on_the_line(
    est: float, se: float, rated: int, minimum: float
) -> None:
    found = estimate(est, se, 2_000)
    tipped = silence.tipping("rating", found, minimum, 3.5, (500, 1_000), (rated, 1_000))
    assert tipped is not None
    decided = (-minimum < found.low and found.high < minimum) or found.low > 0 or found.high < 0
    assert math.isfinite(tipped.tip) == decided
    if not decided:
        return
    # By the definition: mean imputation with a shift, in numbers instead of the module's formula.
    share = 1 - rated / 1_000
    moved = found.est + share * tipped.tip
    error = math.sqrt(found.se**2 + tipped.tip**2 * share * (1 - share) / 1_000)
    low, high, _ = sequences.boundary(moved, error, 2_000, 2_000, 0.05)
    lines = (-minimum, minimum) if -minimum < found.low and found.high < minimum else (0.0,)
    assert min(abs(edge - line) for edge in (low, high) for line in lines) < 1e-6


def test_the_scale_says_whether_a_tip_is_possible_and_who_is_heard_is_compared() -> None:
    sure = estimate(1.0, 0.03, 2_000)
    few = silence.tipping("rating", sure, 0.2, 4.2, (950, 1_000), (900, 1_000))
    assert few is not None and few.tip < -3.2 and not few.possible and few.rated_p < 0.001
    many = silence.tipping("rating", sure, 0.2, 4.2, (500, 1_000), (500, 1_000))
    assert many is not None and -3.2 < many.tip < -1.5 and many.possible and many.rated_p == 1
    all_rated = silence.tipping("rating", sure, 0.2, 4.2, (1_000, 1_000), (1_000, 1_000))
    assert all_rated is not None and math.isnan(all_rated.tip)
    assert silence.tipping("cost", sure, 0.2, 4.2, (1, 2), (1, 2)) is None


def test_a_worse_variant_would_need_better_silent_users() -> None:
    found = silence.tipping("satisfied", estimate(-0.2, 0.02, 2_000), 0.05, 0.4, (600, 1_000), (600, 1_000))
    assert found is not None and found.tip == pytest.approx(0.33, abs=0.05) and found.possible
