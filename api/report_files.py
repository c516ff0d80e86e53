"""A report as a file to keep: JSON, HTML or PDF under one name."""

from __future__ import annotations

from typing import Any, Literal

from fastapi.responses import JSONResponse, Response

Format = Literal["json", "html", "pdf"]


def answer(name: str, format: Format, content: str | bytes | dict[str, Any]) -> Response:
    """`content` is what the format asks for: a dictionary, a page, or the bytes of a PDF."""
    headers = {
        "Cache-Control": "no-store",
        "Content-Disposition": f'attachment; filename="{name}.{format}"',
        "X-Content-Type-Options": "nosniff",
    }
    if isinstance(content, dict):
        return JSONResponse(content, headers=headers)
    media = "text/html; charset=utf-8" if format == "html" else "application/pdf"
    return Response(content, media_type=media, headers=headers)
