"""Pure. The content-addressed file store: a folder of this machine, or any store fsspec speaks to."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO, cast

import fsspec

_PART = 1024 * 1024
"""Bytes of a file that are held while it is copied."""
_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*")


class FileStore:
    """Files under keys like `images/ab/<sha256>.jpg`; a file, once written, never changes.

    `url` is a folder or an fsspec URL (s3://bucket/prefix). Files of a remote store are
    kept in `cache` (by default below the person's cache folder) once they were asked for.
    """

    def __init__(self, url: str, cache: Path | None = None) -> None:
        self.url = url
        filesystem, root = fsspec.core.url_to_fs(url)
        self._fs = filesystem
        self._root = str(root).rstrip("/")
        self._is_local = "file" in filesystem.protocol
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        self._cache = cache or home / "veritrain" / hashlib.sha256(url.encode()).hexdigest()[:16]

    def put(self, data: bytes, kind: str, ext: str, *, suffix: str = "") -> str:
        """Store `data` under its SHA-256 and return the key `<kind>/ab/<sha256><suffix>.<ext>`.

        What is there already is not written again.
        """
        key = content_key(hashlib.sha256(data).hexdigest(), kind, ext, suffix=suffix)
        if self.size(key) != len(data):
            self.write(key, data)
        return key

    def put_from(self, path: Path, kind: str, ext: str) -> str:
        """The same for a file of this machine, of which little is held at a time. Raises OSError."""
        key = content_key(sha256_of(path), kind, ext)
        if self.size(key) == path.stat().st_size:
            return key
        if self._is_local:
            with path.open("rb") as file:
                _write_atomically(self._local(key), iter(lambda: file.read(_PART), b""))
        else:
            self._fs.put_file(str(path), self._remote(key))
        return key

    def write(self, key: str, data: bytes) -> None:
        """Store `data` under `key`, on disk before this returns; readers see all of it or nothing."""
        if self._is_local:
            _write_atomically(self._local(key), (data,))
        else:
            self._fs.pipe_file(self._remote(key), data)

    def remove(self, folder: str) -> None:
        """Delete every file whose key begins with `folder` and a slash; none is no error."""
        shutil.rmtree(self._cache / _checked(folder), ignore_errors=True)
        with contextlib.suppress(FileNotFoundError):
            if self._is_local:
                shutil.rmtree(self._local(folder))
            else:
                self._fs.rm(self._remote(folder), recursive=True)

    def read(self, key: str) -> bytes:
        """The whole file. Raises FileNotFoundError."""
        if self._is_local:
            return self._local(key).read_bytes()
        return cast(bytes, self._fs.cat_file(self._remote(key)))

    def open(self, key: str) -> IO[bytes]:
        """The file for reading. Raises FileNotFoundError."""
        if self._is_local:
            return self._local(key).open("rb")
        return cast(IO[bytes], self._fs.open(self._remote(key), "rb"))

    def exists(self, key: str) -> bool:
        return self.size(key) is not None

    def size(self, key: str) -> int | None:
        """Bytes of the file, None where there is none."""
        try:
            if self._is_local:
                return self._local(key).stat().st_size
            return int(self._fs.info(self._remote(key))["size"])
        except FileNotFoundError:
            return None

    def names(self) -> list[str]:
        """Of every file in the store, from its root; also of those that no key could name."""
        return [path.removeprefix(f"{self._root}/") for path in self._fs.find(self._root)]

    def local_path(self, key: str) -> Path:
        """A path of this machine with the file's content; a remote file is fetched once.

        Raises FileNotFoundError for a remote file that is not there.
        """
        if self._is_local:
            return self._local(key)
        path = self._cache / _checked(key)
        if not path.exists():
            _write_atomically(path, (self.read(key),))
        return path

    def _local(self, key: str) -> Path:
        return Path(self._root, _checked(key))

    def _remote(self, key: str) -> str:
        return f"{self._root}/{_checked(key)}"


def content_key(sha256: str, kind: str, ext: str, *, suffix: str = "") -> str:
    """`<kind>/ab/<sha256><suffix>.<ext>`: two hundred and fifty-six folders keep each one small."""
    return f"{kind}/{sha256[:2]}/{sha256}{suffix}.{ext}"


def sha256(pieces: Iterable[bytes]) -> str:
    """Hash of what the pieces are together."""
    whole = hashlib.sha256()
    for piece in pieces:
        whole.update(piece)
    return whole.hexdigest()


def sha256_of(path: Path) -> str:
    """Hash of a file of this machine. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _checked(key: str) -> str:
    """Keys are made by us from hashes, never from a name; anything else is a bug. Raises ValueError."""
    if not _KEY.fullmatch(key):
        raise ValueError(f"not a key of the file store: {key!r}")
    return key


def _write_atomically(path: Path, pieces: Iterable[bytes]) -> None:
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".part-")
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".part-")
    try:
        with os.fdopen(handle, "wb") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
