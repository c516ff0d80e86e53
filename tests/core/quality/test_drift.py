from __future__ import annotations

import math
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictures import encoded, picture
from scipy import stats
from scipy.spatial.distance import cdist
from statsmodels.stats.multitest import multipletests

from core import auth, images, runs, themes
from core.errors import NotFound
from core.quality import batches, drift
from core.workbench import Workbench
from tests.steps import ready_theme

counts = st.lists(st.integers(0, 500), min_size=2, max_size=12)


@given(counts, st.randoms(use_true_random=False))
def test_the_index_is_the_symmetric_divergence_of_kullback_and_leibler(
    one: list[int], random: object
) -> None:
    two = [random.randint(0, 500) for _ in one]  # type: ignore[attr-defined]
    p, q = np.array(one) + 0.5, np.array(two) + 0.5
    expected = stats.entropy(p, q) + stats.entropy(q, p)
    assert drift.psi(np.array(one), np.array(two)) == pytest.approx(expected, abs=1e-9)


def test_the_index_of_equal_populations_follows_its_published_law() -> None:
    """χ² with one degree less than bins, times 1/N + 1/M (Yurdakul and Naranjo, J. Risk Model Validation 14, 2020)."""
    rng = np.random.default_rng(1)
    n, m = 2_000, 500
    found = [
        drift.number("x", rng.normal(size=n), rng.normal(size=m)).psi / (1 / n + 1 / m)  # type: ignore[operator]
        for _ in range(300)
    ]
    assert stats.kstest(found, stats.chi2(drift.BINS - 1).cdf).pvalue > 0.01


def test_mmd_is_that_of_its_definition_and_holm_that_of_statsmodels() -> None:
    rng = np.random.default_rng(2)
    one, two = rng.normal(size=(40, 5)), rng.normal(0.3, 1, size=(30, 5))
    both = np.concatenate([one, two])
    width = np.median(cdist(both, both)[np.triu_indices(70, 1)])
    kernel = [np.exp(-(cdist(a, b) ** 2) / (2 * width**2)) for a, b in ((one, one), (two, two), (one, two))]
    expected = (kernel[0].sum() - 40) / (40 * 39) + (kernel[1].sum() - 30) / (30 * 29) - 2 * kernel[2].mean()
    squared, p = drift.mmd(one, two)
    assert squared == pytest.approx(expected, abs=1e-5)
    assert p == drift.mmd(one, two)[1]  # the same each time
    given_p = [0.001, 0.04, 0.03, 0.9, 0.012]
    assert drift.holm(given_p) == pytest.approx(multipletests(given_p, method="holm")[1])


def test_p_of_categories_is_chi_squares_and_exact_where_few_are_expected() -> None:
    found = drift.category("format", ["png"] * 60 + ["jpg"] * 40, ["png"] * 30 + ["jpg"] * 70)
    expected = stats.chi2_contingency([[60, 40], [30, 70]], correction=False)
    assert (found.statistic, found.p) == pytest.approx((expected.statistic, expected.pvalue))
    few = drift.category("format", ["png"] * 300 + ["jpg"] * 4, ["png"] * 22 + ["jpg"] * 3)
    exact = stats.fisher_exact([[300, 4], [22, 3]]).pvalue
    assert few.p == pytest.approx(exact, abs=0.02)
    assert drift.category("format", ["png"] * 30, ["png"] * 30).p == 1.0


def test_values_that_all_are_the_same_are_told_from_others() -> None:
    moved = drift.compare({"width": (np.full(50, 32.0), np.full(40, 64.0))}, {})
    assert moved.drifted[0].psi > 1  # type: ignore[operator]
    same = drift.compare({"width": (np.full(50, 32.0), np.full(40, 32.0))}, {})
    assert (same.drifted, same.features[0].psi) == ((), pytest.approx(0, abs=0.1))


def test_unknown_values_are_left_out_and_few_are_not_judged() -> None:
    some = np.r_[np.arange(30.0), np.full(10, np.nan)]
    found = drift.compare({"light": (some, some), "size": (some, some[:19])}, {})
    assert [(each.name, each.n_batch) for each in found.features] == [("light", 30)]
    names = np.array(["cat"] * 19 + [None] * 30, dtype=object)
    assert drift.compare({}, {"label": (names, names)}).features == ()


def planted(rng: np.random.Generator, n: int, brighter: float = 0.0) -> dict[str, np.ndarray]:
    light = np.clip(rng.normal(180 + brighter, 30, n), 0, 255)
    return {"light": light, "contrast": rng.gamma(4, 10, n), "width": rng.choice([640.0, 800.0, 1024.0], n)}


def test_equal_batches_are_called_drifted_in_at_most_one_of_twenty() -> None:
    called = 0
    for seed in range(120):
        rng = np.random.default_rng(seed)
        one, two = planted(rng, 300), planted(rng, 25 + seed)
        looks = rng.normal(size=(60, 8)), rng.normal(size=(25, 8))
        formats = [
            rng.choice(["png", "jpg", "webp"], n, p=[0.8, 0.17, 0.03]).astype(object) for n in (300, 40)
        ]
        found = drift.compare(
            {name: (one[name], two[name]) for name in one}, {"format": (formats[0], formats[1])}, looks
        )
        called += bool(found.drifted)
    assert called <= 6


def test_a_planted_shift_of_the_brightness_is_found_and_named_first() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        one, two = planted(rng, 300), planted(rng, 60, brighter=30)
        found = drift.compare({name: (one[name], two[name]) for name in one}, {})
        assert [each.name for each in found.drifted] == ["light"]
        extreme = drift.extremes(found.drifted[0], two["light"])
        assert two["light"][extreme[0]] == two["light"].max()


def test_new_images_are_compared_with_the_newest_training(
    wb: Workbench, trainer: auth.User, labeler: auth.User
) -> None:
    with pytest.raises(NotFound):
        batches.compare(wb, 999)
    theme = ready_theme(wb, trainer)
    assert batches.compare(wb, theme.id).why == "no-snapshot"
    run = runs.start(wb, trainer, theme.id)
    assert batches.newest(wb, theme.id) == run.spec.snapshot.id
    assert batches.compare(wb, theme.id).why == "no-images"
    add(wb, labeler, theme, range(100, 105))
    found = batches.compare(wb, theme.id)
    assert (found.why, found.images, found.reference) == ("too-few", 5, 24)
    add(wb, labeler, theme, range(105, 124))
    alike = batches.compare(wb, theme.id)
    assert (alike.images, alike.moved, alike.examples) == (24, None, ())
    assert {each.name for each in alike.drift.features} >= {"light", "size", "format", "look"}  # type: ignore[union-attr]
    add(wb, labeler, theme, range(200, 260), dark=True)
    found = batches.compare(wb, theme.id)
    assert found.drift is not None
    moved = {each.name for each in found.drift.drifted}
    assert "light" in moved and "width" not in moved
    shown = images.rows(wb, theme.id, found.examples)
    assert len(shown) == batches.EXAMPLES and all("dark" in image.file_name for image in shown)
    assert batches.compare(wb, theme.id) == found
    # A filter's images are taken out of what they are compared with.
    everything = batches.compare(wb, theme.id, images.Filter(until=date(2100, 1, 1)))
    assert (everything.images, everything.reference, everything.why) == (108, 0, "overlap")
    assert math.isclose(sum(found.drift.features[0].batch), 1)


def add(wb: Workbench, actor: auth.User, theme: themes.Theme, seeds: range, dark: bool = False) -> None:
    files = [
        (
            f"{'dark' if dark else 'new'}-{seed}.png",
            encoded(picture(seed, (8, 8)).point(lambda level: level // 4 if dark else level)),
        )
        for seed in seeds
    ]
    images.add(wb, actor, theme.id, files)
