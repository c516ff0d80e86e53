"""Stages of model versions for programs: the gate, promotion, the ledger and its check."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Query, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict

from api import problems
from api.deps import Admin, Bench, Id, Trainer, Viewer
from api.router import Router
from core import gate, i18n, ledger, production, proof, registry, stages

router = Router(prefix="/v1/admin/models", tags=["models"])


class Promote(BaseModel):
    model_config = ConfigDict(extra="forbid")

    to: Literal["staging", "production", "archived"] = "production"
    reason: str
    override: str | None = None
    """An administrator's reason for going through red lines of the gate."""


class Reason(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: str


class LineOut(BaseModel):
    code: str
    state: Literal["green", "red", "open"]
    """open: there is nothing to compare with, which stops nobody."""
    text: str
    evidence: dict[str, Any]
    address: str | None
    """The screen that shows the evidence."""


class EntryOut(BaseModel):
    id: int
    model_id: int
    version_id: int
    at: datetime
    actor: str
    from_stage: str
    to_stage: str
    reason: str
    evidence: dict[str, Any]
    evidence_hash: str
    previous_hash: str
    hash: str


class ProblemOut(BaseModel):
    kind: Literal["evidence", "hash", "chain", "stage", "head"]
    """head: the ledger is another one than its newest entry outside the database says, or that is missing (no id)."""
    entry_id: int | None
    version_id: int | None


class ProofOut(BaseModel):
    code: Literal["ledger", "snapshot", "files"]
    state: Literal["sound", "broken", "unknown"]
    text: str
    evidence: dict[str, Any]


class VerifiedOut(BaseModel):
    sound: bool
    problems: list[ProblemOut]


class ProductionOut(BaseModel):
    model_id: int
    at: datetime
    version_id: int | None
    """null: none was in production."""


def entry_out(entry: ledger.Entry) -> EntryOut:
    return EntryOut.model_validate(entry, from_attributes=True)


# Paths without an id stand first, or they would be read as one.
@router.get("/ledger/verify", summary="Recompute every hash of the ledger")
def verify(wb: Bench, _user: Viewer) -> VerifiedOut:
    found = ledger.verify(wb)
    problems_out = [ProblemOut.model_validate(each, from_attributes=True) for each in found]
    return VerifiedOut(sound=not found, problems=problems_out)


@router.post("/ledger/accept", summary="Have the ledger stand although its head is missing or another")
def accept(wb: Bench, user: Admin, body: Reason) -> EntryOut:
    """For a ledger from before heads were kept, or one restored from an older backup; it is an entry itself."""
    return entry_out(stages.accept_ledger(wb, user, body.reason))


@router.get("/production", summary="What was in production at a moment")
def in_production(
    wb: Bench, _user: Viewer, model: Annotated[int, Query(ge=1, le=2**63 - 1)], at: AwareDatetime
) -> ProductionOut:
    return ProductionOut(model_id=model, at=at, version_id=ledger.production_on(wb, model, at))


@router.get("/{version_id}/gate", summary="Whether a version may go to production, line by line")
def gate_of(request: Request, wb: Bench, user: Viewer, version_id: Id) -> list[LineOut]:
    """As the theme's rules ask, if the one who asks promoted it now."""
    problems.speak(request)
    return [
        LineOut.model_validate(
            line.plain()
            | {
                "text": line.text(i18n.gettext),
                "evidence": line.fields,
                "address": line.address.url if line.address else None,
            }
        )
        for line in gate.look(wb, version_id, user)
    ]


@router.get("/{version_id}/verify", summary="Recompute every hash that vouches for a version")
def verify_version(request: Request, wb: Bench, _user: Viewer, version_id: Id) -> list[ProofOut]:
    """Its decisions, the list of its images, its files in MLflow. Reads all of the files."""
    problems.speak(request)
    return [
        ProofOut(code=line.code, state=line.state, text=line.text(i18n.gettext), evidence=line.fields)
        for line in proof.verify(wb, version_id)
    ]


@router.post("/{version_id}/promote", summary="Move a version to another stage")
def promote(wb: Bench, user: Trainer, version_id: Id, body: Promote) -> EntryOut:
    """In production it is served as well where the one that it replaces is; until its server is up, that one answers."""
    return entry_out(production.promote(wb, user, version_id, body.to, body.reason, override=body.override))


@router.post("/{version_id}/rollback", summary="Put the version back that was in production before this one")
def roll_back(wb: Bench, user: Trainer, version_id: Id, body: Reason) -> EntryOut:
    """It is served as well where this one is; until its server is up, this one goes on answering."""
    return entry_out(production.roll_back(wb, user, version_id, body.reason))


@router.get("/{version_id}/ledger", summary="Every decision about a version, the first one first")
def ledger_of(wb: Bench, _user: Viewer, version_id: Id) -> list[EntryOut]:
    registry.get(wb, version_id, deleted=True)
    return [entry_out(entry) for entry in ledger.entries(wb, version_id=version_id)]
