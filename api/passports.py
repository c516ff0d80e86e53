"""A model version's passport, and the version itself to take away."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request
from fastapi.responses import Response, StreamingResponse

from api import problems, report_files
from api.deps import Bench, Id, Viewer
from api.report_files import Format
from api.router import Router
from core import download
from core.passport import as_json, gather, page, paper, words

router = Router(prefix="/v1/admin/models", tags=["models"])


@router.get("/{version_id}/passport", summary="All that is known of a version, and what is not")
def passport(
    request: Request,
    wb: Bench,
    _user: Viewer,
    version_id: Id,
    format: Annotated[Format, Query(description="json, html or pdf")] = "json",
) -> Response:
    """A model card with every hash; as JSON it carries its own SHA-256."""
    problems.speak(request)
    known = gather.passport(wb, version_id)
    told = words.document(known)
    name = f"passport-{known.identity.model}-{known.identity.version}"
    if format == "html":
        return report_files.answer(name, format, page.render(told))
    if format == "pdf":
        return report_files.answer(name, format, paper.render(told))
    return report_files.answer(name, format, as_json.render(known, told))


@router.get(
    "/{version_id}/download",
    response_class=StreamingResponse,
    summary="A version as a zip that predicts alone",
)
def get_download(wb: Bench, user: Viewer, version_id: Id) -> StreamingResponse:
    """Weights, ONNX, code, configuration, `predict.py` and SHA256SUMS; streamed while it is read."""
    found = download.stream(wb, user, version_id)
    headers = {
        "Cache-Control": "no-store",
        "Content-Disposition": f'attachment; filename="{found.name}.zip"',
        "X-Content-Type-Options": "nosniff",
    }
    return StreamingResponse(found.chunks, media_type="application/zip", headers=headers)
