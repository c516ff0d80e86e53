"""Stored. The rows that show a version best; its figures are `version.statistics` (core.texts.statistics)."""

from __future__ import annotations

from dataclasses import dataclass

from core.datasets import rows
from core.datasets.rows import Version
from core.texts.rowfile import DataRow
from core.workbench import Workbench


@dataclass(frozen=True)
class Examples:
    shortest: list[DataRow]
    longest: list[DataRow]
    others: list[DataRow]


def examples(wb: Workbench, version: Version) -> Examples:
    ids: dict[str, list[int]] = version.statistics["examples"]
    found = rows.page(wb, version, ids=[row_id for some in ids.values() for row_id in some]).rows
    by_id = {row.row_id: row for row in found}
    return Examples(**{name: [by_id[row_id] for row_id in some] for name, some in ids.items()})
