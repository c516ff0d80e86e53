"""Pure. In which order images are worth a person's time: what teaches a model most, what can be swept at a glance.

Embeddings are rows of (n, dimensions), int8 or float. With int8 every distance here is an exact
integer in float32, so that the orders do not depend on the machine.
"""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ranks = npt.NDArray[np.int64]

POOL = 4_096
"""Most uncertain images among which diversity is sought; the rest is ranked by margin alone."""
BLOCK = 8_192
"""Rows whose distances to the pool are computed together; bounds the memory at some 128 MiB."""
LEAF = 64
"""Images of one group of a sweep at most, where they can be told apart: about a screenful."""
BRANCHES = 32
"""Groups into which a larger group is divided."""
SAMPLE = 20_000
"""Images from which the centres of groups are learnt."""


def k_centre(embeddings: np.ndarray, labelled_mask: np.ndarray, n: int) -> Ranks:
    """Indices of `n` unlabelled images (fewer where there are fewer), each the farthest from all before it.

    Greedy k-centre: Sener & Savarese, Active Learning for Convolutional Neural Networks: A Core-Set
    Approach (2018), algorithm 1; at most twice as far from every image as the best choice could be.
    """
    candidates = np.flatnonzero(~labelled_mask)
    points = embeddings[candidates].astype(np.float32)
    nearest = _nearest(points, embeddings, np.flatnonzero(labelled_mask))
    return candidates[_greedy(points, nearest, np.zeros(len(points), np.float32), 1.0, n)]


def teach_order(
    margin: np.ndarray, embeddings: np.ndarray, labelled_mask: np.ndarray, mix: float = 0.5
) -> Ranks:
    """Rank (n,) of each unlabelled image, 1 = labelling it would teach most; 0 for the labelled.

    `margin` is the best minus the second-best probability (Scheffer, Decomain & Wrobel, Active Hidden
    Markov Models for Information Extraction, 2001). `mix` weighs diversity against it: 0 ranks by
    margin alone, 1 by distance alone (k-centre) within the most uncertain POOL images.
    """
    unlabelled = np.flatnonzero(~labelled_mask)
    by_margin = unlabelled[np.argsort(margin[unlabelled], kind="stable")]
    pool, rest = by_margin[:POOL], by_margin[POOL:]
    points = embeddings[pool].astype(np.float32)
    unsure = (1.0 - np.arange(len(pool)) / max(len(pool), 1)).astype(np.float32)
    nearest = _nearest(points, embeddings, np.flatnonzero(labelled_mask))
    order = np.concatenate([pool[_greedy(points, nearest, unsure, mix, len(pool))], rest])
    ranks = np.zeros(len(margin), dtype=np.int64)
    ranks[order] = np.arange(1, len(order) + 1)
    return ranks


def sweep_order(embeddings: np.ndarray, predicted: np.ndarray, seed: int = 0) -> Ranks:
    """Rank (n,) from 1 of each image such that neighbours have one predicted label and look alike.

    Within a label the images are divided into groups (mini-batch k-means, Sculley 2010), again and
    again until a group fits a screen; groups follow each other by the nearest centre, images within
    one by their distance to its centre. The same input and seed give the same order.
    """
    order: list[np.ndarray] = []
    for label in np.unique(predicted):
        _sweep(embeddings, np.flatnonzero(predicted == label), seed, order)
    ranks = np.zeros(len(predicted), dtype=np.int64)
    if order:
        ranks[np.concatenate(order)] = np.arange(1, len(predicted) + 1)
    return ranks


def _nearest(points: Floats, embeddings: np.ndarray, labelled: np.ndarray) -> Floats:
    """Squared distance (len(points),) of each point to the nearest labelled image; infinite without any."""
    nearest = np.full(len(points), np.inf, dtype=np.float32)
    if len(points):
        for start in range(0, len(labelled), BLOCK):
            block = embeddings[labelled[start : start + BLOCK]].astype(np.float32)
            np.minimum(nearest, _squared(points, block).min(axis=1), out=nearest)
    return nearest


def _squared(a: Floats, b: Floats) -> Floats:
    squared = a @ b.T
    squared *= -2.0
    squared += (a * a).sum(axis=1)[:, None]
    squared += (b * b).sum(axis=1)[None, :]
    return np.maximum(squared, 0.0, out=squared)


def _greedy(points: Floats, nearest: Floats, unsure: Floats, mix: float, n: int) -> np.ndarray:
    """Indices of up to `n` points, each time the one with the highest weighted sum of both gains.

    Distances count as a share of the largest one at the start, ties go to the lower index.
    """
    nearest = nearest.copy()
    n = min(n, len(points))
    chosen = np.empty(n, dtype=np.int64)
    norms = (points * points).sum(axis=1)
    known = bool(len(points)) and bool(np.isfinite(nearest).all())
    scale = float(np.sqrt(nearest.max())) if known else 0.0
    taken = np.zeros(len(points), dtype=bool)
    for place in range(n):
        far = np.sqrt(nearest) / scale if scale else np.zeros_like(nearest)
        gain = np.where(taken, -np.inf, (1.0 - mix) * unsure + mix * far)
        best = int(np.argmax(gain))
        chosen[place] = best
        taken[best] = True
        away = np.maximum(norms + norms[best] - 2.0 * (points @ points[best]), 0.0)
        if not known:  # nothing is labelled: the first choice is the first centre
            nearest, known = away, True
            scale = float(np.sqrt(nearest.max()))
        else:
            np.minimum(nearest, away, out=nearest)
    return chosen


def _sweep(embeddings: np.ndarray, places: np.ndarray, seed: int, order: list[np.ndarray]) -> None:
    points = embeddings[places].astype(np.float32)
    if len(places) > LEAF:
        centres = _centres(points, min(BRANCHES, -(-len(places) // LEAF)), seed)
        group = np.concatenate(
            [
                _squared(points[start : start + BLOCK], centres).argmin(axis=1)
                for start in range(0, len(points), BLOCK)
            ]
        )
        groups = [places[group == number] for number in _chain(centres)]
        if max(map(len, groups)) < len(places):
            for inner in groups:
                if len(inner):
                    _sweep(embeddings, inner, seed, order)
            return
    order.append(places[np.argsort(_squared(points, points.mean(axis=0)[None])[:, 0], kind="stable")])


def _centres(points: Floats, count: int, seed: int) -> Floats:
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.exceptions import ConvergenceWarning

    if len(points) > SAMPLE:
        points = points[np.random.default_rng(seed).choice(len(points), SAMPLE, replace=False)]
    # A fixed number of rounds: stopping early would hang on sums whose order threads decide.
    model = MiniBatchKMeans(
        count, random_state=seed, batch_size=1_024, max_iter=10, max_no_improvement=None, n_init=1
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different images than groups
        model.fit(points)
    return np.asarray(model.cluster_centers_, dtype=np.float32)


def _chain(centres: Floats) -> list[int]:
    """Order of the centres: from the one farthest from their middle, always on to the nearest that is left."""
    left = set(range(len(centres)))
    here = int(_squared(centres, centres.mean(axis=0)[None])[:, 0].argmax())
    distances = _squared(centres, centres)
    order = []
    while True:
        order.append(here)
        left.remove(here)
        if not left:
            return order
        here = min(left, key=lambda other: (distances[order[-1], other], other))
