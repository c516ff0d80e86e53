"""Stored. What two versions of a text dataset differ in, with some of the rows before and after."""

from __future__ import annotations

from dataclasses import dataclass

from core.datasets import rows
from core.datasets.rows import Version
from core.texts import differences
from core.texts.differences import Differences
from core.texts.rowfile import DataRow
from core.workbench import Workbench

EXAMPLES = 10
"""Of each of added, removed and changed."""


@dataclass(frozen=True)
class Change:
    row_id: int
    old: DataRow | None
    """None where the row was added."""
    new: DataRow | None
    """None where the row was removed."""


@dataclass(frozen=True)
class Diff(Differences):
    examples: tuple[Change, ...]
    """The first of each kind, by row id."""


def diff(wb: Workbench, a: Version, b: Version) -> Diff:
    """From `a` to `b`, whichever is newer."""
    found = differences.compare(*(rows.table(wb, version, differences.COLUMNS) for version in (a, b)))
    gone, come = found.removed[:EXAMPLES].tolist(), found.added[:EXAMPLES].tolist()
    changed = found.changed[:EXAMPLES].tolist()
    old = {row.row_id: row for row in rows.page(wb, a, ids=gone + changed).rows}
    new = {row.row_id: row for row in rows.page(wb, b, ids=come + changed).rows}
    examples = tuple(Change(row_id, old.get(row_id), new.get(row_id)) for row_id in sorted(old | new))
    return Diff(found.added, found.removed, found.changed, found.resplit, examples)
