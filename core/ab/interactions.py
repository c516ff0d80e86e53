"""Stored. What happened: interactions logged once, ratings that come late, all checked at the door."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import uuid4

import sqlalchemy as sa
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from core import storable
from core.ab import assigning, rollups
from core.ab.assignment import MAX_UNIT
from core.ab.trials import Trial
from core.db.engine import relation
from core.db.tables import ab_exposures, ab_test_logs
from core.errors import InvalidInput, NotFound, VeritrainError
from core.i18n import N_
from core.workbench import Workbench

MAX_BATCH = 10_000
MAX_KEY = 64
MAX_TEXT = 20_000
MAX_SEGMENT = 100
SKEW = timedelta(minutes=5)
"""How far a sender's clock may be ahead, or behind the start of the test."""

Refused = tuple[int, VeritrainError]
"""(index in the batch, why)."""


class Interaction(BaseModel):
    """One answer of a variant to one unit, as a program sends it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    unit: str = Field(min_length=1, max_length=MAX_UNIT)
    key: str | None = Field(None, min_length=1, max_length=MAX_KEY)
    """Made by the sender, so that sending again does nothing twice."""
    variant: str | None = None
    """Left out, it is the unit's assigned one."""
    at: AwareDatetime | None = Field(None, strict=False)
    status: Literal["ok", "error", "timeout"] = "ok"
    response_time_ms: float | None = Field(None, ge=0, le=86_400_000, allow_inf_nan=False)
    cost: float | None = Field(None, ge=0, allow_inf_nan=False)
    rating: int | None = Field(None, ge=1, le=5)
    feedback: str | None = Field(None, max_length=MAX_TEXT)
    query: str | None = Field(None, max_length=MAX_TEXT)
    response: str | None = Field(None, max_length=MAX_TEXT)
    segments: dict[str, str] | None = None


@dataclass
class Report:
    """What became of a batch; everything not refused is durable."""

    added: int = 0
    known: int = 0
    """Were there already: their key had been logged before."""
    keys: list[str | None] = field(default_factory=list)
    """The key of each row, None of a refused one."""
    refused: list[Refused] = field(default_factory=list)


_SENTENCES = {
    "unit": N_(
        "The unit is missing: send the id of the user, 1 to 200 characters, the same for the same user."
    ),
    "rating": N_("A rating is a whole number from 1 to 5, or left out."),
    "status": N_("A status is ok, error or timeout."),
    "response_time_ms": N_("A response time is a number of milliseconds from 0 to a day."),
    "cost": N_("A cost is a number of at least 0."),
    "at": N_("A time needs its zone, such as 2026-11-21T09:30:00+09:00."),
    "key": N_("A key has 1 to 64 characters and is different for each interaction."),
}


def log(wb: Workbench, test_id: int, rows: Sequence[Mapping[str, Any]]) -> Report:
    """Log interactions; each good row is durable when this returns, each bad one is named with its reason.

    Raises NotFound, Conflict where the test is not running, InvalidInput for too many rows at once.
    """
    if len(rows) > MAX_BATCH:
        raise InvalidInput("Send at most {limit} interactions at once.", limit=MAX_BATCH)
    trial = assigning.open_trial(wb, test_id)
    now = datetime.now(UTC)
    report = Report(keys=[None] * len(rows))
    good: dict[int, Interaction] = {}
    for index, row in enumerate(rows):
        try:
            good[index] = checked(trial, row, now)
            report.keys[index] = good[index].key or uuid4().hex
        except VeritrainError as error:
            report.refused.append((index, error))

    def work(connection: sa.Connection) -> tuple[int, int, list[Refused]]:
        return _store(connection, trial, good, report.keys, now)

    def careful(connection: sa.Connection) -> tuple[int, int, list[Refused]]:
        seen = _known(connection, trial.id, [str(report.keys[index]) for index in good])
        return _store(connection, trial, good, report.keys, now, seen)

    try:
        report.added, report.known, late = wb.db.write(work)
    except sa.exc.IntegrityError:  # keys are nearly always new, so they are looked up only where one is not
        report.added, report.known, late = wb.db.write(careful)
    for index, _ in late:
        report.keys[index] = None
    report.refused = sorted(report.refused + late, key=lambda each: each[0])
    if trial.phase is not None and report.added:
        rollups.tidy(wb, trial.id, trial.phase.number, report.added)
    return report


def rate(wb: Workbench, test_id: int, key: str, rating: int, feedback: str | None = None) -> None:
    """A rating that comes after its interaction; a later one takes the earlier's place.

    Raises NotFound for a key that was never logged, InvalidInput, Conflict.
    """
    trial = assigning.open_trial(wb, test_id)
    if not isinstance(rating, int) or isinstance(rating, bool) or not 1 <= rating <= 5:
        raise InvalidInput(_SENTENCES["rating"])
    if feedback is not None and len(feedback) > MAX_TEXT:
        raise InvalidInput("A feedback has at most {limit} characters.", limit=MAX_TEXT)
    storable.check("key", key)
    storable.check("feedback", feedback or "")
    values: dict[str, Any] = {"rating": rating} | ({"feedback": feedback} if feedback is not None else {})

    table = ab_test_logs.c
    one = (table.test_id == trial.id) & (table.key == key)
    query = sa.select(ab_test_logs).where(one)

    def work(connection: sa.Connection) -> int:
        """The phase in which the interaction happened."""
        # DuckDB's one writer needs no lock, and it knows none.
        locked = query.with_for_update() if connection.dialect.name == "postgresql" else query
        row = connection.execute(locked).mappings().one_or_none()
        if row is None:
            raise NotFound("No interaction with the key “{key}” was logged in this test.", key=key)
        connection.execute(ab_test_logs.update().where(one).values(**values))
        if not row["forced"]:
            rollups.rerate(connection, row, rating)
        return int(row["phase"])

    rollups.tidy(wb, trial.id, wb.db.write(work), 1)


def expose(wb: Workbench, trial: Trial, unit: str, variant: str, key: str) -> bool:
    """Note that a unit is about to be answered, before the model is called; False where it was noted before."""
    arm = assigning.index_of(trial, variant)

    assert trial.phase is not None
    statement = ab_exposures.insert().values(
        test_id=trial.id, key=key, phase=trial.phase.number, unit=unit, arm=arm, at=datetime.now(UTC)
    )
    try:
        wb.db.write(lambda connection: connection.execute(statement) and None)
    except sa.exc.IntegrityError:  # the primary key knows without a look through the table
        return False
    return True


def logged(
    wb: Workbench,
    test_id: int,
    *,
    limit: int = 50,
    after: tuple[datetime, str] | None = None,
    lost_by: int | None = None,
) -> list[dict[str, Any]]:
    """Interactions, newest first; with `lost_by` (an arm's index) those it was rated 1 or 2 for.

    `after` is (logged_at, key) of the last one seen, for those before it.
    """
    table = ab_test_logs.c
    query = (
        sa.select(ab_test_logs).where(table.test_id == test_id).order_by(table.logged_at.desc(), table.key)
    )
    if lost_by is not None:
        query = query.where(table.rating <= 2, table.arm == lost_by)
    if after is not None:
        query = query.where(
            (table.logged_at < after[0]) | ((table.logged_at == after[0]) & (table.key > after[1]))
        )
    with wb.db.read() as connection:
        return [dict(row) for row in connection.execute(query.limit(limit)).mappings()]


def checked(trial: Trial, row: Mapping[str, Any], now: datetime) -> Interaction:
    """The row of a batch. Raises InvalidInput with one sentence that says what is wrong with it."""
    try:
        found = Interaction.model_validate(row)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "row"
        if sentence := _SENTENCES.get(name):
            raise InvalidInput(sentence) from error
        raise InvalidInput("“{field}” is not right: {reason}.", field=name, reason=first["msg"]) from error
    if "\0" in found.unit:
        raise InvalidInput(_SENTENCES["unit"])
    for name in ("key", "feedback", "query", "response"):
        storable.check(name, getattr(found, name) or "")
    if found.variant is not None:
        assigning.index_of(trial, found.variant)
    if found.at is not None and found.at > now + SKEW:
        raise InvalidInput(
            "The time {at} is in the future; set the sender's clock.",
            at=found.at.isoformat(timespec="seconds"),
        )
    if found.at is not None and trial.started_at is not None and found.at < trial.started_at - SKEW:
        raise InvalidInput(
            "The time {at} is before the test started; log only what happened in it.",
            at=found.at.isoformat(timespec="seconds"),
        )
    for name, value in (found.segments or {}).items():
        if name not in trial.plan.segments:
            raise InvalidInput(
                "“{name}” is not a segment of this test's plan; it has: {all}.",
                name=name,
                all=", ".join(trial.plan.segments) or "–",
            )
        if not 1 <= len(value) <= MAX_SEGMENT:
            raise InvalidInput(
                "The segment “{name}” has 1 to {limit} characters.", name=name, limit=MAX_SEGMENT
            )
        storable.check(name, value)
    return found


def _store(
    connection: sa.Connection,
    trial: Trial,
    good: Mapping[int, Interaction],
    keys: Sequence[str | None],
    now: datetime,
    known: Collection[str] = (),
) -> tuple[int, int, list[Refused]]:
    """(rows added, rows whose key was there, refused); raises IntegrityError for a key not named in `known`."""
    seen = set(known)
    again = 0
    late: list[Refused] = []
    rows = []
    arms = assigning.recorded(connection, trial, {row.unit for row in good.values()})
    fresh: dict[str, int] = {}
    for index, row in good.items():
        key = str(keys[index])
        if key in seen:
            again += 1
            continue
        kept = arms.get(row.unit)
        if row.variant is not None:
            arm = trial.plan.names.index(row.variant)
        else:
            found = kept[0] if kept else assigning.arm_of(trial, row.unit)
            if found is None:
                late.append(
                    (
                        index,
                        InvalidInput(
                            "“{unit}” takes no part in this test, so it has no variant.", unit=row.unit
                        ),
                    )
                )
                continue
            arm = found
        if kept is None:
            fresh[row.unit] = arm
            arms[row.unit] = kept = (arm, False)
        seen.add(key)
        rows.append(_row(trial, row, key, arm, kept[1], now))
    if rows:
        _insert(connection, rows)
        assigning.record(connection, trial, fresh)
    return len(rows), again, late


def _insert(connection: sa.Connection, rows: Sequence[dict[str, Any]]) -> None:
    # In order, so that two requests which bring the same keys do not block each other.
    if len(rows) <= assigning.FEW:
        connection.execute(ab_test_logs.insert(), sorted(rows, key=lambda row: str(row["key"])))
        rollups.append_each(connection, rows)
        return
    columns = ", ".join(f'"{name}"' for name in rows[0])
    with relation(connection, ab_test_logs, rows) as (source, given):
        statement = f"INSERT INTO ab_test_logs ({columns}) SELECT {columns} FROM {source} ORDER BY key"
        connection.execute(sa.text(statement), given)
        rollups.append(connection, source, given, segments=any(row["segments"] for row in rows))


def _row(trial: Trial, row: Interaction, key: str, arm: int, forced: bool, now: datetime) -> dict[str, Any]:
    assert trial.phase is not None
    return {
        "test_id": trial.id,
        "key": key,
        "phase": trial.phase.number,
        "unit": row.unit,
        "arm": arm,
        "forced": forced,
        "at": (row.at or now).astimezone(UTC),
        "logged_at": now,
        "status": row.status,
        "response_time_ms": row.response_time_ms,
        "cost": row.cost,
        "rating": row.rating,
        "feedback": row.feedback,
        "query": row.query,
        "response": row.response,
        "segments": row.segments,
    }


def _known(connection: sa.Connection, test_id: int, keys: Sequence[str]) -> set[str]:
    with relation(connection, ab_test_logs, [{"key": key} for key in keys]) as (source, given):
        query = f"SELECT key FROM ab_test_logs WHERE test_id = :test AND key IN (SELECT key FROM {source})"
        return set(connection.execute(sa.text(query), {"test": test_id, **given}).scalars())
