"""Pure. Files that people send: archives opened, names made safe, each looked at on all cores, little held at a time."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import IO, TypeVar

from core import archives, images_io
from core.archives import Limits, Member, Refusal
from core.errors import InvalidInput
from core.settings import MIB

T = TypeVar("T")

PENDING_FILES = 32
PENDING_BYTES = 64 * MIB
"""Files read but not yet looked at, so that memory stays bounded whatever comes in."""

Source = bytes | Path | IO[bytes]

# Pillow leaves Python's lock while it decodes, so threads share the processor cores.
_pool = ThreadPoolExecutor(max_workers=max(2, os.cpu_count() or 2), thread_name_prefix="decode")


def read(items: Iterable[tuple[str, Source]], limits: Limits) -> Iterator[Member | Refusal]:
    """Every single file with its bytes, archives opened; what is beyond the limits is refused by name."""
    count = 0
    for name, source in items:
        for member in _open(name, source, limits):
            count += 1
            if count > limits.max_files:
                yield Refusal(
                    name,
                    InvalidInput(
                        "“{name}” and what follows is too much: one upload can bring {limit} files; "
                        "upload the rest separately.",
                        name=name,
                        limit=limits.max_files,
                    ),
                )
                return
            yield member


def _open(name: str, source: Source, limits: Limits) -> Iterator[Member | Refusal]:
    try:
        display, folders = archives.split_name(name)
    except InvalidInput as error:
        yield Refusal(str(error.fields["name"]), error)
        return
    if isinstance(source, bytes):
        file: IO[bytes] = BytesIO(source)
    elif isinstance(source, Path):
        file = source.open("rb")
    else:
        file = source
    try:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        kind = archives.kind_of(file.read(512))
        file.seek(0)
        if kind is not None:
            yield from archives.members(file, display, size, limits)
        elif size > limits.max_file_bytes:
            yield Refusal(display, images_io.too_big(display, limits.max_file_bytes))
        else:
            yield Member(display, folders, file.read())
    finally:
        file.close()


def looked_at(
    members: Iterator[Member | Refusal], look: Callable[[Member], T | Refusal]
) -> Iterator[T | Refusal]:
    """What `look` makes of each file, on all cores, in the order given."""
    pending: deque[tuple[Refusal | Future[T | Refusal], int]] = deque()
    held = 0

    def oldest() -> T | Refusal:
        nonlocal held
        outcome, size = pending.popleft()
        held -= size
        return outcome if isinstance(outcome, Refusal) else outcome.result()

    for member in members:
        if isinstance(member, Refusal):
            pending.append((member, 0))
        else:
            while pending and (len(pending) >= PENDING_FILES or held + len(member.data) > PENDING_BYTES):
                yield oldest()
            held += len(member.data)
            pending.append((_pool.submit(look, member), len(member.data)))
    while pending:
        yield oldest()
