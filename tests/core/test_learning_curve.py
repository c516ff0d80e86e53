"""The curve finds what made the points, rises, stays within 0 and 1, and says nothing from too little."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from core import learning_curve
from core.learning_curve import Point


def made(a: float, b: float, c: float, n: int = 2000) -> list[Point]:
    return [Point(x, max(0.0, a - b * x**-c), n) for x in (100, 200, 400, 800, 1600)]


@settings(max_examples=15, deadline=None)
@given(st.floats(0.6, 1.0), st.floats(0.2, 3.0), st.floats(0.3, 1.2))
def test_points_of_a_known_curve_are_found_again(a: float, b: float, c: float) -> None:
    points = made(a, b, c)
    assume(all(point.accuracy > 0 for point in points))  # where a share ends at 0 the curve is another one
    curve = learning_curve.fit(points)
    assert curve is not None
    seen = np.array([point.accuracy for point in points])
    assert curve.at([point.labels for point in points]) == pytest.approx(seen, abs=0.02)
    low, high = curve.band([3200])
    assert low[0] - 0.02 <= max(0.0, a - b * 3200**-c) <= high[0] + 0.02


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.builds(Point, st.integers(1, 10**6), st.floats(0, 1), st.integers(1, 10**4)),
        min_size=3,
        max_size=8,
        unique_by=lambda point: point.labels,
    )
)
def test_a_curve_rises_and_stays_a_share(points: list[Point]) -> None:
    curve = learning_curve.fit(points)
    assert curve is not None
    x = np.geomspace(1, 10**7, 50)
    y = curve.at(x)
    low, high = curve.band(x)
    assert (np.diff(y) >= -1e-12).all()
    assert ((low >= 0) & (low <= y) & (y <= high) & (high <= 1)).all()
    assert learning_curve.fit(points[::-1]) == curve  # order does not matter


def test_too_few_different_numbers_of_labels_give_no_curve() -> None:
    assert learning_curve.fit([]) is None
    assert learning_curve.fit([Point(100, 0.8, 50), Point(200, 0.9, 50), Point(200, 0.91, 50)]) is None


def test_a_flat_end_says_that_more_hardly_helps_and_a_steep_one_that_it_does() -> None:
    flat = learning_curve.fit([Point(n, 0.95, 5000) for n in (100, 1000, 10_000)])
    steep = learning_curve.fit(made(0.98, 4.0, 0.5))
    assert flat is not None and steep is not None
    assert learning_curve.forecast(flat, 10_000, 200).hardly
    rising = learning_curve.forecast(steep, 200, 200)
    assert not rising.hardly
    assert 0.05 < rising.gain < 0.15
    assert rising.low <= rising.then <= rising.high
