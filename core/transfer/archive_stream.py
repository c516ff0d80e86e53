"""Pure. An archive that is written while it is read: bytes come out as entries go in, nothing is kept."""

from __future__ import annotations

import io
import tarfile
import time
import zipfile
from collections.abc import Iterable, Iterator
from functools import partial
from typing import IO, Protocol

CHUNK = 256 * 1024
"""Bytes of a large entry that are read at a time."""


class Archive(Protocol):
    """Entries go in by `add`, what is ready to be sent comes out of each call."""

    def add(self, name: str, data: bytes | IO[bytes], size: int) -> Iterator[bytes]: ...
    def end(self) -> Iterator[bytes]: ...


class _Sink(io.RawIOBase):
    """Takes what an archive writes and hands it on."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: bytes | bytearray | memoryview) -> int:  # type: ignore[override]
        self._parts.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken


class Zip:
    """A zip without compression (images are compressed already), of any size."""

    media_type = "application/zip"
    suffix = ".zip"

    def __init__(self) -> None:
        self._sink = _Sink()
        self._zip = zipfile.ZipFile(self._sink, "w", zipfile.ZIP_STORED, allowZip64=True)

    def add(self, name: str, data: bytes | IO[bytes], size: int) -> Iterator[bytes]:
        if isinstance(data, bytes):
            self._zip.writestr(self._entry(name), data)
            yield self._sink.take()
            return
        parts = iter(partial(data.read, CHUNK), b"")
        yield from self.pour(name, parts, large=size > zipfile.ZIP64_LIMIT // 2)

    def pour(self, name: str, parts: Iterable[bytes], *, large: bool = True) -> Iterator[bytes]:
        """An entry whose bytes come in parts; `large` where it may have more than 2 GiB."""
        with self._zip.open(self._entry(name), "w", force_zip64=large) as file:
            for part in parts:
                file.write(part)
                yield self._sink.take()
        yield self._sink.take()

    def _entry(self, name: str) -> zipfile.ZipInfo:
        return zipfile.ZipInfo(name, date_time=time.gmtime()[:6])

    def end(self) -> Iterator[bytes]:
        self._zip.close()
        yield self._sink.take()


class Tar:
    """A tar, which needs no list of its entries at the end: memory stays flat however many they are."""

    media_type = "application/x-tar"
    suffix = ".tar"

    def __init__(self) -> None:
        self._sink = _Sink()
        self._tar = tarfile.TarFile.open(fileobj=self._sink, mode="w|", format=tarfile.PAX_FORMAT)

    def add(self, name: str, data: bytes | IO[bytes], size: int) -> Iterator[bytes]:
        entry = tarfile.TarInfo(name)
        entry.size = size
        entry.mtime = int(time.time())
        self._tar.addfile(entry, io.BytesIO(data) if isinstance(data, bytes) else data)
        self._tar.members.clear()  # type: ignore[attr-defined]  # kept for reading only
        yield self._sink.take()

    def end(self) -> Iterator[bytes]:
        self._tar.close()
        yield self._sink.take()
