"""Pure. The parameters people saved for a theme: texts in the Git repository data/config, a commit for each save.

`themes/<id>/params.yaml`, `auguments.yaml`, `optuna_params.yaml` and `gate.yaml` are kept as people write them. What
is not there has the shipped defaults. The first three are one family with one history, the last is another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from core.errors import Conflict, InvalidInput, NotFound
from core.params.auguments import Auguments
from core.params.changes import Change, changes
from core.params.fields import N_
from core.params.models import Params
from core.params.repository import Repository, blob_of
from core.params.text import FILES, GATE, PARAMETERS, Family, parse_yaml, shipped, to_yaml
from core.params.together import check_together
from core.settings import Settings

Model = TypeVar("Model", bound=BaseModel)
KNOWN: Family = tuple(FILES)
PROGRAM = "Veritrain"
"""Author of what no signed-in person saved."""
BY_HAND = N_("somebody outside Veritrain")
"""Author of what was edited in the folder itself."""


@dataclass(frozen=True)
class Files:
    """A theme's files of one family at one version."""

    version: str
    """Commit of the repository; "" before the first save."""
    texts: Mapping[type[BaseModel], str]
    """YAML as people left it, the shipped one where nothing was saved."""
    theme_id: int

    def model(self, model: type[Model]) -> Model:
        """The file's parameters. Raises InvalidInput naming the file when it was damaged by hand."""
        try:
            return parsed(self.texts[model], model)
        except InvalidInput as error:
            raise InvalidInput(
                "The saved file {file} cannot be read; save the parameters again. {reason}",
                file=f"config/{path_of(self.theme_id, model)}",
                reason=error.text(),
            ) from error

    @property
    def family(self) -> Family:
        return tuple(self.texts)

    def models(self) -> tuple[BaseModel, ...]:
        """Those of all files. Raises as `model`."""
        return tuple(self.model(model) for model in self.texts)


class ChangedMeanwhile(Conflict):
    """Somebody saved a newer version than the one that this save was made from."""

    def __init__(self, who: str, when: str, found: Sequence[Change]) -> None:
        self.changes = tuple(found)
        super().__init__(
            "{who} saved these parameters at {when} UTC while you were changing them ({changes}). "
            "Nothing of yours is saved yet; look at the newer version first.",
            who=who,
            when=when,
            changes="",
        )

    def text(self, translate: Callable[[str], str] = str) -> str:
        shown = [change.text(translate) for change in self.changes[:5]]
        if len(self.changes) > len(shown):
            shown.append("…")
        return translate(self.message).format(**self.fields | {"changes": "; ".join(shown) or "–"})


def files(settings: Settings, theme_id: int, of: Family = PARAMETERS) -> Files:
    """The theme's files as they are now. Raises Unavailable when there are saved ones and git does not work."""
    repository = _settled(settings, theme_id)
    return _at(repository, theme_id, repository.head() or "", of)


def files_at(settings: Settings, theme_id: int, version: str, of: Family = PARAMETERS) -> Files:
    """The theme's files at an earlier version. Raises NotFound when there is none of that name."""
    repository = _settled(settings, theme_id)
    return _at(repository, theme_id, _known(repository, version), of)


def saved(settings: Settings, theme_id: int) -> tuple[Params, Auguments]:
    """What the next training of the theme uses; the shipped defaults where none were saved.

    Raises InvalidInput naming the file when one was damaged by hand.
    """
    found = files(settings, theme_id)
    return found.model(Params), found.model(Auguments)


def saved_text(settings: Settings, theme_id: int, model: type[BaseModel]) -> str:
    """The YAML of one of the theme's files as people last left it, comments included."""
    return files(settings, theme_id, _family(model)).texts[model]


def save(
    settings: Settings, theme_id: int, author: str, *models: BaseModel, base: str | None = None
) -> Files:
    """Save what a person set; comments of the saved texts stay, files that are not given stay as they are.

    The models are of one family. `base` and what is raised: see `save_texts`.
    """
    now = files(settings, theme_id, _family(*map(type, models)))
    texts = {}
    for model in models:
        try:
            texts[type(model)] = to_yaml(model, now.texts[type(model)])
        except InvalidInput:  # the saved text is damaged; this one replaces it
            texts[type(model)] = to_yaml(model)
    return save_texts(settings, theme_id, author, texts, base=base)


def save_texts(
    settings: Settings,
    theme_id: int,
    author: str,
    texts: Mapping[type[BaseModel], str],
    *,
    base: str | None = None,
) -> Files:
    """Save the YAML a person wrote as it is: one commit by `author`, on disk when this returns.

    The texts are of one family. `base` is the version that the person saw. Raises ChangedMeanwhile when the family's
    files have changed since then, InvalidInput as `parse_yaml`, Unavailable when git does not work; then nothing is
    saved.
    """
    for model, text in texts.items():
        parsed(text, model)
    of = _family(*texts)
    with _locked(settings, theme_id) as repository:
        before = _at(repository, theme_id, repository.head() or "", of)
        _agree({**before.texts, **texts})
        if base is not None and base != before.version:
            _refuse_if_changed(repository, before, base)
        return _commit(repository, before, author, texts)


def restore(
    settings: Settings,
    theme_id: int,
    author: str,
    version: str,
    *,
    base: str | None = None,
    of: Family = PARAMETERS,
) -> Files:
    """Make an earlier version the newest one again: a new commit with its texts. Raises as `save_texts`."""
    earlier = files_at(settings, theme_id, version, of)
    return save_texts(settings, theme_id, author, earlier.texts, base=base)


@lru_cache(maxsize=512)
def parsed(text: str, model: type[Model]) -> Model:
    """`parse_yaml`, remembered: the models are frozen, and a screen asks for the same ones again and again."""
    return parse_yaml(text, model)


def path_of(theme_id: int, model: type[BaseModel]) -> str:
    """Where a file lies in the repository."""
    return f"themes/{int(theme_id)}/{FILES[model]}"


def paths_of(theme_id: int, of: Family = KNOWN) -> dict[str, type[BaseModel]]:
    return {path_of(theme_id, model): model for model in of}


def repository_of(settings: Settings) -> Repository:
    return Repository(settings.data_dir / "config")


def readable(text: str, model: type[Model]) -> Model | None:
    """The parameters in a text of the history; None where it was damaged or is of another format."""
    try:
        return parsed(text, model)
    except InvalidInput:
        return None


def _family(*models: type[BaseModel]) -> Family:
    """Of which family the files are; without any, of the parameters."""
    return GATE if set(models) & set(GATE) else PARAMETERS


def _at(repository: Repository, theme_id: int, version: str, of: Family) -> Files:
    stored = repository.files(version or None)
    blobs = {model: stored[path] for path, model in paths_of(theme_id, of).items() if path in stored}
    contents = repository.texts(list(blobs.values())) if blobs else {}
    texts = {model: contents[blob].decode("utf-8", "replace") for model, blob in blobs.items()}
    return Files(version, {model: texts.get(model) or shipped(model) for model in of}, theme_id)


def _known(repository: Repository, version: str) -> str:
    """The full id of a version that may be given by its first characters."""
    if 4 <= len(version) <= 40 and set(version) <= set("0123456789abcdef") and repository.head():
        found = repository.resolve(version)
        if found is not None:
            return found
    raise NotFound("There is no version “{version}” of these parameters.", version=version[:40])


def _settled(settings: Settings, theme_id: int) -> Repository:
    """The repository, with what was left to be taken over taken over; asks git only when something is."""
    repository = repository_of(settings)
    if _earlier_places(repository.folder) or not repository.is_clean(list(paths_of(theme_id))):
        with _locked(settings, theme_id):
            pass
    return repository


@contextmanager
def _locked(settings: Settings, theme_id: int) -> Iterator[Repository]:
    repository = repository_of(settings)
    with repository.locked():
        _take_over(repository)
        edited = repository.settle(list(paths_of(theme_id)))
        if edited:
            repository.commit(edited, BY_HAND, f"Theme {theme_id}: edited in the folder\n")
        yield repository


def _refuse_if_changed(repository: Repository, now: Files, base: str) -> None:
    paths = paths_of(now.theme_id, now.family)
    seen = repository.files(_known(repository, base) if base else None)
    stored = repository.files(now.version or None)
    if all(seen.get(path) == stored.get(path) for path in paths):
        return
    newest = repository.log(paths, now.version, 1)[0]
    before = _at(repository, now.theme_id, base, now.family)
    found = [
        change
        for model in now.family
        if (old := readable(before.texts[model], model)) and (new := readable(now.texts[model], model))
        for change in changes([old], [new])
    ]
    raise ChangedMeanwhile(newest.author, f"{newest.at:%Y-%m-%d %H:%M}", found)


def _agree(after: Mapping[type[BaseModel], str]) -> None:
    """Raises InvalidInput where the files would contradict each other."""
    if Params not in after:
        return
    params, auguments = readable(after[Params], Params), readable(after[Auguments], Auguments)
    if (
        params is not None and auguments is not None
    ):  # a file that was damaged by hand is told when it is used
        check_together(params, auguments)


def _commit(
    repository: Repository, before: Files, author: str, texts: Mapping[type[BaseModel], str]
) -> Files:
    theme_id = before.theme_id
    stored = repository.files(before.version or None)
    # A file that was never saved and still says what is shipped goes on following what is shipped.
    changed = {
        path: texts[model]
        for path, model in paths_of(theme_id, before.family).items()
        if model in texts and texts[model] != before.texts[model]
    }
    if not changed:
        return before
    lines = []
    for path, text in changed.items():
        model = paths_of(theme_id)[path]
        old = readable(before.texts[model], model) if path in stored else readable(shipped(model), model)
        lines += [change.text() for change in changes([old], [parsed(text, model)])] if old else []
    subject = f"Theme {theme_id}: " + (
        lines[0] if len(lines) == 1 else f"{len(lines)} settings" if lines else "comments"
    )
    body = "".join(f"{line}\n" for line in lines) if len(lines) > 1 else ""
    version = repository.commit(
        {path: text.encode("utf-8") for path, text in changed.items()}, author, f"{subject}\n\n{body}"
    )
    return _at(repository, theme_id, version, before.family)


def _earlier_places(folder: Path) -> list[tuple[Path, str]]:
    """Files where they lay before there was a repository, config/theme-<id>/, each with its path within it."""
    return [
        (path, f"themes/{number}/{path.name}")
        for path in sorted(folder.glob("theme-*/*.yaml"))
        if (number := path.parent.name.removeprefix("theme-")).isdecimal() and path.name in FILES.values()
    ]


def _take_over(repository: Repository) -> None:
    found = _earlier_places(repository.folder)
    if not found:
        return
    stored = repository.files(repository.head())
    texts = {path: file.read_bytes() for file, path in found}
    for path in [path for path, text in texts.items() if stored.get(path) == blob_of(text)]:
        del texts[path]
    if texts:
        repository.commit(texts, PROGRAM, "Parameters from before their history was kept\n")
    for file, _ in found:
        file.unlink()
        if not any(file.parent.iterdir()):
            file.parent.rmdir()
