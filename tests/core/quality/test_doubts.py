from __future__ import annotations

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from core.looks import look
from core.quality import doubts


def test_planted_wrong_digits_are_at_the_top() -> None:
    digits = load_digits()
    pictures = (Image.fromarray((scan * (255 / 16)).astype("uint8")).convert("RGB") for scan in digits.images)
    vectors = np.stack([np.frombuffer(look(image), dtype=np.int8) for image in pictures])
    rng = np.random.default_rng(1)
    labels = digits.target.copy()
    flipped = rng.choice(len(labels), len(labels) // 20, replace=False)
    labels[flipped] = (labels[flipped] + rng.integers(1, 10, len(flipped))) % 10

    found = doubts.find(vectors, labels)
    worst = np.argsort(found.score)[: len(labels) // 10]
    assert np.isin(flipped, worst).mean() >= 0.95
    assert np.isin(np.flatnonzero(found.suspicious), flipped).mean() >= 0.9
    assert found.trustworthy
    right = found.guess[flipped] == digits.target[flipped]
    assert right.mean() >= 0.9
    again = doubts.find(vectors, labels)
    assert np.array_equal(found.score, again.score)


def test_features_that_know_nothing_do_not_accuse_people() -> None:
    rng = np.random.default_rng(0)
    found = doubts.find(rng.normal(size=(400, 16)), rng.integers(0, 4, 400))
    assert not found.trustworthy


def test_a_network_that_tells_unlearnt_images_as_well_is_heard_about_all() -> None:
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 4, 800)
    labels = truth.copy()
    flipped = rng.choice(800, 40, replace=False)
    labels[flipped] = (labels[flipped] + 1) % 4
    learnt = np.arange(800) < 560
    nothing = rng.normal(size=(800, 8))
    knows = rng.normal(size=(800, 8)) + 8 * np.eye(8)[truth]
    found = doubts.find(knows, labels, nothing, learnt)
    assert np.isin(flipped, np.argsort(found.score)[:80]).all()
    assert found.trustworthy
    # One that repeats what it was told is not: neither are its wrong labels found, nor is its word taken.
    repeats = rng.normal(size=(800, 8))
    repeats[learnt] += 8 * np.eye(8)[labels[learnt]]
    assert doubts.find(repeats, labels).trustworthy
    assert not doubts.find(repeats, labels, nothing, learnt).trustworthy


def test_the_confident_joint_of_a_hand_made_case() -> None:
    # Thresholds are the means of the given label's probability: 0.7 for label 0, 0.6 for label 1.
    given = np.array([0, 0, 1, 1])
    probabilities = np.array([[0.9, 0.1], [0.5, 0.5], [0.3, 0.7], [0.5, 0.5]], dtype=np.float32)
    assert not doubts.judge(probabilities, given).suspicious.any()
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.1, 0.9]], dtype=np.float32)
    # 0.55 and 0.8: the second image says 1 with 0.8, which is confident; nobody says 0 with 0.55.
    assert doubts.judge(probabilities, given).suspicious.tolist() == [False, True, False, False]
