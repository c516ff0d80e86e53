"""Stored. Images of a theme: pages of them, counts, deletion. Labels are given in core.labelling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import sqlalchemy as sa

from core import audit, auth, themes
from core.archives import Refusal
from core.db.engine import fetch_column
from core.db.tables import image_findings, train_data, users
from core.errors import InvalidInput, NotFound
from core.image_filter import SPLITS, Filter, labels_at, live
from core.labelling import LIVE, MAX_CHANGES, Change, history, label, refuse_unknown
from core.quality import conditions
from core.quality.kinds import OF_LABELS
from core.uploads import UploadReport, add, thumbnail_key
from core.workbench import Workbench

__all__ = [
    "MAX_CHANGES", "SPLITS", "Change", "Filter", "Image", "Page", "Refusal", "Statistics", "UploadReport",
    "add", "delete", "get", "history", "ids", "label", "page", "rows", "statistics", "thumbnail_key",
]  # fmt: skip

MAX_PAGE = 1_000
EVERYTHING = Filter()
AUDIT_BELOW = "08"
"""Images whose SHA-256 is below this form the audit slice, 8 of 256."""


@dataclass(frozen=True)
class Image:
    id: int
    theme_id: int
    file_name: str
    """As it was uploaded, folders included; for people, never a path."""
    image_path: str
    """Key in the file store."""
    sha256: str
    phash: str
    format: str
    width: int
    height: int
    size: int
    """Bytes."""
    label_id: int | None
    split: str | None
    labeled_by: str | None
    labeled_at: datetime | None
    uploaded_by: str | None
    created_at: datetime
    group_name: str | None
    """Images of one group fall into one split."""
    import_id: int | None
    flag_note: str | None
    """None where nobody flagged it as unsure; may be empty."""
    suggested_label_id: int | None
    suggested_confidence: float | None
    likelier: dict[str, int]
    """By kind of finding (see kinds.OF_LABELS): the label that speaks against the one it has."""


@dataclass(frozen=True)
class Page:
    """Images newest first; `next` is the key to give as `after` for the following page, None at the end."""

    items: list[Image]
    next: int | None


@dataclass(frozen=True)
class Statistics:
    """Counts of a theme's images. `by_split` has None for images that were not dealt yet."""

    total: int = 0
    labelled: int = 0
    unlabelled: int = 0
    by_label: dict[int, int] = field(default_factory=dict)
    by_split: dict[str | None, int] = field(default_factory=dict)
    by_label_split: dict[int, dict[str | None, int]] = field(default_factory=dict)


def in_audit_slice(image: Image) -> bool:
    """True for 1 image in 32, chosen by its bytes: never labelled in bulk, so rates measured there are unbiased."""
    return image.sha256 < AUDIT_BELOW


def page(
    wb: Workbench,
    theme_id: int,
    which: Filter = EVERYTHING,
    *,
    after: int | None = None,
    limit: int = 200,
) -> Page:
    """One page of the theme's images that fit, newest first whatever the filter's order.

    Pages by key: an image that is added meanwhile never shifts the others.
    """
    where = which.where(theme_id)
    if after is not None:
        where.append(train_data.c.id < after)
    limit = max(1, min(limit, MAX_PAGE))
    with wb.db.read() as connection:
        found = _images(connection, where, limit + 1, which.moment)
        if which.moment is not None:
            found = _as_of(connection, theme_id, found, which.moment)
    items = found[:limit]
    return Page(items, items[-1].id if len(found) > limit else None)


def ids(wb: Workbench, theme_id: int, which: Filter = EVERYTHING) -> np.ndarray:
    """Ids of all the theme's images that fit, int64, in the filter's order (`similar` excepted).

    A million ids are 8 MB: with them a reader knows every position and asks for the rows it shows.
    """
    query = sa.select(train_data.c.id).where(*which.where(theme_id)).order_by(*which.order())
    with wb.db.read() as connection:
        return fetch_column(connection, query)


def rows(wb: Workbench, theme_id: int, ids: Sequence[int], which: Filter = EVERYTHING) -> list[Image]:
    """The theme's images with these ids, in the order given; those that are gone are left out.

    Of `which` only the day counts, `at`: images and labels as they were then.
    """
    if len(ids) > MAX_PAGE:
        raise InvalidInput(
            "{n} images at once are too many; ask for at most {limit}.", n=len(ids), limit=MAX_PAGE
        )
    with wb.db.read() as connection:
        where = [train_data.c.theme_id == theme_id, train_data.c.id.in_(ids)]
        found = _images(connection, where, moment=which.moment)
        if which.moment is not None:
            found = _as_of(connection, theme_id, found, which.moment)
    by_id = {image.id: image for image in found}
    return [by_id[image_id] for image_id in dict.fromkeys(ids) if image_id in by_id]


def get(wb: Workbench, theme_id: int, image_id: int) -> Image:
    """One image of a theme. Raises NotFound."""
    return _one(wb, image_id, train_data.c.theme_id == theme_id)


def find(wb: Workbench, image_id: int) -> Image:
    """One image of any theme. Raises NotFound."""
    return _one(wb, image_id)


def delete(wb: Workbench, actor: auth.User, theme_id: int, ids: Sequence[int]) -> int:
    """Take images off the theme; their rows stay as tombstones for snapshots that used them.

    All or nothing; returns how many. Raises InvalidInput naming images that the theme does not have.
    """
    auth.require(actor, auth.LABELER)
    wanted = sorted(set(ids))

    def work(connection: sa.Connection) -> int:
        themes.lock(connection, theme_id)
        found = {row.id for row in connection.execute(LIVE, {"theme": theme_id, "ids": wanted})}
        refuse_unknown(
            set(wanted) - found, "These images are not in the theme; they may have been deleted: {ids}."
        )
        now = datetime.now(UTC)
        connection.execute(DELETE, {"ids": wanted, "now": now})
        audit.record(connection, actor, "image.delete", f"theme {theme_id}", {"images": wanted})
        return len(wanted)

    return wb.db.write(work) if wanted else 0


def statistics(wb: Workbench, theme_id: int) -> Statistics:
    """Counts by label and split, from one grouped query. An unknown theme has none of anything."""
    column = train_data.c
    query = (
        sa.select(column.label_id, column.split, sa.func.count())
        .where(column.theme_id == theme_id, column.deleted_at.is_(None))
        .group_by(column.label_id, column.split)
    )
    total = labelled = 0
    by_label: dict[int, int] = {}
    by_split: dict[str | None, int] = {}
    by_both: dict[int, dict[str | None, int]] = {}
    with wb.db.read() as connection:
        for label_id, split, n in connection.execute(query):
            total += n
            by_split[split] = by_split.get(split, 0) + n
            if label_id is not None:
                labelled += n
                by_label[label_id] = by_label.get(label_id, 0) + n
                by_both.setdefault(label_id, {})[split] = n
    return Statistics(total, labelled, total - labelled, by_label, by_split, by_both)


DELETE = sa.text(
    "UPDATE train_data SET deleted_at = :now, updated_at = :now"
    " WHERE id IN (SELECT unnest(CAST(:ids AS BIGINT[])))"
)


def _as_of(connection: sa.Connection, theme_id: int, found: Sequence[Image], moment: datetime) -> list[Image]:
    """The images with the labels they had; what is suggested or flagged has no history and is left out."""
    then = labels_at(theme_id, moment).subquery()
    query = (
        sa.select(then.c.image_id, then.c.to_label_id, then.c.at, users.c.name)
        .join(users, users.c.id == then.c.user_id, isouter=True)
        .where(then.c.image_id.in_([image.id for image in found]), then.c.to_label_id.is_not(None))
    )
    labels = {row.image_id: row for row in connection.execute(query)}
    unlabelled = {"label_id": None, "labeled_at": None, "labeled_by": None}
    unknown: dict[str, Any] = {
        "flag_note": None, "suggested_label_id": None, "suggested_confidence": None, "likelier": {}
    }  # fmt: skip
    made = []
    for image in found:
        row = labels.get(image.id)
        label = (
            {"label_id": row.to_label_id, "labeled_at": row.at, "labeled_by": row.name} if row else unlabelled
        )
        made.append(replace(image, **label, **unknown))
    return made


def _images(
    connection: sa.Connection,
    where: Sequence[sa.ColumnElement[bool]],
    limit: int | None = None,
    moment: datetime | None = None,
) -> list[Image]:
    """Live images (of a moment where one is given), newest first.

    Rows are chosen by id before their columns are read: a third of the time.
    """
    column = train_data.c
    chosen = sa.select(column.id).where(live(moment), *where)
    columns = [
        column.id, column.theme_id, column.file_name, column.image_path, column.sha256, column.phash,
        column.format, column.width, column.height, column.size, column.label_id, column.split,
        column.labeled_by, column.labeled_at, column.uploaded_by, column.created_at, column.group_name,
        column.import_id, column.flag_note, column.suggested_label_id, column.suggested_confidence,
    ]  # fmt: skip
    query = sa.select(*columns).where(
        column.id.in_(chosen.order_by(column.id.desc()).limit(limit).correlate(None))
    )
    rows = connection.execute(query.order_by(column.id.desc())).mappings().all()
    people = {row["labeled_by"] for row in rows} | {row["uploaded_by"] for row in rows}
    names = dict(
        connection.execute(sa.select(users.c.id, users.c.name).where(users.c.id.in_(people - {None})))
        .tuples()
        .all()
    )
    likelier = _likelier(connection, [row["id"] for row in rows if row["label_id"] is not None])
    return [
        Image(
            **{
                **row,
                "likelier": likelier.get(row["id"], {}),
                "labeled_by": names.get(row["labeled_by"]),
                "uploaded_by": names.get(row["uploaded_by"]),
            }
        )
        for row in rows
    ]


def _likelier(connection: sa.Connection, ids: Sequence[int]) -> dict[int, dict[str, int]]:
    if not ids:
        return {}
    found = image_findings.c
    query = (
        sa.select(found.image_id, found.kind, found.guess_id)
        .join(train_data, train_data.c.id == found.image_id)
        .where(
            found.image_id.in_(ids),
            found.kind.in_(OF_LABELS),
            conditions.is_open(),
        )
    )
    likelier: dict[int, dict[str, int]] = {}
    for image_id, kind, label_id in connection.execute(query):
        likelier.setdefault(image_id, {})[kind] = label_id
    return likelier


def _one(wb: Workbench, image_id: int, *where: sa.ColumnElement[bool]) -> Image:
    with wb.db.read() as connection:
        found = _images(connection, [train_data.c.id == image_id, *where])
    if not found:
        raise NotFound("There is no image {id} here; it may have been deleted.", id=image_id)
    return found[0]
