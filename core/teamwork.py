"""Stored. Several people on one theme: who gets which images, images labelled twice, disputes, progress."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core import agreement as measures
from core import audit, auth, images, labelling, themes
from core.db.engine import bulk_insert
from core.db.tables import label_actions, label_history, label_votes, train_data, users
from core.db.tables import themes as theme_rows
from core.errors import InvalidInput
from core.labelling import Action, Done
from core.labels import labels_of
from core.workbench import Workbench

MAX_BATCH = 500
VOTES = 2
"""People who label an image of the doubled share."""


class Rules(BaseModel):
    """How the people of a theme share its images."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    batch: int = Field(50, ge=1, le=MAX_BATCH)
    """Images a person gets at a time."""
    double_percent: int = Field(0, ge=0, le=100)
    """Share of the images that two people label without seeing each other's label."""
    idle_minutes: int = Field(30, ge=1, le=1440)
    """After so long without an act, a person's images go back to all."""


@dataclass(frozen=True)
class Dispute:
    """An image that two people labelled and that has no label."""

    image: images.Image
    votes: dict[str, int]
    """Label id by person."""


@dataclass(frozen=True)
class Person:
    """What one person did for a theme."""

    id: int
    name: str
    labelled: int
    """Images whose label is this person's."""
    today: int
    """Labels given since midnight UTC."""
    per_hour: float | None
    """Labels an hour of work, by the time each took; None where that is not known."""
    answers: int
    """Blind votes, also those that still wait for the second person's."""
    votes: int
    """… on images that have a label now."""
    right: int
    """… that say the label that stands."""


@dataclass(frozen=True)
class Agreement:
    images: int
    """Images with two votes or more."""
    same: int
    """… whose votes all say the same."""
    chance: float | None
    pairs: list[measures.Pair]
    labels: list[measures.LabelAgreement]
    fleiss: float | None
    krippendorff: float | None


def rules(wb: Workbench, theme_id: int) -> Rules:
    """Raises NotFound."""
    with wb.db.read() as connection:
        themes.get(wb, theme_id)
        return _rules(connection, theme_id)


def set_rules(wb: Workbench, actor: auth.User, theme_id: int, **values: int) -> Rules:
    """Raises InvalidInput naming what is out of range, NotFound, NotAllowed."""
    auth.require(actor, auth.TRAINER)
    try:
        new = Rules(**values)
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidInput(
            "“{field}” is not right: {reason}.", field=str(first["loc"][0]), reason=first["msg"]
        ) from None

    def work(connection: sa.Connection) -> None:
        themes.lock(connection, theme_id)
        connection.execute(
            theme_rows.update().where(theme_rows.c.id == theme_id).values(teamwork=new.model_dump())
        )
        audit.record(connection, actor, "theme.teamwork", f"theme {theme_id}", new.model_dump())

    wb.db.write(work)
    return new


def batch(wb: Workbench, actor: auth.User, theme_id: int) -> list[int]:
    """Ids of the images this person is to label now: those still open, filled up to the batch's size.

    What teaches a model most comes first, then the newest. Nobody else gets them, but for images
    of the doubled share, which two people get; what one person began a second one ends, whatever
    the rule says by then. What another person left idle is given back first. Raises NotFound, NotAllowed.
    """
    auth.require(actor, auth.LABELER)

    def work(connection: sa.Connection) -> list[int]:
        themes.lock(connection, theme_id)
        chosen = _rules(connection, theme_id)
        now = datetime.now(UTC)
        bound: dict[str, Any] = {
            "theme": theme_id,
            "user": actor.id,
            "now": now,
            "idle": now - timedelta(minutes=chosen.idle_minutes),
            "limit": _limit(chosen.double_percent),
            "votes": VOTES,
        }
        connection.execute(_RELEASE, bound)
        connection.execute(_TOUCH, bound)
        mine = list(connection.execute(_MINE, bound).scalars())
        if len(mine) < chosen.batch:
            connection.execute(_TAKE, {**bound, "need": chosen.batch - len(mine)})
            mine = list(connection.execute(_MINE, bound).scalars())
        return mine

    return wb.db.write(work)


def answer(wb: Workbench, actor: auth.User, theme_id: int, actions: Sequence[Action]) -> list[Done]:
    """Labels for images of one's batch; an action that comes a second time does nothing more.

    A single image gets the label at once. One of the doubled share gets it when its two votes
    agree; until then, and where they do not, it has none. An action with `undo` takes the answers
    of an earlier one back: the images are in the person's batch again. Raises NotAllowed, NotFound.
    """
    auth.require(actor, auth.LABELER)
    return [wb.db.write(lambda c, a=action: _answer(c, actor, theme_id, a)) for action in actions]  # type: ignore[misc]


def disputes(wb: Workbench, theme_id: int, limit: int = 50, after: int | None = None) -> list[Dispute]:
    """Images without a label though two people gave theirs, oldest first, from beyond image `after`.

    Their votes differ, or agreed on a label that somebody took away.
    """
    query = sa.text(
        f"SELECT t.id FROM train_data t JOIN {_VOTES} AS given ON given.image_id = t.id"
        " WHERE t.theme_id = :theme AND t.label_id IS NULL AND t.deleted_at IS NULL AND t.id > :after"
        " GROUP BY t.id HAVING count(*) >= :votes ORDER BY t.id LIMIT :limit"
    )
    bound = {"theme": theme_id, "votes": VOTES, "limit": limit, "after": after or 0}
    with wb.db.read() as connection:
        ids = list(connection.execute(query, bound).scalars())
        given = connection.execute(_VOTED, {"theme": theme_id, "ids": ids}).all()
        who = sa.select(users.c.id, users.c.name).where(users.c.id.in_({row.user_id for row in given}))
        names = dict(connection.execute(who).tuples().all())
    by_image: dict[int, dict[str, int]] = {}
    for image_id, user_id, label_id in sorted(given, key=lambda row: names[row.user_id]):
        by_image.setdefault(image_id, {})[names[user_id]] = label_id
    return [Dispute(image, by_image[image.id]) for image in images.rows(wb, theme_id, ids)]


def settle(wb: Workbench, actor: auth.User, theme_id: int, image_id: int, label_id: int) -> None:
    """Decide a dispute. Raises InvalidInput, NotAllowed."""
    labelling.label(wb, actor, theme_id, [(image_id, label_id)], source="settled")


def progress(wb: Workbench, theme_id: int) -> list[Person]:
    """What each person did, who has most labels first."""
    column, entry, vote = train_data.c, label_history.c, label_votes.c
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    labelled = (
        sa.select(column.labeled_by, sa.func.count())
        .where(column.theme_id == theme_id, column.deleted_at.is_(None), column.label_id.is_not(None))
        .group_by(column.labeled_by)
    )
    acts = (
        sa.select(
            entry.user_id,
            sa.func.count().filter(entry.at >= midnight),
            sa.func.count(entry.seconds),
            sa.func.sum(entry.seconds),
        )
        .where(
            entry.theme_id == theme_id,
            entry.to_label_id.is_not(None),
            entry.source.in_(labelling.BY_HAND),
        )
        .group_by(entry.user_id)
    )
    votes = (
        sa.select(
            vote.user_id,
            sa.func.count(),
            sa.func.count(column.label_id),
            sa.func.count().filter(vote.label_id == column.label_id),
        )
        .join(train_data, column.id == vote.image_id)
        .where(vote.theme_id == theme_id, column.deleted_at.is_(None))
        .group_by(vote.user_id)
    )
    with wb.db.read() as connection:
        have = {row[0]: row[1] for row in connection.execute(labelled)}
        did = {row[0]: tuple(row)[1:] for row in connection.execute(acts)}
        voted = {row[0]: tuple(row)[1:] for row in connection.execute(votes)}
        ids = (have.keys() | did.keys() | voted.keys()) - {None}
        names = connection.execute(sa.select(users.c.id, users.c.name).where(users.c.id.in_(ids))).all()
    found = []
    for user_id, name in names:
        today, timed, seconds = did.get(user_id, (0, 0, None))
        pace = timed / seconds * 3600 if seconds else None
        found.append(Person(user_id, name, have.get(user_id, 0), today, pace, *voted.get(user_id, (0, 0, 0))))
    return sorted(found, key=lambda person: (-person.labelled, person.name))


def agreement(wb: Workbench, theme_id: int) -> Agreement:
    """How far people agree on images of the doubled share."""
    vote = label_votes.c
    query = (
        sa.select(vote.image_id, vote.user_id, vote.label_id)
        .join(train_data, train_data.c.id == vote.image_id)
        .where(vote.theme_id == theme_id, train_data.c.deleted_at.is_(None))
    )
    votes: dict[int, dict[int, int]] = {}
    with wb.db.read() as connection:
        for image_id, user_id, label_id in connection.execute(query):
            votes.setdefault(image_id, {})[user_id] = label_id
    double = [given for given in votes.values() if len(given) >= VOTES]
    return Agreement(
        images=len(double),
        same=sum(len(set(given.values())) == 1 for given in double),
        chance=measures.chance(votes),
        pairs=measures.pairs(votes),
        labels=measures.by_label(votes),
        fleiss=measures.fleiss_of(votes),
        krippendorff=measures.krippendorff(votes),
    )


def counts_as_of(wb: Workbench, theme_id: int, at: datetime) -> dict[int | None, int]:
    """Images by label as they were at a moment (UTC); None counts those without a label then.

    Labels deleted since count under their ids: `core.labels.labels_of` does not know them any more.
    """
    with wb.db.read() as connection:
        rows = connection.execute(_AS_OF, {"theme": theme_id, "at": at})
        return {label_id: int(n) for label_id, n in rows}


def statistics_as_of(wb: Workbench, theme_id: int, at: datetime) -> images.Statistics:
    """`counts_as_of` as the counts of a theme; splits have no history and are left out."""
    counts = counts_as_of(wb, theme_id, at)
    unlabelled = counts.pop(None, 0)
    by_label = {label_id: n for label_id, n in counts.items() if label_id is not None}
    labelled = sum(by_label.values())
    return images.Statistics(labelled + unlabelled, labelled, unlabelled, by_label)


def _rules(connection: sa.Connection, theme_id: int) -> Rules:
    stored = connection.execute(
        sa.select(theme_rows.c.teamwork).where(theme_rows.c.id == theme_id)
    ).scalar_one_or_none()
    return Rules(**(stored or {}))


def _limit(percent: int) -> str:
    """Images whose hash's digits 9 to 16 are below this are labelled twice: the same for everybody, by chance."""
    return "g" if percent == 100 else f"{percent * 2**32 // 100:08x}"


def _answer(connection: sa.Connection, actor: auth.User, theme_id: int, action: Action) -> Done:
    themes.lock(connection, theme_id)
    known = sa.select(label_actions.c.id).where(label_actions.c.id == action.id)
    if connection.execute(known).first() is not None:
        return Done(action.id)
    if action.undo:
        return _take_back(connection, actor, theme_id, action.id, action.undo)
    live = {label.id for label in labels_of(connection, theme_id)}
    answers = {i: to for i, to in action.changes if to is not None}
    if len(answers) < len(dict(action.changes)) or not set(answers.values()) <= live:
        return Done(
            action.id,
            refused=InvalidInput(
                "An answer to a batch must be one of the theme's labels; skip the image instead."
            ),
        )
    bound: dict[str, Any] = {
        "theme": theme_id,
        "user": actor.id,
        "ids": list(answers),
        "now": datetime.now(UTC),
        "limit": _limit(_rules(connection, theme_id).double_percent),
    }
    rows = connection.execute(_ASKED, bound).all()
    missing = sorted(answers.keys() - {row.id for row in rows})
    votes: dict[int, dict[int, int]] = {}
    for image_id, user_id, label_id in connection.execute(_VOTED, bound):
        votes.setdefault(image_id, {})[user_id] = label_id
    wanted: dict[int, int | None] = {}
    double: list[int] = []
    for row in rows:
        mine = {actor.id: answers[row.id]}
        before = votes.get(row.id, {})
        if not row.twice and not before:
            wanted[row.id] = answers[row.id]
            continue
        double.append(row.id)
        # A label that the votes did not give came from a person who decided: it stands.
        if row.label_id == _agreed(before):
            wanted[row.id] = _agreed(before | mine)
    connection.execute(_DROP_VOTES, {**bound, "ids": double})
    bulk_insert(
        connection,
        label_votes,
        [
            {
                "image_id": i,
                "user_id": actor.id,
                "theme_id": theme_id,
                "label_id": answers[i],
                "at": bound["now"],
            }
            for i in double
        ],
    )
    connection.execute(_TOUCH, bound)
    connection.execute(_ANSWERED, bound)
    labelling.relabel(
        connection, actor, theme_id, wanted, "queue", action_id=action.id, seconds=action.seconds
    )
    connection.execute(
        label_actions.insert().values(
            id=action.id, theme_id=theme_id, user_id=actor.id, at=bound["now"], images=len(rows)
        )
    )
    return Done(action.id, len(rows), missing)


def _take_back(connection: sa.Connection, actor: auth.User, theme_id: int, action_id: str, undo: str) -> Done:
    now = datetime.now(UTC)
    bound: dict[str, Any] = {"theme": theme_id, "user": actor.id, "undo": undo}
    answered = list(connection.execute(_ANSWERED_BY, bound).scalars())
    voted = set(connection.execute(_VOTED_BY, bound).scalars())
    past = labelling.changes_by(connection, theme_id, actor, [undo]).get(undo, [])
    live = {label.id for label in labels_of(connection, theme_id)}
    labels_now = labelling.current(connection, theme_id, voted | {i for i, _, _ in past})
    wanted: dict[int, int | None] = {
        i: was if was in live else None for i, was, to in past if i in labels_now and labels_now[i] == to
    }
    votes: dict[int, dict[int, int]] = {}
    for image_id, user_id, label_id in connection.execute(_VOTED, {**bound, "ids": sorted(voted)}):
        votes.setdefault(image_id, {})[user_id] = label_id
    for image_id, given in votes.items():
        # The label that this vote helped to give goes with it, whoever voted last.
        if labels_now.get(image_id) is not None and labels_now[image_id] == _agreed(given):
            wanted.setdefault(image_id, None)
    connection.execute(_DROP_VOTES, {**bound, "ids": sorted(voted)})
    connection.execute(_REOPEN, {**bound, "ids": answered, "now": now})
    labelling.relabel(connection, actor, theme_id, wanted, "undo", action_id=action_id)
    connection.execute(
        label_actions.insert().values(
            id=action_id, theme_id=theme_id, user_id=actor.id, at=now, images=len(voted | wanted.keys())
        )
    )
    return Done(action_id, len(voted | wanted.keys()))


def _agreed(votes: Mapping[int, int]) -> int | None:
    """The label that enough people say and nobody contradicts."""
    said = set(votes.values())
    return said.pop() if len(votes) >= VOTES and len(said) == 1 else None


# A vote for a label that was deleted since is none: that person, or another, is asked again.
_VOTES = (
    "(SELECT v.image_id, v.user_id, v.label_id FROM label_votes v JOIN labels l ON l.id = v.label_id"
    " AND l.deleted_at IS NULL WHERE v.theme_id = :theme)"
)
_RELEASE = sa.text(
    "DELETE FROM assignments WHERE theme_id = :theme AND done_at IS NULL"
    " AND user_id <> :user AND touched_at < :idle"
)
_TOUCH = sa.text(
    "UPDATE assignments SET touched_at = :now WHERE theme_id = :theme AND user_id = :user AND done_at IS NULL"
)
_MINE = sa.text(
    "SELECT t.id FROM assignments a JOIN train_data t ON t.id = a.image_id"
    " WHERE a.theme_id = :theme AND a.user_id = :user AND a.done_at IS NULL"
    " AND t.deleted_at IS NULL AND t.label_id IS NULL"
    " ORDER BY t.teach_rank ASC NULLS LAST, t.id DESC"
)
# Who had the image before (its label was taken away since) has a row already.
_TAKE = sa.text(
    'INSERT INTO assignments (image_id, user_id, theme_id, "at", touched_at)'
    " SELECT t.id, CAST(:user AS BIGINT), t.theme_id, CAST(:now AS TIMESTAMPTZ), CAST(:now AS TIMESTAMPTZ)"
    " FROM train_data t LEFT JOIN"
    " (SELECT image_id, count(*) AS n, count(*) FILTER (WHERE user_id = :user) AS mine FROM assignments"
    " WHERE theme_id = :theme AND done_at IS NULL GROUP BY image_id) AS a ON a.image_id = t.id LEFT JOIN"
    " (SELECT image_id, count(*) AS n, count(*) FILTER (WHERE user_id = :user) AS mine"
    f" FROM {_VOTES} AS given GROUP BY image_id) AS v ON v.image_id = t.id"
    " WHERE t.theme_id = :theme AND t.deleted_at IS NULL AND t.label_id IS NULL"
    " AND COALESCE(a.mine, 0) = 0 AND COALESCE(v.mine, 0) = 0"
    " AND COALESCE(a.n, 0) + COALESCE(v.n, 0) <"
    " CASE WHEN v.n > 0 OR substr(t.sha256, 9, 8) < :limit THEN :votes ELSE 1 END"
    " ORDER BY t.teach_rank ASC NULLS LAST, t.id DESC LIMIT :need"
    " ON CONFLICT (image_id, user_id) DO UPDATE"
    ' SET "at" = excluded."at", touched_at = excluded.touched_at, done_at = NULL'
)
_ASKED = sa.text(
    "SELECT id, label_id, substr(sha256, 9, 8) < :limit AS twice FROM train_data WHERE theme_id = :theme"
    " AND deleted_at IS NULL AND id IN (SELECT unnest(CAST(:ids AS BIGINT[])))"
)
_VOTED = sa.text(
    f"SELECT image_id, user_id, label_id FROM {_VOTES} AS given"
    " WHERE image_id IN (SELECT unnest(CAST(:ids AS BIGINT[])))"
)
_ANSWERED = sa.text(
    "UPDATE assignments SET done_at = :now, touched_at = :now WHERE user_id = :user"
    " AND image_id IN (SELECT unnest(CAST(:ids AS BIGINT[])))"
)
# An act and what it answered carry the same moment of the same person.
_AT = 'SELECT "at" FROM label_actions WHERE id = :undo AND user_id = :user AND theme_id = :theme'
_ANSWERED_BY = sa.text(
    "SELECT image_id FROM assignments WHERE theme_id = :theme AND user_id = :user"
    f" AND done_at IN ({_AT}) ORDER BY image_id"
)
_VOTED_BY = sa.text(
    f'SELECT image_id FROM label_votes WHERE theme_id = :theme AND user_id = :user AND "at" IN ({_AT})'
)
_REOPEN = sa.text(
    "UPDATE assignments SET done_at = NULL, touched_at = :now WHERE user_id = :user"
    " AND image_id IN (SELECT unnest(CAST(:ids AS BIGINT[])))"
)
_DROP_VOTES = sa.text(
    "DELETE FROM label_votes WHERE user_id = :user AND image_id IN (SELECT unnest(CAST(:ids AS BIGINT[])))"
)
_AS_OF = sa.text(
    "SELECT h.to_label_id, count(*) FROM train_data t LEFT JOIN"
    " (SELECT image_id, to_label_id, row_number() OVER (PARTITION BY image_id ORDER BY id DESC) AS n"
    ' FROM label_history WHERE theme_id = :theme AND "at" <= :at) AS h ON h.image_id = t.id AND h.n = 1'
    " WHERE t.theme_id = :theme AND t.created_at <= :at AND (t.deleted_at IS NULL OR t.deleted_at > :at)"
    " GROUP BY h.to_label_id"
)
