"""Pure. Deals the rows of a text dataset to train, valid and test; what was dealt once stays where it is.

Rows that say nearly the same, and rows that ask the same, belong together: on two sides a model would
be tested on what it has learnt.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from core.files import FileStore
from core.quality.texts import copies, leakage
from core.quality.texts.leakage import LEAST_TOKENS
from core.quality.texts.shingles import shingled
from core.shares import SPLITS, shares_of
from core.texts import rowfile, rowpages

RUNS = 10_000_000
"""Runs of words that are compared at most."""
TEMPLATE = 0.05
"""A question, or a run of words, in a larger share of the rows is a template and ties nothing together."""

Numbers = NDArray[np.int64]


READ, GROUPED = 0.4, 0.9
"""Shares of the work that are done when all rows were read, and when all groups are known."""


@dataclass(frozen=True)
class Dealt:
    path: str
    """Key of the file of all rows (core.texts.rowfile) with their splits."""
    hash: str
    splits: dict[str, int]
    """Rows of each split; "" are those that have none."""
    dealt: dict[str, int]
    """Rows that got a split now."""
    kept: int
    """Rows that had one."""
    together: int
    """Rows dealt as a group, since they are copies or ask the same."""
    torn: int
    """Rows left out, since what belongs with them lies in two splits already."""


def deal(
    files: FileStore,
    key: str,
    ratios: Sequence[float],
    seed: int,
    likeness: float,
    progress: Callable[[float], None] = lambda done: None,
) -> Dealt:
    """Deal the rows of the file with this key that have no split, by their shares of all rows.

    Rows alike by `likeness` and more are copies, see core.quality.texts.copies. The same rows, ratios and seed
    give the same split, whatever the order of the rows. `progress` is told the share that is done, 0–1; what it
    raises ends the work.
    """
    path = files.local_path(key)
    before = _codes(pq.read_table(path, columns=["split"]))
    fresh = before < 0
    groups = _groups(path, likeness, progress)
    progress(GROUPED)
    hashes: Any = pq.read_table(path, columns=["hash"])["hash"].to_pylist()
    after, together, torn = _deal(before, groups, hashes, ratios, seed)
    names = np.array([*SPLITS, None], object)[after]  # −1 is the last one
    data, told = rowpages.packed(rowpages.resplit(path, names))
    counts, dealt = (
        np.bincount(some[some >= 0], minlength=len(SPLITS)).tolist() for some in (after, after[fresh])
    )
    progress(1.0)
    return Dealt(
        files.put(data, "texts", "parquet"),
        rowfile.table_hash(told),
        dict(zip((*SPLITS, ""), [*counts, int((after < 0).sum())], strict=True)),
        dict(zip(SPLITS, dealt, strict=True)),
        int((~fresh).sum()),
        together,
        torn,
    )


def _codes(rows: pa.Table) -> Numbers:
    """For each row the index of its split, −1 where it has none."""
    places: Any = pc.index_in(rows["split"], pa.array(SPLITS))
    return np.asarray(places.fill_null(-1).to_numpy(), np.int64)


def _groups(path: Path, likeness: float, progress: Callable[[float], None]) -> list[Numbers]:
    """Indexes of rows that belong together, each group ascending, two rows and more.

    Copies as the check of copies finds them, rows that ask the same, and rows that share a run of words with
    what another asks, which the check of leaks would find on two sides.
    """
    said: list[str] = []
    equal: list[Numbers] = []
    tokens: list[Numbers] = []
    runs: list[Numbers] = []
    owners: list[Numbers] = []
    total = pq.read_metadata(path).num_rows
    for table in rowpages.groups(path):
        records = [row.record for row in rowfile.rows_of(table)]
        asked = [leakage.asked(record.prompt, record.context) for record in records]
        made = shingled(asked)
        equal.append(made.whole.view(np.int64))
        tokens.append(made.tokens)
        made = shingled(asked, leakage.WORDS, leakage.CHARACTERS)
        runs.append(made.hashes.view(np.int64))
        owners.append(len(said) + np.repeat(np.arange(len(asked)), np.diff(made.offsets)))
        said += [record.whole() for record in records]
        progress(READ * len(said) / total)
    tree = np.arange(len(said))
    for group in copies.near_clusters(said, likeness):
        tree[list(group)] = group[0]
    long_enough = np.flatnonzero(np.concatenate(tokens) >= LEAST_TOKENS)
    most = max(2, TEMPLATE * len(said))
    members, keys = _shared(long_enough, np.concatenate(equal)[long_enough], most)
    of_runs = _shared(*_thinned(np.concatenate(owners), np.concatenate(runs)), most)
    return _components(
        tree,
        np.concatenate([members, of_runs[0]]),
        np.concatenate([keys, of_runs[1] + len(said)]),  # two kinds of keys that never meet
    )


def _thinned(owners: Numbers, runs: Numbers) -> tuple[Numbers, Numbers]:
    """At most about RUNS of them, chosen by their hash: rows that share a passage still share some."""
    step = -(-len(runs) // RUNS)
    chosen = runs % step == 0 if step > 1 else np.ones(len(runs), bool)
    return owners[chosen], runs[chosen]


def _shared(members: Numbers, keys: Numbers, most: float) -> tuple[Numbers, Numbers]:
    """Those whose key is another's too, but not a template's; keys become numbers below their count."""
    pairs = np.unique(np.stack([keys, members]), axis=1)
    _, which, sizes = np.unique(pairs[0], return_inverse=True, return_counts=True)
    bound = (sizes[which] > 1) & (sizes[which] <= most)
    return pairs[1][bound], which[bound]


def _components(tree: Numbers, members: Numbers, keys: Numbers) -> list[Numbers]:
    """Rows joined by `tree` (each row's first copy) and by equal `keys` of `members`."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(tree)
    _, first = np.unique(keys, return_index=True)
    left = np.concatenate([np.arange(n), members])
    right = np.concatenate([tree, members[first[np.searchsorted(keys[first], keys)]]])
    graph = coo_array((np.ones(len(left), np.int8), (left, right)), shape=(n, n))
    _, found = connected_components(graph, directed=False)
    order = np.argsort(found, kind="stable")
    cuts = np.flatnonzero(np.diff(found[order])) + 1
    return [group for group in np.split(order, cuts) if len(group) > 1]


def _deal(
    before: Numbers, groups: Iterable[Numbers], hashes: list[str], shares: Sequence[float], seed: int
) -> tuple[Numbers, int, int]:
    """(split of each row, rows dealt as groups, rows that belong to two splits)."""
    after = before.copy()
    counts = np.bincount(before[before >= 0], minlength=len(SPLITS)).astype(np.int64)
    single = before < 0
    torn = together = 0
    whole: list[Numbers] = []
    for group in groups:
        new = group[before[group] < 0]
        sides = np.unique(before[group][before[group] >= 0])
        single[new] = False
        if len(sides) == 0:
            whole.append(group)
        elif len(sides) == 1:
            after[new] = sides[0]
            counts[sides[0]] += len(new)
            together += len(new)
        else:
            torn += len(new)
    # Large groups first: small ones then even out what these left.
    drawn = {int(group[0]): min(_shuffled(seed, hashes[row]) for row in group.tolist()) for group in whole}
    whole.sort(key=lambda group: (-len(group), drawn[int(group[0])]))
    wanted = np.array(shares) * (len(before) - torn)
    for group in whole:
        side = _side(wanted - counts, len(group), drawn[int(group[0])])
        after[group] = side
        counts[side] += len(group)
        together += len(group)
    alone = sorted(np.flatnonzero(single).tolist(), key=lambda row: (_shuffled(seed, hashes[row]), row))
    have = dict(zip(SPLITS, counts.tolist(), strict=True))
    plan = shares_of(len(alone), have, shares, f"{seed}")
    first = 0
    for side, name in enumerate(SPLITS):
        after[alone[first : first + plan[name]]] = side
        first += plan[name]
    return after, together, torn


def _side(lacking: NDArray[np.float64], size: int, drawn: bytes) -> int:
    """Where a group goes: drawn by what the sides lack among those that it fits in, so that each side gets some."""
    fitting = np.where(lacking >= size, lacking, 0.0)
    if not fitting.any():
        return int(lacking.argmax())
    chance = int.from_bytes(drawn[-6:]) / 256**6
    up_to = np.cumsum(fitting)
    return int(np.searchsorted(up_to, chance * up_to[-1], side="right"))


def _shuffled(seed: int, text: str) -> bytes:
    return hashlib.sha256(f"{seed}:{text}".encode()).digest()
