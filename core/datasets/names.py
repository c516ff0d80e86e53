"""Stored. What a text dataset may be called; no two that are not deleted share a name."""

from __future__ import annotations

import sqlalchemy as sa

from core import storable
from core.db.engine import hold
from core.db.text_tables import training_datasets
from core.errors import Conflict, InvalidInput
from core.labels import name_problem, normal

MAX_NAME = 200
MAX_DESCRIPTION = 10_000

_D = training_datasets.c


def checked(name: str) -> str:
    """The name as it is kept. Raises InvalidInput."""
    name = normal(name)
    match name_problem(name, MAX_NAME):
        case "empty":
            raise InvalidInput("The dataset's name is empty; type at least one character.")
        case "long":
            raise InvalidInput(
                "The dataset's name has {n} characters; use at most {limit}.", n=len(name), limit=MAX_NAME
            )
        case "control":
            raise InvalidInput("The dataset's name has a control character or line break in it; remove it.")
    return name


def checked_description(text: str) -> str:
    """The description as it is kept. Raises InvalidInput."""
    text = storable.check("description", normal(text))
    if len(text) > MAX_DESCRIPTION:
        raise InvalidInput(
            "The description has {n} characters; use at most {limit}.", n=len(text), limit=MAX_DESCRIPTION
        )
    return text


def refuse_taken(connection: sa.Connection, name: str, but: int | None = None) -> None:
    """Raises Conflict where another dataset than `but` has the name, in any case.

    Until the transaction ends nobody else takes a name.
    """
    hold(connection, "training_datasets.name")
    # Compared here, not in SQL: the two backends fold the case of letters beyond ASCII differently.
    rows = connection.execute(sa.select(_D.id, _D.name).where(_D.deleted_at.is_(None)))
    if any(row.name.casefold() == name.casefold() and row.id != but for row in rows):
        raise Conflict("There is a dataset named “{name}” already; choose another name.", name=name)
