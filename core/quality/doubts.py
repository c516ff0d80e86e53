"""Pure. Labels that are probably wrong: confident learning over predictions of models that did not see them.

Northcutt, Jiang, Chuang, “Confident Learning” (JAIR 70, 2021, arXiv:1911.00068).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FOLDS = 5
FEATURES = 1_024
"""Random Fourier features (Rahimi and Recht, NIPS 2007); on the digits 512 find a little less, 2,048 no more."""
RIDGE = 0.1
"""Penalty per feature of the ridge regression, in units of one image."""
SCALES = (2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 30.0)
"""Tried to turn regression scores into probabilities; the likeliest one on unseen images is kept."""
SAMPLE = 500
"""Images whose distances set the width of the kernel."""
CHUNK = 8_192
LEAST_PER_LABEL = FOLDS
"""Images of a label below which nothing is said about it."""
SEES_ENOUGH = 0.6
"""Accuracy on unseen images below which the features know too little to doubt a person."""


@dataclass(frozen=True)
class Doubts:
    """Per image, in the order given. Labels are numbers 0 … k − 1."""

    probabilities: np.ndarray
    """n × k, float32: by a model that did not see the image."""
    suspicious: np.ndarray
    """n, bool: counted off the diagonal of the confident joint."""
    guess: np.ndarray
    """n, int64: the likeliest label."""
    score: np.ndarray
    """n, float32 in −1…1: probability of the given label minus that of the best other one; lowest is worst."""
    accuracy: float
    """How often the model agrees with the given labels on images it did not see."""

    @property
    def trustworthy(self) -> bool:
        return self.accuracy >= SEES_ENOUGH


def find(vectors: np.ndarray, labels: np.ndarray, *, seed: int = 0) -> Doubts:
    """Doubts about `labels` (n, 0 … k − 1) of images with feature `vectors` (n × d, any scale).

    Each label needs LEAST_PER_LABEL images, of which the caller takes care. The same input gives
    the same answer.
    """
    rng = np.random.default_rng(seed)
    n, k = len(labels), int(labels.max()) + 1
    folds = np.zeros(n, dtype=np.int64)
    for label in range(k):
        members = rng.permutation(np.flatnonzero(labels == label))
        folds[members] = np.arange(len(members)) % FOLDS
    lift = Kernel(_unit(vectors[rng.choice(n, min(n, SAMPLE), replace=False)]), rng)
    size = FEATURES + 1
    gram, target = np.zeros((FOLDS, size, size)), np.zeros((FOLDS, size, k))
    for fold in range(FOLDS):
        for part in _chunks(np.flatnonzero(folds == fold)):
            lifted = lift(_unit(vectors[part]))
            gram[fold] += lifted.T @ lifted
            target[fold] += lifted.T @ np.eye(k, dtype=np.float32)[labels[part]]
    scores = np.empty((n, k), dtype=np.float32)
    whole, answer = gram.sum(axis=0), target.sum(axis=0)
    for fold in range(FOLDS):
        weights = np.linalg.solve(whole - gram[fold] + RIDGE * np.eye(size), answer - target[fold])
        for part in _chunks(np.flatnonzero(folds == fold)):
            scores[part] = lift(_unit(vectors[part])) @ weights
    return judge(likeliest(scores, labels), labels)


def judge(probabilities: np.ndarray, labels: np.ndarray) -> Doubts:
    """Doubts from out-of-sample probabilities (n × k), whoever made them."""
    n, k = probabilities.shape
    rows = np.arange(n)
    own = probabilities[rows, labels]
    others = probabilities.copy()
    others[rows, labels] = -1.0
    # A label's threshold is the mean confidence of the images that carry it.
    counts = np.bincount(labels, minlength=k)
    threshold = np.bincount(labels, weights=own, minlength=k) / np.maximum(counts, 1)
    threshold[counts == 0] = np.inf
    confident = np.where(others >= threshold[None, :], others, -1.0)
    guess = probabilities.argmax(axis=1)
    return Doubts(
        probabilities=probabilities,
        suspicious=(confident.max(axis=1) >= 0) & (guess != labels),
        guess=guess,
        score=own - others.max(axis=1),
        accuracy=float((guess == labels).mean()),
    )


class Kernel:
    """Random Fourier features of a Gaussian kernel whose width is the median distance of a sample, and a one."""

    def __init__(self, sample: np.ndarray, rng: np.random.Generator) -> None:
        """`sample`: rows (n × d) as they will be given later, brought to one length by the caller or not."""
        gaps = ((sample[:, None, :] - sample[None, :, :]) ** 2).sum(axis=-1)
        width = float(np.median(gaps[np.triu_indices(len(sample), 1)])) if len(sample) > 1 else 1.0
        spread = np.sqrt(2.0 / max(width, 1e-6))
        self._weights = rng.normal(0.0, spread, (sample.shape[1], FEATURES)).astype(np.float32)
        self._phase = rng.uniform(0.0, 2 * np.pi, FEATURES).astype(np.float32)

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        """n × (FEATURES + 1), float32."""
        lifted = np.cos(vectors @ self._weights + self._phase) * np.float32(np.sqrt(2.0 / FEATURES))
        return np.concatenate([lifted, np.ones((len(lifted), 1), dtype=np.float32)], axis=1)


def _unit(vectors: np.ndarray) -> np.ndarray:
    found = vectors.astype(np.float32)
    return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), np.float32(1e-9))


def _chunks(rows: np.ndarray) -> list[np.ndarray]:
    return [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]


def likeliest(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Probabilities (n × k) from regression scores, at that of SCALES which makes `labels` likeliest."""
    rows = np.arange(len(labels))
    best, least = scores, np.inf
    for scale in SCALES:
        raised = np.exp(scale * (scores - scores.max(axis=1, keepdims=True)))
        found = raised / raised.sum(axis=1, keepdims=True)
        loss = float(-np.log(np.maximum(found[rows, labels], 1e-9)).mean())
        if loss < least:
            best, least = found, loss
    return best
