"""Pure. What differs between two sets of parameters, as sentences, and two people's changes put together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel

from core.params.fields import N_, FormField, form_fields, with_values
from core.params.models import Params
from core.params.text import check
from core.params.tuning import OptunaParams

Model = TypeVar("Model", bound=BaseModel)
Translate = Callable[[str], str]


@dataclass(frozen=True)
class Change:
    """One setting that differs."""

    name: str
    """Its dotted name in the file: `training.learning_rate`."""
    before: Any
    now: Any
    """None where a search does not try the parameter."""
    field: FormField
    searched: bool = False
    """The values are what a search may try for the field, not the field's own."""

    def text(self, translate: Translate = str) -> str:
        """One sentence without a stop: “Learning rate: 0.001 → 0.0003”, “Patience: 5 → 7 epochs”."""
        unit = f" {translate(self.field.unit)}" if self.field.unit and not self.searched else ""
        return (
            f"{self.label(translate)}: {self.shown(self.before, translate)} → "
            f"{self.shown(self.now, translate)}{unit}"
        )

    def label(self, translate: Translate = str) -> str:
        """The setting's title, with its group's where titles repeat themselves between groups."""
        named = label(self.field, translate)
        return translate(N_("Search over “{title}”")).format(title=named) if self.searched else named

    def shown(self, value: Any, translate: Translate = str) -> str:
        """A value as people read it, without its unit."""
        if not self.searched:
            return shown(self.field, value, translate)
        if value is None:
            return translate(N_("not tried"))
        if value.choices is not None:
            return ", ".join(shown(self.field, choice, translate) for choice in value.choices)
        sentence = N_("{low} to {high}, evenly over powers of ten") if value.log else N_("{low} to {high}")
        return translate(sentence).format(
            low=shown(self.field, value.low, translate), high=shown(self.field, value.high, translate)
        )


def changes(before: Sequence[BaseModel], now: Sequence[BaseModel]) -> list[Change]:
    """What differs between the files of two versions, in the order of the forms; files are matched by their model."""
    earlier = {type(model): model for model in before}
    return [
        change for model in now if type(model) in earlier for change in _of_one(earlier[type(model)], model)
    ]


def merged(base: Model, theirs: Model, mine: Model) -> tuple[Model, list[Change]]:
    """Their version with what I changed since `base`, and those of their changes that mine replaced.

    Raises InvalidInput when the two do not go together.
    """
    values, lost = {}, []
    for field in form_fields(type(base)):
        old, other, own = (field.value(model) for model in (base, theirs, mine))
        values[field.path] = other if own == old else own
        if own != old and other not in (old, own):
            lost.append(Change(field.name, other, own, field))
    return check(with_values(type(base), values), type(base)), lost


def label(field: FormField, translate: Translate = str) -> str:
    """A field's title; with its group's title where the group is smaller than a section."""
    if field.group == field.section:
        return translate(field.title)
    if field.path[-1] == "enabled":
        return translate(field.group)
    return f"{translate(field.group)}, {translate(field.title)}"


def shown(field: FormField, value: Any, translate: Translate = str) -> str:
    """A field's value as people read it, without its unit."""
    if field.kind == "choice":
        return translate(field.choices[value]).split(" – ")[0]
    if field.kind == "bool":
        return translate(N_("on")) if value else translate(N_("off"))
    if field.kind == "numbers":
        return ", ".join(_number(part) for part in value)
    if field.kind == "scores":
        return ", ".join(f"{name} {_number(score)}" for name, score in value.items()) or translate(N_("none"))
    return _number(value) if isinstance(value, float) else str(value)


def _number(value: float) -> str:
    """0.0003 and 10 rather than 3e-04 and 10.0."""
    return f"{value:.10f}".rstrip("0").rstrip(".") if 1e-7 <= abs(value) < 1e6 else f"{value:g}"


def _of_one(before: BaseModel, now: BaseModel) -> Iterator[Change]:
    for field in form_fields(type(now)):
        old, new = field.value(before), field.value(now)
        if old != new:
            yield Change(field.name, old, new, field)
    if isinstance(before, OptunaParams) and isinstance(now, OptunaParams):
        for field in form_fields(Params):
            old, new = before.search.get(field.name), now.search.get(field.name)
            if old != new:
                yield Change(f"search.{field.name}", old, new, field, searched=True)
