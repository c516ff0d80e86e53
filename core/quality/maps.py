"""Pure. Pictures as points on a plane, look-alikes beside each other; and pictures far from all others."""

from __future__ import annotations

import numpy as np

from core.looks import units

MOST = 20_000
"""Points of a map; of more pictures a fixed choice is shown."""
ANCHORS = 1_000
"""Points that are laid out (t-SNE, van der Maaten and Hinton, JMLR 9, 2008); the others go to their neighbours."""
FEW = 10
"""Pictures below which principal components are all that can be drawn."""
FRESH = 0.1
"""Share of new pictures beyond which the map is laid out anew."""
COMPONENTS = 50
NEIGHBOURS = 10
REFERENCES = 20_000
"""Pictures that distances are measured to; of more pictures a fixed choice."""
FAR = 4.0
"""Robust deviations (of the logarithm of the distance) from the median at which a picture is far from all others."""
MOST_FAR = 0.02
"""Share of the pictures that are named at most, the farthest first."""
LEAST = 50
"""Pictures below which nothing is far."""
CHUNK = 2_048


def chosen(ids: np.ndarray) -> np.ndarray:
    """Rows (ascending) of the at most MOST images that the map shows, by id: more images change few of them."""
    order = np.argsort(ids.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15), kind="stable")
    return np.sort(order[:MOST])


def lay_out(vectors: np.ndarray, before: np.ndarray | None = None, *, seed: int = 0) -> np.ndarray:
    """Places (n × 2, float32, 0…1) of pictures with feature `vectors` (n × d). The same input, the same places.

    `before`: n × 2, where they lay on the last map, NaN for new ones. While these are FRESH or fewer the map
    stays as people know it, and new pictures go to their neighbours.
    """
    unit = units(vectors)
    n = len(vectors)
    if before is not None and n >= FEW:
        new = np.isnan(before[:, 0])
        if new.mean() <= FRESH:
            places = before.astype(np.float32)
            fixed = np.flatnonzero(~new)
            anchors = fixed[np.sort(np.random.default_rng(seed).permutation(len(fixed))[:ANCHORS])]
            _beside(places, np.flatnonzero(new), unit, anchors)
            return places
    centred = unit - unit.mean(axis=0)
    _, _, axes = np.linalg.svd(centred.T @ centred)
    parts = centred @ axes[:COMPONENTS].T
    places = np.zeros((n, 2), dtype=np.float32)
    if n < FEW:
        places[:, : min(2, parts.shape[1])] = parts[:, :2]
        return _to_unit_square(places)
    anchors = np.sort(np.random.default_rng(seed).permutation(n)[:ANCHORS])
    places[anchors] = _tsne(parts[anchors], seed)
    _beside(places, np.setdiff1d(np.arange(n), anchors), unit, anchors)
    return _to_unit_square(places)


def far(
    vectors: np.ndarray, before: np.ndarray | None = None, *, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """How many robust deviations each picture is farther from its nearest neighbours than is usual (n, float32).

    The mean cosine distance to NEIGHBOURS nearest ones (Ramaswamy, Rastogi, Shim, SIGMOD 2000), its logarithm
    against median and median absolute deviation. 0 for all where there are fewer than LEAST pictures.
    The second answer is what `before` may be when pictures come to these and none goes: `nearest` of the first rows
    of `vectors`, so that only the new ones are compared with all. It changes nothing in the answer.
    """
    n = len(vectors)
    if n < LEAST:
        return np.zeros(n, dtype=np.float32), np.empty((0, NEIGHBOURS + 1), np.float32)
    nearest = _likeness(vectors, before, seed)
    # The nearest of a picture is itself, where it is among the chosen; else that one more changes little.
    level = np.log(np.maximum(1 - nearest[:, 1:].mean(axis=1, dtype=np.float64), 1e-4))
    median = np.median(level)
    spread = 1.4826 * np.median(np.abs(level - median))
    return np.asarray((level - median) / max(float(spread), 0.05), dtype=np.float32), nearest


def _likeness(vectors: np.ndarray, before: np.ndarray | None, seed: int) -> np.ndarray:
    """Cosines of each picture with the NEIGHBOURS + 1 that it is most like, itself included, descending."""
    n, count = len(vectors), NEIGHBOURS + 1
    whole = vectors.astype(np.float32)
    # Numbers of one byte: products and their sums (of up to 1,040 numbers) are whole and exact in any order.
    scale = (1 / np.maximum(np.sqrt((whole.astype(np.float64) ** 2).sum(axis=1)), 1e-9)).astype(np.float32)
    chosen = np.sort(np.random.default_rng(seed).permutation(n)[:REFERENCES])

    def to(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        return np.asarray((whole[rows] @ whole[others].T) * scale[rows][:, None] * scale[others])

    out = np.empty((n, count), dtype=np.float32)
    known = 0
    if before is not None and n <= REFERENCES and LEAST <= len(before) <= n:
        known = len(before)
        new = np.arange(known, n)
        for start in range(0, known, CHUNK):
            rows = np.arange(start, min(known, start + CHUNK))
            out[rows] = _most(np.concatenate([before[rows], to(rows, new)], axis=1), count)
    for start in range(known, n, CHUNK):
        rows = np.arange(start, min(n, start + CHUNK))
        out[rows] = _most(to(rows, chosen), count)
    return out


def _most(values: np.ndarray, count: int) -> np.ndarray:
    """The `count` largest of each row, descending."""
    return -np.sort(np.partition(-values, count - 1, axis=1)[:, :count], axis=1)


def outliers(deviations: np.ndarray) -> np.ndarray:
    """Which of `far` are named (n, bool)."""
    named = deviations >= FAR
    most = int(MOST_FAR * len(deviations))
    if named.sum() > most:
        order = np.argsort(-deviations, kind="stable")
        named = np.zeros(len(deviations), dtype=bool)
        named[order[:most]] = True
    return named


def _beside(places: np.ndarray, rows: np.ndarray, unit: np.ndarray, anchors: np.ndarray) -> None:
    """Put each of `rows` between the three anchors that it is most like, mostly to the nearest."""
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK]
        near, likeness = nearest(unit[part], unit[anchors], 3)
        weights = np.maximum(likeness, 1e-3) ** 8
        weights /= weights.sum(axis=1, keepdims=True)
        places[part] = (places[anchors[near]] * weights[..., None]).sum(axis=1)


def _tsne(parts: np.ndarray, seed: int) -> np.ndarray:
    from sklearn.manifold import TSNE  # heavy: only a worker pays for it
    from threadpoolctl import threadpool_limits

    perplexity = min(30.0, (len(parts) - 1) / 3)
    tsne = TSNE(perplexity=perplexity, init="pca", random_state=seed, max_iter=500)
    with threadpool_limits(
        1
    ):  # its threads wait for each other: on a busy machine it takes ten times as long
        made = tsne.fit_transform(parts.astype(np.float32))
    return np.asarray(made, dtype=np.float32)


def nearest(rows: np.ndarray, all_: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Places and cosines of the `count` most alike of `all_` (of length 1, as `rows`), the most alike first."""
    likeness = rows @ all_.T
    near = np.argpartition(-likeness, min(count, len(all_)) - 1, axis=1)[:, :count]
    found = np.take_along_axis(likeness, near, axis=1)
    order = np.argsort(-found, axis=1, kind="stable")
    return np.take_along_axis(near, order, axis=1), np.take_along_axis(found, order, axis=1)


def _to_unit_square(places: np.ndarray) -> np.ndarray:
    low, high = places.min(axis=0, initial=np.inf), places.max(axis=0, initial=-np.inf)
    return np.asarray((places - low) / np.maximum(high - low, 1e-9), dtype=np.float32)
