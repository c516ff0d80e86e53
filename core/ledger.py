"""Stored. The registry's ledger: every change of a stage, who, when and why, appended and never changed.

Each entry holds the hash of the one before it, so an entry that is changed, removed or slipped in
breaks the chain (`verify`).
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from core import auth
from core.db.engine import next_ids
from core.db.tables import ab_experiments, model_registry, models, themes
from core.db.tables import registry_ledger as table
from core.errors import Conflict, NotFound
from core.notices import outbox
from core.workbench import Workbench

STAGING, PRODUCTION, ARCHIVED = STAGES = ("staging", "production", "archived")
FIRST = "0" * 64
"""What stands as the hash before the first entry."""
HEAD = "ledger/head.json"
"""Key in the file store of the newest entry's id and hash; id 0 and FIRST while there is none."""
_decided = float("-inf")


@dataclass(frozen=True)
class Entry:
    """One decision."""

    id: int
    model_id: int
    version_id: int
    at: datetime
    actor_id: int
    actor: str
    """Name of the person at that moment."""
    from_stage: str
    to_stage: str
    reason: str
    evidence: dict[str, Any]
    evidence_hash: str
    """SHA-256 of the evidence as JSON with sorted keys."""
    previous_hash: str
    hash: str
    """SHA-256 of everything above as JSON with sorted keys, the evidence by its hash."""


@dataclass(frozen=True)
class Problem:
    """What does not add up: `kind` is evidence | hash | chain | stage | head."""

    kind: str
    entry_id: int | None
    version_id: int | None
    """None: it concerns all that came before."""


def lock(connection: sa.Connection) -> datetime:
    """Within a transaction: nobody else decides until it ends. DuckDB's one writer needs no lock.

    Returns the moment of what is decided in it: now, but never before the last entry.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("LOCK TABLE registry_ledger IN SHARE ROW EXCLUSIVE MODE"))
    last = connection.execute(sa.select(sa.func.max(table.c.at))).scalar()
    now = datetime.now(UTC)
    return now if last is None else max(now, last.astimezone(UTC))


def append(
    connection: sa.Connection,
    at: datetime,
    actor: auth.User,
    version: tuple[int, int],
    stages: tuple[str, str],
    reason: str,
    evidence: Mapping[str, Any],
) -> Entry:
    """Write one decision about `version` (its model's id, its own id) in the transaction that holds `lock`.

    `at` is the moment that `lock` gave. Raises ValueError for evidence with NaN or infinity, which JSON cannot say.
    """
    newest = _newest(connection)
    [entry_id] = next_ids(connection, "registry_ledger_id_seq", 1)
    kept = json.loads(_canonical(evidence))
    fields: dict[str, Any] = {
        "id": entry_id,
        "model_id": version[0],
        "version_id": version[1],
        "at": at,
        "actor_id": actor.id,
        "actor": actor.name,
        "from_stage": stages[0],
        "to_stage": stages[1],
        "reason": reason,
        "evidence": kept,
        "evidence_hash": _digest(kept),
        "previous_hash": newest.hash if newest else FIRST,
    }
    entry = Entry(**fields, hash=_hash(fields))
    connection.execute(table.insert().values(**asdict(entry)))
    if entry.from_stage != entry.to_stage:
        told = ("model_id", "version_id", "from_stage", "to_stage", "actor", "reason")
        said = {name: fields[name] for name in told} | {"ledger_entry": entry_id, "hash": entry.hash}
        outbox.tell(connection, outbox.STAGE_CHANGED, said)
    global _decided
    _decided = time.monotonic()
    return entry


def decided() -> float:
    """When this process last wrote a decision (`time.monotonic`); it is committed a moment later."""
    return _decided


def entries(wb: Workbench, model_id: int | None = None, version_id: int | None = None) -> list[Entry]:
    """Decisions in their order, the first one first; of one model or one version."""
    query = sa.select(table).order_by(table.c.id)
    if model_id is not None:
        query = query.where(table.c.model_id == model_id)
    if version_id is not None:
        query = query.where(table.c.version_id == version_id)
    with wb.db.read() as connection:
        return [Entry(**row) for row in connection.execute(query).mappings()]


def newest(wb: Workbench, limit: int, theme_id: int | None = None) -> list[Entry]:
    """The last decisions, newest first; of one theme or of all that are not deleted."""
    query = (
        sa.select(table)
        .join(models, models.c.id == table.c.model_id)
        .join(themes, themes.c.id == models.c.theme_id)
        .where(themes.c.deleted_at.is_(None))
        .order_by(table.c.id.desc())
        .limit(limit)
    )
    if theme_id is not None:
        query = query.where(models.c.theme_id == theme_id)
    with wb.db.read() as connection:
        return [Entry(**row) for row in connection.execute(query).mappings()]


def production_on(wb: Workbench, model_id: int, at: datetime) -> int | None:
    """Id of the version that was in production at a moment; None where none was. Raises NotFound for an unknown model."""
    query = (
        sa.select(table.c.version_id, table.c.from_stage, table.c.to_stage)
        .where(table.c.model_id == model_id, table.c.at <= at)
        .where((table.c.from_stage == PRODUCTION) | (table.c.to_stage == PRODUCTION))
        .order_by(table.c.id.desc())
        .limit(1)
    )
    with wb.db.read() as connection:
        last = connection.execute(query).one_or_none()
        known = sa.select(models.c.id).where(models.c.id == model_id)
        if last is None and connection.execute(known).first() is None:
            raise NotFound("There is no model {id}.", id=model_id)
    return int(last.version_id) if last is not None and last.to_stage == PRODUCTION else None


def before(connection: sa.Connection, model_id: int) -> int | None:
    """Id of the version that was in production before the present one, or last where none is; MLflow's `previous`.

    None where there was no other.
    """
    of_model = table.c.model_id == model_id
    left = sa.select(table.c.version_id).where(
        of_model, table.c.from_stage == PRODUCTION, table.c.to_stage != PRODUCTION
    )
    found = connection.execute(left.order_by(table.c.id.desc()).limit(1)).scalar()
    now = sa.select(model_registry.c.stage).where(model_registry.c.id == found)
    if found is None or connection.execute(now).scalar() == PRODUCTION:
        return None
    return int(found)


def way_back(connection: sa.Connection, model_id: int) -> tuple[int, Entry | None] | None:
    """Id of the version that a rollback brings back, and the rollback that took that one out itself, if one did.

    It is the one that left production last in another way: what was rolled back was bad, so it comes only where
    there is no other. None where no version but the present one was in production, or all others are deleted.
    """
    query = sa.select(table).where(
        table.c.model_id == model_id, (table.c.from_stage == PRODUCTION) | (table.c.to_stage == PRODUCTION)
    )
    left: dict[int, Entry | None] = {}  # by the rollback that took it out; who left last stands last
    for row in connection.execute(query.order_by(table.c.id)).mappings():
        entry = Entry(**row)
        left.pop(entry.version_id, None)
        if entry.to_stage != PRODUCTION:
            left[entry.version_id] = None
        elif (failed := entry.evidence.get("rolled_back")) in left:
            left[failed] = entry
    live = sa.select(model_registry.c.id).where(
        model_registry.c.id.in_(list(left)), model_registry.c.deleted_at.is_(None)
    )
    there = set(connection.execute(live).scalars())
    found = [(version_id, left[version_id]) for version_id in reversed(left) if version_id in there]
    return min(found, key=lambda each: each[1] is not None, default=None)


def verify(wb: Workbench) -> list[Problem]:
    """Recompute every hash, the chain, and each version's stage from the ledger; nothing found is a sound ledger.

    Whoever rewrites the whole table and every stage after it is found out by the head, see `keep_head`, and so is
    whoever takes that away.
    """
    problems: list[Problem] = []
    head = _head(wb)  # before the ledger: one that was written meanwhile would not be in it
    previous = FIRST
    stage: dict[int, str] = {}
    with wb.db.read() as connection, connection.begin():
        if connection.dialect.name == "postgresql":  # ledger and stages of one moment
            connection.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        for row in connection.execute(sa.select(table).order_by(table.c.id)).mappings():
            fields = dict(row)
            found = [
                ("evidence", _digest(fields["evidence"]) != fields["evidence_hash"]),
                ("hash", _hash(fields) != fields["hash"]),
                ("chain", fields["previous_hash"] != previous),
                ("chain", fields["from_stage"] != stage.get(fields["version_id"], STAGING)),
            ]
            kinds = dict.fromkeys(kind for kind, wrong in found if wrong)
            problems += [Problem(kind, fields["id"], fields["version_id"]) for kind in kinds]
            previous = fields["hash"]
            stage[fields["version_id"]] = fields["to_stage"]
        for version_id, now in connection.execute(sa.select(model_registry.c.id, model_registry.c.stage)):
            if now != stage.get(version_id, STAGING):
                problems.append(Problem("stage", None, version_id))
        if doubt := head_problem(head, connection):
            problems.append(doubt)
    return problems


@dataclass(frozen=True)
class Head:
    """The newest entry, as it is known outside the database."""

    entry_id: int
    hash: str


def keep_head(wb: Workbench) -> None:
    """Write the newest entry's hash to the file store, where the ledger still agrees with what is there.

    Whoever forges the ledger then has to forge that file, too. Where they disagree, or the file is gone although
    there are entries, it stays so for `verify`, until an administrator accepts the ledger (core.stages).
    """
    known = _head(wb)
    with wb.db.read() as connection:
        newest = _newest(connection)
        doubt = head_problem(known, connection)
    now = Head(newest.id, newest.hash) if newest else Head(0, FIRST)
    if doubt is None and (known is None or now.entry_id > known.entry_id):
        write_head(wb, now)


def write_head(wb: Workbench, head: Head) -> None:
    wb.files.write(HEAD, _canonical(asdict(head)).encode())


def head_problem(head: Head | None, connection: sa.Connection) -> Problem | None:
    """What speaks against the ledger's being the one whose head was kept.

    An empty ledger needs none: the first head is written before anything is decided.
    """
    if head is None:
        return Problem("head", None, None) if _newest(connection) else None
    found = sa.select(table.c.hash).where(table.c.id == head.entry_id)
    if head.entry_id and connection.execute(found).scalar() != head.hash:
        return Problem("head", head.entry_id, None)
    return None


def accept(wb: Workbench, connection: sa.Connection, actor: auth.User, reason: str) -> Entry:
    """Note that the ledger stands as it is although its head is missing or another; `write_head` comes after it.

    The entry is about the version of the last one, whose stage it leaves. Raises Conflict where nothing is in doubt.
    """
    known = _head(wb)
    at, newest = lock(connection), _newest(connection)
    if newest is None or head_problem(known, connection) is None:
        raise Conflict("The ledger and its head in the file store agree, so there is nothing to accept.")
    kept = {
        "accepted_head": asdict(Head(newest.id, newest.hash)),
        "known_head": asdict(known) if known else None,
    }
    stays = (newest.to_stage, newest.to_stage)
    return append(connection, at, actor, (newest.model_id, newest.version_id), stays, reason, kept)


def _head(wb: Workbench) -> Head | None:
    """None also for a file that says something else than a head."""
    try:
        return Head(**json.loads(wb.files.read(HEAD)))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def _newest(connection: sa.Connection) -> Any:
    columns = (table.c.id, table.c.hash, table.c.model_id, table.c.version_id, table.c.to_stage)
    return connection.execute(sa.select(*columns).order_by(table.c.id.desc()).limit(1)).one_or_none()


def aliases(wb: Workbench, names: Collection[str] | None = None) -> dict[str, dict[str, int]]:
    """What each model's aliases should be: {name in MLflow: {"champion": 3, "previous": 2}}, MLflow's numbers.

    `champion` is in production now, `previous` was in production before it. `challenger` is B of the newest running
    A/B test whose A is the champion; without such a test it is the newest version in staging. Only models about
    which something was decided; of `names` alone where they are given.
    """
    query = (
        sa.select(
            table.c.version_id,
            table.c.from_stage,
            table.c.to_stage,
            models.c.name,
            model_registry.c.version,
        )
        .select_from(table)
        .join(models, models.c.id == table.c.model_id)
        .join(model_registry, model_registry.c.id == table.c.version_id)
        .order_by(table.c.id)
    )
    if names is not None:
        query = query.where(models.c.name.in_(names))
    found: dict[str, dict[str, int]] = {}
    champions: dict[str, int] = {}
    with wb.db.read() as connection:
        for row in connection.execute(query):
            own = found.setdefault(row.name, {})
            if row.to_stage == PRODUCTION:
                champions[row.name] = row.version_id
                own["champion"] = row.version
                if own.get("previous") == row.version:
                    del own["previous"]
            elif row.from_stage == PRODUCTION:
                champions.pop(row.name, None)
                own.pop("champion", None)
                own["previous"] = row.version
        waiting, tested = _newest_in_staging(connection), _tested_against(connection)
    for name, own in found.items():
        challenger = tested.get(champions.get(name, 0), waiting.get(name))
        if challenger is not None:
            own["challenger"] = challenger
    return found


def aliases_mark(wb: Workbench) -> tuple[Any, ...]:
    """Changes whenever `aliases` may, which reads the whole ledger."""
    running = sa.select(ab_experiments.c.id).where(ab_experiments.c.status == "running").order_by("id")
    with wb.db.read() as connection:
        known = connection.execute(
            sa.select(
                sa.select(sa.func.max(table.c.id)).scalar_subquery(),
                sa.select(sa.func.max(model_registry.c.id)).scalar_subquery(),
                sa.select(sa.func.count()).select_from(model_registry).scalar_subquery(),
            )
        ).one()
        return (*known, *connection.execute(running).scalars())


def _newest_in_staging(connection: sa.Connection) -> dict[str, int]:
    """{name of the model: MLflow's number of its newest version in staging}."""
    query = (
        sa.select(models.c.name, sa.func.max(model_registry.c.version))
        .join(models, models.c.id == model_registry.c.model_id)
        .where(model_registry.c.stage == STAGING)
        .group_by(models.c.name)
    )
    return dict(connection.execute(query).tuples().all())


def _tested_against(connection: sa.Connection) -> dict[int, int]:
    """{id of A: MLflow's number of B} of the newest running A/B test with each A."""
    test = ab_experiments.c
    query = sa.select(test.plan).where(test.status == "running").order_by(test.started_at, test.id)
    pairs = {plan["versions"][0]: plan["versions"][1] for plan in connection.execute(query).scalars()}
    numbers = sa.select(model_registry.c.id, model_registry.c.version).where(
        model_registry.c.id.in_(pairs.values())
    )
    known = dict(connection.execute(numbers).tuples().all())
    return {a: known[b] for a, b in pairs.items() if b in known}


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _digest(value: Any) -> str:
    return hashlib.sha256(_canonical(value).encode()).hexdigest()


def _hash(fields: Mapping[str, Any]) -> str:
    said = {name: value for name, value in fields.items() if name not in ("hash", "evidence")}
    return _digest(said | {"at": fields["at"].astimezone(UTC).isoformat(timespec="microseconds")})
