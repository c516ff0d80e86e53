"""Pure. The findings of a check as numbers: by kind, and those that the gate asks for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from core.quality.texts.gate import Counts
from core.quality.texts.kinds import (
    COPIED,
    FOREIGN,
    KINDS,
    LEAKED,
    PERSONAL,
    UNALIGNED,
    UNREADABLE,
    decided,
)


@dataclass(frozen=True)
class Tally:
    counts: Counts
    open: dict[str, int]
    """Rows with findings of a kind that nobody called fine; kinds without any are left out."""
    kept: dict[str, int]
    """Rows with findings that somebody called fine."""


def tally(
    findings: pa.Table, summary: Mapping[str, Any], kept: Collection[tuple[str, str]] = (), broken: int = 0
) -> Tally:
    """`findings` and `summary` of core.quality.texts.run.check; `kept`: see core.datasets.decisions."""
    open_rows: dict[str, set[int]] = {}
    kept_rows: dict[str, set[int]] = {}
    lines: dict[str, set[int]] = {}
    foreign = 0
    columns = (findings[name].to_pylist() for name in ("row_id", "hash", "kind"))
    for row_id, digest, kind in zip(*columns, strict=True):
        if (decided(kind, digest, row_id), kind) in kept:
            kept_rows.setdefault(kind, set()).add(row_id)
            continue
        open_rows.setdefault(kind, set()).add(row_id)
        line = KINDS[kind].line
        foreign += line == FOREIGN
        lines.setdefault(line, set()).add(row_id)
    of = {line: len(rows) for line, rows in lines.items()}
    return Tally(
        Counts(
            rows=summary["rows"],
            pairs=summary["pairs"],
            learnt=summary["learnt"],
            unaligned=of.get(UNALIGNED, 0),
            copies=of.get(COPIED, 0),
            told=summary["told"],
            foreign=foreign,
            personal=of.get(PERSONAL, 0),
            unreadable=of.get(UNREADABLE, 0),
            broken=broken,
            leaks=of.get(LEAKED, 0),
            dealt=summary["dealt"],
        ),
        _by_kind(open_rows),
        _by_kind(kept_rows),
    )


def _by_kind(rows: Mapping[str, set[int]]) -> dict[str, int]:
    return {kind: len(rows[kind]) for kind in KINDS if kind in rows}
