"""Stored. The gate's line about A/B tests: whether the newest one says that a version is better."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from core.ab import trials
from core.ab.plan import Plan, seal
from core.addresses import Address
from core.db.tables import ab_experiments
from core.gate.lines import GREEN, OPEN, RED, VERDICT, Line
from core.registry import Version

BETTER = "better"
"""As core.ab.verdict says it; that module brings statistics which a look at the gate need not load."""


def verdict(connection: sa.Connection, version: Version, champion: Version | None) -> Line:
    """The newest ended test of this version and the one it would replace decides: an old win does not outlive it.

    It says yes where it was concluded with this version as the winner, its verdict is that this version is
    better than A, A is the champion, and its plan is the one that was sealed.
    """
    found = _newest(connection, version, champion)
    if found is None:
        every = Address("ab", {"theme": version.theme_id})
        if champion is None:
            return Line(VERDICT, OPEN, address=every)
        named = {"champion": champion.version, "champion_id": champion.id}
        return Line(VERDICT, RED, named, address=every)
    row, plan = found
    address = Address("abtest", {"test": row.id})
    said = row.outcome.get("verdict") or {}
    fields = {
        "test": row.name,
        "test_id": row.id,
        "seal": row.seal,
        "ended_at": row.ended_at.isoformat(),
        "verdict": said,
    }
    winner = row.outcome["winner"] if row.status == trials.CONCLUDED else None
    if (
        winner is not None
        and plan.versions[plan.names.index(winner)] == version.id
        and (said.get("kind"), said.get("variant")) == (BETTER, winner)
        and (champion is None or plan.versions[0] == champion.id)
        and seal(row.plan) == row.seal
    ):
        return Line(VERDICT, GREEN, fields, address=address)
    if champion is None:
        return Line(VERDICT, OPEN, address=address)
    named = {"champion": champion.version, "champion_id": champion.id}
    return Line(VERDICT, RED, fields | named, address=address)


def _newest(connection: sa.Connection, version: Version, champion: Version | None) -> tuple[Any, Plan] | None:
    """The newest ended test, concluded or stopped, that compares both; without a champion, this version with any A.

    Every variant is compared with A, so one of the two must be A.
    """
    table = ab_experiments.c
    query = (
        sa.select(table.id, table.name, table.status, table.plan, table.seal, table.outcome, table.ended_at)
        .where(table.theme_id == version.theme_id, table.status.in_((trials.CONCLUDED, trials.STOPPED)))
        .order_by(table.ended_at.desc(), table.id.desc())
    )
    for row in connection.execute(query):
        plan = Plan.model_validate(row.plan)
        first, others = plan.versions[0], plan.versions[1:]
        if champion is None and version.id in others:
            return row, plan
        if champion is not None and (
            (first == champion.id and version.id in others) or (first == version.id and champion.id in others)
        ):
            return row, plan
    return None
