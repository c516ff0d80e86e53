"""Pure. Whether two texts say the same in two languages, learnt from nothing but the pairs themselves.

IBM Model 1 (Brown et al. 1993) in both directions is fitted on nine tenths of the pairs and judges the
tenth that it has not seen, against partners drawn by chance. A pair that fits no better than chance does
was shuffled. Needs no dictionary, no model and no network; needs some thousand pairs of everyday text.

To fit once more on the pairs that were not doubted finds hardly more, and spoils the comparison: a pair
then has a say in who is heard about it.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from core.quality.texts.shingles import normal

FOLDS = 10
ITERATIONS = 6
"""Of expectation and maximisation; more only learn single pairs by heart."""
UNSEEN = 0.2
"""Share of a target that comes from its plain frequencies (smoothing)."""
MOST_FEATURES = 80
"""Of one text; the rest of a long one is not looked at."""
MOST_LINKS = 20_000_000
"""Pairs of features that are fitted at once; of larger data a sample is fitted and all of it is judged."""
CHUNK = 1_000
STEM = 4
"""Letters of a word that count: walk, walks, walking are one."""

Floats = NDArray[np.float64]

_CJK = "\u3005\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_RUN = re.compile(rf"[{_CJK}、。？！]+|[\uac00-\ud7a3]+|[^\W{_CJK}\uac00-\ud7a3]+|[^\w\s]")


@dataclass(frozen=True)
class Scores:
    """Nats a feature by which the partner explains a text better than its frequencies do, both ways summed."""

    own: Floats
    """Of each pair."""
    chance: Floats
    """Of as many texts with a partner drawn from the same fold."""


def features(text: str) -> set[str]:
    """Stems of words; where words are not spaced or inflect inside, pairs of characters and single Han."""
    found: set[str] = set()
    for run in _RUN.findall(normal(text)):
        if "\u3000" <= run[0] <= "\u9fff" or "\uac00" <= run[0] <= "\ud7a3":
            found.update(run[n : n + 2] for n in range(max(len(run) - 1, 1)))
            found.update(c for c in run if "\u3400" <= c <= "\u9fff")
        else:
            found.add(run[:STEM])
        if len(found) >= MOST_FEATURES:
            break
    return found


def scores(sources: Sequence[str], targets: Sequence[str], seed: int = 0) -> Scores:
    """Equal inputs give equal scores. Pairs with the same target are never in different folds,
    so that no copy of a pair vouches for it."""
    rng = np.random.default_rng(seed)
    bags = _bags(map(features, sources)), _bags(map(features, targets))
    fold = np.array([zlib.crc32(normal(text).encode("utf-8", "replace")) % FOLDS for text in targets])
    size = np.diff(bags[0].indptr) * np.diff(bags[1].indptr)
    order = rng.permutation(len(fold))
    sample = np.sort(order[np.cumsum(size[order]) <= MOST_LINKS])
    ways = [(a, b, _Model(a[sample], b[sample])) for a, b in (bags, bags[::-1])]
    found = Scores(np.zeros(len(fold)), np.zeros(len(fold)))
    for k in range(FOLDS):
        held = np.flatnonzero(fold == k)
        partner = held[rng.permutation(len(held))]
        used = (fold[sample] != k).astype(float)
        if not len(held) or not used.any():
            continue
        for a, b, model in ways:
            model.fit(used)
            found.own[held] += model.judge(a[held], b[held])
            found.chance[held] += model.judge(a[held], b[partner])
    return found


class _Model:
    """t(feature of b | feature of a or nothing), for pairs of rows of two bags."""

    def __init__(self, a: sp.csr_array, b: sp.csr_array) -> None:
        self._b = b
        a = _with_nothing(a)
        counts = np.diff(a.indptr) * np.diff(b.indptr)
        self._row = np.repeat(np.arange(a.shape[0]), counts)
        place = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        width = np.diff(b.indptr)[self._row]
        from_ = a.indices[a.indptr[self._row] + place // width].astype(np.int64)
        self._to = b.indptr[self._row] + place % width
        links, self._link = np.unique(from_ * b.shape[1] + b.indices[self._to], return_inverse=True)
        self._from, self._into = links // b.shape[1], links % b.shape[1]
        self._shape = (a.shape[1], b.shape[1])

    def fit(self, weights: Floats) -> None:
        """`weights` by row; rows of 0 are not seen."""
        seen = np.flatnonzero(weights[self._row] > 0)
        link, to = self._link[seen], self._to[seen]
        t = np.ones(len(self._from))
        for _ in range(ITERATIONS):
            share = t[link]
            share /= np.bincount(to, share, minlength=self._b.nnz)[to]
            count = np.bincount(link, share, minlength=len(t))
            t = count / np.maximum(np.bincount(self._from, count), 1e-12)[self._from]
        kept = t > 1e-4
        self._table = sp.csr_array((t[kept], (self._from[kept], self._into[kept])), shape=self._shape)
        frequency = weights @ self._b + 0.5
        self._frequency = frequency / frequency.sum()

    def judge(self, a: sp.csr_array, b: sp.csr_array) -> Floats:
        """By row, the mean over features of b of log((1 − UNSEEN)·p(feature | a)/p(feature) + UNSEEN)."""
        out = np.zeros(a.shape[0])
        for first in range(0, a.shape[0], CHUNK):
            some, into = _with_nothing(a[first : first + CHUNK]), b[first : first + CHUNK]
            said = (some @ self._table).multiply(into).tocsr()
            width = np.diff(some.indptr)
            rows = np.repeat(np.arange(said.shape[0]), np.diff(said.indptr))
            lift = said.data / width[rows] / self._frequency[said.indices]
            gain = np.log((1 - UNSEEN) * lift + UNSEEN) - np.log(UNSEEN)
            total = np.bincount(rows, gain, minlength=said.shape[0])
            out[first : first + CHUNK] = total / np.maximum(np.diff(into.indptr), 1) + np.log(UNSEEN)
        return out


def _with_nothing(a: sp.csr_array) -> sp.csr_array:
    return sp.hstack([a, sp.csr_array(np.ones((a.shape[0], 1)))], format="csr")


def _bags(texts: Iterable[set[str]]) -> sp.csr_array:
    """A row a text, a column a feature, in an order that does not depend on Python's hashes."""
    numbers: dict[str, int] = {}
    columns: list[int] = []
    ends = [0]
    for found in texts:
        columns += sorted(numbers.setdefault(feature, len(numbers)) for feature in sorted(found))
        ends.append(len(columns))
    return sp.csr_array((np.ones(len(columns)), columns, ends), shape=(len(ends) - 1, max(len(numbers), 1)))
