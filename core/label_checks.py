"""Stored. How many labels are wrong: a random slice looked at again by somebody who does not see the label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from core import auth, images, themes
from core.db.engine import bulk_insert
from core.db.tables import label_checks, train_data
from core.errors import InvalidInput
from core.images import AUDIT_BELOW, Image
from core.labels import labels_of
from core.workbench import Workbench


@dataclass(frozen=True)
class Rate:
    """Checked labels and how many were wrong, with Wilson's 95 % interval (1927) of the share, 0–1."""

    n: int
    wrong: int
    low: float
    high: float


@dataclass(frozen=True)
class Doubt:
    """A label that a check contradicted and that still stands."""

    image: Image
    label_id: int
    answer_id: int


def to_check(wb: Workbench, actor: auth.User, theme_id: int, n: int = 20) -> list[int]:
    """Ids of labelled images of the audit slice that this person did not check, in random order.

    Other people's labels come before the person's own.
    """
    auth.require(actor, auth.LABELER)
    column, check = train_data.c, label_checks.c
    checked = sa.exists().where(
        check.image_id == column.id, check.user_id == actor.id, check.label_id == column.label_id
    )
    query = (
        sa.select(column.id)
        .where(
            column.theme_id == theme_id,
            column.deleted_at.is_(None),
            column.label_id.is_not(None),
            column.sha256 < AUDIT_BELOW,
            ~checked,
        )
        .order_by(sa.case((column.labeled_by == actor.id, 1), else_=0), column.sha256)
        .limit(n)
    )
    with wb.db.read() as connection:
        return list(connection.execute(query).scalars())


def answer(wb: Workbench, actor: auth.User, theme_id: int, answers: Sequence[tuple[int, int]]) -> int:
    """Note what this person would call the images (id, label); their labels stay. Returns how many were noted.

    Images that lost their label meanwhile are passed over. Raises InvalidInput, NotFound, NotAllowed.
    """
    auth.require(actor, auth.LABELER)

    def work(connection: sa.Connection) -> int:
        themes.lock(connection, theme_id)
        live = {label.id for label in labels_of(connection, theme_id)}
        if not {label_id for _, label_id in answers} <= live:
            raise InvalidInput("The answer must be one of the theme's labels.")
        column = train_data.c
        rows = connection.execute(
            sa.select(column.id, column.label_id).where(
                column.theme_id == theme_id,
                column.deleted_at.is_(None),
                column.label_id.is_not(None),
                column.sha256 < AUDIT_BELOW,
                column.id.in_([image_id for image_id, _ in answers]),
            )
        ).all()
        said, now = dict(answers), datetime.now(UTC)
        bulk_insert(
            connection,
            label_checks,
            [
                {
                    "theme_id": theme_id,
                    "image_id": row.id,
                    "user_id": actor.id,
                    "label_id": row.label_id,
                    "answer_id": said[row.id],
                    "at": now,
                }
                for row in rows
            ],
        )
        return len(rows)

    return wb.db.write(work)


def rate(wb: Workbench, theme_id: int) -> Rate:
    """Over the newest check of each image, of the label it had then."""
    with wb.db.read() as connection:
        n, wrong = connection.execute(_RATE, {"theme": theme_id}).one()
    return interval(int(n), int(wrong or 0))


def newest(wb: Workbench, theme_id: int) -> list[tuple[int, int, int]]:
    """The newest check of each image: (image id, label that was checked, what the checker said)."""
    query = sa.text(f"SELECT image_id, label_id, answer_id FROM ({_NEWEST}) AS newest WHERE n = 1")
    with wb.db.read() as connection:
        return [(row[0], row[1], row[2]) for row in connection.execute(query, {"theme": theme_id})]


def interval(n: int, wrong: int) -> Rate:
    """A rate with its interval; from 0 to 1 without any check."""
    if not n:
        return Rate(0, 0, 0.0, 1.0)
    from scipy.stats import binomtest

    found = binomtest(wrong, n).proportion_ci(confidence_level=0.95, method="wilson")
    return Rate(n, wrong, float(found.low), float(found.high))


def doubts(wb: Workbench, theme_id: int) -> list[Doubt]:
    """Checked labels that were contradicted and still stand, newest first."""
    with wb.db.read() as connection:
        rows = connection.execute(_DOUBTS, {"theme": theme_id}).all()
    found = {image.id: image for image in images.rows(wb, theme_id, [row.image_id for row in rows])}
    return [Doubt(found[row.image_id], row.label_id, row.answer_id) for row in rows if row.image_id in found]


_NEWEST = (
    "SELECT c.image_id, c.label_id, c.answer_id, c.id,"
    " row_number() OVER (PARTITION BY c.image_id ORDER BY c.id DESC) AS n"
    " FROM label_checks c WHERE c.theme_id = :theme"
)
_RATE = sa.text(
    f"SELECT count(*), count(*) FILTER (WHERE label_id <> answer_id) FROM ({_NEWEST}) AS newest WHERE n = 1"
)
_DOUBTS = sa.text(
    f"SELECT newest.image_id, newest.label_id, newest.answer_id FROM ({_NEWEST}) AS newest"
    " JOIN train_data t ON t.id = newest.image_id AND t.deleted_at IS NULL AND t.label_id = newest.label_id"
    " WHERE newest.n = 1 AND newest.label_id <> newest.answer_id ORDER BY newest.id DESC LIMIT 200"
)
