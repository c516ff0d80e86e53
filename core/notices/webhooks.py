"""Stored. Webhooks: which programs are told of what. For administrators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from core import audit, auth
from core.db.engine import next_ids
from core.db.watching_tables import notices
from core.db.watching_tables import webhooks as table
from core.errors import InvalidInput, NotFound
from core.notices import outbox, signing, targets
from core.workbench import Workbench


@dataclass(frozen=True)
class Webhook:
    id: int
    url: str
    events: tuple[str, ...]
    active: bool
    created_at: datetime


def create(wb: Workbench, actor: auth.User, url: str, events: Sequence[str]) -> tuple[Webhook, str]:
    """The webhook and its secret, which is not shown again.

    Raises InvalidInput for an address that may not be used or an unknown event, Unavailable for an unknown host.
    """
    auth.require(actor, auth.ADMIN)
    chosen = _events(events)
    target = targets.check(url.strip(), local=wb.settings.local_webhooks)
    secret = signing.new_secret()

    def work(connection: sa.Connection) -> int:
        [webhook_id] = next_ids(connection, "webhooks_id_seq", 1)
        connection.execute(
            table.insert().values(
                id=webhook_id,
                url=target.url,
                events=chosen,
                secret=secret,
                active=True,
                created_by=actor.id,
                created_at=datetime.now(UTC),
            )
        )
        audit.record(connection, actor, "webhook.create", f"webhook {webhook_id}", {"host": target.host})
        return webhook_id

    return get(wb, actor, wb.db.write(work)), secret


def change(
    wb: Workbench,
    actor: auth.User,
    webhook_id: int,
    *,
    events: Sequence[str] | None = None,
    active: bool | None = None,
) -> Webhook:
    """What it is told, or whether at all. Raises NotFound, InvalidInput."""
    get(wb, actor, webhook_id)
    values: dict[str, object] = {}
    if events is not None:
        values["events"] = _events(events)
    if active is not None:
        values["active"] = active

    def work(connection: sa.Connection) -> None:
        connection.execute(table.update().where(table.c.id == webhook_id).values(**values))
        audit.record(connection, actor, "webhook.change", f"webhook {webhook_id}", dict(values))

    if values:
        wb.db.write(work)
    return get(wb, actor, webhook_id)


def delete(wb: Workbench, actor: auth.User, webhook_id: int) -> None:
    """What waits for it is not sent any more. Raises NotFound."""
    get(wb, actor, webhook_id)

    def work(connection: sa.Connection) -> None:
        connection.execute(notices.delete().where(notices.c.webhook_id == webhook_id))
        connection.execute(table.delete().where(table.c.id == webhook_id))
        audit.record(connection, actor, "webhook.delete", f"webhook {webhook_id}")

    wb.db.write(work)


def send_test(wb: Workbench, actor: auth.User, webhook_id: int) -> int:
    """Send it a notice of no event; returns the notice's id. Raises NotFound."""
    hook = get(wb, actor, webhook_id)
    said = {"message": "This is a test.", "by": actor.name}
    return wb.db.write(lambda c: outbox.to_webhook(c, hook.id, hook.url, outbox.TEST, said))


def get(wb: Workbench, actor: auth.User, webhook_id: int) -> Webhook:
    """Raises NotFound, NotAllowed."""
    for hook in every(wb, actor):
        if hook.id == webhook_id:
            return hook
    raise NotFound("There is no webhook {id}.", id=webhook_id)


def every(wb: Workbench, actor: auth.User) -> list[Webhook]:
    """All of them, the oldest first. Raises NotAllowed."""
    auth.require(actor, auth.ADMIN)
    with wb.db.read() as connection:
        rows = connection.execute(sa.select(table).order_by(table.c.id)).all()
    return [Webhook(row.id, row.url, tuple(row.events), row.active, row.created_at) for row in rows]


def secrets_of(wb: Workbench) -> dict[int, str]:
    """Of the active ones, by id; for the delivery alone."""
    with wb.db.read() as connection:
        query = sa.select(table.c.id, table.c.secret).where(table.c.active)
        return dict(connection.execute(query).tuples().all())


def _events(events: Sequence[str]) -> list[str]:
    unknown = [each for each in events if each not in outbox.EVENTS]
    if unknown or not events:
        raise InvalidInput("Choose at least one event; there are these: {all}.", all=", ".join(outbox.EVENTS))
    return [each for each in outbox.EVENTS if each in events]
