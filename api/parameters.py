"""The parameters of a theme: read, saved, compared with earlier ones and with those of runs, restored."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict

from api.deps import Bench, Id, Trainer, Viewer
from api.router import Router
from core import params, runs, themes
from core.errors import NotFound
from core.i18n import gettext as _
from core.workbench import Workbench

router = Router(tags=["training"])

PARTS: dict[str, type[BaseModel]] = {
    "params": params.Params,
    "auguments": params.Auguments,
    "optuna_params": params.OptunaParams,
}
Part = Literal["params", "auguments", "optuna_params"]


class Config(BaseModel):
    """A part that is left out stays as it is; each is the content of its YAML file."""

    model_config = ConfigDict(extra="forbid")

    params: dict[str, Any] | None = None
    auguments: dict[str, Any] | None = None
    optuna_params: dict[str, Any] | None = None
    version: str | None = None
    """The version it was made from: the save is refused where somebody saved a newer one since."""


class Restore(BaseModel):
    model_config = ConfigDict(extra="forbid")

    version: str
    """The version to go back to; its first characters are enough."""


class ConfigOut(BaseModel):
    params: dict[str, Any]
    auguments: dict[str, Any]
    optuna_params: dict[str, Any]
    version: str
    """Names this state; empty before the first save."""


class ChangeOut(BaseModel):
    name: str
    before: Any
    now: Any
    text: str


class VersionOut(BaseModel):
    id: str
    author: str
    at: datetime
    changes: list[str]


def _out(found: params.Files) -> ConfigOut:
    parts = {name: found.model(model).model_dump(mode="json") for name, model in PARTS.items()}
    return ConfigOut(**parts, version=found.version)


@router.get("/params/schema/{part}", summary="JSON Schema of a parameter file")
def get_schema(_user: Viewer, part: Part) -> dict[str, Any]:
    return params.json_schema(PARTS[part])


@router.get("/theme/{theme_id}/training/config", summary="The theme's parameters")
def get_config(wb: Bench, _user: Viewer, theme_id: Id, version: str | None = None) -> ConfigOut:
    """With `version`, as they were then."""
    themes.get(wb, theme_id)
    if version is None:
        return _out(params.files(wb.settings, theme_id))
    return _out(params.files_at(wb.settings, theme_id, version))


@router.get("/theme/{theme_id}/training/config/text/{part}", summary="One file as YAML, comments included")
def get_text(wb: Bench, _user: Viewer, theme_id: Id, part: Part) -> dict[str, str]:
    themes.get(wb, theme_id)
    return {"text": params.saved_text(wb.settings, theme_id, PARTS[part])}


@router.post("/theme/{theme_id}/training/config/save", summary="Save the theme's parameters")
def save_config(wb: Bench, user: Trainer, theme_id: Id, body: Config) -> ConfigOut:
    themes.get(wb, theme_id)
    given = {model: getattr(body, name) for name, model in PARTS.items()}
    models = [params.check(values, model) for model, values in given.items() if values is not None]
    return _out(params.save(wb.settings, theme_id, user.name, *models, base=body.version))


@router.get("/theme/{theme_id}/training/config/history", summary="Who changed the parameters, when, and what")
def get_history(
    wb: Bench,
    _user: Viewer,
    theme_id: Id,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    before: str | None = None,
) -> list[VersionOut]:
    """Newest first; `before` is the last version of the page before."""
    themes.get(wb, theme_id)
    found = params.history(wb.settings, theme_id, limit=limit, before=before)
    return [VersionOut(id=v.id, author=v.author, at=v.at, changes=v.sentences(_)) for v in found]


@router.get("/theme/{theme_id}/training/config/diff", summary="What differs between two states")
def get_diff(
    wb: Bench,
    _user: Viewer,
    theme_id: Id,
    before: Annotated[str, Query(description="A version, “now”, “defaults”, or a run as “run-7”.")],
    now: Annotated[str, Query(description="As `before`.")] = "now",
) -> list[ChangeOut]:
    themes.get(wb, theme_id)
    earlier, later = (_state(wb, theme_id, name) for name in (before, now))
    return [
        ChangeOut(name=c.name, before=c.before, now=c.now, text=c.text(_))
        for c in params.changes(earlier, later)
    ]


@router.post("/theme/{theme_id}/training/config/restore", summary="Make an earlier version the newest again")
def restore_config(wb: Bench, user: Trainer, theme_id: Id, body: Restore) -> ConfigOut:
    themes.get(wb, theme_id)
    return _out(params.restore(wb.settings, theme_id, user.name, body.version))


def _state(wb: Workbench, theme_id: int, name: str) -> Sequence[BaseModel]:
    if name == "now":
        return params.files(wb.settings, theme_id).models()
    if name == "defaults":
        return *params.load_defaults(), params.load_search()
    if name.startswith("run-") and name[4:].isdecimal() and len(name) < 20:
        run = runs.get(wb, int(name[4:]))
        if run.theme_id != theme_id:
            raise NotFound("There is no run {id} in this theme.", id=run.id)
        return runs.parameters(run)
    return params.files_at(wb.settings, theme_id, name).models()
