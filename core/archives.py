"""Pure. Zip and tar files read member by member, safely: names never become paths, sizes never explode."""

from __future__ import annotations

import gzip
import lzma
import re
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, cast

from core.errors import InvalidInput, VeritrainError
from core.i18n import gettext
from core.images_io import MAX_NAME, too_big
from core.settings import MIB, Settings

MAX_RATIO = 200
"""An archive that unpacks to more than this many times its size (and FREE_BYTES) is a bomb."""
FREE_BYTES = 64 * MIB
"""Unpacked bytes that are never held against an archive, however small it is."""
MAX_HEADER = 32 * 1024
"""Bytes of one extended tar header (a long name); more is an attack on memory, not a name."""
ENTRY_BYTES = 256
"""Bytes of a zip's list that one file may take on average."""
CHUNK = MIB

IGNORED = re.compile(r"(^|/)(__MACOSX/|\.[^./]|Thumbs\.db$|desktop\.ini$)", re.IGNORECASE)
"""What systems leave beside the files; nobody misses it."""
_BAD_ARCHIVE = (
    zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError, struct.error,
    NotImplementedError, ValueError, RuntimeError, OverflowError, IndexError,
)  # fmt: skip


@dataclass(frozen=True)
class Limits:
    max_file_bytes: int
    max_total_bytes: int
    max_files: int

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        return cls(settings.max_file_bytes, settings.max_upload_bytes, settings.max_files_per_upload)


@dataclass(frozen=True)
class Member:
    """One file. `name` is for people to read; `folders` are the folders it lay in, outermost first."""

    name: str
    folders: tuple[str, ...]
    data: bytes


@dataclass(frozen=True)
class Refusal:
    """What was not accepted, and the sentence that says why."""

    name: str
    error: VeritrainError

    @property
    def reason(self) -> str:
        """The sentence in the reader's language."""
        return self.error.text(gettext)


def kind_of(head: bytes) -> str | None:
    """`zip`, `tar`, `tar.gz` or `other archive` from the first 512 bytes; None for anything else."""
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")):
        return "zip"
    if head.startswith(b"\x1f\x8b"):
        return "tar.gz"
    if head[257:262] == b"ustar":
        return "tar"
    if head.startswith(
        (b"BZh", b"\xfd7zXZ\x00", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07", b"\x28\xb5\x2f\xfd")
    ):
        return "other archive"
    return None


def split_name(name: str) -> tuple[str, tuple[str, ...]]:
    """(display name, folders) of an uploaded name. Raises InvalidInput for one that tries to be a path.

    The display name keeps the folders, is cut to MAX_NAME characters and is never used as a path.
    """
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    text = unicodedata.normalize("NFC", text.replace("\\", "/"))
    if any(unicodedata.category(c) == "Cc" for c in text):
        raise InvalidInput(
            "“{name}” has a control character in its name; rename the file.", name=shorten(printable(text))
        )
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if text.startswith("/") or ".." in parts or re.match(r"[A-Za-z]:/", text) or not parts:
        raise InvalidInput(
            "“{name}” points outside its folder; pack the files again with plain names.",
            name=shorten(printable(text)),
        )
    return shorten("/".join(parts)), tuple(parts[:-1])


def printable(text: str) -> str:
    """`text` with control characters shown as “?”."""
    return "".join("?" if unicodedata.category(c) in ("Cc", "Cs") else c for c in text)


def shorten(name: str, limit: int = MAX_NAME) -> str:
    """At most `limit` characters, the end (which tells files apart) kept whole."""
    if len(name) <= limit:
        return name
    keep = limit // 3
    return f"{name[: limit - keep - 1]}…{name[-keep:]}"


def members(file: IO[bytes], name: str, size: int, limits: Limits) -> Iterator[Member | Refusal]:
    """The files of a seekable archive of `size` bytes, and a refusal for each that is not safe.

    A refusal that ends the archive (a bomb, damage) is the last thing yielded; what came before stands.
    """
    file.seek(0)
    kind = kind_of(file.read(512))
    file.seek(0)
    try:
        if kind == "zip":
            yield from _zip(file, size, limits)
        elif kind in ("tar", "tar.gz"):
            # GzipFile is buffered and checks the sum; tarfile's own stream mode does neither.
            stream = cast("IO[bytes]", gzip.GzipFile(fileobj=file, mode="rb")) if kind == "tar.gz" else file
            yield from _tar(_Unpacked(stream, size, limits), limits)
        else:
            yield Refusal(name, InvalidInput("“{name}”: archives can be zip, tar or tar.gz.", name=name))
    except InvalidInput as error:
        yield Refusal(name, error.__class__(error.message, **{**error.fields, "name": name}))
    except _BAD_ARCHIVE:
        yield Refusal(
            name,
            InvalidInput(
                "“{name}” is damaged or cut short; what could be read before that was kept.", name=name
            ),
        )


def _zip(file: IO[bytes], size: int, limits: Limits) -> Iterator[Member | Refusal]:
    _check_zip_list(file, size, limits)
    unpacked = 0
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            # ZipInfo cuts the name at a NUL; the original still has it.
            name = info.orig_filename
            if info.is_dir() or IGNORED.search(name):
                continue
            try:
                display, folders = split_name(name)
                if (info.external_attr >> 28) not in (0, 0o10):
                    raise _not_a_file(display)
                if info.flag_bits & 0x1:
                    raise InvalidInput(
                        "“{name}” is protected by a password; pack it again without one.", name=display
                    )
                if info.file_size > limits.max_file_bytes:
                    raise too_big(display, limits.max_file_bytes)
                unpacked += info.file_size
                _check_total(unpacked, size, limits)
                try:
                    with archive.open(info) as member:
                        data = member.read(info.file_size)
                except _BAD_ARCHIVE:
                    raise InvalidInput(
                        "“{name}” is damaged inside the archive; pack it again.", name=display
                    ) from None
                _check_content(display, data)
            except _Stop:
                raise
            except InvalidInput as error:
                yield Refusal(str(error.fields["name"]), error)
            else:
                yield Member(display, folders, data)


def _tar(stream: _Unpacked, limits: Limits) -> Iterator[Member | Refusal]:
    seen = 0
    with tarfile.open(fileobj=stream, mode="r:") as archive:  # type: ignore[call-overload]
        while (info := archive.next()) is not None:
            # tarfile remembers every member it has passed; two hundred thousand would fill the memory.
            archive.members.clear()
            seen += 1
            if seen > 2 * limits.max_files:
                raise _too_many_files(limits)
            if info.isdir() or IGNORED.search(info.name):
                continue
            try:
                display, folders = split_name(info.name)
                if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE):
                    raise _not_a_file(display)
                if info.size > limits.max_file_bytes:
                    raise too_big(display, limits.max_file_bytes)
                stream.seek(info.offset_data)
                data = stream.take(info.size)
                if len(data) < info.size:
                    raise EOFError
                _check_content(display, data)
            except _Stop:
                raise
            except InvalidInput as error:
                yield Refusal(str(error.fields["name"]), error)
            else:
                yield Member(display, folders, data)
    if stream.last_block.strip(b"\0") or not stream.last_block:
        # tarfile takes garbage and a missing end for the end.
        raise EOFError


class _Stop(InvalidInput):
    """A refusal of the rest of the archive."""


class _Unpacked:
    """A tar's bytes in order. Counts them against the limits and caps what tarfile reads at once."""

    def __init__(self, stream: IO[bytes], archive_size: int, limits: Limits) -> None:
        self._stream = stream
        self._size = archive_size
        self._limits = limits
        self._position = 0
        self.last_block = b""

    def tell(self) -> int:
        return self._position

    def read(self, count: int) -> bytes:
        """For tarfile's headers, whose size the file itself declares."""
        if count > MAX_HEADER:
            raise tarfile.ReadError("header too long")
        self.last_block = self.take(count)
        return self.last_block

    def take(self, count: int) -> bytes:
        data = self._stream.read(count)
        self._position += len(data)
        _check_total(self._position, self._size, self._limits)
        return data

    def seek(self, position: int) -> None:
        """Forward only, by reading: skipped bytes count like all others."""
        while self._position < position:
            if not self.take(min(CHUNK, position - self._position)):
                raise EOFError
        if self._position > position:
            raise tarfile.ReadError("a tar is read forward only")


def _check_total(unpacked: int, size: int, limits: Limits) -> None:
    if unpacked > limits.max_total_bytes:
        raise _Stop(
            "“{name}” unpacks to more than {limit} MB; split it into smaller archives.",
            name="",
            limit=limits.max_total_bytes // MIB,
        )
    if unpacked > FREE_BYTES + MAX_RATIO * size:
        raise _Stop(
            "“{name}” unpacks to more than {ratio} times its size and was not read further.",
            name="",
            ratio=MAX_RATIO,
        )


def _check_zip_list(file: IO[bytes], size: int, limits: Limits) -> None:
    """Look at the list of files before zipfile builds an object for each of them."""
    file.seek(max(0, size - 65_557))
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or at + 22 > len(tail):
        raise zipfile.BadZipFile
    list_size, list_offset = struct.unpack_from("<LL", tail, at + 12)
    locator = at - 20
    if locator >= 0 and tail[locator : locator + 4] == b"PK\x06\x07":
        file.seek(struct.unpack_from("<Q", tail, locator + 8)[0])
        record = file.read(56)
        if len(record) < 56:
            raise zipfile.BadZipFile
        list_size, list_offset = struct.unpack_from("<QQ", record, 40)
    if list_size > ENTRY_BYTES * limits.max_files + MIB:
        raise _too_many_files(limits)
    # Where bytes were put before the archive, the list lies later than it says: count to the end.
    file.seek(min(list_offset, max(0, size - list_size - 65_557)))
    if file.read(list_size + 65_557).count(b"PK\x01\x02") > limits.max_files:
        raise _too_many_files(limits)
    file.seek(0)


def _check_content(name: str, data: bytes) -> None:
    if kind_of(data[:512]) is not None:
        raise InvalidInput(
            "“{name}” is an archive inside an archive; unpack it and upload its files.", name=name
        )


def _not_a_file(name: str) -> InvalidInput:
    return InvalidInput("“{name}” is a link or a device, not a file.", name=name)


def _too_many_files(limits: Limits) -> _Stop:
    return _Stop(
        "“{name}” holds more than {limit} files; split it into smaller archives.",
        name="",
        limit=limits.max_files,
    )
