"""Thumbnails: a plain route with a memory in front of the file store, because grids ask for hundreds."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict

from fastapi import Request, Response
from starlette.concurrency import run_in_threadpool

from api.deps import person, workbench
from core import auth
from core.errors import NotFound
from core.images import thumbnail_key
from core.settings import MIB

MEMORY = 32 * MIB
"""Bytes of thumbnails that are kept at hand, about ten thousand of them."""

HEADERS = {
    # Named by the hash of the image, so what a name stands for never changes.
    "Cache-Control": "private, max-age=31536000, immutable",
    "Content-Disposition": "inline",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
}
_NAME = re.compile(r"([0-9a-f]{64})\.webp")
_signed_in = person(auth.VIEWER)


class _Recent:
    """The thumbnails last asked for, up to a number of bytes. Safe to use from several threads."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bytes = 0
        self._lock = threading.Lock()
        self._items: OrderedDict[str, bytes] = OrderedDict()

    def get(self, key: str) -> bytes | None:
        with self._lock:
            if key in self._items:
                self._items.move_to_end(key)
            return self._items.get(key)

    def put(self, key: str, data: bytes) -> None:
        with self._lock:
            self._bytes += len(data) - len(self._items.pop(key, b""))
            self._items[key] = data
            while self._bytes > self._limit:
                self._bytes -= len(self._items.popitem(last=False)[1])


_recent = _Recent(MEMORY)


async def thumbnail(request: Request) -> Response:
    """GET /thumbs/<sha256>.webp for signed-in people."""
    _signed_in(request)
    match = _NAME.fullmatch(request.path_params["name"])
    if match is None:
        raise NotFound("There is no such thumbnail.")
    key = thumbnail_key(match[1])
    data = _recent.get(key)
    if data is None:
        try:
            data = await run_in_threadpool(workbench().files.read, key)
        except FileNotFoundError:
            raise NotFound("There is no such thumbnail.") from None
        _recent.put(key, data)
    return Response(data, media_type="image/webp", headers=HEADERS)
