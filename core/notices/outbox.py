"""Stored. The outbox: what is to be told is written in the transaction in which it happened, and sent afterwards.

So a process that is killed loses none, and nothing is told that was rolled back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from core.db.engine import next_ids
from core.db.watching_tables import notices as table
from core.db.watching_tables import webhooks
from core.workbench import Workbench

VERSION_REGISTERED, STAGE_CHANGED = "version.registered", "stage.changed"
DEPLOYMENT_UP, DEPLOYMENT_FAILED = "deployment.up", "deployment.failed"
ALERT_FIRING, ALERT_RESOLVED = "alert.firing", "alert.resolved"
RUN_FINISHED, RUN_FAILED = "run.finished", "run.failed"
EVENTS = (
    VERSION_REGISTERED,
    STAGE_CHANGED,
    DEPLOYMENT_UP,
    DEPLOYMENT_FAILED,
    ALERT_FIRING,
    ALERT_RESOLVED,
    RUN_FINISHED,
    RUN_FAILED,
)
TEST = "test"
WAITING, DELIVERED, FAILED = STATES = ("waiting", "delivered", "failed")


@dataclass(frozen=True)
class Notice:
    id: int
    message_id: str
    webhook_id: int | None
    """None: an e-mail."""
    address: str
    event: str
    body: str
    created_at: datetime
    status: str
    """One of STATES."""
    tries: int
    next_at: datetime | None
    answer: str | None
    """Of the last try: the status, or why there was none."""
    done_at: datetime | None


def tell(connection: sa.Connection, event: str, data: Mapping[str, Any]) -> None:
    """Tell every webhook that asked for the event; costs one small query where there is none."""
    query = sa.select(webhooks.c.id, webhooks.c.url, webhooks.c.events).where(webhooks.c.active)
    for hook in connection.execute(query).all():
        if event in hook.events:
            to_webhook(connection, hook.id, hook.url, event, data)


def tell_of_run(connection: sa.Connection, run_id: int, theme_id: int | None, status: str) -> None:
    """Tell how a run ended, unless a person ended it."""
    event = {"succeeded": RUN_FINISHED, "failed": RUN_FAILED}.get(status)
    if event is not None:
        tell(connection, event, {"run_id": run_id, "theme_id": theme_id, "status": status})


def to_webhook(
    connection: sa.Connection, webhook_id: int, url: str, event: str, data: Mapping[str, Any]
) -> int:
    """Tell one webhook; returns the notice's id."""
    said = {"type": event, "timestamp": datetime.now(UTC).isoformat(), "data": dict(data)}
    return _write(connection, webhook_id, url, event, json.dumps(said, ensure_ascii=False, default=str))


def mail(connection: sa.Connection, addresses: Sequence[str], event: str, subject: str, text: str) -> None:
    """An e-mail to each of the addresses."""
    body = json.dumps({"subject": subject, "text": text}, ensure_ascii=False)
    for address in addresses:
        _write(connection, None, address, event, body)


def due(wb: Workbench, now: datetime, limit: int) -> list[Notice]:
    """Those to be sent now, oldest first."""
    query = sa.select(table).where(table.c.status == WAITING, table.c.next_at <= now)
    with wb.db.read() as connection:
        return [
            Notice(**row) for row in connection.execute(query.order_by(table.c.id).limit(limit)).mappings()
        ]


def newest(wb: Workbench, limit: int, webhook_id: int | None = None) -> list[Notice]:
    """The log, newest first; of one webhook or of all and of e-mails."""
    query = sa.select(table).order_by(table.c.id.desc()).limit(limit)
    if webhook_id is not None:
        query = query.where(table.c.webhook_id == webhook_id)
    with wb.db.read() as connection:
        return [Notice(**row) for row in connection.execute(query).mappings()]


def undelivered(wb: Workbench, addresses: Sequence[str]) -> Notice | None:
    """The newest e-mail to these addresses, where it was tried and not taken yet."""
    query = sa.select(table).where(table.c.webhook_id.is_(None), table.c.address.in_(list(addresses)))
    with wb.db.read() as connection:
        row = connection.execute(query.order_by(table.c.id.desc()).limit(1)).mappings().first()
    found = Notice(**row) if row is not None else None
    return found if found is not None and found.tries and found.status != DELIVERED else None


def tried(wb: Workbench, notice: Notice, status: str, answer: str, next_at: datetime | None) -> None:
    """Write down what became of one try."""
    values = {
        "status": status,
        "tries": notice.tries + 1,
        "answer": answer[:500],
        "next_at": next_at,
        "done_at": None if status == WAITING else datetime.now(UTC),
    }
    wb.db.write(lambda c: c.execute(table.update().where(table.c.id == notice.id).values(**values)) and None)


def forget(wb: Workbench, before: datetime) -> None:
    """Remove what was ended before a moment."""
    wb.db.write(lambda c: c.execute(table.delete().where(table.c.done_at < before)) and None)


def _write(connection: sa.Connection, webhook_id: int | None, address: str, event: str, body: str) -> int:
    [notice_id] = next_ids(connection, "notices_id_seq", 1)
    now = datetime.now(UTC)
    connection.execute(
        table.insert().values(
            id=notice_id,
            message_id=f"msg_{uuid4().hex}",
            webhook_id=webhook_id,
            address=address,
            event=event,
            body=body,
            created_at=now,
            status=WAITING,
            tries=0,
            next_at=now,
        )
    )
    return notice_id
