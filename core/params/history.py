"""Pure. Who changed a theme's parameters, when, and what: read from the repository of `core.params.saved`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel

from core.params import saved
from core.params.changes import Change, Translate, changes
from core.params.fields import N_
from core.params.repository import Commit
from core.params.text import PARAMETERS, Family, shipped
from core.settings import Settings

PAGE = 20
"""Versions that are read at once."""


@dataclass(frozen=True)
class Version:
    """One save."""

    id: str
    author: str
    at: datetime
    changes: tuple[Change, ...]
    unreadable: bool
    """Some text before or after was damaged or of another format, so `changes` may lack some."""

    def sentences(self, translate: Translate = str) -> list[str]:
        """What was changed, one sentence for each setting, and at least one."""
        found = [change.text(translate) for change in self.changes]
        if self.unreadable:
            found.append(translate(N_("A text that cannot be read was replaced or saved.")))
        return found or [translate(N_("Only the comments in the text."))]


def history(
    settings: Settings,
    theme_id: int,
    *,
    limit: int = PAGE,
    before: str | None = None,
    of: Family = PARAMETERS,
) -> list[Version]:
    """The theme's versions of a family of files, newest first; only those older than `before` where it is given.

    Raises NotFound where there is no version `before`.
    """
    found = (
        saved.files(settings, theme_id, of)
        if before is None
        else saved.files_at(settings, theme_id, before, of)
    )
    if not found.version:
        return []
    repository = saved.repository_of(settings)
    commits = repository.log(saved.paths_of(theme_id, of), found.version, limit + 1)
    if before is not None and commits and commits[0].id == found.version:
        commits = commits[1:]
    commits = commits[:limit]
    blobs = [blob for commit in commits for pair in commit.changed.values() for blob in pair if blob]
    texts = repository.texts(blobs) if blobs else {}
    return [_version(commit, texts, saved.paths_of(theme_id, of)) for commit in commits]


def _version(commit: Commit, texts: Mapping[str, bytes], paths: Mapping[str, type[BaseModel]]) -> Version:
    found: list[Change] = []
    unreadable = False
    for path, model in paths.items():
        if path not in commit.changed:
            continue
        old, new = (_read(blob, texts, model) for blob in commit.changed[path])
        if old is None or new is None:
            unreadable = True
        else:
            found += changes([old], [new])
    return Version(commit.id, commit.author, commit.at, tuple(found), unreadable)


def _read(blob: str | None, texts: Mapping[str, bytes], model: type[BaseModel]) -> BaseModel | None:
    """What was not saved yet had the shipped defaults."""
    text = texts[blob].decode("utf-8", "replace") if blob else shipped(model)
    return saved.readable(text, model)
