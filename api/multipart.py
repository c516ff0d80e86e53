"""Files of a multipart request, handed on one by one while the rest is still arriving.

Starlette's own form parsing keeps every file until the last one is there; a folder of
a hundred thousand images would fill the memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, TypeVar, cast

from fastapi import Request
from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from core.errors import InvalidInput, TooLarge, VeritrainError
from core.settings import MIB

T = TypeVar("T")

IN_MEMORY = MIB
"""Bytes of a file that are kept in memory; beyond, it goes to a temporary file on disk."""
WAITING = 16
"""Files that have arrived but are not taken yet; then the sender is made to wait."""
MAX_TEXT = 64 * 1024
"""Bytes of a field that is no file."""
MAX_TEXTS = 100

PATIENCE = 0.5
"""Seconds after which a waiting side looks whether the other one is still there."""

Item = tuple[str, IO[bytes]]


async def receive(
    request: Request,
    consume: Callable[[Iterator[Item]], T],
    *,
    folder: Path,
    limit: int,
    field: str = "files",
    texts: dict[str, str] | None = None,
) -> tuple[T, VeritrainError | None]:
    """Run `consume` in a thread over (name, file) of each file as it is complete.

    `texts` takes the form's other fields, which may come before the files or after them.
    Returns its result and, where the request could not be read to its end, the sentence
    why; the files that were complete have been consumed then. Large files wait in `folder`.
    Raises InvalidInput for a request that holds no form, TooLarge for one of more than
    `limit` bytes, before anything is read.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise InvalidInput(
            "Send the files as a form (multipart/form-data) in the field “{field}”.", field=field
        )
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    await run_in_threadpool(folder.mkdir, parents=True, exist_ok=True)
    feed = _Feed(options[b"boundary"], folder, {} if texts is None else texts)
    work = asyncio.ensure_future(run_in_threadpool(feed.consumed_by, consume))
    problem: VeritrainError | None = None
    received = 0
    try:
        async for chunk in request.stream():
            if work.done():
                break
            await run_in_threadpool(feed.write, chunk[: limit - received])
            received += len(chunk)
            if received > limit:
                problem = _too_large(limit)
                break
        else:
            feed.check_complete()
    except (FormParserError, ClientDisconnect):
        problem = InvalidInput("The upload was cut short; send the files that are missing again.")
    except InvalidInput as error:  # a field of the form that is too long
        problem = error
    finally:
        feed.end()
    return await work, problem


class _Feed:
    """Parses chunks in one thread and gives the files to another."""

    def __init__(self, boundary: bytes, folder: Path, texts: dict[str, str]) -> None:
        self._folder = folder
        self._texts = texts
        self._text: tuple[str, bytearray] | None = None
        self._queue: queue.Queue[Item | None] = queue.Queue(WAITING)
        self._consuming = True
        self._ended = False
        self._complete = False
        self._header: tuple[bytes, bytes] = (b"", b"")
        self._disposition = b""
        self._name: str | None = None
        self._file: IO[bytes] | None = None
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._part_begin,
                "on_header_field": self._header_field,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
                "on_part_data": self._part_data,
                "on_part_end": self._part_end,
                "on_end": self._end,
            },
        )

    def write(self, chunk: bytes) -> None:
        self._parser.write(chunk)

    def check_complete(self) -> None:
        """Raises FormParserError where the closing boundary did not come."""
        if not self._complete:
            raise FormParserError("no closing boundary")

    def end(self) -> None:
        """No more files come; one that is not complete is dropped. Never waits."""
        if self._file is not None:
            self._file.close()
            self._file = None
        self._ended = True
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(None)

    def consumed_by(self, consume: Callable[[Iterator[Item]], T]) -> T:
        try:
            return consume(self._items())
        finally:
            self._consuming = False

    def _items(self) -> Iterator[Item]:
        while True:
            try:
                item = self._queue.get(timeout=PATIENCE)
            except queue.Empty:
                if self._ended:
                    return
            else:
                if item is None:
                    return
                yield item

    def _put(self, item: Item) -> None:
        while self._consuming:
            with contextlib.suppress(queue.Full):
                self._queue.put(item, timeout=PATIENCE)
                return

    def _part_begin(self) -> None:
        self._disposition = b""
        self._header = (b"", b"")
        self._name = self._file = self._text = None

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header = (self._header[0] + data[start:end], self._header[1])

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._header = (self._header[0], self._header[1] + data[start:end])

    def _header_end(self) -> None:
        if self._header[0].lower() == b"content-disposition":
            self._disposition = self._header[1]
        self._header = (b"", b"")

    def _headers_finished(self) -> None:
        options = parse_options_header(self._disposition)[1]
        name = options.get(b"filename")
        if not name:
            self._text = options.get(b"name", b"").decode("utf-8", "replace"), bytearray()
        else:
            # The form's own escapes of the three characters that a quoted name cannot hold.
            for escaped, plain in ((b"%22", b'"'), (b"%0D", b"\r"), (b"%0A", b"\n")):
                name = name.replace(escaped, plain)
            self._name = name.decode("utf-8", "replace")
            spool = SpooledTemporaryFile(max_size=IN_MEMORY, dir=str(self._folder))  # noqa: SIM115 (the consumer closes it)
            self._file = cast(IO[bytes], spool)

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.write(data[start:end])
        elif self._text is not None:
            name, text = self._text
            text += data[start:end]
            if len(text) > MAX_TEXT or len(self._texts) >= MAX_TEXTS:
                raise InvalidInput(
                    "The field “{field}” of the form is too long; shorten it.", field=name[:50]
                )

    def _part_end(self) -> None:
        if self._file is not None and self._name is not None:
            file, self._file = self._file, None
            file.seek(0)
            self._put((self._name, file))
        elif self._text is not None:
            self._texts[self._text[0]] = self._text[1].decode("utf-8", "replace")

    def _end(self) -> None:
        self._complete = True


def _too_large(limit: int) -> TooLarge:
    return TooLarge("An upload can have {limit} MB; send the files in several parts.", limit=limit // MIB)
