"""Pure. A folder of texts under Git, for several threads and processes, that a kill at any moment leaves valid.

The branch is the truth. A commit is made of finished objects and becomes visible by one update of the branch;
the files that lie in the folder are written after that. Git's index keeps what was last written there, which
tells a file that an interrupted save left behind from one that somebody edited by hand.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from core.errors import Unavailable

log = logging.getLogger(__name__)

BRANCH = "refs/heads/main"
WAIT_SECONDS = 60
"""Longest that one git command may take; all but the tidying up take milliseconds."""
LOOSE_OBJECTS = 1_500
"""From about so many single files on, some 300 saves, git packs them into one: a save then waits for that."""
HOST = "veritrain.invalid"
"""The top level domain .invalid can belong to nobody (RFC 2606)."""
_OPTIONS = (
    ("core.hooksPath", os.devnull),
    ("core.fsync", "objects,reference"),
    ("core.fsyncMethod", "fsync"),
    ("core.quotePath", "false"),
    ("gc.auto", "0"),
)
_held = threading.local()


@dataclass(frozen=True)
class Commit:
    id: str
    author: str
    at: datetime
    message: str
    changed: dict[str, tuple[str | None, str | None]]
    """Path to (blob before, blob after); None where there was no such file."""


class Repository:
    """The Git repository in `folder`, made by the first commit. Every method raises Unavailable without git."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git = folder / ".git"

    def head(self) -> str | None:
        """Id of the newest commit; None before the first."""
        try:
            return (self.git / BRANCH).read_text(encoding="ascii").strip()
        except (FileNotFoundError, NotADirectoryError):
            if not (self.git / "packed-refs").exists():
                return None
        return self._run("rev-parse", "--verify", "--quiet", BRANCH, allowed=(0, 1)).decode().strip() or None

    def files(self, commit: str | None) -> Mapping[str, str]:
        """Path to blob of every file in a commit; empty for None. `commit` must be the id of one."""
        return _tree(self.folder, commit) if commit else {}

    def texts(self, blobs: Sequence[str]) -> dict[str, bytes]:
        """The content of each blob."""
        known = {blob: text for blob in blobs if (text := _BLOBS.get(blob)) is not None}
        missing = [blob for blob in dict.fromkeys(blobs) if blob not in known]
        if missing:
            found = self._many(missing)
            if len(_BLOBS) + len(found) > MAX_BLOBS:
                _BLOBS.clear()
            _BLOBS.update(found)
            known |= found
        return known

    def resolve(self, start: str) -> str | None:
        """The full id of the commit in the history whose id begins with `start`, hexadecimal digits; else None."""
        out = self._run("rev-parse", "--verify", "--quiet", f"{start}^{{commit}}", allowed=(0, 1, 128))
        commit = out.decode().strip()
        if not commit:
            return None
        counted = self._run("rev-list", "--count", commit, f"^{BRANCH}").decode().strip()
        return commit if counted == "0" else None

    def log(self, paths: Iterable[str], start: str, limit: int) -> list[Commit]:
        """Commits that touched one of `paths`, newest first, from commit `start` back."""
        return list(_log(self.folder, tuple(paths), start, limit))

    def is_clean(self, paths: Sequence[str]) -> bool:
        """Whether the files in the folder are those of the newest commit."""
        stored = self.files(self.head())
        return all(self._blob_here(path) == stored.get(path) for path in paths)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Within: no other thread or process changes the repository, and what a killed one left is cleared away.

        Git's own children keep the lock when their parent is killed, until they have ended.
        """
        try:
            self.git.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.git / "veritrain.mutex", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise _broken(self.folder, str(error)) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            _held.handle = handle
            for stale in (*self.git.glob("*.lock"), *(self.git / "refs").rglob("*.lock")):
                stale.unlink(missing_ok=True)
            if self.head() is None:  # again where it was interrupted: that harms nothing
                self._init()
            yield
        finally:
            _held.handle = None
            os.close(handle)

    def settle(self, paths: Sequence[str]) -> dict[str, bytes]:
        """Write the files that an interrupted save did not, and return those that somebody edited by hand.

        Only within `locked`.
        """
        stored = self.files(self.head())
        out = self._run("ls-files", "--stage", "-z", "--", *paths).decode()
        mirrored = {}
        for line in filter(None, out.split("\x00")):
            entry, path = line.split("\t", 1)
            mirrored[path] = entry.split(" ")[1]
        edited: dict[str, bytes] = {}
        unwritten: list[str] = []
        for path in paths:
            here = self._here(path)
            found = None if here is None else blob_of(here)
            if found == stored.get(path):
                continue
            if here is None or found == mirrored.get(path):
                unwritten.append(path)
            else:
                edited[path] = here
        if unwritten:
            texts = self.texts([stored[path] for path in unwritten])
            for path in unwritten:
                write(self.folder / path, texts[stored[path]])
            self._run("read-tree", BRANCH)
        return edited

    def commit(self, texts: Mapping[str, bytes], author: str, message: str) -> str:
        """Put `texts` (by path) into the repository and its folder; returns the new commit's id.

        `author` is a person's name, which gets a made-up address. Only within `locked`.
        """
        parent = self.head()
        entries = dict(self.files(parent))
        for path, text in texts.items():
            entries[path] = self._run("hash-object", "-w", "--stdin", data=text).decode().strip()
        listing = "".join(f"100644 {blob}\t{path}\x00" for path, blob in entries.items()).encode()
        scratch = self.git / "veritrain-index"
        scratch.unlink(missing_ok=True)
        index = {"GIT_INDEX_FILE": str(scratch)}
        self._run("update-index", "-z", "--index-info", data=listing, more=index)
        tree = self._run("write-tree", more=index).decode().strip()
        parents = ("-p", parent) if parent else ()
        made = self._run("commit-tree", *parents, tree, data=message.encode(), more=_identity(author))
        commit = made.decode().strip()
        self._run("update-ref", BRANCH, commit, parent or "0" * 40)
        for path, text in texts.items():
            write(self.folder / path, text)
        self._run("read-tree", BRANCH)
        self._tidy()
        return commit

    def _init(self) -> None:
        self._run("init", "--quiet", "--template=", inside=False)
        self._run("symbolic-ref", "HEAD", BRANCH)

    def _tidy(self) -> None:
        # Git names objects by hash, so one of the 256 folders tells how many there are.
        sample = self.git / "objects" / "17"
        if sample.is_dir() and len(os.listdir(sample)) > LOOSE_OBJECTS / 256:
            self._run("repack", "-d", "--quiet")

    def _many(self, blobs: Sequence[str]) -> dict[str, bytes]:
        out = self._run("cat-file", "--batch", data="".join(f"{blob}\n" for blob in blobs).encode())
        found = {}
        for blob in blobs:
            head, _, out = out.partition(b"\n")
            if head.endswith(b" missing"):
                raise _broken(self.folder, f"object {blob} is missing")
            size = int(head.rsplit(b" ", 1)[1])
            found[blob], out = out[:size], out[size + 1 :]
        return found

    def _blob_here(self, path: str) -> str | None:
        here = self._here(path)
        return None if here is None else blob_of(here)

    def _here(self, path: str) -> bytes | None:
        try:
            return (self.folder / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _run(
        self,
        *words: str,
        data: bytes = b"",
        more: Mapping[str, str] | None = None,
        allowed: Sequence[int] = (0,),
        inside: bool = True,
    ) -> bytes:
        """What git writes."""
        command = ["git", *(word for name, value in _OPTIONS for word in ("-c", f"{name}={value}"))]
        if inside:  # named, not looked for: then it does not matter whose folder it is
            command += [f"--git-dir={self.git}", f"--work-tree={self.folder}"]
        handle = getattr(_held, "handle", None)
        try:
            done = subprocess.run(
                [*command, *words],
                cwd=self.folder,
                env=_environment() | dict(more or {}),
                input=data,
                capture_output=True,
                timeout=WAIT_SECONDS,
                pass_fds=() if handle is None else (handle,),
                check=False,
            )
        except FileNotFoundError as error:
            raise Unavailable(
                "Git is not installed on the server, and parameters are kept in a Git repository; "
                "install git, then try again."
            ) from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise _broken(self.folder, str(error)) from error
        if done.returncode not in allowed:
            raise _broken(self.folder, done.stderr.decode("utf-8", "replace"))
        return done.stdout


def blob_of(text: bytes) -> str:
    """The name that Git gives to a file with this content."""
    return hashlib.sha1(b"blob %d\0" % len(text) + text, usedforsecurity=False).hexdigest()


def write(path: Path, text: bytes) -> None:
    """Replace a file as a whole: readers see the old or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    with os.fdopen(handle, "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


_BLOBS: dict[str, bytes] = {}
"""Contents by name, which never change; emptied when there are more than MAX_BLOBS."""
MAX_BLOBS = 2_000


@lru_cache(maxsize=64)
def _tree(folder: Path, commit: str) -> Mapping[str, str]:
    out = Repository(folder)._run("ls-tree", "-r", "-z", commit).decode()
    entries = (line.split("\t", 1) for line in filter(None, out.split("\x00")))
    return {path: entry.split(" ")[2] for entry, path in entries}


@lru_cache(maxsize=64)
def _log(folder: Path, paths: tuple[str, ...], start: str, limit: int) -> tuple[Commit, ...]:
    out = (
        Repository(folder)
        ._run(
            *("log", f"-n{limit}", "--raw", "--no-abbrev", "--no-renames", "--root", "-z"),
            *("--format=%x01%H%x00%an%x00%aI%x00%B%x00", start, "--", *paths),
        )
        .decode("utf-8", "replace")
    )
    found = []
    for record in out.split("\x01")[1:]:
        id_, author, at, message, *rest = record.split("\x00")
        changed = {}
        entries = [part.lstrip("\n") for part in rest if part.strip("\n")]
        for raw, name in zip(entries[::2], entries[1::2], strict=True):
            _, _, before, after, _ = raw.split(" ")
            changed[name] = (_blob_or_none(before), _blob_or_none(after))
        found.append(Commit(id_, author, datetime.fromisoformat(at), message.strip(), changed))
    return tuple(found)


def _blob_or_none(blob: str) -> str | None:
    return None if set(blob) == {"0"} else blob


def _environment() -> dict[str, str]:
    """Neither a person's nor the system's settings of git count, nor a repository that we were started in."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return kept | {
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C",
        "GIT_COMMITTER_NAME": "Veritrain",
        "GIT_COMMITTER_EMAIL": f"veritrain@{HOST}",
    }


def _identity(author: str) -> dict[str, str]:
    plain = "".join(c if c.isprintable() and c not in "<>" else " " for c in author)
    name = " ".join(plain.split()).strip(".,;:")
    address = "".join(c if c.isascii() and c.isalnum() else "-" for c in name.lower()).strip("-") or "person"
    return {
        "GIT_AUTHOR_NAME": name or "?",
        "GIT_AUTHOR_EMAIL": f"{address}@{HOST}",
    }


def _broken(folder: Path, reason: str) -> Unavailable:
    log.error("git in %s: %s", folder, reason.strip())
    lines = reason.strip().splitlines() or ["no reason given"]
    return Unavailable(
        "The Git repository {folder}, which keeps the parameters, does not work: {reason}. "
        "Nothing was changed; tell who looks after the server.",
        folder=str(folder),
        reason=lines[-1].rstrip("."),
    )
