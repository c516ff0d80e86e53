"""The promotion gate for programs: a theme's rules as YAML or JSON with their history, and approvals of versions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from pydantic import BaseModel, ConfigDict

from api.deps import Admin, Bench, Id, Trainer, Viewer
from api.router import Router
from core import gate, params, themes
from core.errors import InvalidInput
from core.gate import policy
from core.i18n import gettext as _
from core.params import GATE, GatePolicy

router = Router(tags=["models"])
THEME, MODEL = "/v1/admin/themes/{theme_id}/gate-policy", "/v1/admin/models/{version_id}"
YAML = "application/yaml"
_KINDS = {"application/json": {"schema": {"type": "object"}}, YAML: {"schema": {"type": "string"}}}


class PolicyOut(BaseModel):
    policy: dict[str, Any]
    hash: str
    """SHA-256 of the rules as YAML without comments, keys sorted; the ledger keeps it with each promotion."""
    version: str
    """Names this state; empty before the first save."""


class VersionOut(BaseModel):
    id: str
    author: str
    at: datetime
    changes: list[str]


class Restore(BaseModel):
    model_config = ConfigDict(extra="forbid")

    version: str


class Approve(BaseModel):
    model_config = ConfigDict(extra="forbid")

    note: str
    """What was looked at."""


class ApprovalOut(BaseModel):
    id: int
    version_id: int
    user_id: int
    user_name: str
    note: str
    at: datetime


async def sent(request: Request) -> str:
    """The body as text. Raises InvalidInput."""
    try:
        return (await request.body()).decode()
    except UnicodeDecodeError as error:
        raise InvalidInput("The text is not UTF-8; save it as UTF-8, then try again.") from error


def _out(found: gate.Policy) -> PolicyOut:
    return PolicyOut(policy=found.rules.model_dump(mode="json"), hash=found.hash, version=found.version)


@router.get(
    THEME,
    summary="The theme's promotion rules",
    response_model=PolicyOut,
    responses={200: {"content": {YAML: {}}}},
)
def get_policy(request: Request, wb: Bench, _user: Viewer, theme_id: Id) -> Any:
    """JSON; with `Accept: application/yaml` the text as people left it, comments included."""
    themes.get(wb, theme_id)
    found = policy.of_theme(wb, theme_id)
    if YAML in request.headers.get("accept", ""):
        return Response(found.text, media_type=YAML)
    return _out(found)


@router.put(
    THEME, summary="Save the theme's promotion rules", openapi_extra={"requestBody": {"content": _KINDS}}
)
def put_policy(
    request: Request,
    wb: Bench,
    user: Admin,
    theme_id: Id,
    text: Annotated[str, Depends(sent)],
    version: str | None = None,
) -> PolicyOut:
    """YAML is kept as it is, comments included; of JSON the values are taken. What is left out has its default.

    `version` is the one it was made from: then the save is refused where somebody saved a newer one since.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    given = params.parse_yaml(text, GatePolicy) if kind == "application/json" else text  # JSON is YAML, too
    return _out(policy.save(wb, user, theme_id, given, base=version))


@router.get(f"{THEME}/history", summary="Who changed the promotion rules, when, and what")
def get_history(wb: Bench, _user: Viewer, theme_id: Id, before: str | None = None) -> list[VersionOut]:
    """Newest first; `before` is the last version of the page before."""
    themes.get(wb, theme_id)
    found = params.history(wb.settings, theme_id, before=before, of=GATE)
    return [VersionOut(id=v.id, author=v.author, at=v.at, changes=v.sentences(_)) for v in found]


@router.post(f"{THEME}/restore", summary="Make earlier promotion rules the newest again")
def restore_policy(wb: Bench, user: Admin, theme_id: Id, body: Restore) -> PolicyOut:
    return _out(policy.restore(wb, user, theme_id, body.version))


@router.post(f"{MODEL}/approve", status_code=201, summary="Say yes to a version's promotion by somebody else")
def approve(wb: Bench, user: Trainer, version_id: Id, body: Approve) -> ApprovalOut:
    return _approval(gate.approve(wb, user, version_id, body.note))


@router.get(f"{MODEL}/approvals", summary="Who approved a version")
def approvals(wb: Bench, _user: Viewer, version_id: Id) -> list[ApprovalOut]:
    return [_approval(each) for each in gate.approvals_of(wb, version_id)]


def _approval(found: gate.Approval) -> ApprovalOut:
    return ApprovalOut.model_validate(found, from_attributes=True)
