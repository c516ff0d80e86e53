"""Stored. Whether a text dataset may be trained on: its gate passes, or an administrator said why not to wait for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from core import audit, auth, storable
from core.datasets import decisions, findings, store
from core.datasets.store import Version
from core.db.tables import dataset_quality_logs, users
from core.errors import Conflict, InvalidInput
from core.quality.gate import Line
from core.workbench import Workbench

MAX_REASON = 2_000


@dataclass(frozen=True)
class Override:
    """Why a version may be trained on although its gate fails."""

    at: datetime
    person: str | None
    reason: str
    further: tuple[Line, ...] = ()
    """Lines of the gate that fail now and did not when the reason was given: it knows nothing of them."""
    rechecked: bool = False
    """A check has found something else since."""

    @property
    def stands(self) -> bool:
        return not self.further and not self.rechecked


def require(wb: Workbench, dataset_id: int) -> Version:
    """The newest version, where it may be trained on.

    Raises Conflict where its gate fails or it was not checked, unless `override` was called for this very
    version and what its check has found; NotFound.
    """
    dataset = store.get(wb, dataset_id)
    found = findings.standing(wb, dataset.newest)
    if found.gate.passed or overridden(wb, dataset.newest) is not None:
        return dataset.newest
    named = {"name": dataset.name, "number": dataset.newest.number}
    if found.stale:
        raise Conflict(
            "Version {number} of “{name}” was not checked as it is now. Press “Check now” under “Quality”, or have "
            "an administrator say why the training shall start all the same.",
            **named,
        )
    raise Conflict(
        "The gate of version {number} of “{name}” fails. Repair what it names under “Quality”, or have an "
        "administrator say why the training shall start all the same.",
        **named,
    )


def override(wb: Workbench, actor: auth.User, dataset_id: int, reason: str) -> Override:
    """Let the newest version be trained on although its gate fails; the reason stays in the log of checks.

    Raises InvalidInput without a reason or for one that is too long, Conflict where the gate passes, NotFound,
    and NotAllowed for all but administrators.
    """
    auth.require(actor, auth.ADMIN)
    reason = storable.check("reason", reason.strip())
    if not reason:
        raise InvalidInput(
            "Say why the dataset may be trained on although its gate fails; it stays in the log."
        )
    if len(reason) > MAX_REASON:
        raise InvalidInput("The reason has at most {limit} characters.", limit=MAX_REASON)
    newest = store.get(wb, dataset_id).newest
    found = findings.standing(wb, newest)
    if found.gate.passed:
        raise Conflict("The gate of this version passes; it needs no reason to be trained on.")
    detail: dict[str, Any] = {
        "reason": reason,
        "failed": [line.name for line in found.gate.failed],
        "findings": _key(newest),
    }

    def work(connection: sa.Connection) -> None:
        decisions.lock(connection, dataset_id)
        decisions.note(connection, newest, actor.id, "override", detail, found.gate)
        told = {"version": newest.number, **detail}
        audit.record(connection, actor, "dataset.override", f"dataset {dataset_id}", told)

    wb.db.write(work)
    made = overridden(wb, newest)
    assert made is not None
    return made


def overridden(wb: Workbench, version: Version) -> Override | None:
    """The newest override of this version that stands, see `given`."""
    newest = given(wb, version)
    return newest if newest is not None and newest.stands else None


def given(wb: Workbench, version: Version) -> Override | None:
    """The newest override of this version, whether it stands or not.

    It stands for the lines that failed when it was given, and for what was found then: where a further line
    fails, or a later check has found something else, it knew nothing of that and counts no longer.
    """
    column = dataset_quality_logs.c
    query = (
        sa.select(column.at, users.c.name, column.detail)
        .select_from(dataset_quality_logs)
        .outerjoin(users, users.c.id == column.user_id)
        .where(
            column.dataset_id == version.dataset_id,
            column.version_id == version.id,
            column.action == "override",
        )
        .order_by(column.id.desc())
        .limit(1)
    )
    with wb.db.read() as connection:
        row = connection.execute(query).one_or_none()
    if row is None:
        return None
    failed = findings.standing(wb, version).gate.failed
    return Override(
        row.at,
        row.name,
        row.detail["reason"],
        further=tuple(line for line in failed if line.name not in row.detail["failed"]),
        rechecked=row.detail["findings"] != _key(version),
    )


def _key(version: Version) -> str | None:
    return version.found["findings"] if version.found else None
