"""Stored. Images of a theme: pages of them, their labels and the labels' history, counts, deletion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import sqlalchemy as sa

from core import audit, auth, themes
from core.archives import Refusal
from core.db.engine import bulk_insert
from core.db.tables import label_history, labels, train_data, users
from core.errors import InvalidInput, NotFound
from core.labels import labels_of
from core.uploads import UploadReport, add, thumbnail_key
from core.workbench import Workbench

__all__ = [
    "Change", "Image", "Page", "Refusal", "Statistics", "UploadReport",
    "add", "delete", "get", "history", "label", "page", "statistics", "thumbnail_key",
]  # fmt: skip

SPLITS = ("train", "valid", "test")
STATES = ("all", "labelled", "unlabelled")
MAX_PAGE = 1_000
MAX_CHANGES = 10_000
"""Labels set by one call; the grid sends a few hundred at most."""


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


@dataclass(frozen=True)
class Change:
    """One entry of an image's history; a label is None where the image had or got none."""

    at: datetime
    user: str | None
    before: str | None
    after: str | None
    source: str


def page(
    wb: Workbench,
    theme_id: int,
    *,
    state: str = "all",
    label_id: int | None = None,
    split: str | None = None,
    after: int | None = None,
    limit: int = 200,
) -> Page:
    """One page of a theme's images. `split` is train, valid, test or `none` (not dealt yet).

    Pages by key: an image that is added meanwhile never shifts the others. Raises InvalidInput.
    """
    column = train_data.c
    where = [column.theme_id == theme_id]
    if state not in STATES:
        raise InvalidInput("The filter “{state}” is not one of: {all}.", state=state, all=", ".join(STATES))
    if state == "labelled":
        where.append(column.label_id.is_not(None))
    elif state == "unlabelled":
        where.append(column.label_id.is_(None))
    if label_id is not None:
        where.append(column.label_id == label_id)
    if split == "none":
        where.append(column.split.is_(None))
    elif split is not None:
        if split not in SPLITS:
            raise InvalidInput(
                "The split “{split}” is not one of: {all}.", split=split, all=", ".join((*SPLITS, "none"))
            )
        where.append(column.split == split)
    if after is not None:
        where.append(column.id < after)
    limit = max(1, min(limit, MAX_PAGE))
    with wb.db.read() as connection:
        found = _images(connection, where, limit + 1)
    items = found[:limit]
    return Page(items, items[-1].id if len(found) > limit else None)


def get(wb: Workbench, theme_id: int, image_id: int) -> Image:
    """One image of a theme. Raises NotFound."""
    return _one(wb, image_id, train_data.c.theme_id == theme_id)


def find(wb: Workbench, image_id: int) -> Image:
    """One image of any theme. Raises NotFound."""
    return _one(wb, image_id)


def label(
    wb: Workbench,
    actor: auth.User,
    theme_id: int,
    changes: Sequence[tuple[int, int | None]],
    source: str = "hand",
) -> int:
    """Set the label (None takes it away) of each image of (image id, label id); all or nothing.

    Of several changes of one image the last counts; a change that changes nothing is not
    written. Returns how many images changed, once that is on disk. Raises InvalidInput
    naming the images or labels that the theme does not have.
    """
    auth.require(actor, auth.LABELER)
    if len(changes) > MAX_CHANGES:
        raise InvalidInput(
            "{n} labels at once are too many; send at most {limit}.", n=len(changes), limit=MAX_CHANGES
        )
    wanted = dict(changes)
    if not wanted:
        themes.get(wb, theme_id)
        return 0

    def work(connection: sa.Connection) -> int:
        themes.lock(connection, theme_id)
        live = {label.id for label in labels_of(connection, theme_id)}
        _refuse_unknown(
            {label_id for label_id in wanted.values() if label_id is not None} - live,
            "These labels are not in the theme; they may have been deleted: {ids}.",
        )
        current: dict[int, int | None] = {
            row.id: row.label_id
            for row in connection.execute(_LIVE, {"theme": theme_id, "ids": list(wanted)})
        }
        _refuse_unknown(
            wanted.keys() - current.keys(),
            "These images are not in the theme; they may have been deleted: {ids}.",
        )
        changed = [(i, to) for i, to in wanted.items() if current[i] != to]
        if not changed:
            return 0
        now = datetime.now(UTC)
        connection.execute(
            _SET_LABEL,
            {
                "ids": [image_id for image_id, _ in changed],
                "labels": [label_id for _, label_id in changed],
                "user": actor.id,
                "now": now,
            },
        )
        bulk_insert(
            connection,
            label_history,
            [
                {
                    "theme_id": theme_id,
                    "image_id": image_id,
                    "at": now,
                    "user_id": actor.id,
                    "from_label_id": current[image_id],
                    "to_label_id": label_id,
                    "source": source,
                }
                for image_id, label_id in changed
            ],
        )
        return len(changed)

    return wb.db.write(work)


def delete(wb: Workbench, actor: auth.User, theme_id: int, ids: Sequence[int]) -> int:
    """Take images off the theme; their rows stay as tombstones for snapshots that used them.

    All or nothing; returns how many. Raises InvalidInput naming images that the theme does not have.
    """
    auth.require(actor, auth.LABELER)
    wanted = sorted(set(ids))

    def work(connection: sa.Connection) -> int:
        themes.lock(connection, theme_id)
        found = {row.id for row in connection.execute(_LIVE, {"theme": theme_id, "ids": wanted})}
        _refuse_unknown(
            set(wanted) - found, "These images are not in the theme; they may have been deleted: {ids}."
        )
        now = datetime.now(UTC)
        connection.execute(_DELETE, {"ids": wanted, "now": now})
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


def history(wb: Workbench, image_id: int) -> list[Change]:
    """Every label the image had, oldest first, with who and when."""
    before, after = labels.alias("before"), labels.alias("after")
    entry = label_history.c
    query = (
        sa.select(entry.at, users.c.name, before.c.name, after.c.name, entry.source)
        .select_from(label_history)
        .outerjoin(users, users.c.id == entry.user_id)
        .outerjoin(before, before.c.id == entry.from_label_id)
        .outerjoin(after, after.c.id == entry.to_label_id)
        .where(entry.image_id == image_id)
        .order_by(entry.id)
    )
    with wb.db.read() as connection:
        return [Change(*row) for row in connection.execute(query)]


# Arrays as one parameter: the statement is planned once and costs the same for one image and a thousand.
_LIVE = sa.text(
    "SELECT id, label_id FROM train_data WHERE theme_id = :theme AND deleted_at IS NULL"
    " AND id IN (SELECT unnest(CAST(:ids AS BIGINT[])))"
)
_SET_LABEL = sa.text(
    "UPDATE train_data SET label_id = change.label_id, updated_at = :now,"
    " labeled_by = CASE WHEN change.label_id IS NULL THEN NULL ELSE CAST(:user AS BIGINT) END,"
    " labeled_at = CASE WHEN change.label_id IS NULL THEN NULL ELSE CAST(:now AS TIMESTAMPTZ) END"
    " FROM (SELECT unnest(CAST(:ids AS BIGINT[])) AS id, unnest(CAST(:labels AS BIGINT[])) AS label_id)"
    " AS change WHERE train_data.id = change.id"
)
_DELETE = sa.text(
    "UPDATE train_data SET deleted_at = :now, updated_at = :now"
    " WHERE id IN (SELECT unnest(CAST(:ids AS BIGINT[])))"
)


def _images(
    connection: sa.Connection, where: Sequence[sa.ColumnElement[bool]], limit: int | None = None
) -> list[Image]:
    """Live images newest first. Rows are chosen by id before their columns are read: a third of the time."""
    column = train_data.c
    chosen = sa.select(column.id).where(column.deleted_at.is_(None), *where)
    columns = [
        column.id, column.theme_id, column.file_name, column.image_path, column.sha256, column.phash,
        column.format, column.width, column.height, column.size, column.label_id, column.split,
        column.labeled_by, column.labeled_at, column.uploaded_by, column.created_at,
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
    return [
        Image(
            **{
                **row,
                "labeled_by": names.get(row["labeled_by"]),
                "uploaded_by": names.get(row["uploaded_by"]),
            }
        )
        for row in rows
    ]


def _one(wb: Workbench, image_id: int, *where: sa.ColumnElement[bool]) -> Image:
    with wb.db.read() as connection:
        found = _images(connection, [train_data.c.id == image_id, *where])
    if not found:
        raise NotFound("There is no image {id} here; it may have been deleted.", id=image_id)
    return found[0]


def _refuse_unknown(ids: set[int], message: str) -> None:
    if ids:
        shown = ", ".join(map(str, sorted(ids)[:10]))
        raise InvalidInput(message, ids=shown if len(ids) <= 10 else f"{shown} … ({len(ids)})")
