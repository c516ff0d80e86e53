"""Pure. What is found by comparing rows of a version with each other, and all findings as one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from core.i18n import N_
from core.quality.texts import language, leakage
from core.quality.texts.findings import NOTABLE, SEVERE
from core.quality.texts.foundfile import SCHEMA
from core.quality.texts.seen import ALONE, Rows, Seen, said

RANK = {"train": 0, "valid": 1, "test": 2}
"""A copy leaks from the side of the lower rank: test rows never go."""
_WORDS = {
    "copy": N_("The same text as in row {row}."),
    "near-copy": N_("Nearly the same text as in row {row}."),
    "leakage": N_("Shares a long run of words with the prompt of row {row}, which is tested."),
}
"""What is said of two rows: by row id, where the checks of plain records name lines."""
TOLD_APART = N_("Says the same as row {row}, which is in “{split}”.")

FOUND = pa.schema([pa.field("row", pa.int64()), *list(ALONE)[1:], pa.field("group", pa.int64())])
"""Findings by the place of their row in a version; the rest as in foundfile.SCHEMA."""
Found = tuple[int, str, str, str, str, str, int | None]
"""One of them."""


def table(found: Sequence[Found]) -> pa.Table:
    columns = list(zip(*found, strict=True)) or [()] * len(FOUND)
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, FOUND, strict=True)], schema=FOUND)


def findings(of: Rows, found: pa.Table) -> pa.Table:
    """foundfile.SCHEMA of FOUND, by row, kind and field; what is equal in these stays as it came."""
    found = found.take(pc.sort_indices(found, [(name, "ascending") for name in ("row", "kind", "where")]))
    rows = found["row"].to_numpy()
    hashes = of.contents.take(of.content[rows])
    columns = [pa.array(of.ids[rows]), hashes, *(found[name] for name in SCHEMA.names[2:])]
    return pa.table(columns, schema=SCHEMA)


def of_rows(of: Rows, alone: pa.Table) -> pa.Table:
    """The findings of each content (ALONE), for every row that has it."""
    alone = alone.take(np.argsort(alone["content"].to_numpy(), kind="stable"))
    rows, places = _spread(of.content, alone["content"].to_numpy(), len(of.contents))
    some = alone.take(places)
    return pa.table([pa.array(rows), *some.columns[1:], pa.nulls(len(rows), pa.int64())], schema=FOUND)


def _spread(
    which: NDArray[np.int64], having: NDArray[np.int64], number: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(places in `which`, places in `having`), every pair of equal values; `having` is ascending, below `number`."""
    starts = np.searchsorted(having, np.arange(number + 1))
    counts = np.diff(starts)[which]
    rows = np.repeat(np.arange(len(which)), counts)
    inside = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    return rows, starts[which[rows]] + inside


@dataclass(frozen=True)
class Languages:
    found: pa.Table
    counts: dict[str, dict[str, int]]
    """Texts by part and language."""
    expected: dict[str, str]
    undecided: int

    @property
    def told(self) -> int:
        return sum(sum(of.values()) for of in self.counts.values())


def languages(of: Rows, of_contents: Seen) -> Languages:
    """Of many rows the same is told: each such answer is judged once, for as many rows as have it."""
    answers, which = of_contents.told()
    by_row = which[of.content]
    judged = language.judged(answers, times=np.bincount(by_row, minlength=len(answers)).tolist())
    having = np.array([each.record for each in judged.findings], np.int64)
    rows, places = _spread(by_row, having, len(answers))
    words = [(e.where, e.kind, e.severity, e.message, said(e.fields)) for e in judged.findings]
    found: list[Found] = [
        (row, *words[place], None) for row, place in zip(rows.tolist(), places.tolist(), strict=True)
    ]
    counts = {part: dict(by_language) for part, by_language in judged.counts.items()}
    return Languages(table(found), counts, dict(judged.expected), judged.undecided)


def copied(of: Rows, clusters: Sequence[Sequence[int]], roots: NDArray[np.int64]) -> list[Found]:
    """Rows beyond the first of each cluster; `roots`: by row the first that says the very same."""
    found: list[Found] = []
    for first, *rest in clusters:
        for copy in rest:
            same = int(roots[copy])
            kind, other = ("copy", same) if same != copy else ("near-copy", first)
            fields = said({"row": int(of.ids[other])})
            found.append((copy, "", kind, NOTABLE, _WORDS[kind], fields, int(of.ids[first])))
    return found


def leaks(of: Rows, of_contents: Seen, clusters: Sequence[Sequence[int]]) -> list[Found]:
    """Rows that say the same as one of a split that is tested later, and those that share its words."""
    found: dict[int, tuple[str, dict[str, Any], int]] = {}
    for cluster in clusters:
        dealt = [n for n in cluster if of.splits[n] is not None]
        if len({of.splits[n] for n in dealt}) < 2:
            continue
        top = max(dealt, key=lambda n: (RANK[str(of.splits[n])], -n))
        for n in dealt:
            if of.splits[n] != of.splits[top]:
                fields = {"row": int(of.ids[top]), "split": of.splits[top]}
                found[n] = TOLD_APART, fields, int(of.ids[cluster[0]])
    test = np.flatnonzero(of.splits == "test")
    tested = leakage.prompts(of.asked(test))
    train = np.flatnonzero((of.splits == "train") & of_contents.suspects(tested)[of.content])
    for n, owner in leakage.shared(of.records(train), tested).items():
        row, other = int(of.ids[train[n]]), int(of.ids[test[owner]])
        found.setdefault(int(train[n]), (_WORDS["leakage"], {"row": other}, min(row, other)))
    return [
        (n, "", "leakage", SEVERE, message, said(fields), group)
        for n, (message, fields, group) in found.items()
    ]
