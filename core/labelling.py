"""Stored. Labels and flags that people give to images: acts, their history, what others changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from core import auth, themes
from core.db.engine import bulk_insert
from core.db.tables import label_actions, label_history, labels, users
from core.errors import InvalidInput
from core.labels import labels_of
from core.workbench import Workbench

MAX_CHANGES = 10_000
"""Images that one call labels; the grid sends larger selections in parts."""
MAX_ACTIONS = 500
"""Acts of one call; the grid sends what waited for a connection in parts."""
MAX_NOTE = 500
MAX_SECONDS = 600.0
"""Longer than this on one act is a pause, not work, and is not counted."""
MAX_LIVE = 2_000
"""Changes of others that are told one by one; beyond this a reload is cheaper."""

BY_HAND = ("hand", "queue", "suggestion", "sweep", "settled", "undo", "redo")
"""Sources of an act of a person in front of the images."""
SOURCES = (*BY_HAND, "upload", "import", "demo", "api")
"""What `label_history.source` can be."""


@dataclass(frozen=True)
class Action:
    """What one key press or click did. `id` is made by the sender, so a second delivery is known by it."""

    id: str
    changes: Sequence[tuple[int, int | None]] = ()
    """(image id, label id); None takes the label away."""
    notes: Sequence[tuple[int, str | None]] = ()
    """(image id, note): flags the image as unsure; None takes the flag away."""
    undo: str | None = None
    """Id of an earlier action of the same person, whose labels are taken back where they still stand;
    undoing an undo does it again."""
    seconds: float | None = None
    """Time since the person's previous act, shared by all images of this one."""
    source: str = "hand"


@dataclass(frozen=True)
class Done:
    """What became of one action, once that is on disk."""

    id: str
    updated: int = 0
    """Images that changed; 0 for an action that came a second time."""
    missing: list[int] = field(default_factory=list)
    """Images that are not in the theme (any more); the others were labelled."""
    refused: InvalidInput | None = None
    """Why nothing of it was done."""


@dataclass(frozen=True)
class Change:
    """One entry of an image's history; a label is None where the image had or got none."""

    at: datetime
    user: str | None
    before: str | None
    after: str | None
    source: str


@dataclass(frozen=True)
class Live:
    """What happened to a theme's labels since a reader last asked."""

    last: int
    """Give it as `after` next time."""
    items: list[tuple[int, int | None, str | None, datetime]]
    """(image id, its label now, who, when), one per image."""
    too_many: bool
    """More changed than `items` tells: load everything again."""


def act(wb: Workbench, actor: auth.User, theme_id: int, actions: Sequence[Action]) -> list[Done]:
    """Do each action in the order given, all in one transaction; one that is refused leaves the others.

    Raises InvalidInput where the call as a whole is too much, NotAllowed, NotFound.
    """
    auth.require(actor, auth.LABELER)
    total = sum(len(action.changes) + len(action.notes) for action in actions)
    if len(actions) > MAX_ACTIONS or total > MAX_CHANGES:
        raise InvalidInput(
            "{n} labels at once are too many; send at most {limit}.",
            n=max(total, len(actions)),
            limit=MAX_CHANGES,
        )

    def work(connection: sa.Connection) -> list[Done]:
        themes.lock(connection, theme_id)
        now = datetime.now(UTC)
        known = set(connection.execute(_KNOWN, {"ids": [action.id for action in actions]}).scalars())
        live = {label.id for label in labels_of(connection, theme_id)}
        undone = changes_by(connection, theme_id, actor, [action.undo for action in actions if action.undo])
        named = {i for action in actions for i, _ in (*action.changes, *action.notes)}
        labels_now = current(
            connection, theme_id, named | {i for past in undone.values() for i, _, _ in past}
        )
        touched: set[int] = set()
        flags: dict[int, str | None] = {}
        entries: list[dict[str, Any]] = []
        done: list[Done] = []
        fresh: list[Done] = []
        for action in actions:
            if action.id in known:
                done.append(Done(action.id))
                continue
            if refusal := _refusal(action, live):
                done.append(Done(action.id, refused=refusal))
                continue
            known.add(action.id)
            wanted = {i: to for i, to in action.changes if i in labels_now and labels_now[i] != to}
            if action.undo:
                past = undone.get(action.undo, ())
                # A label that was deleted since left its images without one.
                wanted |= {
                    i: was if was in live else None
                    for i, was, to in past
                    if i in labels_now and labels_now[i] == to
                }
            each = _each(action.seconds, len(wanted))
            for image_id, to in wanted.items():
                change = (image_id, labels_now[image_id], to)
                entries.append(_entry(theme_id, actor, now, change, action.source, action.id, each))
                undone.setdefault(action.id, []).append(change)
            labels_now |= wanted
            noted = {i: note for i, note in action.notes if i in labels_now}
            flags |= noted
            touched |= wanted.keys()
            missing = {i for i, _ in (*action.changes, *action.notes)} - labels_now.keys()
            fresh.append(Done(action.id, len(wanted.keys() | noted.keys()), sorted(missing)))
            done.append(fresh[-1])
        _write(connection, actor, now, {i: labels_now[i] for i in touched}, entries)
        if flags:
            connection.execute(
                _SET_FLAG, {"ids": list(flags), "notes": list(flags.values()), "user": actor.id, "now": now}
            )
        bulk_insert(
            connection,
            label_actions,
            [
                {"id": each.id, "theme_id": theme_id, "user_id": actor.id, "at": now, "images": each.updated}
                for each in fresh
            ],
        )
        return done

    return wb.db.write(work) if actions else []


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
    if not changes:
        themes.get(wb, theme_id)
        return 0
    return wb.db.write(lambda connection: relabel(connection, actor, theme_id, dict(changes), source))


def relabel(
    connection: sa.Connection,
    actor: auth.User,
    theme_id: int,
    wanted: Mapping[int, int | None],
    source: str,
    *,
    action_id: str | None = None,
    seconds: float | None = None,
) -> int:
    """`label` inside a transaction of the caller."""
    themes.lock(connection, theme_id)
    live = {label.id for label in labels_of(connection, theme_id)}
    refuse_unknown(
        {label_id for label_id in wanted.values() if label_id is not None} - live,
        "These labels are not in the theme; they may have been deleted: {ids}.",
    )
    before = current(connection, theme_id, wanted)
    refuse_unknown(
        wanted.keys() - before.keys(),
        "These images are not in the theme; they may have been deleted: {ids}.",
    )
    changed = {i: to for i, to in wanted.items() if before[i] != to}
    each = _each(seconds, len(changed))
    now = datetime.now(UTC)
    entries = [
        _entry(theme_id, actor, now, (i, before[i], to), source, action_id, each) for i, to in changed.items()
    ]
    _write(connection, actor, now, changed, entries)
    return len(changed)


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


def changes_since(wb: Workbench, theme_id: int, after: int | None) -> Live:
    """What happened to the theme's labels after entry `after` of the history; None starts from now."""
    entry = label_history.c
    with wb.db.read() as connection:
        # Of this theme alone: ids of other themes may become visible before lower ones of this one.
        own = sa.select(sa.func.max(entry.id)).where(entry.theme_id == theme_id)
        newest = connection.execute(own).scalar_one() or 0
        if after is None or after >= newest:
            return Live(newest, [], too_many=False)
        query = (
            sa.select(entry.image_id, entry.to_label_id, users.c.name, entry.at)
            .select_from(label_history)
            .outerjoin(users, users.c.id == entry.user_id)
            .where(entry.theme_id == theme_id, entry.id > after, entry.id <= newest)
            .order_by(entry.id)
            .limit(MAX_LIVE + 1)
        )
        rows = connection.execute(query).all()
    if len(rows) > MAX_LIVE:
        return Live(newest, [], too_many=True)
    return Live(newest, list({row[0]: tuple(row) for row in rows}.values()), too_many=False)


def refuse_unknown(ids: set[int], message: str) -> None:
    """Raise InvalidInput with the first of `ids` where there are any."""
    if ids:
        shown = ", ".join(map(str, sorted(ids)[:10]))
        raise InvalidInput(message, ids=shown if len(ids) <= 10 else f"{shown} … ({len(ids)})")


# Arrays as one parameter: the statement is planned once and costs the same for one image and a thousand.
LIVE = sa.text(
    "SELECT id, label_id FROM train_data WHERE theme_id = :theme AND deleted_at IS NULL"
    " AND id IN (SELECT unnest(CAST(:ids AS BIGINT[])))"
)
_KNOWN = sa.text("SELECT id FROM label_actions WHERE id IN (SELECT unnest(CAST(:ids AS VARCHAR[])))")
_SET_LABEL = sa.text(
    "UPDATE train_data SET label_id = change.label_id, updated_at = :now,"
    " labeled_by = CASE WHEN change.label_id IS NULL THEN NULL ELSE CAST(:user AS BIGINT) END,"
    " labeled_at = CASE WHEN change.label_id IS NULL THEN NULL ELSE CAST(:now AS TIMESTAMPTZ) END"
    " FROM (SELECT unnest(CAST(:ids AS BIGINT[])) AS id, unnest(CAST(:labels AS BIGINT[])) AS label_id)"
    " AS change WHERE train_data.id = change.id"
)
_SET_FLAG = sa.text(
    "UPDATE train_data SET flag_note = change.note, updated_at = :now,"
    " flagged_by = CASE WHEN change.note IS NULL THEN NULL ELSE CAST(:user AS BIGINT) END"
    " FROM (SELECT unnest(CAST(:ids AS BIGINT[])) AS id, unnest(CAST(:notes AS VARCHAR[])) AS note)"
    " AS change WHERE train_data.id = change.id"
)


def current(connection: sa.Connection, theme_id: int, ids: Iterable[int]) -> dict[int, int | None]:
    """Labels of those of the images that are in the theme."""
    rows = connection.execute(LIVE, {"theme": theme_id, "ids": list(ids)})
    return {row.id: row.label_id for row in rows}


def changes_by(
    connection: sa.Connection, theme_id: int, actor: auth.User, ids: Sequence[str]
) -> dict[str, list[tuple[int, int | None, int | None]]]:
    """(image, label before, label after) of each of this person's earlier actions."""
    found: dict[str, list[tuple[int, int | None, int | None]]] = {}
    if ids:
        entry = label_history.c
        query = (
            sa.select(entry.action_id, entry.image_id, entry.from_label_id, entry.to_label_id)
            .where(entry.theme_id == theme_id, entry.user_id == actor.id, entry.action_id.in_(ids))
            .order_by(entry.id)
        )
        for action_id, *change in connection.execute(query):
            found.setdefault(action_id, []).append(tuple(change))
    return found


def _write(
    connection: sa.Connection,
    actor: auth.User,
    now: datetime,
    final: Mapping[int, int | None],
    entries: Sequence[dict[str, Any]],
) -> None:
    if entries:
        connection.execute(
            _SET_LABEL, {"ids": list(final), "labels": list(final.values()), "user": actor.id, "now": now}
        )
        bulk_insert(connection, label_history, entries)


def _entry(
    theme_id: int,
    actor: auth.User,
    now: datetime,
    change: tuple[int, int | None, int | None],
    source: str,
    action_id: str | None,
    seconds: float | None,
) -> dict[str, Any]:
    image_id, before, after = change
    return {
        "theme_id": theme_id,
        "image_id": image_id,
        "at": now,
        "user_id": actor.id,
        "from_label_id": before,
        "to_label_id": after,
        "source": source,
        "action_id": action_id,
        "seconds": seconds,
    }


def _refusal(action: Action, live: set[int]) -> InvalidInput | None:
    """Why an action cannot be done, if it cannot."""
    unknown = {label_id for _, label_id in action.changes if label_id is not None} - live
    try:
        refuse_unknown(unknown, "These labels are not in the theme; they may have been deleted: {ids}.")
        if any(note is not None and len(note) > MAX_NOTE for _, note in action.notes):
            raise InvalidInput("The note is longer than {limit} characters; shorten it.", limit=MAX_NOTE)
    except InvalidInput as refusal:
        return refusal
    return None


def _each(seconds: float | None, images: int) -> float | None:
    """Seconds a person spent on each image of an act."""
    return seconds / images if seconds is not None and 0 <= seconds <= MAX_SECONDS and images else None
