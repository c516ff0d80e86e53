"""Stored. Duels: two versions answer the same queries, and people who do not know which is which choose the better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any

import sqlalchemy as sa

from core import audit, auth, registry, themes
from core.ab import duel_items, trials
from core.ab.duel_items import Item, Sample
from core.db.engine import bulk_insert, next_ids
from core.db.tables import (
    ab_duel_items,
    ab_duels,
)
from core.errors import Conflict, InvalidInput, NotFound, VeritrainError
from core.workbench import Workbench

OPEN, CLOSED = "open", "closed"
MAX_ITEMS = 2_000
"""Items of one duel: days of work for its judges."""
MAX_BATCH = 500


@dataclass(frozen=True)
class Duel:
    """A duel of version_a and version_b; `variant` is what the second is called in its test."""

    id: int
    theme_id: int
    test_id: int | None
    variant: str
    version_a: int
    version_b: int
    sample: dict[str, Any] | None
    """How its items were drawn: Sample, and `failed`, the images that one version could not answer."""
    status: str
    created_by: int
    created_at: datetime
    closed_at: datetime | None
    items: int
    same: int
    """Items to which both gave the same answer; nobody is asked about them."""


@dataclass
class Added:
    """What became of items that a program sent."""

    added: int = 0
    known: int = 0
    same: int = 0
    """Of those added: both answers equal."""
    refused: list[tuple[int, VeritrainError]] = field(default_factory=list)


def create(
    wb: Workbench,
    actor: auth.User,
    *,
    test_id: int | None = None,
    variant: str = "B",
    theme_id: int | None = None,
    versions: tuple[int, int] | None = None,
    sample: Sample | None = None,
) -> Duel:
    """A duel of A and `variant` of a test, or of two versions of a theme; with a `sample` its items are there at once.

    Raises NotFound, NotAllowed, InvalidInput where it is not clear who is compared, and what `duel_items` raises.
    """
    auth.require(actor, auth.TRAINER)
    trial, arm = None, 1
    if test_id is not None:
        trial = trials.get(wb, test_id)
        if variant not in trial.plan.names[1:]:
            raise InvalidInput(
                "“{name}” cannot duel with A; this test has: {all}.",
                name=variant,
                all=", ".join(trial.plan.names[1:]),
            )
        arm = trial.plan.names.index(variant)
        theme_id, versions = trial.theme_id, (trial.plan.versions[0], trial.plan.versions[arm])
    if theme_id is None or versions is None:
        raise InvalidInput(
            "Say which A/B test the duel belongs to, or a theme and two of its model versions."
        )
    themes.get(wb, theme_id)
    if versions[0] == versions[1]:
        raise InvalidInput("A duel compares two different versions; choose another for B.")
    for version in registry.by_id(wb, set(versions)).values():
        if version.theme_id != theme_id:
            raise NotFound("There is no model version {id} in this theme.", id=version.id)
    items, drawn = _draw(wb, actor, theme_id, versions, trial, arm, sample)

    def work(connection: sa.Connection) -> int:
        [duel_id] = next_ids(connection, "ab_duels_id_seq", 1)
        connection.execute(
            ab_duels.insert().values(
                id=duel_id,
                theme_id=theme_id,
                test_id=test_id,
                variant=variant if test_id is not None else "B",
                version_a=versions[0],
                version_b=versions[1],
                salt=token_hex(16),
                sample=drawn,
                status=OPEN,
                created_by=actor.id,
                created_at=datetime.now(UTC),
            )
        )
        _insert(connection, duel_id, 0, items)
        audit.record(connection, actor, "duel.create", f"duel {duel_id}", {"test": test_id, "sample": drawn})
        return duel_id

    return get(wb, wb.db.write(work))


def add(wb: Workbench, actor: auth.User, duel_id: int, rows: Sequence[Mapping[str, Any]]) -> Added:
    """Items that a program brings; each good one is kept, each bad one named, a known one left as it is.

    Raises NotFound, Conflict where the duel is closed, InvalidInput for too many, NotAllowed.
    """
    auth.require(actor, auth.TRAINER)
    if len(rows) > MAX_BATCH:
        raise InvalidInput("Send at most {limit} items at once.", limit=MAX_BATCH)
    good, refused = duel_items.from_program(rows)

    def work(connection: sa.Connection) -> Added:
        duel = locked(connection, duel_id)
        refuse_closed(duel)
        table = ab_duel_items.c
        keys = sa.select(table.key).where(
            table.duel_id == duel_id, table.key.in_(i.key for i in good.values())
        )
        known = set(connection.execute(keys).scalars())
        fresh = {item.key: item for item in good.values() if item.key not in known}
        if duel.items + len(fresh) > MAX_ITEMS:
            raise InvalidInput(
                "A duel has at most {limit} items; make another for the rest.", limit=MAX_ITEMS
            )
        _insert(connection, duel_id, duel.items, list(fresh.values()))
        audit.record(connection, actor, "duel.items", f"duel {duel_id}", {"added": len(fresh)})
        same = sum(item.same for item in fresh.values())
        return Added(len(fresh), len(good) - len(fresh), same, refused)

    return wb.db.write(work)


def close(wb: Workbench, actor: auth.User, duel_id: int) -> Duel:
    """End the judging; from now on everybody may see the results. Closing twice is no error."""
    auth.require(actor, auth.TRAINER)

    def work(connection: sa.Connection) -> None:
        if locked(connection, duel_id).status == CLOSED:
            return
        connection.execute(
            ab_duels.update()
            .where(ab_duels.c.id == duel_id)
            .values(status=CLOSED, closed_at=datetime.now(UTC))
        )
        audit.record(connection, actor, "duel.close", f"duel {duel_id}")

    wb.db.write(work)
    return get(wb, duel_id)


def get(wb: Workbench, duel_id: int) -> Duel:
    """Raises NotFound."""
    with wb.db.read() as connection:
        return find(connection, duel_id)


def listed(
    wb: Workbench, *, test_id: int | None = None, theme_id: int | None = None, limit: int = 50
) -> list[Duel]:
    """Duels, newest first, of one test, one theme or all."""
    query = sa.select(ab_duels).order_by(ab_duels.c.id.desc()).limit(limit)
    if test_id is not None:
        query = query.where(ab_duels.c.test_id == test_id)
    if theme_id is not None:
        query = query.where(ab_duels.c.theme_id == theme_id)
    with wb.db.read() as connection:
        return _duels(connection, query)


def _draw(
    wb: Workbench,
    actor: auth.User,
    theme_id: int,
    versions: tuple[int, int],
    trial: trials.Trial | None,
    arm: int,
    sample: Sample | None,
) -> tuple[list[Item], dict[str, Any] | None]:
    if sample is None:
        return [], None
    if sample.source == "images":
        items, failed = duel_items.from_images(wb, actor, theme_id, versions, sample)
        return items, sample.model_dump() | {"failed": failed}
    if trial is None:
        raise InvalidInput("Only the duel of an A/B test can draw from logged queries; name the test.")
    return duel_items.from_logs(wb, trial, arm, sample), sample.model_dump() | {"failed": 0}


def _insert(connection: sa.Connection, duel_id: int, after: int, items: Sequence[Item]) -> None:
    bulk_insert(
        connection,
        ab_duel_items,
        [
            {
                "duel_id": duel_id,
                "number": number,
                "key": item.key,
                "image_id": item.image_id,
                "query": item.query,
                "answer_a": item.answer_a,
                "answer_b": item.answer_b,
                "confidence_a": item.confidence_a,
                "confidence_b": item.confidence_b,
                "same": item.same,
            }
            for number, item in enumerate(items, after + 1)
        ],
    )


def refuse_closed(duel: Duel) -> None:
    """Raises Conflict where nothing more may come to the duel."""
    if duel.status == CLOSED:
        raise Conflict("This duel is closed; its judgements stand.")


def locked(connection: sa.Connection, duel_id: int) -> Duel:
    """The duel, kept as it is until the transaction ends."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(ab_duels.c.id).where(ab_duels.c.id == duel_id).with_for_update())
    return find(connection, duel_id)


def find(connection: sa.Connection, duel_id: int) -> Duel:
    """The duel, within a transaction. Raises NotFound."""
    found = _duels(connection, sa.select(ab_duels).where(ab_duels.c.id == duel_id))
    if not found:
        raise NotFound("There is no duel {id}.", id=duel_id)
    return found[0]


def _duels(connection: sa.Connection, query: sa.Select[Any]) -> list[Duel]:
    rows = connection.execute(query).mappings().all()
    table = ab_duel_items.c
    counts = (
        sa.select(table.duel_id, sa.func.count(), sa.func.sum(sa.case((table.same, 1), else_=0)))
        .where(table.duel_id.in_([row["id"] for row in rows]))
        .group_by(table.duel_id)
    )
    counted = {duel_id: (int(items), int(same)) for duel_id, items, same in connection.execute(counts)}
    found = []
    for row in rows:
        items, same = counted.get(row["id"], (0, 0))
        fields = {name: value for name, value in row.items() if name != "salt"}
        found.append(Duel(**fields, items=items, same=same))
    return found
