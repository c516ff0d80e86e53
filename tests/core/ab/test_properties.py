"""What holds for every statistic whatever the numbers: symmetry, order, aggregates."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.ab import bayes, means, proportions, quantiles, ranks, ratios, sequences
from core.ab.moments import Moments, Pairs

values = st.lists(
    st.floats(-1e3, 1e3, allow_subnormal=False).map(lambda v: round(v, 3)), min_size=3, max_size=50
)
spread = values.filter(lambda v: max(v) - min(v) > 0.01)
pairs = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 45)), min_size=3, max_size=40)


@given(spread, spread)
def test_exchanging_the_arms_negates_the_difference(a: list[float], b: list[float]) -> None:
    one, two = Moments.of(a), Moments.of(b)
    there, back = means.welch(one, two), means.welch(two, one)
    assert (there.est, there.low, there.p) == pytest.approx((-back.est, -back.high, back.p))
    there_cs, back_cs = (sequences.asymptotic(x, y, 1_000) for x, y in ((one, two), (two, one)))
    assert (there_cs.low, there_cs.p) == pytest.approx((-back_cs.high, back_cs.p))
    there_bayes, back_bayes = (bayes.gaussian(x, y, as_share=False) for x, y in ((one, two), (two, one)))
    assert there_bayes.chance_to_win == pytest.approx(1 - back_bayes.chance_to_win)
    assert there_bayes.loss_ship == pytest.approx(back_bayes.loss_keep)
    assert means.effect_size(one, two) == pytest.approx([-x for x in means.effect_size(two, one)])


@given(
    st.lists(st.integers(0, 30), min_size=5, max_size=5), st.lists(st.integers(0, 30), min_size=5, max_size=5)
)
def test_exchanging_the_arms_turns_the_odds_round(a: list[int], b: list[int]) -> None:
    a[0], b[0], a[4], b[4] = a[0] + 1, b[0] + 1, a[4] + 1, b[4] + 1
    there, back = ranks.brunner_munzel(a, b), ranks.brunner_munzel(b, a)
    assert there.superiority == pytest.approx(1 - back.superiority)
    assert there.p == pytest.approx(back.p)
    low, high = proportions.newcombe((a[0], sum(a)), (b[0], sum(b)))
    assert (low, high) == pytest.approx(
        [-x for x in proportions.newcombe((b[0], sum(b)), (a[0], sum(a)))][::-1]
    )


@given(spread, spread, st.randoms())
def test_the_order_of_rows_does_not_matter(a: list[float], b: list[float], rng: random.Random) -> None:
    mixed = rng.sample(a, len(a))
    assert means.welch(Moments.of(a), Moments.of(b)).p == pytest.approx(
        means.welch(Moments.of(mixed), Moments.of(b)).p, rel=1e-9
    )


@given(st.lists(values, min_size=1, max_size=5))
def test_aggregates_equal_rows(parts: list[list[float]]) -> None:
    rows = [value for part in parts for value in part]
    whole = Moments.of(rows)
    merged = Moments.of([])
    for part in parts:
        merged = merged + Moments.of(part)
    sums = Moments.of_sums(len(rows), sum(rows), sum(value * value for value in rows))
    scale = max(1.0, max(map(abs, rows)) ** 2)
    for other in (merged, sums):
        assert other.mean == pytest.approx(whole.mean, abs=1e-9 * scale)
        assert other.variance == pytest.approx(whole.variance, abs=1e-9 * scale * len(rows))


@given(pairs, pairs)
def test_pairs_add_up_and_a_ratio_of_one_a_user_is_its_mean(
    a: list[tuple[int, int]], b: list[tuple[int, int]]
) -> None:
    def of(rows: list[tuple[int, int]]) -> Pairs:
        return Pairs.of([x for x, _ in rows], [y for _, y in rows])

    both = of(a) + of(b)
    assert both.covariance == pytest.approx(of(a + b).covariance)
    sums = [sum(column) for column in zip(*((x, y, x * x, y * y, x * y) for x, y in a), strict=True)]
    assert Pairs.of_sums(len(a), *sums).covariance == pytest.approx(of(a).covariance, abs=1e-9)
    single = Pairs.of([1] * len(a), [y for _, y in a])
    assert ratios.ratio(single) == pytest.approx((single.y.mean, single.y.error))


@given(st.integers(60, 3_000), st.sampled_from([0.5, 0.9, 0.95]))
def test_the_ranks_hold_the_quantile_often_enough(n: int, q: float) -> None:
    from scipy import stats

    if n * (1 - q) < 6:
        return
    lower, upper = quantiles.ranks(n, q)
    assert stats.binom.cdf(upper - 1, n, q) - stats.binom.cdf(lower - 1, n, q) >= 0.95
