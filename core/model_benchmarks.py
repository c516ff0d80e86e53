"""Stored. Scores of model versions on benchmarks: appended, the newest of a name counts."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from core import audit, auth, registry, versions
from core.db.engine import next_ids
from core.db.tables import model_benchmarks as table
from core.errors import InvalidInput
from core.workbench import Workbench

MAX_DETAIL = 64 * 1024
"""Bytes of the detail as JSON."""


@dataclass(frozen=True)
class Benchmark:
    id: int
    version_id: int
    name: str
    score: float
    """0–1, more is better."""
    detail: dict[str, Any]
    created_by: int
    created_at: datetime


def add(
    wb: Workbench,
    actor: auth.User,
    version_id: int,
    name: str,
    score: float,
    detail: Mapping[str, Any] | None = None,
) -> Benchmark:
    """Note a score. Raises InvalidInput, NotFound, NotAllowed."""
    auth.require(actor, auth.TRAINER)
    name = versions.benchmark_name(name)
    if not math.isfinite(score) or not 0 <= score <= 1:
        raise InvalidInput(
            "A benchmark's score lies between 0 and 1; {score:g} does not. Divide it by the best score there is.",
            score=score,
        )
    kept = _plain(dict(detail or {}))

    def work(connection: sa.Connection) -> Benchmark:
        registry.read(connection, version_id)
        [benchmark_id] = next_ids(connection, "model_benchmarks_id_seq", 1)
        made = Benchmark(benchmark_id, version_id, name, score, kept, actor.id, datetime.now(UTC))
        connection.execute(table.insert().values(**vars(made)))
        told = {"name": name, "score": score}
        audit.record(connection, actor, "registry.benchmark", f"version {version_id}", told)
        return made

    return wb.db.write(work)


def newest(wb: Workbench, version_ids: Collection[int]) -> dict[int, list[Benchmark]]:
    """What counts of each version, by name."""
    last = sa.select(sa.func.max(table.c.id)).where(table.c.version_id.in_(version_ids))
    query = (
        sa.select(table)
        .where(table.c.id.in_(last.group_by(table.c.version_id, table.c.name)))
        .order_by(table.c.name, table.c.id)
    )
    found: dict[int, list[Benchmark]] = {version_id: [] for version_id in version_ids}
    with wb.db.read() as connection:
        for row in connection.execute(query).mappings():
            found[row["version_id"]].append(Benchmark(**row))
    return found


def _plain(detail: dict[str, Any]) -> dict[str, Any]:
    """Raises InvalidInput where JSON cannot say it."""
    try:
        said = json.dumps(detail, allow_nan=False)
    except ValueError:
        raise InvalidInput(
            "The benchmark's detail has a number that is not finite; leave it out or write null."
        ) from None
    if len(said) > MAX_DETAIL:
        raise InvalidInput(
            "The benchmark's detail has more than {limit} KB; keep it elsewhere and name the place here.",
            limit=MAX_DETAIL // 1024,
        )
    return detail
