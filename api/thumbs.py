"""Thumbnails: a plain route with a memory in front of the file store, because grids ask for hundreds."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict

from fastapi import Request, Response
from starlette.concurrency import run_in_threadpool

from api.deps import person
from core import auth
from core.errors import NotFound
from core.images import thumbnail_key
from core.images_io import THUMBNAIL_SIDES
from core.settings import MIB
from core.workbench import current

MEMORY = 32 * MIB
"""Bytes of thumbnails that are kept at hand, about ten thousand of them."""

HEADERS = {
    # Named by the hash of the image, so what a name stands for never changes.
    "Cache-Control": "private, max-age=31536000, immutable",
    "Content-Disposition": "inline",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
}
_NAME = re.compile(r"([0-9a-f]{64})(-small)?\.webp")
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
    """GET /thumbs/<sha256>.webp, or <sha256>-small.webp for small tiles, for signed-in people."""
    await _signed_in(request)
    name = request.path_params["name"]
    match = _NAME.fullmatch(name)
    if match is None:
        raise NotFound("There is no such thumbnail.")
    tag = f'"{match[1][:32]}{match[2] or ""}"'
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers={**HEADERS, "ETag": tag})
    data = _recent.get(name)
    if data is None:
        data = await run_in_threadpool(_read, match[1], bool(match[2]))
        _recent.put(name, data)
    return Response(data, media_type="image/webp", headers={**HEADERS, "ETag": tag})


def _read(sha256: str, small: bool) -> bytes:
    files = current().files
    sides = THUMBNAIL_SIDES if small else THUMBNAIL_SIDES[1:]
    for side in sides:  # a tiny image has the large one alone
        try:
            return files.read(thumbnail_key(sha256, side))
        except FileNotFoundError:
            continue
    raise NotFound("There is no such thumbnail.")
