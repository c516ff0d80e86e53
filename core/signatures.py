"""Pure. What a model of MLflow takes, by the signature in its MLmodel file: a text, a user, or a row of a table."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

import yaml

from core import storable
from core.errors import InvalidInput

VISION: Literal["vision"] = "vision"
TEXT: Literal["text"] = "text"
USERS: Literal["users"] = "users"
ROWS: Literal["rows"] = "rows"
KINDS = (VISION, TEXT, USERS, ROWS)
FIELDS = {VISION: "images", TEXT: "texts", USERS: "user_ids", ROWS: "rows"}
"""Under which name a request to the gateway holds what a model of each kind is asked about."""
IMAGE = "image"
"""The one column of the models that are trained here."""
USER_COLUMNS = frozenset({"user_id", "user", "userid"})
WHOLE = frozenset({"integer", "long"})
SCALARS = ("boolean", "integer", "long", "float", "double", "string", "datetime")
"""MLflow's types of a column that a value of JSON can have; binary is none."""
PYFUNC = "python_function"
"""The flavor that MLflow's model servers load."""
MAX_ARCHITECTURE = 64


@dataclass(frozen=True)
class Column:
    name: str
    """Empty where the signature gives its only column no name."""
    type: str
    """One of SCALARS."""
    required: bool


@dataclass(frozen=True)
class Signature:
    kind: str
    columns: tuple[Column, ...]
    flavor: str
    """MLflow's name of what made the model: sklearn, transformers, …"""


def read(uri: str, mlmodel: bytes) -> Signature:
    """Of the MLmodel file of the version `uri`. Raises InvalidInput where the gateway could not ask such a model."""
    try:
        found = yaml.safe_load(mlmodel)
        flavors = list(found["flavors"])
        signature = found.get("signature") or {}
        inputs = json.loads(signature.get("inputs") or "[]")
        said = [dict(each) for each in inputs]
    except (yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise InvalidInput(
            "The MLmodel file of “{uri}” cannot be read; log the model anew with MLflow.", uri=uri
        ) from None
    if PYFUNC not in flavors:
        raise InvalidInput(
            "“{uri}” has no flavor python_function, which model servers load; log it with one that has it, such as "
            "sklearn, transformers or pyfunc.",
            uri=uri,
        )
    columns = _columns(uri, said)
    flavor = next((str(each) for each in flavors if each != PYFUNC), PYFUNC)
    return Signature(_kind(columns), columns, flavor[:MAX_ARCHITECTURE])


def called(kind: str, theme_name: str, model_name: str) -> str:
    """A model as people know it: the theme's name, and of what was trained elsewhere its own, for there may be many."""
    return theme_name if kind == VISION else f"{theme_name} · {model_name}"


def _columns(uri: str, said: list[dict[str, Any]]) -> tuple[Column, ...]:
    if not said:
        raise InvalidInput(
            "“{uri}” has no signature, so nobody knows what it takes; log it anew with a signature or an input example.",
            uri=uri,
        )
    for each in said:
        if each.get("name") == IMAGE:
            raise InvalidInput(
                "“{uri}” takes the column “image”; models for images are trained here and register themselves.",
                uri=uri,
            )
        if each.get("type") == "tensor":
            raise InvalidInput(
                "“{uri}” takes tensors; log it with a signature of named columns of numbers or texts.",
                uri=uri,
            )
        if each.get("type") not in SCALARS:
            raise InvalidInput(
                "“{uri}” has a column of the type “{type}”; a column has to be one of {all}.",
                uri=uri,
                type=str(each.get("type"))[:40],
                all=", ".join(SCALARS),
            )
    columns = tuple(
        Column(
            storable.check("column", str(each.get("name") or "")),
            each["type"],
            bool(each.get("required", not each.get("optional", False))),
        )
        for each in said
    )
    if any(not each.name for each in columns) and (len(columns) > 1 or columns[0].type != "string"):
        raise InvalidInput(
            "“{uri}” has columns without a name; log it with a signature that names each.", uri=uri
        )
    return columns


def _kind(columns: tuple[Column, ...]) -> str:
    if len(columns) > 1:
        return ROWS
    only = columns[0]
    if only.name.casefold() in USER_COLUMNS and only.type in {*WHOLE, "string"}:
        return USERS
    return TEXT if only.type == "string" else ROWS
