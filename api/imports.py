"""Imports: a dry run of a source, its start, how it goes, stop and resume."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import Depends, Query, Request
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.concurrency import run_in_threadpool

from api import multipart
from api.deps import Bench, Id, Labeler, Viewer
from api.router import Router
from core import themes, transfer
from core.errors import InvalidInput
from core.transfer import Options
from core.workbench import Workbench

router = Router(tags=["imports"])

MAX_BODY = 64 * 1024
"""Bytes of a request that names its source instead of bringing it."""


class SourceIn(BaseModel):
    """Where the data is: a folder of the server, or an upload that a dry run kept."""

    model_config = ConfigDict(extra="forbid")
    directory: str | None = None
    upload: str | None = None


class NoteOut(BaseModel):
    name: str
    reason: str


class PlanOut(BaseModel):
    format: str
    images: int
    new: int
    known: int
    labelled: int
    labels: dict[str, int]
    new_labels: list[str]
    splits: dict[str, int]
    groups: int
    relabels: int
    conflicts: list[NoteOut]
    conflicts_total: int
    problems: list[NoteOut]
    problems_total: int
    upload: str | None
    """Give it as `upload` to start with the same file; null for a folder."""


class ImportOut(BaseModel):
    id: int
    theme_id: int
    format: str
    source: str
    status: str
    total: int
    done: int
    added: int
    labelled: int
    known: int
    refused: int
    refusals: list[NoteOut]
    seconds: float
    eta_s: float | None
    error: str | None
    created_by: str | None
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None


class ImportsOut(BaseModel):
    items: list[ImportOut]
    next: int | None


def options(
    format: Literal["folders", "manifest", "coco", "labelstudio", "imagefolder"] | None = None,
    create_labels: bool = True,
    take_labels: bool = True,
    take_splits: bool = True,
) -> Options:
    return Options(format, create_labels, take_labels, take_splits)


Chosen = Annotated[Options, Depends(options)]

_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"files": {"type": "string", "format": "binary"}}}
            },
            "application/json": {
                "schema": {
                    "type": "object",
                    "properties": {"directory": {"type": "string"}, "upload": {"type": "string"}},
                }
            },
        },
    }
}


@router.post("/theme/{theme_id}/imports/plan", openapi_extra=_BODY)
async def plan_import(request: Request, wb: Bench, user: Labeler, theme_id: Id, chosen: Chosen) -> PlanOut:
    """What an import would do; writes nothing to the theme.

    Send an archive or a list of images (multipart field `files`), or JSON with `directory`, a
    folder of the server, or `upload`, the word an earlier dry run gave.
    """
    await run_in_threadpool(transfer.permit, wb, user, theme_id, chosen)
    path, name, upload = await _source(request, wb)

    def work() -> PlanOut:
        plan = transfer.plan(wb, user, theme_id, path, chosen, name)
        return PlanOut(
            **{
                **vars(plan),
                "conflicts": [NoteOut(name=c.name, reason=c.text) for c in plan.conflicts],
                "problems": [NoteOut(name=p.name, reason=p.reason) for p in plan.problems],
                "upload": upload,
            }
        )

    return await run_in_threadpool(work)


@router.post("/theme/{theme_id}/imports", status_code=201, openapi_extra=_BODY)
async def start_import(request: Request, wb: Bench, user: Labeler, theme_id: Id, chosen: Chosen) -> ImportOut:
    """Start an import; it runs on while GET /imports/{id} tells how it goes. Body as for the dry run."""
    await run_in_threadpool(transfer.permit, wb, user, theme_id, chosen)
    path, name, _ = await _source(request, wb)
    return _out(await run_in_threadpool(transfer.start, wb, user, theme_id, path, chosen, name))


@router.get("/theme/{theme_id}/imports")
def list_imports(
    wb: Bench,
    user: Viewer,
    theme_id: Id,
    after: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> ImportsOut:
    """Imports into the theme, newest first. Give `next` of one page as `after` for the following one."""
    themes.get(wb, theme_id)
    found = transfer.history(wb, theme_id, after=after, limit=limit + 1)
    items = [_out(item) for item in found[:limit]]
    return ImportsOut(items=items, next=items[-1].id if len(found) > limit else None)


@router.get("/imports/{import_id}")
def get_import(wb: Bench, user: Viewer, import_id: Id) -> ImportOut:
    """How an import goes."""
    return _out(transfer.get(wb, import_id))


@router.post("/imports/{import_id}/stop")
def stop_import(wb: Bench, user: Labeler, import_id: Id) -> ImportOut:
    """Stop after the batch it is at; what it added stays."""
    return _out(transfer.stop(wb, user, import_id))


@router.post("/imports/{import_id}/resume")
def resume_import(wb: Bench, user: Labeler, import_id: Id) -> ImportOut:
    """Go on with a stopped or failed import."""
    return _out(transfer.resume(wb, user, import_id))


async def _source(request: Request, wb: Workbench) -> tuple[Path, str, str | None]:
    """(path, name for people, word of the kept upload) of what the request brings or names."""
    if request.headers.get("content-type", "").startswith("multipart/"):
        return await _uploaded(request, wb)
    given = await _named(request)
    if (given.directory is None) == (given.upload is None):
        raise InvalidInput("Give either “directory” or “upload”, or send a file.")
    if given.upload is not None:
        path, name = await run_in_threadpool(transfer.kept, wb, given.upload)
        return path, name, given.upload
    path = await run_in_threadpool(transfer.directory, str(given.directory), wb.settings)
    return path, str(given.directory), None


async def _named(request: Request) -> SourceIn:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            break
    try:
        return SourceIn.model_validate_json(body)
    except ValidationError:
        raise InvalidInput("Send a file as a form, or JSON with “directory” or “upload”.") from None


async def _uploaded(request: Request, wb: Workbench) -> tuple[Path, str, str | None]:
    def consume(files: Iterator[multipart.Item]) -> list[str]:
        tokens: list[str] = []
        for name, file in files:
            with file:
                if not tokens:
                    tokens.append(transfer.keep(wb, name, file))
                else:
                    tokens.append("")
        return tokens

    tokens, problem = await multipart.receive(
        request, consume, folder=wb.settings.data_dir / "incoming", limit=wb.settings.max_upload_bytes
    )
    if problem is not None or len(tokens) != 1:
        for token in tokens[:1]:
            await run_in_threadpool(transfer.forget, wb, token)
        raise problem or InvalidInput("Send exactly one file: an archive or a list of images.")
    path, name = await run_in_threadpool(transfer.kept, wb, tokens[0])
    return path, name, tokens[0]


def _out(found: transfer.Import) -> ImportOut:
    fields = {name: value for name, value in vars(found).items() if name != "options"}
    return ImportOut(
        **{**fields, "refusals": [NoteOut(name=name, reason=reason) for name, reason in found.refusals]}
    )
