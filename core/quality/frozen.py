"""Stored. The frozen test set: which images a theme's marks are measured on, by hash, and what became of them since.

Frozen when the first training starts, or by a trainer. From then on no image is dealt to test; the
set itself is a row an image in `frozen_tests`, its hash and date lie with the theme.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from core import themes
from core.db.engine import bulk_insert
from core.db.tables import frozen_tests, labels, train_data, users
from core.db.tables import themes as theme_rows
from core.workbench import Workbench

NAMED = 50
"""Changed images that are named one by one; the rest are counted."""

_image, _frozen = train_data.c, frozen_tests.c


@dataclass(frozen=True)
class FrozenTest:
    hash: str
    """See `content_hash`."""
    images: int
    at: datetime
    by: str | None
    reason: str
    """Why it was frozen anew; empty the first time."""


@dataclass(frozen=True)
class Changed:
    image_id: int
    file_name: str
    how: str
    """gone (deleted, or without its label), relabelled, or added."""


@dataclass(frozen=True)
class Drifted:
    """How many images the test set differs in from the frozen one, by how; see Changed."""

    gone: int
    relabelled: int
    added: int


def get(wb: Workbench, theme_id: int) -> FrozenTest | None:
    """None where the test set is not frozen yet. Raises NotFound."""
    themes.get(wb, theme_id)
    with wb.db.read() as connection:
        saved = _saved(connection, theme_id)
        if saved is None:
            return None
        name = connection.execute(sa.select(users.c.name).where(users.c.id == saved["by"])).scalar()
    return FrozenTest(
        saved["hash"], saved["images"], datetime.fromisoformat(saved["at"]), name, saved["reason"]
    )


def changes(wb: Workbench, theme_id: int) -> list[Changed]:
    """The first NAMED images in which the test set is no longer the frozen one, by id. Raises NotFound."""
    themes.get(wb, theme_id)
    how = _how()
    query = (
        sa.select(_image.id, _image.file_name, how)
        .select_from(_both())
        .where(_image.theme_id == theme_id, how.is_not(None))
        .order_by(_image.id)
        .limit(NAMED)
    )
    with wb.db.read() as connection:
        if not is_frozen(connection, theme_id):
            return []
        return [Changed(*row) for row in connection.execute(query)]


def drifted(connection: sa.Connection, theme_id: int) -> Drifted | None:
    """None where the test set is not frozen yet."""
    if not is_frozen(connection, theme_id):
        return None
    how = _how()
    query = (
        sa.select(how, sa.func.count())
        .select_from(_both())
        .where(_image.theme_id == theme_id, how.is_not(None))
        .group_by(how)
    )
    counts: dict[str | None, int] = dict(connection.execute(query).tuples().all())
    return Drifted(counts.get("gone", 0), counts.get("relabelled", 0), counts.get("added", 0))


def is_frozen(connection: sa.Connection, theme_id: int) -> bool:
    return _saved(connection, theme_id) is not None


def members(connection: sa.Connection, theme_id: int) -> set[int]:
    """Ids of the images that the frozen set has; empty where none is frozen."""
    return set(connection.execute(sa.select(_frozen.image_id).where(_frozen.theme_id == theme_id)).scalars())


def write(connection: sa.Connection, theme_id: int, user_id: int, reason: str) -> dict[str, Any] | None:
    """Freeze the labelled test images as they are now; None, and nothing done, where there are none.

    Within the caller's transaction, in which the theme must be locked. Returns hash, images, at, by, reason.
    """
    query = (
        sa.select(_image.id, _image.sha256, _image.label_id, labels.c.name)
        .select_from(train_data)
        .join(labels, labels.c.id == _image.label_id)
        .where(_image.theme_id == theme_id, _image.deleted_at.is_(None), _image.split == "test")
    )
    rows = connection.execute(query).all()
    if not rows:
        return None
    connection.execute(frozen_tests.delete().where(_frozen.theme_id == theme_id))
    bulk_insert(
        connection,
        frozen_tests,
        [{"image_id": row.id, "theme_id": theme_id, "label_id": row.label_id} for row in rows],
    )
    saved = {
        "hash": content_hash((row.sha256, row.name) for row in rows),
        "images": len(rows),
        "at": datetime.now(UTC).isoformat(),
        "by": user_id,
        "reason": reason,
    }
    connection.execute(theme_rows.update().where(theme_rows.c.id == theme_id).values(frozen_test=saved))
    return saved


def content_hash(pairs: Iterable[tuple[str, str]]) -> str:
    """SHA-256 over one JSON line for each (SHA-256 of the image's file, name of its label), sorted.

    The same images with the same labels give the same hash in any installation.
    """
    digest = hashlib.sha256()
    for pair in sorted(pairs):
        digest.update(json.dumps(pair, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
    return digest.hexdigest()


def _saved(connection: sa.Connection, theme_id: int) -> dict[str, Any] | None:
    query = sa.select(theme_rows.c.frozen_test).where(theme_rows.c.id == theme_id)
    saved: dict[str, Any] | None = connection.execute(query).scalar_one_or_none()
    return saved


def _both() -> sa.FromClause:
    return train_data.outerjoin(frozen_tests, _frozen.image_id == _image.id)


def _how() -> sa.ColumnElement[str | None]:
    """What happened to an image as seen from the frozen set; NULL where nothing did."""
    tests = sa.and_(_image.split == "test", _image.deleted_at.is_(None), _image.label_id.is_not(None))
    return sa.case(
        (sa.and_(_frozen.image_id.is_(None), tests), "added"),
        (_frozen.image_id.is_(None), None),
        (sa.not_(sa.func.coalesce(tests, sa.false())), "gone"),
        (_image.label_id != _frozen.label_id, "relabelled"),
        else_=None,
    )
