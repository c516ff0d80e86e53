"""Pure. The parameters people saved for a theme: two YAML files under data/config/theme-<id>/."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from core.errors import InvalidInput
from core.params.auguments import Auguments
from core.params.models import Params
from core.params.text import FILES, load_defaults, parse_yaml, to_yaml
from core.settings import Settings

Model = TypeVar("Model", bound=BaseModel)


def saved(settings: Settings, theme_id: int) -> tuple[Params, Auguments]:
    """The theme's parameters; the shipped defaults where none were saved.

    Raises InvalidInput naming the file when one was damaged by hand.
    """
    params, auguments = load_defaults()
    return (
        _load(settings, theme_id, Params) or params,
        _load(settings, theme_id, Auguments) or auguments,
    )


def saved_text(settings: Settings, theme_id: int, model: type[BaseModel]) -> str:
    """The YAML of one of the theme's files as people last left it, comments included."""
    path = _path(settings, theme_id, model)
    if path.exists():
        return path.read_text(encoding="utf-8")
    params, auguments = load_defaults()
    return to_yaml(params if model is Params else auguments)


def save(settings: Settings, theme_id: int, params: Params, auguments: Auguments) -> None:
    """Save both for the theme; comments of an earlier saved text stay."""
    for model in (params, auguments):
        path = _path(settings, theme_id, type(model))
        like = path.read_text(encoding="utf-8") if path.exists() else None
        try:
            text = to_yaml(model, like)
        except InvalidInput:  # the old text is damaged; what is saved now replaces it
            text = to_yaml(model)
        _write(path, text)


def save_text(settings: Settings, theme_id: int, text: str, model: type[Model]) -> Model:
    """Save the YAML a person wrote as it is. Raises InvalidInput as `parse_yaml`; then nothing is saved."""
    values = parse_yaml(text, model)
    _write(_path(settings, theme_id, model), text)
    return values


def _path(settings: Settings, theme_id: int, model: type[BaseModel]) -> Path:
    return settings.data_dir / "config" / f"theme-{int(theme_id)}" / FILES[model]


def _load(settings: Settings, theme_id: int, model: type[Model]) -> Model | None:
    path = _path(settings, theme_id, model)
    if not path.exists():
        return None
    try:
        return parse_yaml(path.read_text(encoding="utf-8"), model)
    except InvalidInput as error:
        raise InvalidInput(
            "The saved file {file} cannot be read; save the parameters again. {reason}",
            file=f"config/{path.parent.name}/{path.name}",
            reason=error.text(),
        ) from error


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
