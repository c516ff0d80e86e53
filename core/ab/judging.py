"""Stored. Judging a duel: what comes next, the choice, taking it back, and who may see the results when.

Nobody sees results while there is something left for them to judge, and whoever has seen them judges no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from core import auth
from core.ab import duels
from core.ab.duel import a_is_left
from core.db.tables import ab_duel_items, ab_duel_judgements, ab_duel_looks, ab_duels, train_data
from core.errors import Conflict, InvalidInput, NotAllowed, NotFound
from core.workbench import Workbench

LEFT, RIGHT, TIE = "left", "right", "tie"
A, B = "a", "b"
MAX_SECONDS = 3_600.0
"""A judgement that took longer was an interrupted one, and its time says nothing."""
MAX_NEXT = 20


@dataclass(frozen=True)
class Picture:
    image_id: int
    format: str
    width: int
    height: int


@dataclass(frozen=True)
class Blind:
    """An item as its judge sees it: nothing says which answer is whose."""

    number: int
    query: str | None
    picture: Picture | None
    left: str
    right: str
    left_confidence: float | None
    right_confidence: float | None


@dataclass(frozen=True)
class Progress:
    """How far one person is."""

    judged: int
    total: int
    """Items this person has judged or may still judge."""
    status: str
    looked: bool
    """Has seen the results while others still judge."""
    last: int | None
    """The item judged last, which may be taken back."""

    @property
    def finished(self) -> bool:
        return self.judged >= self.total


def progress(wb: Workbench, actor: auth.User, duel_id: int) -> Progress:
    """Raises NotFound."""
    with wb.db.read() as connection:
        return _progress(connection, actor, duels.find(connection, duel_id))


def upcoming(wb: Workbench, actor: auth.User, duel_id: int, *, after: int = 0, limit: int = 5) -> list[Blind]:
    """The next items this person has not judged, beyond item `after`; all judges get them in one order.

    Raises NotFound, NotAllowed.
    """
    auth.require(actor, auth.LABELER)
    with wb.db.read() as connection:
        duel = duels.find(connection, duel_id)
        if duel.status == duels.CLOSED or _looked(connection, actor, duel_id):
            return []
        query = (
            _judgeable(duel_id)
            .where(ab_duel_items.c.number > after, ~_judged_by(actor, duel_id))
            .order_by(ab_duel_items.c.number)
            .limit(min(limit, MAX_NEXT))
        )
        salt = _salt(connection, duel_id)
        return [_blind(row, salt, actor) for row in connection.execute(query).mappings()]


def judge(
    wb: Workbench, actor: auth.User, duel_id: int, number: int, choice: str, seconds: float | None = None
) -> Progress:
    """Say which side of an item is better: left, right or tie. Saying the same again changes nothing.

    Raises NotFound; Conflict where the duel is closed, the person has seen the results, or judged the
    item otherwise before; InvalidInput; NotAllowed.
    """
    auth.require(actor, auth.LABELER)
    if choice not in (LEFT, RIGHT, TIE):
        raise InvalidInput("Choose left, right or tie; “{choice}” is none of them.", choice=choice[:20])

    def work(connection: sa.Connection) -> Progress:
        duel = duels.locked(connection, duel_id)
        chosen = TIE
        if choice != TIE:
            left = a_is_left(_salt(connection, duel_id), number, actor.id)
            chosen = A if (choice == LEFT) == left else B
        before = _judgement(connection, actor, duel_id, number)
        if before == chosen:
            return _progress(connection, actor, duel)
        duels.refuse_closed(duel)
        if _looked(connection, actor, duel_id):
            raise Conflict("You have seen the results, so you cannot judge this duel any more.")
        if before is not None:
            raise Conflict("You judged item {n} otherwise before; take that back first.", n=number)
        if connection.execute(_judgeable(duel_id).where(ab_duel_items.c.number == number)).first() is None:
            raise NotFound("There is no item {n} to judge in this duel.", n=number)
        connection.execute(
            ab_duel_judgements.insert().values(
                duel_id=duel_id,
                number=number,
                user_id=actor.id,
                choice=chosen,
                seconds=seconds if seconds is not None and 0 <= seconds <= MAX_SECONDS else None,
                at=datetime.now(UTC),
            )
        )
        return _progress(connection, actor, duel)

    return wb.db.write(work)


def take_back(wb: Workbench, actor: auth.User, duel_id: int, number: int) -> Progress:
    """Undo one's last judgement, which must be that of item `number`; one that is not there is taken back already.

    Raises NotFound; Conflict where it is not the last, the duel is closed or the results were seen; NotAllowed.
    """
    auth.require(actor, auth.LABELER)

    def work(connection: sa.Connection) -> Progress:
        duel = duels.locked(connection, duel_id)
        if _judgement(connection, actor, duel_id, number) is not None:
            duels.refuse_closed(duel)
            if _looked(connection, actor, duel_id):
                raise Conflict("You have seen the results, so your judgements stand.")
            if _last(connection, actor, duel_id) != number:
                raise Conflict("Only your last judgement can be taken back.")
            table = ab_duel_judgements.c
            connection.execute(
                ab_duel_judgements.delete().where(
                    table.duel_id == duel_id, table.number == number, table.user_id == actor.id
                )
            )
        return _progress(connection, actor, duel)

    return wb.db.write(work)


def look(wb: Workbench, actor: auth.User, duel_id: int) -> duels.Duel:
    """The duel, for showing its results to this person. Raises NotFound, and NotAllowed while they must stay blind.

    Whoever sees the results of an open duel is noted and judges no more.
    """
    auth.require(actor, auth.VIEWER)

    def work(connection: sa.Connection) -> duels.Duel:
        duel = duels.locked(connection, duel_id)
        if duel.status == duels.CLOSED or _looked(connection, actor, duel_id):
            return duel
        if actor.may(auth.LABELER) and not (duel.items and _progress(connection, actor, duel).finished):
            raise NotAllowed(
                "The results stay hidden until you have judged every item, or a trainer closes the duel; "
                "so nobody is led by them."
            )
        connection.execute(
            ab_duel_looks.insert().values(duel_id=duel_id, user_id=actor.id, at=datetime.now(UTC))
        )
        return duel

    return wb.db.write(work)


def _judgeable(duel_id: int) -> sa.Select[Any]:
    """Items on which the answers differ and whose image is still there."""
    return (
        sa.select(ab_duel_items, train_data.c.format, train_data.c.width, train_data.c.height)
        .select_from(ab_duel_items.outerjoin(train_data, train_data.c.id == ab_duel_items.c.image_id))
        .where(
            ab_duel_items.c.duel_id == duel_id,
            ~ab_duel_items.c.same,
            train_data.c.deleted_at.is_(None),
        )
    )


def _judged_by(actor: auth.User, duel_id: int) -> sa.ColumnElement[bool]:
    table = ab_duel_judgements.c
    return sa.exists().where(
        table.duel_id == duel_id, table.user_id == actor.id, table.number == ab_duel_items.c.number
    )


def _progress(connection: sa.Connection, actor: auth.User, duel: duels.Duel) -> Progress:
    table = ab_duel_judgements.c
    mine = sa.select(sa.func.count()).where(table.duel_id == duel.id, table.user_id == actor.id)
    judged = connection.execute(mine).scalar_one()
    left = _judgeable(duel.id).where(~_judged_by(actor, duel.id)).subquery()
    remaining = connection.execute(sa.select(sa.func.count()).select_from(left)).scalar_one()
    looked = _looked(connection, actor, duel.id)
    return Progress(judged, judged + remaining, duel.status, looked, _last(connection, actor, duel.id))


def _last(connection: sa.Connection, actor: auth.User, duel_id: int) -> int | None:
    table = ab_duel_judgements.c
    mine = sa.select(table.number).where(table.duel_id == duel_id, table.user_id == actor.id)
    return connection.execute(mine.order_by(table.at.desc(), table.number.desc()).limit(1)).scalar()


def _judgement(connection: sa.Connection, actor: auth.User, duel_id: int, number: int) -> str | None:
    table = ab_duel_judgements.c
    query = sa.select(table.choice).where(
        table.duel_id == duel_id, table.number == number, table.user_id == actor.id
    )
    return connection.execute(query).scalar()


def _looked(connection: sa.Connection, actor: auth.User, duel_id: int) -> bool:
    table = ab_duel_looks.c
    query = sa.select(table.at).where(table.duel_id == duel_id, table.user_id == actor.id)
    return connection.execute(query).first() is not None


def _salt(connection: sa.Connection, duel_id: int) -> str:
    return str(connection.execute(sa.select(ab_duels.c.salt).where(ab_duels.c.id == duel_id)).scalar_one())


def _blind(row: Mapping[Any, Any], salt: str, judge: auth.User) -> Blind:
    left, right = (A, B) if a_is_left(salt, row["number"], judge.id) else (B, A)
    return Blind(
        number=row["number"],
        query=row["query"],
        picture=Picture(row["image_id"], row["format"], row["width"], row["height"])
        if row["image_id"] is not None
        else None,
        left=row[f"answer_{left}"],
        right=row[f"answer_{right}"],
        left_confidence=row[f"confidence_{left}"],
        right_confidence=row[f"confidence_{right}"],
    )
