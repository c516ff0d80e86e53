"""Pure. Pictures that lie on a side or upside down: found by models that learnt, from the other pictures, what is up.

Every picture is shown to them in four rotations whose right answer is known (Gidaris, Singh, Komodakis,
“Unsupervised Representation Learning by Predicting Image Rotations”, ICLR 2018), as histograms of gradients
(Dalal and Triggs, CVPR 2005) with brightness and colour on small grids; a kernel ridge regression that did not
see a picture then says how it lies.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from core.quality.doubts import CHUNK, FEATURES, FOLDS, RIDGE, Kernel, likeliest, soft

SIDE = 32
"""Pixels to which a picture is squeezed."""
GRID, BINS = 4, 8
"""Cells a side with a histogram each, and its directions; a quarter turn is two of eight."""
SHADES, COLOURS = 8, 4
"""Cells a side of brightness and of colour."""
SIZE = GRID * GRID * BINS + SHADES * SHADES + 2 * COLOURS * COLOURS
"""Bytes of a view."""
LEAST = 50
"""Pictures below which nothing can be learnt of what is up."""
SEES_ENOUGH = 0.85
"""Share of unseen pictures whose given side is found to be up; below, too many have no up to be sure of."""
SURE = 0.8
"""Probability of another side being up from which on a picture is named."""
UPRIGHT = 0.97
"""Share of pictures that are taken to lie right before one looks; the three wrong ways share the rest."""
WEIGHT = 2.0
"""How much the four answers for one picture count: they are not independent, so less than four."""
LABEL = 1.0
"""Weight of a known label beside the view: a 6 that lies wrong is a 9, unless one knows that it is a 6."""


@dataclass(frozen=True)
class Learnt:
    """What `find` learnt, the mean of its folds' models. It can be kept: every field is an array."""

    weights: np.ndarray
    phase: np.ndarray
    """Of the kernel."""
    of_turns: np.ndarray
    """(FEATURES + 1) × 4."""
    scale: np.ndarray
    """Of the scores, see core.quality.doubts.SCALES."""

    def told(self, views: np.ndarray, labels: np.ndarray) -> Turned:
        """As `find`, of pictures that came later; no label may be one that `find` did not see."""
        lift = Kernel.of(self.weights, self.phase)
        known = _known(labels, self.weights.shape[0] - SIZE)
        scores = np.stack([lift(_features(views, known, turn)) @ self.of_turns for turn in range(4)], axis=1)
        flat = soft(scores.reshape(-1, 4), float(self.scale))
        return _judge(flat.reshape(-1, 4, 4), self)


@dataclass(frozen=True)
class Turned:
    """Per picture, in the order given."""

    turn: np.ndarray
    """n, int64: quarter turns clockwise that set it upright; 0: it lies right, or nobody can tell."""
    score: np.ndarray
    """n, float32 in 0…1: probability that it lies right; lowest is worst."""
    accuracy: float
    """How often the given side of an unseen picture is found to be the likeliest up."""
    learnt: Learnt
    """For pictures that come later."""

    @property
    def trustworthy(self) -> bool:
        return self.accuracy >= SEES_ENOUGH


def view(image: Image.Image) -> bytes:
    """SIZE signed bytes of an image of any size: directions of edges, brightness, colour."""
    small = np.asarray(
        image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX, reducing_gap=2.0), dtype=np.float32
    )
    grey = small @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    down, right = np.gradient(grey)
    strength = np.hypot(down, right)
    place = np.arctan2(down, right) / (2 * np.pi) * BINS % BINS
    low = np.floor(place).astype(np.int64) % BINS
    share = place - np.floor(place)
    cell = np.arange(SIDE) // (SIDE // GRID)
    cells = (cell[:, None] * GRID + cell[None, :]) * BINS
    edges = np.bincount((cells + low).ravel(), (strength * (1 - share)).ravel(), GRID * GRID * BINS)
    edges += np.bincount((cells + (low + 1) % BINS).ravel(), (strength * share).ravel(), GRID * GRID * BINS)
    edges = np.sqrt(edges / max(float(edges.sum()), 1e-6))
    shades = _grid(grey, SHADES)
    shades -= shades.mean()
    shades /= max(float(np.linalg.norm(shades)), 20.0)  # hardly any brightness is not blown up
    blue, red = _grid(small[..., 2] - grey, COLOURS) / 256, _grid(small[..., 0] - grey, COLOURS) / 256
    return np.round(np.concatenate([edges, shades, blue, red]) * 127).astype(np.int8).tobytes()


def rotated(views: np.ndarray, quarters: int) -> np.ndarray:
    """The views (n × SIZE) of the same pictures turned counter-clockwise."""
    n = len(views)
    edges, shades, blue, red = np.split(
        views, np.cumsum([GRID * GRID * BINS, SHADES * SHADES, COLOURS * COLOURS]), axis=1
    )
    directions = np.roll(edges.reshape(n, GRID, GRID, BINS), -quarters * BINS // 4, axis=-1)
    grids = [
        directions,
        shades.reshape(n, SHADES, SHADES),
        *(each.reshape(n, COLOURS, COLOURS) for each in (blue, red)),
    ]
    return np.concatenate([np.rot90(each, quarters, axes=(1, 2)).reshape(n, -1) for each in grids], axis=1)


def find(views: np.ndarray, labels: np.ndarray, *, seed: int = 0) -> Turned:
    """Which pictures lie wrong, from their `views` (n × SIZE, int8) and labels (n, 0 … k − 1, −1 for none).

    Most pictures must lie right, for this is what is learnt from. The same input gives the same answer.
    """
    n = len(views)
    rng = np.random.default_rng(seed)
    folds = rng.permutation(n) % FOLDS
    known = _known(labels, int(labels.max(initial=-1)) + 1)

    def features(rows: np.ndarray, quarters: int) -> np.ndarray:
        return _features(views[rows], known[rows], quarters)

    some = rng.permutation(n)[:500]
    lift = Kernel(np.concatenate([features(some[turn::4], turn) for turn in range(4)]), rng)
    size = FEATURES + 1
    gram, target = np.zeros((FOLDS, size, size)), np.zeros((FOLDS, size, 4))
    for fold in range(FOLDS):
        for part in _parts(np.flatnonzero(folds == fold)):
            for turn in range(4):
                lifted = lift(features(part, turn))
                gram[fold] += lifted.T @ lifted
                target[fold][:, turn] += lifted.sum(axis=0)
    scores = np.empty((n, 4, 4), dtype=np.float32)  # picture, how it was turned, how it seems to lie
    whole, answer = gram.sum(axis=0), target.sum(axis=0)
    mean = np.zeros((size, 4))
    for fold in range(FOLDS):
        weights = np.linalg.solve(whole - gram[fold] + RIDGE * np.eye(size), answer - target[fold])
        for part in _parts(np.flatnonzero(folds == fold)):
            for turn in range(4):
                scores[part, turn] = lift(features(part, turn)) @ weights
        mean += weights / FOLDS
    flat = scores.reshape(4 * n, 4)
    scale = likeliest(flat, np.tile(np.arange(4), n))
    kept = Learnt(lift.weights, lift.phase, mean.astype(np.float32), np.array(scale))
    return _judge(soft(flat, scale).reshape(n, 4, 4), kept)


def _features(views: np.ndarray, known: np.ndarray, quarters: int) -> np.ndarray:
    return np.concatenate([rotated(views, quarters).astype(np.float32) / 127, known], axis=1)


def _known(labels: np.ndarray, k: int) -> np.ndarray:
    known = np.zeros((len(labels), max(1, k)), dtype=np.float32)
    known[np.flatnonzero(labels >= 0), labels[labels >= 0]] = LABEL
    return known


def _judge(probabilities: np.ndarray, learnt: Learnt) -> Turned:
    """`probabilities`: n × how it was turned × how it seems to lie."""
    told = np.log(np.maximum(probabilities, 1e-6))
    turns = np.arange(4)
    # A picture that came turned by r seems, when turned by k more, to lie as one turned by k + r.
    evidence = np.stack([told[:, turns, (turns + r) % 4].mean(axis=1) for r in range(4)], axis=1)
    prior = np.array([UPRIGHT, *[(1 - UPRIGHT) / 3] * 3])
    belief = np.exp(WEIGHT * (evidence - evidence.max(axis=1, keepdims=True))) * prior
    belief /= belief.sum(axis=1, keepdims=True)
    turn = belief.argmax(axis=1)
    sure = (turn > 0) & (belief.max(axis=1) >= SURE)
    return Turned(
        turn=np.where(sure, turn, 0),
        score=belief[:, 0].astype(np.float32),
        accuracy=float((evidence.argmax(axis=1) == 0).mean()),
        learnt=learnt,
    )


def _grid(values: np.ndarray, side: int) -> np.ndarray:
    step = SIDE // side
    return np.asarray(values.reshape(side, step, side, step).mean(axis=(1, 3)).ravel())


def _parts(rows: np.ndarray) -> list[np.ndarray]:
    return [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]
