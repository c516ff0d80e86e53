"""A theme's images and labels going out as one streamed file."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import Query
from fastapi.responses import StreamingResponse

from api.deps import Bench, Id, Labeler
from api.router import Router
from core.transfer import export

router = Router(tags=["transfer"])


@router.get("/theme/{theme_id}/export", response_class=StreamingResponse, summary="Export a theme")
def get_export(
    wb: Bench,
    user: Labeler,
    theme_id: Id,
    format: Annotated[str, Query(description=f"one of: {', '.join(export.FORMATS)}")] = "manifest",
    images: Annotated[bool, Query(description="the image files too")] = True,
) -> StreamingResponse:
    """Streamed while it is read, so it begins at once and needs no space; imports take each format but `snapshot`."""
    found = export.stream(wb, user, theme_id, format, with_images=images)
    headers = {
        "Cache-Control": "no-store",
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(found.name, safe='')}",
        "X-Content-Type-Options": "nosniff",
    }
    return StreamingResponse(found.chunks, media_type=found.media_type, headers=headers)
