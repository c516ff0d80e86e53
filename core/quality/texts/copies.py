"""Pure. Texts that say the same: exactly after normalisation, or nearly by MinHash and true Jaccard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rensa import RMinHash

from core.errors import InvalidInput
from core.i18n import N_
from core.quality.texts.findings import NOTABLE, Finding, Result
from core.quality.texts.shingles import Hashes, Shingles, mixed, shingled
from core.texts.records import Record

THRESHOLD = 0.95
PERMUTATIONS = 128
SEED = 42
SURE = 0.99
"""Least chance that a pair exactly at the threshold becomes a candidate."""
_DIGESTED = 20_000
"""Signatures that are Python's numbers at once."""
ALL_PAIRS = 64
"""In larger groups of candidates each text is compared with few others: the first of each cluster."""


@dataclass(frozen=True)
class Copies(Result):
    clusters: tuple[tuple[int, ...], ...] = ()
    """Indexes of records that say the same, ascending; the first is the one to keep."""


def exact(records: Sequence[Record]) -> Copies:
    """Records whose texts are equal without case, width, punctuation and white space."""
    made = shingled([record.whole() for record in records])
    roots = _equal(made.whole, np.diff(made.offsets) > 0)
    return _copies(records, clusters_of(roots), roots)


def near(records: Sequence[Record], threshold: float = THRESHOLD) -> Copies:
    """Records whose shingles overlap by `threshold` (Jaccard) at least.

    One that is equal to an earlier one is a “copy”, another a “near-copy”. Raises InvalidInput.
    """
    texts = [record.whole() for record in records]
    found, roots = alike(sketched(texts, threshold), threshold, lambda rows: [texts[n] for n in rows])
    return _copies(records, found, roots)


def near_clusters(texts: Sequence[str], threshold: float = THRESHOLD) -> list[tuple[int, ...]]:
    """Clusters of two and more, ascending, see `alike`. Raises InvalidInput."""
    return alike(sketched(texts, threshold), threshold, lambda rows: [texts[n] for n in rows])[0]


@dataclass(frozen=True)
class Sketches:
    """What tells which of n texts may be alike; it can be kept, for each text's is its own."""

    whole: Hashes
    """n: equal where texts are equal after normalisation."""
    filled: NDArray[np.bool_]
    """n: whether the text has any letter or digit."""
    keys: Hashes
    """n × bands of this threshold: a hash of the MinHash signature's rows in each band."""


def sketched(texts: Sequence[str], threshold: float = THRESHOLD) -> Sketches:
    """Raises InvalidInput."""
    if not 0.5 <= threshold <= 1:
        raise InvalidInput(
            "The threshold must lie between 0.5 and 1; it is {threshold}.", threshold=threshold
        )
    made = shingled(texts)
    filled = np.diff(made.offsets) > 0
    roots = _equal(made.whole, filled)
    rows = np.flatnonzero((roots == np.arange(len(roots))) & filled)
    keys = np.zeros((len(texts), bands(threshold)[0]), np.uint64)
    keys[rows] = _keys(_signatures(made, rows), threshold)
    return Sketches(made.whole, filled, keys[roots])


def alike(
    of: Sketches, threshold: float, texts: Callable[[list[int]], Sequence[str]]
) -> tuple[list[tuple[int, ...]], NDArray[np.int64]]:
    """(clusters of two and more texts, ascending; for each text the first one that is equal to it).

    Every link is a true Jaccard of at least `threshold`, which `of` was made for; `texts` gives those of some
    positions. Candidates come from banded MinHash signatures (Broder 1997; Leskovec, Rajaraman, Ullman, ch. 3),
    so that a pair at the threshold is missed with a chance of 1 − SURE at most.
    """
    roots = _equal(of.whole, of.filled)
    rows = np.flatnonzero((roots == np.arange(len(roots))) & of.filled)
    small, large = _candidates(of.keys[rows])
    # Only texts that may be like another one are cut up again.
    members = np.unique(np.concatenate([small.ravel(), *large]))
    rows = rows[members]
    made = shingled(texts(rows.tolist()))
    jaccard = _Jaccard(made, rows, _signatures(made, np.arange(len(rows))), threshold)
    tree = roots.tolist()
    small = np.searchsorted(members, small)
    for a, b in rows[small[jaccard.alike(small)]]:
        _join(tree, int(a), int(b))
    for group in large:
        _link(np.searchsorted(members, group), jaccard, tree)
    return clusters_of(np.array([_root(tree, n) for n in range(len(tree))], np.int64)), roots


def clusters_of(roots: NDArray[np.int64]) -> list[tuple[int, ...]]:
    """Positions with equal values, where there are two or more, in order of their first."""
    order = np.argsort(roots, kind="stable")
    starts = np.concatenate(([0], np.flatnonzero(np.diff(roots[order])) + 1, [len(order)]))
    groups = [tuple(order[starts[n] : starts[n + 1]].tolist()) for n in np.flatnonzero(np.diff(starts) > 1)]
    return sorted(groups)


SAME = N_("The same text as in line {line}.")
NEARLY_THE_SAME = N_("Nearly the same text as in line {line}.")


def _copies(records: Sequence[Record], found: list[tuple[int, ...]], roots: NDArray[np.int64]) -> Copies:
    """`roots`: of each record the first one that is equal to it."""
    findings = []
    for first, *rest in found:
        for copy in rest:
            same = int(roots[copy])
            kind, message, other = (
                ("copy", SAME, same) if same != copy else ("near-copy", NEARLY_THE_SAME, first)
            )
            fields = {"line": records[other].line or other + 1, "record": other}
            findings.append(Finding(copy, "", kind, NOTABLE, message, fields))
    return Copies(sorted(findings, key=lambda f: f.record), len(records), clusters=tuple(found))


def _equal(whole: Hashes, filled: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For each text the first one that is equal to it; texts without any letter or digit are equal to none."""
    _, first, which = np.unique(whole, return_index=True, return_inverse=True)
    return np.where(filled, first[which], np.arange(len(whole)))


def _signatures(made: Shingles, rows: NDArray[np.int64]) -> NDArray[np.uint32]:
    sizes = np.diff(made.offsets)[rows]
    offsets = np.concatenate(([0], np.cumsum(sizes)))
    if len(rows) == len(made.whole):
        hashes = made.hashes
    else:
        hashes = made.hashes[np.arange(offsets[-1]) + np.repeat(made.offsets[rows] - offsets[:-1], sizes)]
    signatures = np.empty((len(rows), PERMUTATIONS), np.uint32)
    for first in range(0, len(rows), _DIGESTED):
        bounds = offsets[first : first + _DIGESTED + 1]
        matrix = RMinHash.digest_matrix_from_flat_token_hashes(
            hashes[bounds[0] : bounds[-1]], bounds - bounds[0], PERMUTATIONS, SEED
        )
        signatures[first : first + _DIGESTED] = matrix.to_rows()
    return signatures


def bands(threshold: float) -> tuple[int, int]:
    """(bands, rows of each): as many rows as still catch a pair at the threshold with a chance of SURE."""
    for rows in range(PERMUTATIONS, 1, -1):
        number = PERMUTATIONS // rows
        if 1 - (1 - threshold**rows) ** number >= SURE:
            return number, rows
    return PERMUTATIONS, 1


def _keys(signatures: NDArray[np.uint32], threshold: float) -> Hashes:
    """n × bands."""
    number, rows = bands(threshold)
    keys = np.zeros((len(signatures), number), np.uint64)
    for band in range(number):
        for column in range(band * rows, (band + 1) * rows):
            keys[:, band] = mixed(keys[:, band] + signatures[:, column])
    return keys


def _candidates(banded: Hashes) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
    """Rows that share a band: as pairs, each once, and groups of more than ALL_PAIRS as they are."""
    n = len(banded)
    pairs: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    large: list[NDArray[np.int64]] = []
    for keys in banded.T:
        order = np.argsort(keys, kind="stable")
        starts = np.concatenate(([0], np.flatnonzero(np.diff(keys[order])) + 1, [n]))
        sizes = np.diff(starts)
        for size in np.unique(sizes[sizes > 1]):
            members = order[starts[:-1][sizes == size][:, None] + np.arange(size)]
            if size > ALL_PAIRS:
                large.extend(members)
                continue
            a, b = np.triu_indices(size, 1)
            pairs.append((members[:, a] * n + members[:, b]).ravel())
    once = np.unique(np.concatenate(pairs))
    return np.stack([once // max(n, 1), once % max(n, 1)], axis=1), large


class _Jaccard:
    """True Jaccard of pairs of rows, computed only where the signatures leave hope."""

    def __init__(
        self,
        made: Shingles,
        rows: NDArray[np.int64],
        signatures: NDArray[np.uint32],
        threshold: float,
    ) -> None:
        """`made` and `signatures` of the texts at positions `rows` of all."""
        self.rows, self.signatures, self.threshold = rows, signatures, threshold
        self._made = made
        self._sets: dict[int, NDArray[np.uint64]] = {}
        spread = np.sqrt(threshold * (1 - threshold) / PERMUTATIONS)
        self._hope = (threshold - 5 * spread) * PERMUTATIONS
        """Equal places of the signatures; five standard deviations below what is expected."""

    def alike(self, pairs: NDArray[np.int64]) -> NDArray[np.bool_]:
        out = np.zeros(len(pairs), bool)
        for first in range(0, len(pairs), _PAIRS):
            some = pairs[first : first + _PAIRS]
            same = (self.signatures[some[:, 0]] == self.signatures[some[:, 1]]).sum(axis=1)
            for row in np.flatnonzero(same >= self._hope):
                a, b = some[row].tolist()
                out[first + row] = self._true(self._set(a), self._set(b))
        return out

    def _set(self, row: int) -> NDArray[np.uint64]:
        found = self._sets.get(row)
        if found is None:
            found = self._sets[row] = self._made.of(row)
        return found

    def _true(self, a: NDArray[np.uint64], b: NDArray[np.uint64]) -> bool:
        if min(len(a), len(b)) < self.threshold * max(len(a), len(b)):
            return False
        places = a.searchsorted(b)
        common = int((a[np.minimum(places, len(a) - 1)] == b).sum())
        return common >= self.threshold * (len(a) + len(b) - common)


_PAIRS = 1 << 16
"""Compared at once, so that memory stays bounded."""


def _link(group: NDArray[np.int64], jaccard: _Jaccard, tree: list[int]) -> None:
    """Take the first row left, join all that are like it, and go on with the others."""
    left = group
    while len(left) > 1:
        head, rest = left[0], left[1:]
        near_head = jaccard.alike(np.stack([np.full(len(rest), head), rest], axis=1))
        for row in rest[near_head]:
            _join(tree, int(jaccard.rows[head]), int(jaccard.rows[row]))
        left = rest[~near_head]


def _root(tree: list[int], n: int) -> int:
    while tree[n] != n:
        tree[n] = tree[tree[n]]
        n = tree[n]
    return n


def _join(tree: list[int], a: int, b: int) -> None:
    """The smaller index becomes the root of both."""
    a, b = _root(tree, a), _root(tree, b)
    tree[max(a, b)] = min(a, b)
