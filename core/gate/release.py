"""Stored. The gate's lines about the theme's images and about people."""

from __future__ import annotations

import sqlalchemy as sa

from core import auth
from core.addresses import Address
from core.gate.approvals import of_version
from core.gate.lines import APPROVAL, DATASET, GREEN, RED, Line
from core.quality import findings
from core.registry import Version
from core.workbench import Workbench


def dataset(wb: Workbench, theme_id: int) -> Line:
    """Whether the gate of the theme's images passes now; images that wait for their check make it fail."""
    standing = findings.standing(wb, theme_id)
    failed = [line.name for line in standing.gate.failed]
    fields = {"score": standing.gate.score, "failed": failed, "unchecked": standing.counts.unchecked}
    case = "unchecked" if failed == ["unchecked"] else ""
    return Line(DATASET, RED if failed else GREEN, fields, case, Address("quality", {"theme": theme_id}))


def approval(connection: sa.Connection, version: Version, actor: auth.User | None) -> Line:
    """Whether somebody else than `actor`, who promotes, has approved the version; None: whether anybody has."""
    found = of_version(connection, version.id)
    others = [each.user_name for each in found if actor is None or each.user_id != actor.id]
    # The window that promotes it shows the approvals and takes new ones.
    address = Address("models", {"theme": version.theme_id, "q": str(version.semver)})
    if others:
        return Line(APPROVAL, GREEN, {"names": ", ".join(others)}, address=address)
    return Line(APPROVAL, RED, {}, "own approval" if found else "", address)
