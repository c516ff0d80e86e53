"""Pure. Labels that are probably wrong: confident learning over predictions of models that did not see them.

Northcutt, Jiang, Chuang, “Confident Learning” (JAIR 70, 2021, arXiv:1911.00068). A network that was trained on
the labels has learnt its wrong ones by heart (Zhang and others, “Understanding deep learning requires rethinking
generalization”, ICLR 2017), and its embeddings say them again to whoever asks: leaving pictures out afterwards
helps nothing. So pictures are judged by features that no label had a part in, and the network's embeddings join in
only for pictures that it did not learn from, unless it tells those apart as well as the ones that it did.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from core.looks import units

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
TEXTURE_RIDGE = 300.0
"""Penalty per standardised number of a texture, in units of one image."""
LIGHTLY = 0.5
"""Exponent of what looks, or a network that knows labels by heart, say beside textures; after CIFAR and the digits."""
BY_HEART = 0.05
"""By so much more often a network agrees with the labels that it learnt from than with others: it knows them by heart."""
LEAST_UNLEARNT = 50
"""Pictures that a network did not learn from, below which nobody can tell whether it does."""
LEAST_PER_LABEL = FOLDS
"""Images of a label below which nothing is said about it."""
SEES_ENOUGH = 0.6
"""Accuracy on unseen images below which the features know too little to doubt a person."""


@dataclass(frozen=True)
class Learnt:
    """What `find` learnt, the mean of its folds' models. It can be kept: every field is an array."""

    weights: np.ndarray
    phase: np.ndarray
    """Of the kernel."""
    by_vectors: np.ndarray
    """(FEATURES + 1) × k."""
    mean: np.ndarray
    spread: np.ndarray
    """Of the textures, by number."""
    by_textures: np.ndarray
    """(e + 1) × k."""
    scales: np.ndarray
    """Of scores by vectors and by textures, see SCALES."""
    exponents: np.ndarray
    """By whether the network learnt from an image, no or yes: how much the vectors say of it."""
    cut: np.ndarray
    """k: the highest score at which an image with that label was suspicious, −1 where none was."""

    def told(
        self, vectors: np.ndarray, labels: np.ndarray, textures: np.ndarray, learnt: np.ndarray | None
    ) -> Doubts:
        """As `find`, of images that came later; how sure one must be of a doubt is known from the others.

        `accuracy` is that of these few images.
        """
        lifted = Kernel.of(self.weights, self.phase)(units(vectors))
        by_vectors = soft(lifted @ self.by_vectors, float(self.scales[0]))
        standard = _standard(textures, self.mean, self.spread)
        by_textures = soft(standard @ self.by_textures, float(self.scales[1]))
        heard = self.exponents[np.zeros(len(labels), int) if learnt is None else learnt.astype(int)]
        probabilities = _joined(by_textures, by_vectors, heard)
        own, guess = probabilities[np.arange(len(labels)), labels], probabilities.argmax(axis=1)
        suspicious = (guess != labels) & (own <= self.cut[labels])
        return Doubts(probabilities, suspicious, guess, own, float((guess == labels).mean()), self)


@dataclass(frozen=True)
class Doubts:
    """Per image, in the order given. Labels are numbers 0 … k − 1."""

    probabilities: np.ndarray
    """n × k, float32: by a model that did not see the image."""
    suspicious: np.ndarray
    """n, bool: as many of each label as are off the diagonal of the confident joint, the lowest scores."""
    guess: np.ndarray
    """n, int64: the likeliest label."""
    score: np.ndarray
    """n, float32 in 0…1: probability of the given label; lowest is worst."""
    accuracy: float
    """How often the model agrees with the given labels on images it did not see."""
    learnt: Learnt | None = None
    """For images that come later; None where `find` was given no textures."""

    @property
    def trustworthy(self) -> bool:
        return self.accuracy >= SEES_ENOUGH


def find(
    vectors: np.ndarray,
    labels: np.ndarray,
    textures: np.ndarray | None = None,
    learnt: np.ndarray | None = None,
    *,
    seed: int = 0,
) -> Doubts:
    """Doubts about `labels` (n, 0 … k − 1) of images with feature `vectors` (n × d, any scale).

    `textures` (n × e, any numbers): features that no label had a part in. `learnt` (n, bool): images from whose
    labels the network learnt that made the vectors; None where no network made them. Each label needs
    LEAST_PER_LABEL images, of which the caller takes care. The same input gives the same answer.
    """
    rng = np.random.default_rng(seed)
    folds = np.zeros(len(labels), dtype=np.int64)
    for label in range(int(labels.max()) + 1):
        members = rng.permutation(np.flatnonzero(labels == label))
        folds[members] = np.arange(len(members)) % FOLDS
    kernel = Kernel(units(vectors[rng.choice(len(labels), min(len(labels), SAMPLE), replace=False)]), rng)

    def lifted(rows: np.ndarray) -> np.ndarray:
        return kernel(units(vectors[rows]))

    scores, of_vectors = _unseen(lifted, labels, folds, RIDGE)
    scale = likeliest(scores, labels)
    by_vectors = soft(scores, scale)
    if textures is None:
        return judge(by_vectors, labels)
    mean, spread = _moments(textures)
    scores, of_textures = _unseen(
        lambda rows: _standard(textures[rows], mean, spread), labels, folds, TEXTURE_RIDGE
    )
    scales = np.array([scale, likeliest(scores, labels)])
    exponents = np.full(2, LIGHTLY) if learnt is None else _heard(by_vectors, labels, learnt)
    heard = exponents[np.zeros(len(labels), int) if learnt is None else learnt.astype(int)]
    found = judge(_joined(soft(scores, float(scales[1])), by_vectors, heard), labels)
    cut = np.full(int(labels.max()) + 1, -1.0)
    np.maximum.at(cut, labels[found.suspicious], found.score[found.suspicious])
    kept = Learnt(kernel.weights, kernel.phase, of_vectors, mean, spread, of_textures, scales, exponents, cut)
    return replace(found, learnt=kept)


def _standard(textures: np.ndarray, mean: np.ndarray, spread: np.ndarray) -> np.ndarray:
    found = (textures.astype(np.float32) - mean) / spread
    return np.concatenate([found, np.ones((len(found), 1), dtype=np.float32)], axis=1)


def _joined(by_textures: np.ndarray, by_vectors: np.ndarray, exponents: np.ndarray) -> np.ndarray:
    both = by_textures * np.maximum(by_vectors, 1e-6) ** exponents[:, None].astype(np.float32)
    return np.asarray(both / both.sum(axis=1, keepdims=True))


def _heard(probabilities: np.ndarray, labels: np.ndarray, learnt: np.ndarray) -> np.ndarray:
    """Exponents of what a network's embeddings say of images that it did not learn from, and of those that it did:
    0 where it repeats what it learnt by heart."""
    agrees = probabilities.argmax(axis=1) == labels
    told = learnt.any() and (~learnt).sum() >= LEAST_UNLEARNT
    if told and agrees[learnt].mean() - agrees[~learnt].mean() <= BY_HEART:
        return np.ones(2)
    return np.array([LIGHTLY, 0.0])


def _unseen(
    features: Callable[[np.ndarray], np.ndarray], labels: np.ndarray, folds: np.ndarray, ridge: float
) -> tuple[np.ndarray, np.ndarray]:
    """Scores (n × k, float32) of each image by a ridge regression on the other folds, in closed form; the mean weights.

    `features` gives the rows of those images, the last column ones.
    """
    n, k = len(labels), int(labels.max()) + 1
    size = features(np.arange(1)).shape[1]
    gram, target = np.zeros((FOLDS, size, size)), np.zeros((FOLDS, size, k))
    for fold in range(FOLDS):
        for part in _chunks(np.flatnonzero(folds == fold)):
            found = features(part)
            gram[fold] += found.T @ found
            target[fold] += found.T @ np.eye(k, dtype=np.float32)[labels[part]]
    scores = np.empty((n, k), dtype=np.float32)
    whole, answer = gram.sum(axis=0), target.sum(axis=0)
    mean = np.zeros((size, k))
    for fold in range(FOLDS):
        weights = np.linalg.solve(whole - gram[fold] + ridge * np.eye(size), answer - target[fold])
        for part in _chunks(np.flatnonzero(folds == fold)):
            scores[part] = features(part) @ weights
        mean += weights / FOLDS
    return scores, mean.astype(np.float32)


def _moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and spread by column, float32; columns that hardly change are not blown up."""
    n = len(values)
    total, squares = np.zeros(values.shape[1]), np.zeros(values.shape[1])
    for part in _chunks(np.arange(n)):
        some = values[part].astype(np.float64)
        total += some.sum(axis=0)
        squares += (some**2).sum(axis=0)
    mean = total / n
    spread = np.sqrt(np.maximum(squares / n - mean**2, 0))
    return mean.astype(np.float32), (spread + 0.01 * spread.mean() + 1e-6).astype(np.float32)


def judge(probabilities: np.ndarray, labels: np.ndarray) -> Doubts:
    """Doubts from out-of-sample probabilities (n × k), whoever made them.

    The confident joint says how many images of a label have another one, and the least probable of them are
    named (“prune by class” by self-confidence): on CIFAR with 5 % wrong labels the first hundred are right in
    eight cases of ten, ordered by the margin to the next label in six.
    """
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
    off = np.bincount(labels[(confident.max(axis=1) >= 0) & (guess != labels)], minlength=k)
    order = np.lexsort((own, labels))
    place = np.empty(n, dtype=np.int64)
    place[order] = rows - np.repeat(np.cumsum(counts) - counts, counts)
    return Doubts(
        probabilities=probabilities,
        suspicious=(place < off[labels]) & (guess != labels),
        guess=guess,
        score=own,
        accuracy=float((guess == labels).mean()),
    )


class Kernel:
    """Random Fourier features of a Gaussian kernel whose width is the median distance of a sample, and a one."""

    def __init__(self, sample: np.ndarray, rng: np.random.Generator) -> None:
        """`sample`: rows (n × d) as they will be given later, brought to one length by the caller or not."""
        gaps = ((sample[:, None, :] - sample[None, :, :]) ** 2).sum(axis=-1)
        width = float(np.median(gaps[np.triu_indices(len(sample), 1)])) if len(sample) > 1 else 1.0
        spread = np.sqrt(2.0 / max(width, 1e-6))
        self.weights = rng.normal(0.0, spread, (sample.shape[1], FEATURES)).astype(np.float32)
        self.phase = rng.uniform(0.0, 2 * np.pi, FEATURES).astype(np.float32)

    @classmethod
    def of(cls, weights: np.ndarray, phase: np.ndarray) -> Kernel:
        made = cls.__new__(cls)
        made.weights, made.phase = weights, phase
        return made

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        """n × (FEATURES + 1), float32."""
        lifted = np.cos(vectors @ self.weights + self.phase) * np.float32(np.sqrt(2.0 / FEATURES))
        return np.concatenate([lifted, np.ones((len(lifted), 1), dtype=np.float32)], axis=1)


def _chunks(rows: np.ndarray) -> list[np.ndarray]:
    return [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]


def likeliest(scores: np.ndarray, labels: np.ndarray) -> float:
    """That of SCALES which makes `labels` likeliest, where probabilities come from these regression scores."""
    rows = np.arange(len(labels))
    losses = [-np.log(np.maximum(soft(scores, scale)[rows, labels], 1e-9)).mean() for scale in SCALES]
    return SCALES[int(np.argmin(losses))]


def soft(scores: np.ndarray, scale: float) -> np.ndarray:
    """Probabilities (n × k)."""
    raised = np.exp(scale * (scores - scores.max(axis=1, keepdims=True)))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))
