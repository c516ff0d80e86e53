"""Pure. Images that are nearly the same: pairs of perceptual hashes within a radius, and clusters of pairs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations

import numpy as np

from core.looks import units
from core.quality import maps

BANDS, BAND_BITS = 4, 16
MAX_RADIUS = 11
"""Bits; beyond, so much of an image may differ that the pairs say nothing."""
MOST = 64
"""Neighbours of one hash that are given where it has very many."""
CHUNK = 1 << 22
"""Comparisons made at a time, so that memory stays bounded."""
NEAREST = 3
"""Of an image among all, by its vector: those that may be its twins though their hashes are far apart."""
LEAST_ALIKE = 0.6
"""Cosine of vectors below which nothing is a twin."""


def bits(hashes: Iterable[str]) -> np.ndarray:
    """Hex hashes of 64 bits as uint64."""
    return np.array([int(each, 16) for each in hashes], dtype=np.uint64)


def between(fresh: np.ndarray, known: np.ndarray, radius: int, most: int = MOST) -> np.ndarray:
    """Pairs (index of fresh, index of known), n × 2, of uint64 hashes that differ in at most `radius` bits.

    Of a hash with more than `most` such neighbours about so many are given, near and far ones: enough to
    find its cluster, while ten thousand frames of one film do not become fifty million pairs.
    """
    rows = max(1, CHUNK // max(1, len(known)))
    starts = range(0, len(fresh), rows)
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:  # numpy leaves Python's lock here
        found = list(pool.map(lambda at: _near(fresh[at : at + rows], known, radius, most, at), starts))
    return np.concatenate(found) if found else np.empty((0, 2), dtype=np.int64)


def _near(fresh: np.ndarray, known: np.ndarray, radius: int, most: int, offset: int) -> np.ndarray:
    distance = np.bitwise_count(fresh[:, None] ^ known[None, :])
    pairs = np.argwhere(distance <= radius)
    counts = np.bincount(pairs[:, 0], minlength=len(fresh))
    if len(pairs) and counts.max() > most:
        order = np.lexsort((distance[pairs[:, 0], pairs[:, 1]], pairs[:, 0]))
        place = np.arange(len(pairs)) - np.repeat(np.cumsum(counts) - counts, counts)
        # Half of them the nearest, half spread over the rest: the nearest alone may all be copies of each other.
        step = np.repeat(np.maximum(1, -(-(counts - most // 2) // (most - most // 2))), counts)
        pairs = pairs[order[(place < most // 2) | ((place - most // 2) % step == 0)]]
    pairs[:, 0] += offset
    return pairs


def within(hashes: np.ndarray, radius: int) -> np.ndarray:
    """Pairs i < j, n × 2, of uint64 hashes that differ in at most `radius` bits (0 … MAX_RADIUS).

    All of them, exactly, by multi-index hashing (Norouzi, Punjani, Fleet, CVPR 2012): of four bands of
    16 bits one differs in at most radius // 4 bits, so only hashes that share such a band are compared.
    Where so many are alike that this would compare more than all with all, some of each are given, as
    by `between`.
    """
    if not 0 <= radius <= MAX_RADIUS:
        raise ValueError(f"radius {radius} is not within 0 … {MAX_RADIUS}")
    flips = [0]
    for count in range(1, radius // BANDS + 1):
        flips += [sum(1 << bit for bit in chosen) for chosen in combinations(range(BAND_BITS), count)]
    found = _by_bands(hashes, radius, flips)
    if found is None:
        found = between(hashes, hashes, radius)
        found = np.sort(found[found[:, 0] != found[:, 1]], axis=1)
    return np.unique(found, axis=0) if len(found) else found


def _by_bands(hashes: np.ndarray, radius: int, flips: Sequence[int]) -> np.ndarray | None:
    """None where it would compare, or find, too much."""
    bands = []
    budget = max(CHUNK, len(hashes) ** 2 // 4)
    for band in range(BANDS):
        keys = ((hashes >> np.uint64(band * BAND_BITS)) & np.uint64(0xFFFF)).astype(np.int64)
        order = np.argsort(keys, kind="stable")
        edges = np.searchsorted(keys[order], np.arange((1 << BAND_BITS) + 1))
        sizes = np.diff(edges)
        budget -= sum(int(sizes[keys ^ flip].sum()) for flip in flips)
        if budget < 0:
            return None
        bands.append((keys, order, edges))
    found = [np.empty((0, 2), dtype=np.int64)]
    room = max(CHUNK // 4, MOST * len(hashes))
    for keys, order, edges in bands:
        for flip in flips:
            for pairs in _in_band(hashes, radius, keys ^ flip, order, edges):
                found.append(pairs)
                room -= len(pairs)
                if room < 0:
                    return None
    return np.concatenate(found)


def _in_band(
    hashes: np.ndarray, radius: int, keys: np.ndarray, order: np.ndarray, edges: np.ndarray
) -> Iterator[np.ndarray]:
    """Pairs of each hash with those whose band has its key."""
    sizes = edges[keys + 1] - edges[keys]
    for start, stop in _parts(sizes):
        part = sizes[start:stop]
        left = np.repeat(np.arange(start, stop), part)
        offset = np.arange(len(left)) - np.repeat(np.cumsum(part) - part, part)
        right = order[edges[keys[left]] + offset]
        keep = left < right
        left, right = left[keep], right[keep]
        close = np.bitwise_count(hashes[left] ^ hashes[right]) <= radius
        yield np.stack([left[close], right[close]], axis=1)


def _parts(sizes: np.ndarray) -> list[tuple[int, int]]:
    """Ranges of rows whose comparisons fit into CHUNK, or single rows that do not."""
    total = np.cumsum(sizes)
    parts, start = [], 0
    while start < len(sizes):
        base = total[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(total, base + CHUNK, side="right")))
        parts.append((start, stop))
        start = stop
    return parts


def nearest(vectors: np.ndarray, fresh: np.ndarray) -> Iterator[np.ndarray]:
    """Pairs (index of fresh, another index), n × 2, part by part: of each of `fresh` the NEAREST of all `vectors`.

    `vectors` (n × d, int8) are looks or a model's embeddings.
    """
    unit = units(vectors)
    rows = max(1, CHUNK // max(1, len(unit)))
    for start in range(0, len(fresh), rows):
        part = fresh[start : start + rows]
        others, likeness = maps.nearest(unit[part], unit, NEAREST + 1)  # it is the nearest itself
        place, rank = np.nonzero((likeness >= LEAST_ALIKE) & (others != part[:, None]))
        yield np.stack([part[place], others[place, rank]], axis=1)


class Clusters:
    """Sets that grow by pairs (union-find); a cluster is known by its least member."""

    def __init__(self) -> None:
        self._parent: dict[int, int] = {}

    def find(self, item: int) -> int:
        root = item
        while (parent := self._parent.get(root, root)) != root:
            root = parent
        while (parent := self._parent.get(item, item)) != root:
            self._parent[item] = root
            item = parent
        return root

    def join(self, a: int, b: int) -> None:
        one, two = self.find(a), self.find(b)
        for item in (a, b):
            self._parent.setdefault(item, item)
        if one != two:
            self._parent[max(one, two)] = min(one, two)
            self._parent.setdefault(min(one, two), min(one, two))

    def members(self) -> dict[int, int]:
        """Cluster of every item that was joined with another."""
        return {item: self.find(item) for item in self._parent}


def bonds_of(rows: Sequence[tuple[int, str | None, int | None]]) -> dict[int, int]:
    """What each image belongs to, from (id, group, cluster): images joined by either share a number.

    Images that are alone have none.
    """
    sets = Clusters()
    first: dict[tuple[str, str | int], int] = {}
    for image_id, group, cluster in rows:
        for bond in (("group", group), ("cluster", cluster)):
            if bond[1] is not None:
                other = first.setdefault((bond[0], bond[1]), image_id)
                if other != image_id:
                    sets.join(other, image_id)
    return sets.members()
