"""Pure. Texts that say the same: exactly after normalisation, or nearly by MinHash and true Jaccard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rensa import RMinHash

from core.errors import InvalidInput
from core.i18n import N_
from core.quality.texts.findings import NOTABLE, Finding, Result
from core.quality.texts.shingles import Shingles, mixed, shingled
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
    roots = _equal(shingled([record.whole() for record in records]))
    return _copies(records, clusters_of(roots), roots)


def near(records: Sequence[Record], threshold: float = THRESHOLD) -> Copies:
    """Records whose shingles overlap by `threshold` (Jaccard) at least.

    One that is equal to an earlier one is a “copy”, another a “near-copy”. Raises InvalidInput.
    """
    made = shingled([record.whole() for record in records])
    return _copies(records, _near(made, threshold), _equal(made))


def near_clusters(texts: Sequence[str], threshold: float = THRESHOLD) -> list[tuple[int, ...]]:
    """Clusters of two and more, ascending. Every link in them is a true Jaccard of at least `threshold`.

    Candidates come from banded MinHash signatures (Broder 1997; Leskovec, Rajaraman, Ullman, ch. 3),
    so that a pair at the threshold is missed with a chance of 1 − SURE at most. Raises InvalidInput.
    """
    return _near(shingled(texts), threshold)


def _near(made: Shingles, threshold: float) -> list[tuple[int, ...]]:
    if not 0.5 <= threshold <= 1:
        raise InvalidInput(
            "The threshold must lie between 0.5 and 1; it is {threshold}.", threshold=threshold
        )
    roots = _equal(made)
    rows = np.flatnonzero((roots == np.arange(len(roots))) & (np.diff(made.offsets) > 0))
    jaccard = _Jaccard(made, rows, _signatures(made, rows), threshold)
    tree = roots.tolist()
    small, large = _candidates(jaccard.signatures, threshold)
    for a, b in rows[small[jaccard.alike(small)]]:
        _join(tree, int(a), int(b))
    for group in large:
        _link(group, jaccard, tree)
    return clusters_of(np.array([_root(tree, n) for n in range(len(tree))], np.int64))


def clusters_of(roots: NDArray[np.int64]) -> list[tuple[int, ...]]:
    """Positions with equal values, where there are two or more, in order of their first."""
    order = np.argsort(roots, kind="stable")
    cuts = np.flatnonzero(np.diff(roots[order])) + 1
    groups = [tuple(group.tolist()) for group in np.split(order, cuts) if len(group) > 1]
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


def _equal(made: Shingles) -> NDArray[np.int64]:
    """For each text the first one that is equal to it; texts without any letter or digit are equal to none."""
    _, first, which = np.unique(made.whole, return_index=True, return_inverse=True)
    own = np.arange(len(made.whole))
    return np.where(np.diff(made.offsets) > 0, first[which], own)


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


def _candidates(
    signatures: NDArray[np.uint32], threshold: float
) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
    """Rows that share a band: as pairs, each once, and groups of more than ALL_PAIRS as they are."""
    n = len(signatures)
    pairs: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    large: list[NDArray[np.int64]] = []
    number, rows = bands(threshold)
    for band in range(number):
        keys = np.zeros(n, np.uint64)
        for column in range(band * rows, (band + 1) * rows):
            keys = mixed(keys + signatures[:, column])
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
            found = self._sets[row] = self._made.of(int(self.rows[row]))
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
