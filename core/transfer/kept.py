"""Stored. Files that wait on disk for an import: uploads between dry run and start, sources until done."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import time
from pathlib import Path
from typing import IO

from core.archives import printable, shorten
from core.errors import NotFound
from core.workbench import Workbench

KEEP_SECONDS = 86_400
"""An upload that nobody used for this long is removed."""

_TOKEN = re.compile(r"[0-9a-f]{32}")
_FILE, _NAME = "source", "name"


def keep(wb: Workbench, name: str, file: IO[bytes]) -> str:
    """Put an upload aside for a dry run and a start; returns the word under which `kept` finds it."""
    _sweep(wb)
    token = secrets.token_hex(16)
    place = _place(wb, token)
    place.mkdir(parents=True)
    (place / _NAME).write_text(shorten(printable(name)), "utf-8")
    with (place / _FILE).open("wb") as target:
        shutil.copyfileobj(file, target, 1024 * 1024)
    return token


def kept(wb: Workbench, token: str) -> tuple[Path, str]:
    """(file, the name it was uploaded under). Raises NotFound."""
    place = _place(wb, token) if _TOKEN.fullmatch(token) else None
    if place is None or not (place / _FILE).is_file():
        raise NotFound("This upload is no longer here; upload the file again.")
    os.utime(place)
    return place / _FILE, (place / _NAME).read_text("utf-8")


def forget(wb: Workbench, token: str) -> None:
    """Remove an upload that nobody will start with."""
    if _TOKEN.fullmatch(token):
        shutil.rmtree(_place(wb, token), ignore_errors=True)


def take(wb: Workbench, source: Path, import_id: int) -> None:
    """Give an import its own copy of a file; one that `keep` put aside is moved, not copied."""
    target = _own(wb, import_id)
    target.mkdir(parents=True, exist_ok=True)
    if source.parent.parent == _folder(wb) and source.parent.name.startswith("upload-"):
        os.replace(source, target / _FILE)
        shutil.rmtree(source.parent, ignore_errors=True)
    else:
        shutil.copyfile(source, target / _FILE)


def taken(wb: Workbench, import_id: int) -> Path:
    """The copy that `take` made. Raises NotFound."""
    path = _own(wb, import_id) / _FILE
    if not path.is_file():
        raise NotFound("The file of this import is no longer here; start a new import with it.")
    return path


def drop(wb: Workbench, import_id: int) -> None:
    """Remove the import's copy."""
    shutil.rmtree(_own(wb, import_id), ignore_errors=True)


def _sweep(wb: Workbench) -> None:
    old = time.time() - KEEP_SECONDS
    for place in _folder(wb).glob("upload-*"):
        if place.stat().st_mtime < old:
            shutil.rmtree(place, ignore_errors=True)


def _folder(wb: Workbench) -> Path:
    return wb.settings.data_dir / "imports"


def _place(wb: Workbench, token: str) -> Path:
    return _folder(wb) / f"upload-{token}"


def _own(wb: Workbench, import_id: int) -> Path:
    return _folder(wb) / str(import_id)
