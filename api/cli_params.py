"""`python -m api.cli params …`: a theme's parameters shown, set, compared and restored from the command line."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import httpx
import typer
from pydantic import BaseModel
from rich.table import Table
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from api.cli_client import ThemeName, ask, client, console, fail, find_theme
from core import params

app = typer.Typer(no_args_is_help=True, help="A theme's parameters: shown, set, compared, restored.")


class Part(StrEnum):
    """The three files, by their names without the ending."""

    params = "params"
    auguments = "auguments"
    optuna_params = "optuna_params"


MODELS: dict[Part, type[BaseModel]] = {
    Part.params: params.Params,
    Part.auguments: params.Auguments,
    Part.optuna_params: params.OptunaParams,
}
File = Annotated[Part, typer.Argument(help="Which file.")]
State = Annotated[str, typer.Argument(help="A version, now, defaults, or a run as run-7.")]


@app.command()
def schema(part: File = Part.params) -> None:
    """Print the JSON Schema of a file; no server is asked."""
    console.print_json(data=params.json_schema(MODELS[part]))


@app.command()
def show(theme: ThemeName, part: File = Part.params) -> None:
    """Print a file as it is saved, comments included."""
    with client() as http:
        found = ask(http, "GET", f"{_config(http, theme)}/text/{part}/")
    console.out(found["text"], end="", highlight=False)


@app.command("set")
def set_(
    theme: ThemeName,
    settings: Annotated[list[str], typer.Argument(help="Such as training.epochs=20.")],
) -> None:
    """Change settings; all of them or, where one is wrong, none."""
    given = [_setting(text) for text in settings]
    with client() as http:
        config = _config(http, theme)
        now = ask(http, "GET", f"{config}/")
        changed: dict[str, Any] = {"version": now["version"]}
        for name, value in given:
            part = _part(name)
            changed[part] = now[part]
            _put(now[part], name, value)
        saved = ask(http, "POST", f"{config}/save/", json=changed)
        _print_changes(http, config, now["version"] or "defaults", saved["version"] or "now")


@app.command()
def history(theme: ThemeName, limit: Annotated[int, typer.Option(min=1, max=100)] = 20) -> None:
    """List who changed the parameters, when, and what."""
    with client() as http:
        found = ask(http, "GET", f"{_config(http, theme)}/history/", params={"limit": limit})
    table = Table("Version", "When (UTC)", "Who", "What")
    for version in found:
        when = version["at"][:16].replace("T", " ")
        table.add_row(version["id"][:10], when, version["author"], "\n".join(version["changes"]))
    console.print(table)


@app.command()
def diff(theme: ThemeName, before: State, now: State = "now") -> None:
    """Say what differs between two states, one sentence for each setting."""
    with client() as http:
        _print_changes(http, _config(http, theme), before, now)


@app.command()
def restore(theme: ThemeName, version: Annotated[str, typer.Argument(help="As `history` shows it.")]) -> None:
    """Make an earlier version the newest again; nothing of the history is lost."""
    with client() as http:
        config = _config(http, theme)
        now = ask(http, "GET", f"{config}/")["version"] or "defaults"
        made = ask(http, "POST", f"{config}/restore/", json={"version": version})
        _print_changes(http, config, now, made["version"])


def _config(http: httpx.Client, theme: str) -> str:
    return f"/theme/{find_theme(http, theme)['id']}/training/config"


def _print_changes(http: httpx.Client, config: str, before: str, now: str) -> None:
    found = ask(http, "GET", f"{config}/diff/", params={"before": before, "now": now})
    for change in found:
        console.print(change["text"], markup=False, highlight=False)
    if not found:
        console.print("No setting differs.")


def _setting(text: str) -> tuple[str, Any]:
    """(dotted name, value) of `name=value`; the value is read as in the YAML files."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        fail(f"“{text}” is not a setting; write it as name=value, such as training.epochs=20.")
    try:
        return name.strip(), YAML(typ="safe", pure=True).load(value)
    except YAMLError:
        fail(f"The value of “{name}” cannot be read; put it in quotation marks.")


def _part(name: str) -> Part:
    """The file that a setting is in; the server says what is wrong with a name that is in none."""
    first = name.split(".")[0]
    return next((part for part, model in MODELS.items() if first in model.model_fields), Part.params)


def _put(values: dict[str, Any], name: str, value: Any) -> None:
    *groups, last = _parts(name)
    for group in groups:
        values = values.setdefault(group, {})
        if not isinstance(values, dict):
            fail(f"“{name}” does not exist: “{group}” is a setting itself.")
    values[last] = value


def _parts(name: str) -> list[str]:
    """Names of searched parameters have dots themselves: search.training.epochs.low."""
    first, *rest = name.split(".")
    if first != "search" or len(rest) < 3:
        return [first, *rest]
    return [first, ".".join(rest[:-1]), rest[-1]]
