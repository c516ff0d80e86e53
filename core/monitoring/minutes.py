"""Stored. The counts of deployments by time: written in batches, added up when read, thinned when they are old."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

import sqlalchemy as sa

from core.db.engine import bulk_insert, next_ids
from core.db.watching_tables import serving_minutes as table
from core.monitoring.counts import Counts
from core.workbench import Workbench

MINUTE, TEN_MINUTES, HOUR = 60, 600, 3_600
PART = 0
"""Span of a row that is a part of its minute: what one process heard between two writes."""
THINNING = (
    (timedelta(hours=1), MINUTE),
    (timedelta(days=1), TEN_MINUTES),
    (timedelta(days=7), HOUR),
)
"""After so long, rows of one deployment are added up to one row for so many seconds; a week has 2,300 of them then."""
ROWS = 5_000
"""That one thinning takes at most, so that no write takes long."""


def minute_of(at: datetime, span: int = MINUTE) -> datetime:
    """When the minute, or another span of seconds that divides a day or is whole days, began."""
    seconds = int(at.timestamp())
    return datetime.fromtimestamp(seconds - seconds % span, UTC)


def store(wb: Workbench, found: Mapping[tuple[int, datetime], Counts]) -> None:
    """Add counts by (deployment, minute)."""
    rows = [(deployment_id, at, PART, counts) for (deployment_id, at), counts in found.items()]
    if rows:
        wb.db.write(lambda connection: _insert(connection, rows))


def series(
    wb: Workbench, deployment_ids: Collection[int], since: datetime, until: datetime, step: int
) -> dict[datetime, Counts]:
    """The deployments' counts together for each `step` seconds that has any, in order; both ends on whole steps."""
    query = (
        sa.select(table.c.at, table.c.counts)
        .where(table.c.deployment_id.in_(list(deployment_ids)), table.c.at >= since, table.c.at < until)
        .order_by(table.c.at)
    )
    found: dict[datetime, Counts] = {}
    with wb.db.read() as connection:
        for at, counts in connection.execute(query):
            found.setdefault(minute_of(at, step), Counts()).add(Counts.of(counts))
    return found


def total(found: Mapping[datetime, Counts]) -> Counts:
    """All of a series together."""
    whole = Counts()
    for counts in found.values():
        whole.add(counts)
    return whole


def thin(wb: Workbench, now: datetime) -> int:
    """Add up old rows, see THINNING; returns how many were taken. The collector calls it every minute."""
    return sum(wb.db.write(partial(_fold, before=now - age, span=span)) for age, span in THINNING)


def _fold(connection: sa.Connection, before: datetime, span: int) -> int:
    old = (
        sa.select(table.c.id, table.c.deployment_id, table.c.at, table.c.counts)
        .where(table.c.at < minute_of(before, span), table.c.span < span)
        .order_by(table.c.at)
        .limit(ROWS)
    )
    rows = connection.execute(old).all()
    sums: dict[tuple[int, datetime], Counts] = {}
    for row in rows:
        sums.setdefault((row.deployment_id, minute_of(row.at, span)), Counts()).add(Counts.of(row.counts))
    if rows:
        connection.execute(table.delete().where(table.c.id.in_([row.id for row in rows])))
        _insert(connection, [(key[0], key[1], span, counts) for key, counts in sums.items()])
    return len(rows)


def _insert(connection: sa.Connection, rows: Sequence[tuple[int, datetime, int, Counts]]) -> None:
    ids = next_ids(connection, "serving_minutes_id_seq", len(rows))
    bulk_insert(
        connection,
        table,
        [
            {"id": i, "deployment_id": deployment_id, "at": at, "span": span, "counts": counts.plain()}
            for i, (deployment_id, at, span, counts) in zip(ids, rows, strict=True)
        ],
    )
