"""Orders of work: k-centre against its definition and its bound, the mix's two ends, sweeps that stay together."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from core import ordering
from core.ordering import k_centre, sweep_order, teach_order


@st.composite
def labelled_sets(draw: st.DrawFn, most: int = 24) -> tuple[np.ndarray, np.ndarray]:
    n = draw(st.integers(1, most))
    points = draw(hnp.arrays(np.int8, (n, 3), elements=st.integers(-127, 127)))
    return points, draw(hnp.arrays(np.bool_, n))


def distances(points: np.ndarray) -> np.ndarray:
    wide = points.astype(np.float64)
    return np.linalg.norm(wide[:, None] - wide[None], axis=2)


@given(labelled_sets(), st.integers(0, 30))
def test_each_k_centre_is_the_farthest_from_all_before_it(
    case: tuple[np.ndarray, np.ndarray], n: int
) -> None:
    points, labelled = case
    chosen = k_centre(points, labelled, n)
    assert len(set(chosen.tolist())) == len(chosen) == min(n, int((~labelled).sum()))
    assert not labelled[chosen].any()
    apart = distances(points)
    centres = list(np.flatnonzero(labelled))
    for place in chosen:
        if centres:
            left = [i for i in np.flatnonzero(~labelled) if i not in centres]
            nearest = apart[:, centres].min(axis=1)
            assert np.isclose(nearest[place], nearest[left].max())
        centres.append(place)


@given(labelled_sets(most=9), st.integers(1, 3))
def test_k_centre_is_at_most_twice_as_far_as_the_best_choice(
    case: tuple[np.ndarray, np.ndarray], n: int
) -> None:
    points, _ = case
    n = min(n, len(points))
    apart = distances(points)
    chosen = k_centre(points, np.zeros(len(points), dtype=bool), n)
    best = min(apart[:, list(some)].min(axis=1).max() for some in combinations(range(len(points)), n))
    assert apart[:, chosen].min(axis=1).max() <= 2 * best + 1e-9


@given(labelled_sets(), st.floats(0, 1), st.randoms(use_true_random=False))
def test_the_unlabelled_are_ranked_without_gaps_and_the_mix_has_its_two_ends(
    case: tuple[np.ndarray, np.ndarray], mix: float, random: object
) -> None:
    points, labelled = case
    margin = np.array([random.random() for _ in points])  # type: ignore[attr-defined]
    ranks = teach_order(margin, points, labelled, mix)
    count = int((~labelled).sum())
    assert sorted(ranks[~labelled]) == list(range(1, count + 1))
    assert not ranks[labelled].any()
    sure = teach_order(margin, points, labelled, 0.0)
    by_margin = np.argsort(margin[~labelled], kind="stable")
    assert (by_margin == np.argsort(sure[~labelled])).all()
    if labelled.any() and count:
        far = teach_order(margin, points, labelled, 1.0)
        first = int(np.flatnonzero(far == 1)[0])
        nearest = distances(points)[:, labelled].min(axis=1)
        assert np.isclose(nearest[first], nearest[~labelled].max())


def test_beyond_the_pool_images_are_ranked_by_margin() -> None:
    random = np.random.default_rng(0)
    n = ordering.POOL + 500
    margin = random.random(n)
    ranks = teach_order(margin, random.integers(-127, 128, (n, 8)).astype(np.int8), np.zeros(n, dtype=bool))
    order = np.argsort(ranks)
    assert (np.diff(margin[order[ordering.POOL :]]) >= 0).all()
    assert margin[order[: ordering.POOL]].max() <= margin[order[ordering.POOL]]


def test_teaching_does_not_ask_for_the_same_picture_over_and_over() -> None:
    """Of ten groups of copies, all equally unsure, each is asked about once before any is again."""
    points = np.repeat(np.random.default_rng(1).integers(-127, 128, (10, 16)), 20, axis=0).astype(np.int8)
    ranks = teach_order(np.full(200, 0.1), points, np.zeros(200, dtype=bool), 0.9)
    first = np.argsort(ranks)[:10] // 20
    assert len(set(first.tolist())) == 10


@settings(max_examples=30, deadline=None)  # the first example imports scikit-learn
@given(hnp.arrays(np.int8, st.tuples(st.integers(0, 200), st.just(2))), st.data())
def test_a_sweep_has_every_image_once_label_by_label(points: np.ndarray, data: st.DataObject) -> None:
    predicted = data.draw(hnp.arrays(np.int64, len(points), elements=st.integers(3, 5)))
    ranks = sweep_order(points, predicted)
    assert sorted(ranks) == list(range(1, len(points) + 1))
    assert (np.diff(predicted[np.argsort(ranks)]) >= 0).all()
    assert (ranks == sweep_order(points, predicted)).all()


def test_neighbours_of_a_sweep_look_alike() -> None:
    """Far clusters are not torn apart, and steps are a fraction of those of a chance order."""
    random = np.random.default_rng(2)
    centres = random.integers(-100, 101, (12, 16))
    kind = random.integers(0, 12, 3_000)
    points = (centres[kind] + random.integers(-8, 9, (3_000, 16))).astype(np.int8)
    order = np.argsort(sweep_order(points, np.zeros(3_000, dtype=np.int64)))
    steps = np.linalg.norm(np.diff(points[order].astype(float), axis=0), axis=1)
    by_chance = np.linalg.norm(np.diff(points.astype(float), axis=0), axis=1)
    assert steps.mean() < by_chance.mean() / 3
    assert np.count_nonzero(np.diff(kind[order])) < 60
