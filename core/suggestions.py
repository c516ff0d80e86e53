"""Stored. Labels that a model suggests: what people made of them, accepting them in bulk, how right they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from core import auth, images, labelling, registry, side_jobs, themes
from core.db.tables import label_actions, label_history, model_train_data, train_data
from core.errors import InvalidInput
from core.suggestion_jobs import KIND, cancel, going, ingest, newest_applied, start
from core.workbench import Workbench

__all__ = [
    "Audit", "Preview", "State",
    "accept", "audit", "cancel", "ingest", "preview", "start", "state",
]  # fmt: skip

AT_LEAST = 0.95
"""Confidence from which suggestions are accepted in bulk, unless said otherwise."""
BY_HAND = ("hand", "queue", "settled")
"""Sources of labels that a person gave to an image, not to many suggestions at once."""
MAX_ACTION_ID = 36


@dataclass(frozen=True)
class State:
    """What the newest applied suggestions are and what became of them."""

    version_id: int | None
    version: int | None
    """MLflow's version number of the model that suggested; None where none did yet."""
    at: datetime | None
    n_suggested: int
    """Live images with a suggestion of this version."""
    confirmed: int
    """Labelled by hand after the suggestion was made, with the same label."""
    overruled: int
    """… with another label."""
    running: bool
    progress: float
    """Share of the running job that is done, 0–1."""
    error: dict[str, Any] | None
    """Why the newest job failed, as `Run.error`, if it did."""


@dataclass(frozen=True)
class Preview:
    by_label: dict[int, int]
    """How many images each label would get."""
    excluded: int
    """Images that stay as they are: labelled, gone, too unsure, or kept for the audit."""


@dataclass(frozen=True)
class Audit:
    """How often the model is right where people did not see its suggestion, and a 95 % interval of that share."""

    n: int
    right: int
    low: float
    """0–1, as `high`; from 0 to 1 without any image."""
    high: float


def state(wb: Workbench, theme_id: int) -> State:
    """Raises NotFound."""
    themes.get(wb, theme_id)
    with wb.db.read() as connection:
        newest = side_jobs.newest(connection, KIND, theme_id)
        applied = newest_applied(connection, theme_id)
        running = connection.execute(going(theme_id)).first() is not None
        version_id = applied["version_id"] if applied else None
        total, given = 0, {}
        if version_id is not None:
            total = _count_suggested(connection, theme_id, version_id)
            given = _given_by_hand(connection, theme_id, version_id)
    version = registry.get(wb, version_id, deleted=True).version if version_id is not None else None
    return State(
        version_id=version_id,
        version=version,
        at=datetime.fromisoformat(applied["at"]) if applied else None,
        n_suggested=total,
        confirmed=given.get(True, 0),
        overruled=given.get(False, 0),
        running=running,
        progress=((newest["progress"] or {}).get("fraction", 0.0) if newest and running else 0.0),
        error=newest["error"] if newest and not running else None,
    )


def preview(wb: Workbench, theme_id: int, ids: Sequence[int], at_least: float = AT_LEAST) -> Preview:
    """What `accept` would do with these images. Raises InvalidInput, NotFound."""
    themes.get(wb, theme_id)
    _check_accept(ids, at_least)
    with wb.db.read() as connection:
        found = _acceptable(connection, theme_id, ids, at_least)
    by_label: dict[int, int] = {}
    for label_id in found.values():
        by_label[label_id] = by_label.get(label_id, 0) + 1
    return Preview(by_label, len(set(ids)) - len(found))


def accept(
    wb: Workbench,
    actor: auth.User,
    theme_id: int,
    ids: Sequence[int],
    at_least: float = AT_LEAST,
    *,
    action_id: str,
) -> int:
    """Give the unlabelled of these images the label suggested with this confidence or more; returns how many.

    Images of the audit are left out: people label them without seeing a suggestion, so that `audit`
    stays unbiased. `action_id` is made by the sender; an act that comes a second time does nothing.
    Raises InvalidInput, NotFound, NotAllowed.
    """
    auth.require(actor, auth.LABELER)
    _check_accept(ids, at_least)
    if not 1 <= len(action_id) <= MAX_ACTION_ID:
        raise InvalidInput("The act's id must have 1 to {limit} characters.", limit=MAX_ACTION_ID)

    def work(connection: sa.Connection) -> int:
        themes.lock(connection, theme_id)
        known = sa.select(label_actions.c.id).where(label_actions.c.id == action_id)
        if connection.execute(known).first() is not None:
            return 0
        wanted = _acceptable(connection, theme_id, ids, at_least)
        changed = labelling.relabel(connection, actor, theme_id, wanted, "suggestion", action_id=action_id)
        connection.execute(
            label_actions.insert().values(
                id=action_id, theme_id=theme_id, user_id=actor.id, at=datetime.now(UTC), images=changed
            )
        )
        return changed

    return wb.db.write(work)


def audit(wb: Workbench, theme_id: int) -> Audit:
    """Accuracy of the newest applied version on the audit's images that people labelled after it suggested.

    Images the model was trained or chosen with do not count. The interval is Wilson's (1927). Raises NotFound.
    """
    themes.get(wb, theme_id)
    used = sa.exists().where(
        model_train_data.c.version_id == train_data.c.suggested_by,
        model_train_data.c.image_id == train_data.c.id,
    )
    with wb.db.read() as connection:
        applied = newest_applied(connection, theme_id)
        given = (
            _given_by_hand(
                connection, theme_id, applied["version_id"], train_data.c.sha256 < images.AUDIT_BELOW, ~used
            )
            if applied
            else {}
        )
    right = given.get(True, 0)
    n = right + given.get(False, 0)
    if not n:
        return Audit(0, 0, 0.0, 1.0)
    from scipy.stats import binomtest

    interval = binomtest(right, n).proportion_ci(confidence_level=0.95, method="wilson")
    return Audit(n, right, float(interval.low), float(interval.high))


_ACCEPTABLE = sa.text(
    "SELECT id, suggested_label_id FROM train_data"
    " WHERE theme_id = :theme AND deleted_at IS NULL AND label_id IS NULL"
    " AND suggested_confidence >= :at_least AND sha256 >= :audit"
    " AND suggested_label_id IN (SELECT id FROM labels WHERE theme_id = :theme AND deleted_at IS NULL)"
    " AND id IN (SELECT unnest(CAST(:ids AS BIGINT[])))"
)


def _check_accept(ids: Sequence[int], at_least: float) -> None:
    if len(ids) > images.MAX_CHANGES:
        raise InvalidInput(
            "{n} images at once are too many; send at most {limit}.", n=len(ids), limit=images.MAX_CHANGES
        )
    if not 0 <= at_least <= 1:
        raise InvalidInput("The confidence {value} is not between 0 and 1.", value=at_least)


def _acceptable(
    connection: sa.Connection, theme_id: int, ids: Sequence[int], at_least: float
) -> dict[int, int]:
    """Suggested labels of those of the images that may be accepted in bulk."""
    bound = {"theme": theme_id, "ids": list(ids), "at_least": at_least, "audit": images.AUDIT_BELOW}
    return {row.id: row.suggested_label_id for row in connection.execute(_ACCEPTABLE, bound)}


def _count_suggested(connection: sa.Connection, theme_id: int, version_id: int) -> int:
    column = train_data.c
    query = (
        sa.select(sa.func.count())
        .select_from(train_data)
        .where(column.theme_id == theme_id, column.deleted_at.is_(None), column.suggested_by == version_id)
    )
    return int(connection.execute(query).scalar_one())


def _given_by_hand(
    connection: sa.Connection, theme_id: int, version_id: int, *where: sa.ColumnElement[bool]
) -> dict[bool, int]:
    """Of images labelled by hand after the version suggested, how many have (True) its label or another."""
    column, entry = train_data.c, label_history.c
    by_hand = sa.exists().where(
        entry.image_id == column.id, entry.at == column.labeled_at, entry.source.in_(BY_HAND)
    )
    same = (column.label_id == column.suggested_label_id).label("same")
    query = (
        sa.select(same, sa.func.count())
        .where(
            column.theme_id == theme_id,
            column.deleted_at.is_(None),
            column.suggested_by == version_id,
            column.label_id.is_not(None),
            column.labeled_at > column.suggested_at,
            by_hand,
            *where,
        )
        .group_by(same)
    )
    return {bool(same): n for same, n in connection.execute(query)}
