"""What the screens' own components load from us: Plotly, since no page asks another site for anything."""

from __future__ import annotations

import gzip
from functools import cache

from fastapi import APIRouter, Response

router = APIRouter()


@cache
def _plotly() -> bytes:
    """Gzipped: a third of five megabytes."""
    from plotly.offline import get_plotlyjs  # no start waits for it

    return gzip.compress(get_plotlyjs().encode(), mtime=0)


@router.get("/plotly.js", include_in_schema=False)
def plotly() -> Response:
    """The address that pages load has its version, so browsers keep it."""
    headers = {"Content-Encoding": "gzip", "Cache-Control": "private, max-age=31536000, immutable"}
    return Response(_plotly(), media_type="text/javascript", headers=headers)
