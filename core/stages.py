"""Stored. Stages of model versions: staging → production → archived, behind a gate, with a ledger of decisions.

One version of a model is in production at most. MLflow is the source of versions, `core.ledger` that of
decisions; MLflow's aliases follow it (`core.aliases`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

import sqlalchemy as sa

from core import audit, auth, gate, ledger, proof, registry, storable
from core.db.tables import model_registry
from core.errors import Conflict, InvalidInput
from core.i18n import N_
from core.ledger import ARCHIVED, PRODUCTION, STAGES, STAGING, Entry
from core.registry import Version
from core.workbench import Workbench

MAX_REASON = 2_000


def promote(
    wb: Workbench,
    actor: auth.User,
    version_id: int,
    to: str,
    reason: str,
    evidence: Mapping[str, Any] | None = None,
    *,
    override: str | None = None,
) -> Entry:
    """Move a version to another stage; what was in production before is archived by the same decision.

    The way to production leads through the gate; an administrator's `override` is a written reason
    for going through red lines, and stays in the ledger with them, the policy and the approvals. `evidence` is
    plain data of the caller's that is kept beside these. Nobody overrides files that are not those of the training.

    Raises gate.Refused where a line is red, proof.Exchanged, Conflict for a move that is not allowed, InvalidInput,
    NotFound, NotAllowed.
    """
    auth.require(actor, auth.TRAINER)
    reason = _written(reason)
    if override is not None:
        auth.require(actor, auth.ADMIN)
        override = _written(override, "override")
    if to not in STAGES:
        raise InvalidInput("A stage is one of {all}; “{stage}” is not.", all=", ".join(STAGES), stage=to)

    def work(connection: sa.Connection, measured: gate.Measured | None) -> Entry:
        at = ledger.lock(connection)
        version = registry.read(connection, version_id)
        _check_move(version, to)
        kept: dict[str, Any] = dict(evidence or {}) | {"version": _identity(version)}
        if measured is not None:
            lines = gate.lines(connection, version, measured, actor)
            red = any(line.state == gate.RED for line in lines)
            if red and override is None:
                raise gate.Refused(lines)
            kept |= {
                "policy": measured.policy.plain(),
                "gate": [line.plain() for line in lines],
                "approvals": [each.plain() for each in gate.of_version(connection, version.id)],
                "override": override if red else None,
            }
            if former := gate.in_production(connection, version.model_id):
                replaced = {"version": _identity(former), "replaced_by": version.id}
                _move(connection, at, actor, former, ARCHIVED, reason, replaced)
        return _move(connection, at, actor, version, to, reason, kept)

    if to == PRODUCTION:
        version = registry.get(wb, version_id)
        _check_move(version, to)
        proof.require_files(wb, version)
    while True:
        measured = gate.measure(wb, version_id) if to == PRODUCTION else None
        try:
            return wb.db.write(partial(work, measured=measured))
        except gate.Outdated:  # somebody promoted another version meanwhile: it is compared with that one now
            continue


def roll_back(wb: Workbench, actor: auth.User, version_id: int, reason: str) -> Entry:
    """Take a version out of production and put the one back that was there before it, by one decision.

    A version that was rolled back itself is passed over where there is another, see core.ledger.way_back.
    No gate stops this: that version was judged when it was promoted. Returns the entry of the version that came
    back. Raises Conflict where the version is not in production or none was before it, InvalidInput, NotFound,
    NotAllowed.
    """
    auth.require(actor, auth.TRAINER)
    reason = _written(reason)

    def work(connection: sa.Connection) -> Entry:
        at = ledger.lock(connection)
        failing = registry.read(connection, version_id)
        if failing.stage != PRODUCTION:
            raise Conflict(
                "Version {n} is not in production, so it cannot be rolled back.", n=failing.version
            )
        back = ledger.way_back(connection, failing.model_id)
        if back is None:
            raise Conflict(
                "No other version was in production before version {n}, so there is none to go back to. "
                "Archive it, or promote another one.",
                n=failing.version,
            )
        version = registry.read(connection, back[0])
        replaced = {"version": _identity(failing), "replaced_by": version.id}
        _move(connection, at, actor, failing, ARCHIVED, reason, replaced)
        kept = {"version": _identity(version), "rolled_back": failing.id}
        return _move(connection, at, actor, version, PRODUCTION, reason, kept)

    return wb.db.write(work)


def accept_ledger(wb: Workbench, actor: auth.User, reason: str) -> Entry:
    """Have the ledger stand as it is although its head in the file store is missing or another, by an entry of its own.

    For an administrator who knows why: the ledger is from before heads were kept, or its database was restored from
    an older backup. What else core.ledger.verify finds stays found. Raises Conflict where the head agrees,
    InvalidInput, NotAllowed.
    """
    auth.require(actor, auth.ADMIN)
    reason = _written(reason)

    def work(connection: sa.Connection) -> Entry:
        entry = ledger.accept(wb, connection, actor, reason)
        audit.record(connection, actor, "registry.ledger", f"entry {entry.id}", entry.evidence)
        return entry

    entry = wb.db.write(work)
    ledger.write_head(wb, ledger.Head(entry.id, entry.hash))
    return entry


def _check_move(version: Version, to: str) -> None:
    move = (version.stage, to)
    if version.stage == to:
        raise Conflict("Version {n} has this stage already.", n=version.version)
    if move == (ARCHIVED, PRODUCTION):
        raise Conflict(
            "An archived version never goes straight to production, for what it was judged by may no longer hold. "
            "Move it back to staging first; the gate then looks at it again."
        )
    if move == (PRODUCTION, STAGING):
        raise Conflict(
            "A version in production is not taken back to staging. Archive it, or promote another in its place."
        )


def _move(
    connection: sa.Connection,
    at: datetime,
    actor: auth.User,
    version: Version,
    to: str,
    reason: str,
    evidence: Mapping[str, Any],
) -> Entry:
    entry = ledger.append(
        connection, at, actor, (version.model_id, version.id), (version.stage, to), reason, evidence
    )
    connection.execute(model_registry.update().where(model_registry.c.id == version.id).values(stage=to))
    detail = {"uri": version.uri, "from": version.stage, "to": to, "ledger": entry.id, "hash": entry.hash}
    audit.record(connection, actor, "registry.stage", f"version {version.id}", detail)
    return entry


def _identity(version: Version) -> dict[str, Any]:
    return {
        "uri": version.uri,
        "run_id": version.run_id,
        "snapshot_hash": version.snapshot_hash,
        "checksum": version.checksum,
    }


_ASKED = {
    "reason": N_("Fill in “Why” (reason) with 1 to {limit} characters; they stay in the ledger for ever."),
    "override": N_(
        "Fill in “Why although the gate is red” (override) with 1 to {limit} characters; they stay in the ledger for "
        "ever."
    ),
}
"""By the field of a request, which people see by its title in the window."""


def _written(text: str, field: str = "reason") -> str:
    text = text.strip()
    if not 1 <= len(text) <= MAX_REASON:
        raise InvalidInput(_ASKED[field], limit=MAX_REASON)
    return storable.check(field, text)
