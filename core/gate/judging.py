"""Stored. All lines of the gate for one version, as they are now."""

from __future__ import annotations

import sqlalchemy as sa

from core import registry
from core.db.tables import model_registry
from core.gate.lines import Line
from core.gate.marks import accuracy
from core.gate.verdicts import verdict
from core.ledger import PRODUCTION
from core.registry import Version
from core.workbench import Workbench


def look(wb: Workbench, version_id: int) -> list[Line]:
    """The gate's lines for a version as they are now. Raises NotFound."""
    with wb.db.read() as connection:
        return lines(connection, registry.read(connection, version_id))


def lines(connection: sa.Connection, version: Version) -> list[Line]:
    """The same within a transaction. A version in production is compared with nothing."""
    champion = in_production(connection, version.model_id)
    if champion is not None and champion.id == version.id:
        champion = None
    return [verdict(connection, version, champion), accuracy(connection, version, champion)]


def in_production(connection: sa.Connection, model_id: int) -> Version | None:
    table = model_registry.c
    query = sa.select(table.id).where(table.model_id == model_id, table.stage == PRODUCTION)
    found = connection.execute(query).scalar()
    return registry.read(connection, found) if found is not None else None
