from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, f1_score

from core.evaluations import calibration, intervals, pairs, slices

matrices = (
    st.integers(2, 5)
    .flatmap(lambda k: st.lists(st.lists(st.integers(0, 30), min_size=k, max_size=k), min_size=k, max_size=k))
    .filter(lambda matrix: sum(map(sum, matrix)) > 0)
)


@given(matrices)
def test_macro_f1_is_that_of_sklearn_and_lies_in_its_interval(matrix: list[list[int]]) -> None:
    k = len(matrix)
    truth = [i for i in range(k) for j in range(k) for _ in range(matrix[i][j])]
    said = [j for i in range(k) for j in range(k) for _ in range(matrix[i][j])]
    found = intervals.macro_f1(matrix, rounds=200)
    assert found.value == pytest.approx(
        f1_score(truth, said, labels=range(k), average="macro", zero_division=0)
    )
    assert 0 <= found.low <= found.value <= found.high <= 1 + 1e-9
    assert intervals.macro_f1(matrix, rounds=200) == found


def test_the_bootstrap_is_that_of_drawing_images_one_by_one() -> None:
    matrix = np.array([[50, 6, 4], [5, 30, 5], [2, 8, 10]])
    truth = np.repeat(np.arange(3), matrix.sum(axis=1))
    said = np.concatenate([np.repeat(np.arange(3), row) for row in matrix])
    rng = np.random.default_rng(1)
    drawn = []
    for _ in range(1_500):
        at = rng.integers(0, len(truth), len(truth))
        drawn.append(f1_score(truth[at], said[at], average="macro"))
    found = intervals.macro_f1(matrix.tolist())
    assert (found.low, found.high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.012)


def test_wilsons_interval_is_the_published_one() -> None:
    # Newcombe, Statistics in Medicine 17 (1998) 857–872, table I.
    published = {(81, 263): (0.2553, 0.3662), (15, 148): (0.0624, 0.1605), (0, 20): (0, 0.1611)}
    for (right, n), span in {**published, (1, 29): (0.0061, 0.1718)}.items():
        found = intervals.wilson(right, n)
        assert (found.low, found.high) == pytest.approx(span, abs=6e-5)


def test_calibration_counts_what_confidence_promises() -> None:
    # Ten answers at 0.8, of which six are right, ten at 0.6, of which six are right: (0.2 + 0) / 2.
    sure = np.array([[0.8, 0.2]] * 10 + [[0.6, 0.4]] * 10)
    truth = np.array(([0] * 6 + [1] * 4) * 2)
    found = calibration.calibration(sure, truth)
    assert found.ece == pytest.approx(0.1)
    assert found.overconfidence == pytest.approx(0.1)
    assert [(each.n, each.confidence, each.right.value) for each in found.bins] == [
        (10, pytest.approx(0.6), 0.6),
        (10, pytest.approx(0.8), 0.6),
    ]
    assert found.brier == pytest.approx(2 * brier_score_loss(truth, sure[:, 1]))


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60))
def test_calibration_error_is_bounded_and_no_image_is_lost(rows: list[tuple[float, bool]]) -> None:
    share = np.array([p for p, _ in rows])
    found = calibration.calibration(np.stack([share, 1 - share], axis=1), np.array([int(y) for _, y in rows]))
    assert sum(each.n for each in found.bins) == len(rows)
    assert abs(found.overconfidence) <= found.ece + 1e-9 <= 1 + 1e-9


def test_a_kind_that_is_hard_stands_out_and_chance_does_not() -> None:
    rng = np.random.default_rng(0)
    light = rng.uniform(0, 255, 600)
    right = np.where(light < 85, rng.random(600) < 0.6, rng.random(600) < 0.95)
    day = [("monday", "tuesday", None)[n % 3] for n in range(600)]
    found = slices.slices(right, {"light": light, "flat": np.ones(600)}, {"added": day})
    assert (found[0].feature, found[0].kind, found[0].differs) == ("light", "low", True)
    assert found[0].missed == pytest.approx((found[0].others - found[0].right.value) * found[0].n)
    assert {each.kind for each in found if not each.differs} >= {"monday", "tuesday"}
    assert not any(each.feature == "flat" for each in found)
    assert found[0].n == len(found[0].rows) == int((light <= np.quantile(light, 1 / 3)).sum())


def test_the_best_of_many_is_certain_only_beyond_chance() -> None:
    truth = np.zeros(400, dtype=int)
    rng = np.random.default_rng(3)
    good = (rng.random(400) < 0.1).astype(int)
    close = good.copy()
    close[:3] = 1
    bad = (rng.random(400) < 0.4).astype(int)
    found = pairs.judge({1: bad, 2: close, 3: good}, truth)
    assert (found.best, found.n) == (3, 400)
    assert [(pair.other, pair.certain) for pair in found.pairs] == [(2, False), (1, True)]
    assert found.tied == (2,)
    twins = pairs.judge({4: good, 5: good}, truth)
    assert (twins.best, twins.pairs[0].p, twins.pairs[0].agreement) == (5, 1.0, 1.0)
