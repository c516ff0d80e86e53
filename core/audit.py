"""Stored. Who did what: one row an act, written in the act's own transaction."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from core.db.tables import audit_log

if TYPE_CHECKING:
    from core.auth import User


def record(
    connection: sa.Connection,
    actor: User | None,
    action: str,
    object: str,
    detail: dict[str, Any] | None = None,
) -> None:
    """Note that `actor` (None = the system) did `action` (`theme.create`) to `object` (`theme 3`)."""
    connection.execute(
        audit_log.insert().values(
            at=datetime.now(UTC),
            user_id=actor.id if actor else None,
            user_name=actor.name if actor else None,
            action=action,
            object=object[:128],
            detail=detail,
        )
    )
