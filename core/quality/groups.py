"""Stored. Groups of a theme's images: one product, patient or camera, which lies on one side of the split.

An import may bring them (a column `group`); the theme's pattern reads those of other images from the
file names. What an import brought is never overwritten by the pattern.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from core import themes
from core.db.engine import relation
from core.db.tables import train_data
from core.quality import conditions, group_names
from core.workbench import Workbench

PART = 100_000
"""Images read or written by one statement."""
LARGEST = 5
EXAMPLES = 3
"""File names shown of a group, and of what is in none."""

_image = train_data.c


@dataclass(frozen=True)
class Example:
    name: str
    images: int
    file_names: tuple[str, ...]
    """The first EXAMPLES."""


@dataclass(frozen=True)
class Preview:
    """What a pattern would do to the theme's live images."""

    images: int
    grouped: int
    """Images in a group by their name."""
    given: int
    """Images that keep the group an import brought, whatever the pattern says."""
    groups: int
    """By name."""
    largest: tuple[Example, ...]
    alone: tuple[str, ...]
    """File names of images that would be in no group: the first EXAMPLES."""
    torn: int
    """Groups, by name, whose labelled images lie in more than one split now."""


def preview(wb: Workbench, theme_id: int, pattern: str) -> Preview:
    """Raises InvalidInput for a pattern that is not right, NotFound."""
    group_names.check(pattern)
    themes.get(wb, theme_id)
    query = (
        sa.select(_image.file_name, _given(), _image.split, _image.label_id)
        .where(conditions.live(theme_id))
        .order_by(_image.id)
    )
    with wb.db.read() as connection:
        rows = connection.execute(query).all()
    keys = group_names.of([row.file_name for row in rows], pattern)
    members: dict[str, list[str]] = {}
    sizes: dict[str, int] = {}
    splits: dict[str, set[str]] = {}
    alone: list[str] = []
    given = 0
    for row, key in zip(rows, keys, strict=True):
        if row.given:
            given += 1
        elif key is None:
            if len(alone) < EXAMPLES:
                alone.append(row.file_name)
        else:
            sizes[key] = sizes.get(key, 0) + 1
            some = members.setdefault(key, [])
            if len(some) < EXAMPLES:
                some.append(row.file_name)
            if row.split is not None and row.label_id is not None:
                splits.setdefault(key, set()).add(row.split)
    largest = sorted(sizes, key=lambda key: (-sizes[key], key))[:LARGEST]
    return Preview(
        images=len(rows),
        grouped=sum(sizes.values()),
        given=given,
        groups=len(sizes),
        largest=tuple(Example(key, sizes[key], tuple(members[key])) for key in largest),
        alone=tuple(alone),
        torn=sum(1 for found in splits.values() if len(found) > 1),
    )


Keys = list[tuple[int, str | None]]
"""(image id, group by its name)."""


def read(
    connection: sa.Connection,
    theme_id: int,
    pattern: str,
    *,
    since: int = 0,
    ids: Sequence[int] | None = None,
) -> Keys:
    """Groups by name of images whose group no import brought: of those after the id `since`, or of `ids`."""
    query = sa.select(_image.id, _image.file_name).where(_image.theme_id == theme_id, ~_given_condition())
    found: Keys = []
    parts: list[Sequence[int] | None] = [None]
    if ids is not None:
        parts = [ids[start : start + PART] for start in range(0, len(ids), PART)]
    for part in parts:
        if part is None:
            rows = connection.execute(query.where(_image.id > since)).all()
        else:
            within = sa.text("SELECT unnest(CAST(:ids AS BIGINT[]))")
            rows = connection.execute(query.where(_image.id.in_(within)), {"ids": list(part)}).all()
        keys = group_names.of([row.file_name for row in rows], pattern)
        found += zip((row.id for row in rows), keys, strict=True)
    return found


def write(connection: sa.Connection, keys: Keys) -> None:
    """Set the groups; an image whose group an import brought meanwhile keeps it."""
    now = datetime.now(UTC)
    for start in range(0, len(keys), PART):
        rows = [{"id": image_id, "group_name": key} for image_id, key in keys[start : start + PART]]
        with relation(connection, train_data, rows) as (source, given):
            connection.execute(
                sa.text(
                    "UPDATE train_data SET group_name = g.key, group_by_name = g.key IS NOT NULL,"
                    " updated_at = CAST(:now AS TIMESTAMPTZ)"
                    f" FROM (SELECT id, CAST(group_name AS VARCHAR) AS key FROM {source}) AS g"
                    " WHERE train_data.id = g.id AND train_data.group_name IS DISTINCT FROM g.key"
                    " AND (train_data.group_name IS NULL OR train_data.group_by_name)"
                ),
                {**given, "now": now},
            )


def _given_condition() -> sa.ColumnElement[bool]:
    return sa.and_(
        _image.group_name.is_not(None), sa.func.coalesce(_image.group_by_name, sa.false()).is_(sa.false())
    )


def _given() -> sa.Label[bool]:
    return sa.case((_given_condition(), sa.true()), else_=sa.false()).label("given")
