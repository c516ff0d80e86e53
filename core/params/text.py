"""Pure. Parameters from and to YAML; every mistake becomes one sentence that names place and remedy."""

from __future__ import annotations

import difflib
import io
import types
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from core.errors import InvalidInput
from core.params.auguments import Auguments
from core.params.fields import N_, bounds
from core.params.models import Params
from core.params.promotion import GatePolicy
from core.params.tuning import OptunaParams
from core.settings import ROOT

MAX_CHARACTERS = 100_000
"""More than a hundred times the shipped file; a longer text is a mistake."""

FILES: dict[type[BaseModel], str] = {
    Params: "params.yaml",
    Auguments: "auguments.yaml",
    OptunaParams: "optuna_params.yaml",
    GatePolicy: "gate.yaml",
}
Family = tuple[type[BaseModel], ...]
PARAMETERS: Family = (Params, Auguments, OptunaParams)
"""What trainings and searches read. The files of a family are saved, compared and restored together."""
GATE: Family = (GatePolicy,)

Model = TypeVar("Model", bound=BaseModel)


def parse_yaml(text: str, model: type[Model]) -> Model:
    """The parameters in `text`; what it does not name has its default.

    Raises InvalidInput: text that is no YAML (with line and column), unknown keys (with the nearest
    known one), values of the wrong type or out of range (with line, value and what is allowed).
    """
    if len(text) > MAX_CHARACTERS:
        raise InvalidInput(
            "The text has {count} characters; parameters have at most {limit}.",
            count=len(text),
            limit=MAX_CHARACTERS,
        )
    tree = _tree(text)
    if tree is None:
        tree = CommentedMap()
    if not isinstance(tree, CommentedMap):
        raise InvalidInput(
            "This is not a list of parameters; write lines such as “{example}”.",
            example="training: {epochs: 10}",
        )
    return _validated(_loaded(text, YAML(typ="safe", pure=True)) or {}, model, tree)


def check(values: Mapping[str, Any], model: type[Model]) -> Model:
    """The model of nested `values` (a form's, a run spec's). Raises InvalidInput as `parse_yaml`."""
    return _validated(values, model, None)


def to_yaml(model: BaseModel, like: str | None = None) -> str:
    """Commented YAML of `model`: the text `like` (the shipped file unless given) with the model's values."""
    tree = _tree(like) if like is not None else None
    if not isinstance(tree, CommentedMap):
        tree = _tree(shipped(type(model)))
    _fill(tree, model.model_dump(mode="json"))
    out = io.StringIO()
    _round_trip().dump(tree, out)
    return out.getvalue()


def json_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a parameter file, with titles, help, units, bounds and choices."""
    file = FILES[model]
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": file}
    return head | {name: part for name, part in model.model_json_schema().items() if name != "title"}


def load_defaults() -> tuple[Params, Auguments]:
    """What the root's params.yaml and auguments.yaml say."""
    return parse_yaml(shipped(Params), Params), parse_yaml(shipped(Auguments), Auguments)


def load_search() -> OptunaParams:
    """What the root's optuna_params.yaml says."""
    return parse_yaml(shipped(OptunaParams), OptunaParams)


@cache
def shipped(model: type[BaseModel]) -> str:
    """The commented YAML of the defaults, as it lies in the root."""
    return Path(ROOT, FILES[model]).read_text(encoding="utf-8")


def _round_trip() -> YAML:
    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = 110
    return yaml


def _tree(text: str) -> Any:
    return _loaded(text, _round_trip())


def _loaded(text: str, yaml: YAML) -> Any:
    try:
        return yaml.load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise InvalidInput(
            "Line {line}, column {column} is not valid YAML: {problem}.",
            line=mark.line + 1 if mark else 1,
            column=mark.column + 1 if mark else 1,
            problem=" ".join(str(error.problem or error.context).split()),
        ) from error
    except RecursionError as error:
        raise InvalidInput("The text is not valid YAML: it is nested too deeply.") from error
    except (YAMLError, ValueError) as error:
        raise InvalidInput(
            "The text is not valid YAML: {problem}.", problem=str(error).split("\n")[0]
        ) from error


def _fill(tree: CommentedMap, values: dict[str, Any]) -> None:
    for key, value in values.items():
        if value is None:
            tree.pop(key, None)
        elif isinstance(value, dict) and isinstance(tree.get(key), CommentedMap):
            _fill(tree[key], value)
        elif isinstance(value, list) and isinstance(tree.get(key), CommentedSeq):
            tree[key][:] = value
        elif key not in tree or tree[key] != value or isinstance(tree[key], bool) != isinstance(value, bool):
            tree[key] = value
    for key in set(tree) - set(values):
        del tree[key]


def _validated(values: Any, model: type[Model], tree: CommentedMap | None) -> Model:
    version = values.get("schema_version") if isinstance(values, Mapping) else None
    known = model.model_fields["schema_version"].default
    if type(version) is int and version > known:
        raise InvalidSetting(
            N_(
                "{file} has the format {version}, and this Veritrain reads formats up to {known}; update "
                "Veritrain, or take an earlier version of the file."
            ),
            file=FILES[model],
            version=version,
            known=known,
            line=_line(tree, ("schema_version",)),
        )
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise _sentence(error.errors(include_url=False)[0], model, tree) from None


class InvalidSetting(InvalidInput):
    """A value that cannot be accepted; the sentence begins with the line of the text, where there is one."""

    def text(self, translate: Callable[[str], str] = str) -> str:
        sentence = super().text(translate)
        if self.fields["line"] is None:
            return sentence
        return translate(N_("Line {line}: {sentence}")).format(line=self.fields["line"], sentence=sentence)


def _sentence(error: ErrorDetails, model: type[BaseModel], tree: CommentedMap | None) -> InvalidSetting:
    path = tuple(error["loc"])
    kind = error["type"]
    if path[-1:] == ("[key]",):  # the name of an entry
        path = path[:-1]
    if kind == "missing":  # too few numbers in a list: the list is what is wrong
        path = path[:-1]
    fields: dict[str, Any] = {
        "field": ".".join(map(str, path)),
        "line": _line(tree, path),
        "value": str(error["input"])[:80],
    }
    if kind == "extra_forbidden":
        known = _keys_of(model, path[:-1])
        near = difflib.get_close_matches(str(path[-1]), known, n=1, cutoff=0.5)
        return InvalidSetting(
            N_("“{field}” is not a known setting; did you mean “{near}”?")
            if near
            else N_("“{field}” is not a known setting; known here are: {known}."),
            near="".join(near),
            known=", ".join(known),
            **fields,
        )
    if kind == "literal_error":
        allowed = error["ctx"]["expected"].replace("'", "").replace(" or ", ", ")
        return InvalidSetting(
            N_("“{field}” is “{value}”; allowed are: {allowed}."), allowed=allowed, **fields
        )
    if kind in ("greater_than_equal", "less_than_equal"):
        low, high = _bounds_of(model, path)
        return InvalidSetting(
            N_("“{field}” is {value}; allowed is {low:.10g} to {high:.10g}."), low=low, high=high, **fields
        )
    return InvalidSetting(
        _WANTED.get(kind, N_("“{field}” cannot be “{value}”: {reason}.")), reason=error["msg"], **fields
    )


_NUMBERS = N_("“{field}” is “{value}”; write three numbers, such as [0.5, 0.5, 0.5].")
_SETTINGS = N_("“{field}” is “{value}”; write settings below it, each on its own line.")
_WHOLE = N_("“{field}” is “{value}”; write a whole number.")

_WANTED = {
    "int_type": _WHOLE,
    "int_from_float": _WHOLE,
    "float_type": N_("“{field}” is “{value}”; write a number."),
    "finite_number": N_("“{field}” is “{value}”; write an ordinary number."),
    "bool_type": N_("“{field}” is “{value}”; write true or false."),
    "string_type": N_("“{field}” is “{value}”; write a word."),
    "tuple_type": _NUMBERS,
    "missing": _NUMBERS,
    "too_long": _NUMBERS,
    "model_type": _SETTINGS,
    "model_attributes_type": _SETTINGS,
    "dict_type": _SETTINGS,
    "list_type": N_("“{field}” is “{value}”; write a list, such as [1, 2, 3]."),
}


def _line(tree: CommentedMap | None, path: tuple[Any, ...]) -> int | None:
    """Line (from 1) of the deepest part of `path` that the text names."""
    found: int | None = None
    node: Any = tree
    for part in path:
        try:
            line = node.lc.key(part)[0] if isinstance(node, CommentedMap) else node.lc.item(part)[0]
            node = node[part]
        except (AttributeError, KeyError, IndexError, TypeError):
            break
        found = line + 1
    return found


def _inner(model: type[BaseModel], path: tuple[Any, ...]) -> Any:
    """The annotation at `path`."""
    found: Any = model
    for part in path:
        if isinstance(found, type) and issubclass(found, BaseModel):
            info = found.model_fields.get(str(part))
            found = info.annotation if info else None
        else:
            found = (get_args(found) or (None,))[-1 if get_origin(found) is dict else 0]
        if get_origin(found) in (Union, types.UnionType):
            found = get_args(found)[0]
    return found


def _keys_of(model: type[BaseModel], path: tuple[Any, ...]) -> list[str]:
    found = _inner(model, path)
    return list(found.model_fields) if isinstance(found, type) and issubclass(found, BaseModel) else []


def _bounds_of(model: type[BaseModel], path: tuple[Any, ...]) -> tuple[float | None, float | None]:
    owner = _inner(model, path[:-1])
    if get_origin(owner) is dict:
        return bounds(FieldInfo.from_annotation(get_args(owner)[-1]))
    return bounds(owner.model_fields[str(path[-1])])
