"""Stored. Approvals of model versions: who said yes to one, when, and with which words; appended and never changed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from core import audit, auth, registry, storable
from core.db.engine import next_ids
from core.db.tables import registry_approvals
from core.errors import Conflict, InvalidInput
from core.ledger import STAGING
from core.workbench import Workbench

MAX_NOTE = 2_000


@dataclass(frozen=True)
class Approval:
    id: int
    version_id: int
    user_id: int
    user_name: str
    """At that moment."""
    note: str
    at: datetime

    def plain(self) -> dict[str, Any]:
        """What the ledger keeps."""
        return asdict(self) | {"at": self.at.astimezone(UTC).isoformat()}


def approve(wb: Workbench, actor: auth.User, version_id: int, note: str) -> Approval:
    """Say yes to a version's promotion by somebody else.

    Raises Conflict where it is not in staging or the person approved it before, InvalidInput, NotFound, NotAllowed.
    """
    auth.require(actor, auth.TRAINER)
    note = note.strip()
    if not 1 <= len(note) <= MAX_NOTE:
        raise InvalidInput("Say in 1 to {limit} characters what you looked at.", limit=MAX_NOTE)
    storable.check("note", note)

    def work(connection: sa.Connection) -> Approval:
        version = registry.read(connection, version_id)
        if version.stage != STAGING:
            raise Conflict(
                "Version {n} is not in staging, so there is no promotion to approve.", n=version.version
            )
        if any(each.user_id == actor.id for each in of_version(connection, version_id)):
            raise Conflict("You have approved version {n} already.", n=version.version)
        [approval_id] = next_ids(connection, "registry_approvals_id_seq", 1)
        made = Approval(approval_id, version_id, actor.id, actor.name, note, datetime.now(UTC))
        connection.execute(registry_approvals.insert().values(**asdict(made)))
        audit.record(connection, actor, "registry.approve", f"version {version_id}", {"uri": version.uri})
        return made

    return wb.db.write(work)


def approvals_of(wb: Workbench, version_id: int) -> list[Approval]:
    """Those of a version, the first one first. Raises NotFound."""
    with wb.db.read() as connection:
        registry.read(connection, version_id)
        return of_version(connection, version_id)


def of_version(connection: sa.Connection, version_id: int) -> list[Approval]:
    table = registry_approvals
    query = sa.select(table).where(table.c.version_id == version_id).order_by(table.c.id)
    return [Approval(**row) for row in connection.execute(query).mappings()]
