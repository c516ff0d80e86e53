"""The statistics agree with scipy and statsmodels, which compute them in other ways."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats import multitest, weightstats
from statsmodels.stats import power as other_power
from statsmodels.stats import proportion as shares

from core.ab import bayes, many, means, mismatch, power, proportions, quantiles, ranks, ratios, sequences
from core.ab.moments import Moments, Pairs

CLOSE = dict(rel=1e-9, abs=1e-12)
ratings = st.lists(st.integers(1, 5), min_size=3, max_size=60).filter(lambda v: len(set(v)) > 1)
counts = st.tuples(st.integers(1, 400), st.integers(401, 900))


@given(ratings, ratings)
def test_welch(a: list[int], b: list[int]) -> None:
    found, other = means.welch(Moments.of(a), Moments.of(b)), stats.ttest_ind(b, a, equal_var=False)
    low, high = other.confidence_interval()
    assert (found.p, found.df, found.low, found.high) == pytest.approx(
        (other.pvalue, other.df, low, high), **CLOSE
    )
    compare = weightstats.CompareMeans(weightstats.DescrStatsW(b), weightstats.DescrStatsW(a))
    p = compare.ttost_ind(-0.5, 0.5, usevar="unequal")[0]
    assert means.equivalence(Moments.of(a), Moments.of(b), 0.5).p == pytest.approx(p, **CLOSE)


@given(ratings, ratings)
def test_brunner_munzel_and_mann_whitney_from_histograms(a: list[int], b: list[int]) -> None:
    of_a, of_b = (ranks.histogram(values, range(1, 6)) for values in (a, b))
    other = stats.mannwhitneyu(b, a, method="asymptotic", use_continuity=False)
    found = ranks.mann_whitney_counts(of_a, of_b)
    assert (found.u_b, found.p) == pytest.approx((other.statistic, other.pvalue), **CLOSE)
    if max(a) >= min(b) and max(b) >= min(a):
        whole = stats.brunnermunzel(a, b)
        ours = ranks.brunner_munzel(of_a, of_b)
        if np.isfinite(whole.statistic):
            assert (ours.statistic, ours.p) == pytest.approx((whole.statistic, whole.pvalue), rel=1e-7)


@given(counts, counts)
def test_shares(a: tuple[int, int], b: tuple[int, int]) -> None:
    assert proportions.wilson(*a) == pytest.approx(shares.proportion_confint(*a, method="wilson"), **CLOSE)
    other = shares.confint_proportions_2indep(*b, *a, method="newcomb")
    assert proportions.newcombe(a, b) == pytest.approx(other, **CLOSE)
    assert proportions.pooled_z(a, b) == pytest.approx(
        shares.proportions_ztest([b[0], a[0]], [b[1], a[1]]), **CLOSE
    )
    low, high, p = proportions.wald(a, b)
    assert (low, high) == pytest.approx(shares.confint_proportions_2indep(*b, *a, method="wald"), **CLOSE)
    assert 0 <= p <= 1


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_corrections(p: list[float]) -> None:
    # statsmodels collects garbage each time, which takes seconds where other tests have left much in memory.
    with mock.patch("gc.collect"):
        for ours, name in (
            (many.holm, "holm"),
            (many.benjamini_hochberg, "fdr_bh"),
            (many.bonferroni, "bonferroni"),
        ):
            assert ours(p) == pytest.approx(list(multitest.multipletests(p, method=name)[1]), **CLOSE)


def test_power_and_sizes() -> None:
    other = other_power.TTestIndPower()
    for n, delta, sd in ((20, 1, 1), (521, 0.2, 1.15), (2081, 0.1, 1.15)):
        assert power.means(n, delta, sd) == pytest.approx(other.power(delta / sd, n, 0.05), rel=1e-5)
        assert power.detectable(n, sd) == pytest.approx(other.solve_power(None, n, 0.05, 0.8) * sd, rel=1e-4)
    assert power.means_n(0.2, 1.15) == pytest.approx(520.0, abs=2)
    assert power.means_n(0.1, 1.15) == pytest.approx(2077, abs=5)
    assert power.shares(power.shares_n(0.2, 0.25), 0.2, 0.25) == pytest.approx(0.8)


def test_ratio_and_cuped_by_resampling() -> None:
    rng = np.random.default_rng(3)
    n = 4_000
    x = rng.poisson(6, n) + 1.0
    y = x * rng.normal(4, 1, n) + rng.normal(0, 2, n)
    r, variance = ratios.ratio(Pairs.of(list(x), list(y)))
    drawn = rng.integers(0, n, (600, n))
    again = y[drawn].sum(1) / x[drawn].sum(1)
    assert r == pytest.approx(y.sum() / x.sum())
    assert variance**0.5 == pytest.approx(again.std(), rel=0.1)
    before = rng.normal(3, 1, n)
    after = before + rng.normal(0, 0.5, n)
    half = n // 2
    found = ratios.cuped(
        Pairs.of(list(before[:half]), list(after[:half])), Pairs.of(list(before[half:]), list(after[half:]))
    )
    assert found.theta == pytest.approx(np.polyfit(before, after, 1)[0], rel=1e-6)
    assert found.kept == pytest.approx(0.2, rel=0.1)


def test_sound_tests_that_are_looked_at_often_are_hardly_ever_called_broken() -> None:
    rng, weights = np.random.default_rng(11), [0.5, 0.5]
    tests, looks, each = 1_000, 40, 50
    assigned = np.cumsum(rng.binomial(each, 0.5, (tests, looks)), axis=1)
    users = each * np.arange(1, looks + 1)
    logged = np.stack([rng.binomial(part, 0.9) for part in (assigned, users - assigned)])
    broken = once = 0
    for test in range(tests):
        p = 1.0
        for look in range(looks):
            one = int(assigned[test, look])
            counts = [(one, int(users[look]) - one), tuple(map(int, logged[:, test, look]))]
            p = mismatch.any_time(counts, weights, p)
        broken += p < mismatch.ALARM or mismatch.once(counts, weights) < mismatch.ALARM
        once += mismatch.once(counts, weights) < 0.1
    assert broken <= 5
    assert 30 < once < 110  # and where it is asked once, it says what it promises


def test_bayes_and_mismatch_by_simulation_and_integration() -> None:
    rng = np.random.default_rng(4)
    drawn = rng.beta(41, 61, 400_000) < rng.beta(52, 50, 400_000)
    assert bayes.beta_binomial((40, 100), (51, 100)) == pytest.approx(drawn.mean(), abs=0.003)
    posterior = bayes.normal(0.3, 0.04)
    values = rng.normal(0.3, 0.2, 400_000)
    assert posterior.loss_ship == pytest.approx(np.maximum(-values, 0).mean(), abs=0.001)
    assert posterior.loss_keep == pytest.approx(np.maximum(values, 0).mean(), abs=0.002)
    other = stats.dirichlet_multinomial.pmf([60, 40], [1, 1], 100) / stats.multinomial.pmf(
        [60, 40], 100, [0.5, 0.5]
    )
    assert np.exp(mismatch.log_bayes_factor([60, 40], [0.5, 0.5])) == pytest.approx(other)


def test_a_quantiles_interval_covers_it_and_clusters_widen_it() -> None:
    rng = np.random.default_rng(5)
    truth = stats.expon.ppf(0.95)
    hits = [
        (found := quantiles.quantile(list(rng.exponential(size=400)), 0.95)).low <= truth <= found.high
        for _ in range(600)
    ]
    assert np.mean(hits) >= 0.93
    users = np.repeat(np.arange(200), 20)
    values = rng.exponential(size=200)[users] + rng.exponential(size=4_000) * 0.1
    apart = quantiles.clustered_error(list(values), list(range(4_000)), 0.95)
    assert quantiles.clustered_error(list(values), list(users), 0.95) > 2.5 * apart


def test_a_confidence_sequence_covers_the_truth_at_every_look() -> None:
    rng = np.random.default_rng(6)
    runs, users = 400, 4_000
    missed = 0
    for _ in range(runs):
        a, b = rng.integers(1, 6, (2, users)).astype(float)
        looks = range(200, users + 1, 200)
        missed += any(
            not (found := sequences.asymptotic(Moments.of(list(a[:n])), Moments.of(list(b[:n])), users)).low
            <= 0
            <= found.high
            for n in looks
        )
    assert missed / runs <= 0.05
