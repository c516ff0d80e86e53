"""Pure. Where an import reads from: an archive, one list of images, or a folder inside the allowed roots."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from core import archives, images_io
from core.archives import Member, Refusal
from core.errors import InvalidInput
from core.settings import MIB, Settings

LISTS = (".csv", ".tsv", ".json", ".jsonl", ".parquet")
"""Endings of the files that say something about images."""
MAX_LISTS = 256 * MIB
"""Bytes of all such files of one source together; they are held in memory."""

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_ABSOLUTE = re.compile(r"[/\\]|[A-Za-z]:[/\\]")


@dataclass(slots=True)
class File:
    """An image file of a source. `name` is for people, folders included, and never a path."""

    name: str
    folders: tuple[str, ...]
    place: int | Path
    """Which member of the archive, counted from 0, or the file itself, links resolved."""
    sha256: str = ""
    """Known once the file was read."""
    problem: InvalidInput | None = None
    """Why it cannot be an image."""


@dataclass
class Source:
    """What is there to import, by name; contents are read when they are asked for."""

    name: str
    settings: Settings
    archive: Path | None = None
    files: list[File] = field(default_factory=list)
    lists: dict[str, bytes] = field(default_factory=dict)
    """Contents of the files ending in LISTS, by name."""
    problems: list[Refusal] = field(default_factory=list)
    """What may not be read at all."""
    _by_name: dict[str, File] = field(default_factory=dict)
    _by_ending: dict[int, dict[str, list[File]]] = field(default_factory=dict)
    _outside: dict[Path, File] = field(default_factory=dict)

    def index(self) -> None:
        """To be called once all files are known."""
        for file in self.files:
            self._by_name.setdefault(file.name, file)

    def find(self, text: str, near: tuple[str, ...] = ()) -> File:
        """The file that a list means by `text`; `near` are the folders in which the list lay.

        Tried in turn: relative to the list, relative to the source, the end of a path, the
        bare name. A network address is never fetched: only its bare name counts. Raises InvalidInput.
        """
        if _ADDRESS.match(text):
            parts = address(text)
            if parts.scheme.casefold() == "file":
                if parts.netloc not in ("", "localhost"):
                    raise _elsewhere(text)
                return self._outside_file(unquote(parts.path), text)
            found = self.by_base(unquote(parts.path))
            if found is None:
                raise InvalidInput(
                    "“{name}” is an address and nothing is fetched from the network; "
                    "put the file into the source.",
                    name=shown(text),
                )
            return found
        if _ABSOLUTE.match(text):
            return self._outside_file(text, text)
        name, _ = _split(text)
        for wanted in (shown("/".join((*near, name))), name):
            if wanted in self._by_name:
                return self._by_name[wanted]
        ending = self._ending_in(name)
        return _only(ending or self._ending_in(_base(name)), name)

    def by_base(self, text: str) -> File | None:
        """The one file with the bare name of `text`, wherever it lies. Raises InvalidInput for several."""
        name, _ = _split(text.lstrip("/\\") or "?")
        candidates = self._ending_in(_base(name))
        return _only(candidates, name) if candidates else None

    def examine(self, files: Iterable[File]) -> None:
        """Hash files that were not read yet and note what cannot be an image."""
        for file in files:
            if file.sha256 or file.problem or not isinstance(file.place, Path):
                continue
            try:
                data = _content(file, self.settings)
            except InvalidInput as error:
                file.problem = error
            else:
                _examine(file, data, images_io.Limits.of(self.settings))

    def read(self, files: Iterable[File]) -> Iterator[Member | Refusal]:
        """The bytes of `files`, those of an archive in its order."""
        packed: dict[int, File] = {}
        for file in files:
            if isinstance(file.place, int):
                packed[file.place] = file
                continue
            try:
                yield Member(file.name, file.folders, _content(file, self.settings))
            except InvalidInput as error:
                yield Refusal(file.name, error)
        if not packed or self.archive is None:
            return
        for place, member in enumerate(_members(self.archive, self.name, self.settings)):
            if place in packed:
                yield member

    def _ending_in(self, name: str) -> list[File]:
        """Files whose last folders and bare name are `name`; one index for each number of folders."""
        depth = name.count("/") + 1
        if depth not in self._by_ending:
            index: dict[str, list[File]] = {}
            for file in self.files:
                parts = file.name.rsplit("/", depth)
                if len(parts) >= depth:
                    index.setdefault("/".join(parts[-depth:]), []).append(file)
            self._by_ending[depth] = index
        return self._by_ending[depth].get(name, [])

    def _outside_file(self, text: str, name: str) -> File:
        path = inside(text, self.settings, name)
        if path not in self._outside:
            display = shown("/".join(path.parts[1:]))
            self._outside[path] = File(display, path.parts[1:-1], path)
        return self._outside[path]


def open_source(path: Path, name: str, settings: Settings) -> Source:
    """Look through a folder, an archive or a single list of images.

    A folder must be inside the allowed roots. Raises InvalidInput.
    """
    source = Source(name or path.name, settings)
    if path.is_dir():
        _walk(source, directory(str(path), settings))
    else:
        with path.open("rb") as file:
            kind = archives.kind_of(file.read(512))
        if kind is None:
            size = path.stat().st_size
            if size > MAX_LISTS:
                raise _lists_too_big(source.name)
            source.lists[source.name] = path.read_bytes()
        else:
            source.archive = path
            _unpack(source, path)
    source.index()
    return source


def directory(text: str, settings: Settings) -> Path:
    """A folder of the server, links resolved. Raises InvalidInput for one that imports may not read."""
    if not settings.import_roots:
        raise InvalidInput(
            "No folder of the server is open for imports; upload an archive, or have an administrator "
            "name folders in VERITRAIN_IMPORT_ROOTS."
        )
    path = inside(text, settings, text)
    if not path.is_dir():
        raise InvalidInput("“{name}” is not a folder of the server; check its name.", name=shown(text))
    return path


def inside(text: str, settings: Settings, name: str) -> Path:
    """The path with links resolved. Raises InvalidInput where it is not inside an allowed root."""
    path = Path(text)
    if "\0" in text or not path.is_absolute() or ".." in path.parts:
        raise _elsewhere(name)
    try:
        resolved = path.resolve()
    except (OSError, RuntimeError):  # a loop of links
        raise _elsewhere(name) from None
    if not any(resolved.is_relative_to(root) for root in settings.import_roots):
        raise _elsewhere(name)
    return resolved


def _walk(source: Source, root: Path) -> None:
    limit = source.settings.max_files_per_upload
    held = 0
    for folder, below, names in os.walk(root):
        below.sort()
        for link in [name for name in below if Path(folder, name).is_symlink()]:
            source.problems.append(_link(_relative(Path(folder, link), root)))
        for name in sorted(names):
            path = Path(folder, name)
            relative = _relative(path, root)
            if archives.IGNORED.search(relative):
                continue
            try:
                display, folders = _split(relative)
                place = inside(str(path), source.settings, display)
                if display.lower().endswith(LISTS):
                    data = _bytes(place, display, MAX_LISTS)
                    held += len(data)
                    if held > MAX_LISTS:
                        raise _lists_too_big(display)
                    source.lists[display] = data
                    continue
            except InvalidInput as error:
                source.problems.append(Refusal(str(error.fields["name"]), error))
                continue
            source.files.append(File(display, folders, place))
            if len(source.files) > limit:
                raise InvalidInput(
                    "“{name}” holds more than {limit} files; import its subfolders one by one.",
                    name=shown(source.name),
                    limit=limit,
                )


def _unpack(source: Source, path: Path) -> None:
    limits = images_io.Limits.of(source.settings)
    held = 0
    for place, member in enumerate(_members(path, source.name, source.settings)):
        if isinstance(member, Refusal):
            source.problems.append(member)
        elif member.name.lower().endswith(LISTS):
            held += len(member.data)
            if held > MAX_LISTS:
                raise _lists_too_big(member.name)
            source.lists[member.name] = member.data
        else:
            file = File(member.name, member.folders, place)
            _examine(file, member.data, limits)
            source.files.append(file)


def _members(path: Path, name: str, settings: Settings) -> Iterator[Member | Refusal]:
    with path.open("rb") as file:
        yield from archives.members(file, name, path.stat().st_size, archives.Limits.of(settings))


def _examine(file: File, data: bytes, limits: images_io.Limits) -> None:
    try:
        images_io.opened(data, limits, file.name)
    except InvalidInput as error:
        file.problem = error
    file.sha256 = hashlib.sha256(data).hexdigest()


def _content(file: File, settings: Settings) -> bytes:
    # Asked again when it is read: a link may have been put in the file's place since.
    return _bytes(inside(str(file.place), settings, file.name), file.name, settings.max_file_bytes)


def _bytes(path: Path, name: str, limit: int) -> bytes:
    try:
        # Without waiting: a pipe put in the file's place must not hold the import up.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as file:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise InvalidInput("“{name}” is a link or a device, not a file.", name=name)
            if status.st_size > limit:
                raise images_io.too_big(name, limit)
            return file.read(limit + 1)
    except OSError:
        raise InvalidInput(
            "“{name}” cannot be read; check that it exists and who may read it.", name=shown(name)
        ) from None


def _relative(path: Path, root: Path) -> str:
    return str(path.relative_to(root))


def _only(candidates: list[File], name: str) -> File:
    if not candidates:
        raise InvalidInput("“{name}” is not in the source; add the file or correct its name.", name=name)
    if len(candidates) > 1:
        raise InvalidInput(
            "“{name}” is the name of {n} files in the source; write the folder too.",
            name=name,
            n=len(candidates),
        )
    return candidates[0]


def address(text: str) -> SplitResult:
    """The parts of an address. Raises InvalidInput."""
    try:
        return urlsplit(text)
    except ValueError:
        raise InvalidInput("“{name}” is not an address; correct it.", name=shown(text)) from None


def _split(name: str) -> tuple[str, tuple[str, ...]]:
    try:
        return archives.split_name(name)
    except UnicodeEncodeError:  # half a character, which JSON can spell
        raise InvalidInput("“{name}” is not a file name; correct it.", name=shown(name)) from None


def _base(name: str) -> str:
    return name.rsplit("/", 1)[-1]


def shown(text: str) -> str:
    """A name from a source as it may be shown and stored."""
    return archives.shorten(archives.printable(text))


def _link(name: str) -> Refusal:
    return Refusal(
        shown(name),
        InvalidInput("“{name}” is a link to a folder; name that folder itself.", name=shown(name)),
    )


def _elsewhere(name: str) -> InvalidInput:
    return InvalidInput(
        "“{name}” is outside the folders that imports may read; move it into one of them or upload it.",
        name=shown(name),
    )


def _lists_too_big(name: str) -> InvalidInput:
    return InvalidInput(
        "“{name}” brings the lists of images above {limit} MB; split the source into parts.",
        name=shown(name),
        limit=MAX_LISTS // MIB,
    )
