"""Pure. How one parameter is declared, and the list of them that a form is drawn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

from core.i18n import N_ as N_

Kind = Literal["int", "float", "bool", "choice", "text", "numbers", "scores"]
"""`scores` is {name: number}."""


class Group(BaseModel):
    """Base of every parameter group: frozen, no unknown keys, no silent change of type."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def param(
    default: Any,
    title: str,
    description: str,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    step: float | None = None,
    choices: Mapping[str, str] | None = None,
) -> Any:
    """One parameter. `low` and `high` are inclusive; `step` is what a form's arrows add; `choices`
    gives each allowed word the name people read. Title, description, unit and those names are
    gettext messages."""
    extra: dict[str, Any] = {"unit": unit}
    if step is not None:
        extra["step"] = step
    if choices is not None:
        extra["choices"] = dict(choices)
    return Field(
        default=default, title=title, description=description, ge=low, le=high, json_schema_extra=extra
    )


def group(model: type[Group], title: str, description: str) -> Any:
    """A group of parameters inside another one; title and description are gettext messages."""
    return Field(default_factory=model, title=title, description=description)


def value_at(nested: Mapping[str, Any], name: str) -> Any:
    """The value with this dotted name. Raises KeyError where there is none."""
    value: Any = nested
    for part in name.split("."):
        value = value[part]
    return value


def with_value(nested: Mapping[str, Any], name: str, value: Any) -> dict[str, Any]:
    """A copy in which the value with this dotted name is another one. Raises KeyError where its group is missing."""
    first, _dot, rest = name.partition(".")
    return {**nested, first: with_value(nested[first], rest, value) if rest else value}


@dataclass(frozen=True)
class FormField:
    """One input of a form. Texts are English gettext messages."""

    path: tuple[str, ...]
    """Where the value lies: `("training", "epochs")`."""
    section: str
    """Title of the outermost group."""
    group: str
    """Title of the group the field lies in; the section's own for a field without a smaller group."""
    group_help: str
    title: str
    help: str
    unit: str
    kind: Kind
    default: Any
    low: float | None
    high: float | None
    step: float | None
    choices: dict[str, str]
    switch: tuple[str, ...] | None
    """Path of the on/off field that must be true for this one to have any effect."""

    @property
    def name(self) -> str:
        return ".".join(self.path)

    def value(self, model: BaseModel) -> Any:
        """This field's value in `model`."""
        found: Any = model
        for part in self.path:
            found = getattr(found, part)
        return found


def form_fields(model: type[BaseModel]) -> tuple[FormField, ...]:
    """The fields of a parameter file in the order in which a form shows them."""
    found: list[FormField] = []
    for name, info in model.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, Group):
            title = str(info.title)
            _walk(info.annotation, (name,), title, title, str(info.description), found)
        elif info.json_schema_extra:  # declared with `param`: a section of its own
            title = str(info.title)
            found.append(_leaf(info, (name,), title, title, str(info.description), None))
    return tuple(found)


def with_values(model: type[BaseModel], values: Mapping[tuple[str, ...], Any]) -> dict[str, Any]:
    """The nested dictionary of form values by path, to be given to `check`."""
    nested: dict[str, Any] = {}
    for path, value in values.items():
        inner = nested
        for part in path[:-1]:
            inner = inner.setdefault(part, {})
        inner[path[-1]] = value
    if "schema_version" in model.model_fields:
        nested["schema_version"] = model.model_fields["schema_version"].default
    return nested


def _walk(
    model: type[Group], path: tuple[str, ...], section: str, title: str, text: str, found: list[FormField]
) -> None:
    switch = (*path, "enabled") if "enabled" in model.model_fields else None
    for name, info in model.model_fields.items():
        here = (*path, name)
        if isinstance(info.annotation, type) and issubclass(info.annotation, Group):
            _walk(info.annotation, here, section, str(info.title), str(info.description), found)
            continue
        found.append(_leaf(info, here, section, title, text, switch if switch != here else None))


def _leaf(
    info: FieldInfo,
    path: tuple[str, ...],
    section: str,
    title: str,
    text: str,
    switch: tuple[str, ...] | None,
) -> FormField:
    extra: dict[str, Any] = dict(info.json_schema_extra or {})  # type: ignore[arg-type]
    low, high = bounds(info)
    return FormField(
        path=path,
        section=section,
        group=title,
        group_help=text,
        title=str(info.title),
        help=str(info.description),
        unit=str(extra.get("unit", "")),
        kind=_kind(info),
        default=info.get_default(call_default_factory=True),
        low=low,
        high=high,
        step=extra.get("step"),
        choices=dict(extra.get("choices", {})),
        switch=switch,
    )


def bounds(info: FieldInfo) -> tuple[float | None, float | None]:
    """The inclusive limits of a number, None where there is none."""
    low = next((m.ge for m in info.metadata if isinstance(m, Ge)), None)
    high = next((m.le for m in info.metadata if isinstance(m, Le)), None)
    return low, high  # type: ignore[return-value]


def _kind(info: FieldInfo) -> Kind:
    annotation = info.annotation
    if get_origin(annotation) is Literal and all(isinstance(word, str) for word in get_args(annotation)):
        return "choice"
    if get_origin(annotation) is tuple:
        return "numbers"
    if get_origin(annotation) is dict:
        return "scores"
    kinds: dict[Any, Kind] = {bool: "bool", int: "int", float: "float", str: "text"}
    return kinds[annotation]
