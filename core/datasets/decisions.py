"""Stored. What people decide about the findings of a text dataset, and how its gate follows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import sqlalchemy as sa

from core import audit, auth
from core.datasets import store
from core.datasets.findings import (
    BROKEN,
    State,
    broken_uploads,
    counts_of,
    known,
    mark,
    newest_line,
    of_kind,
    row_ids,
    rules,
    rules_of,
    state_of,
)
from core.datasets.lists import gone
from core.datasets.store import FAILED, PASSED, UNCHECKED, Version
from core.db.engine import relation
from core.db.tables import dataset_quality_logs
from core.db.text_tables import text_kept, training_dataset_versions, training_datasets
from core.errors import Conflict, InvalidInput
from core.quality.gate import Gate
from core.quality.texts import gate
from core.quality.texts.counting import tally
from core.quality.texts.kinds import KINDS, decided
from core.quality.texts.rules import Rules, changed
from core.workbench import Workbench

_V = training_dataset_versions.c


def keep(
    wb: Workbench,
    actor: auth.User,
    dataset_id: int,
    kind: str,
    ids: Sequence[int] | None = None,
    *,
    keep: bool = True,
    version_id: int | None = None,
) -> int:
    """Say that findings of a kind are fine as they are, or take that back: of some rows or of all.

    It follows what the row says: an edited row is judged anew. Returns how many rows changed. Kinds that the
    gate counts take a trainer. Raises InvalidInput for a kind that nobody can call fine, Conflict where
    `version_id` (what the person saw) is no longer the newest, NotFound, NotAllowed.
    """
    auth.require(actor, auth.LABELER)
    known(kind)
    if not KINDS[kind].may_be_fine:
        raise InvalidInput("This finding cannot be called fine, for a model would suffer; repair it.")
    if KINDS[kind].line:
        auth.require(actor, auth.TRAINER)
    newest = store.get(wb, dataset_id).newest
    if version_id not in (None, newest.id):
        raise Conflict("Somebody made a newer version meanwhile; look at what was found in it, then decide.")
    table = of_kind(wb, newest, kind, not keep)
    if ids is not None:
        wanted = pa.array(sorted(set(ids)), pa.int64())
        table = table.filter(pc.is_in(table["row_id"], wanted))
    n = len(set(row_ids(table)))
    columns = (table[name].to_pylist() for name in ("hash", "row_id"))
    hashes = sorted({decided(kind, digest, row_id) for digest, row_id in zip(*columns, strict=True)})
    if n:
        _decide(wb, actor, newest, kind, hashes, keep, {"kind": kind, "rows": n})
    return n


def leave_out(wb: Workbench, actor: auth.User, dataset_id: int) -> int:
    """Say that the broken rows of all uploads so far are left out for good; returns how many.

    Raises NotFound, NotAllowed.
    """
    auth.require(actor, auth.LABELER)
    newest = store.get(wb, dataset_id).newest
    with wb.db.read() as connection:
        uploads = broken_uploads(connection, newest)
    n = sum(uploads.values())
    if n:
        marks = [mark(version_id) for version_id in uploads]
        _decide(wb, actor, newest, BROKEN, marks, True, {"kind": BROKEN, "rows": n})
    return n


def set_rules(wb: Workbench, actor: auth.User, dataset_id: int, values: Mapping[str, Any]) -> Rules:
    """Change thresholds; those of findings count from the next check on. Raises InvalidInput, NotFound, NotAllowed."""
    auth.require(actor, auth.TRAINER)
    newest = store.get(wb, dataset_id).newest
    old = rules(wb, dataset_id)
    new = changed(old, values)
    if new == old:
        return new
    before, after = old.model_dump(), new.model_dump()
    detail = {"changed": {name: [before[name], after[name]] for name in after if before[name] != after[name]}}

    def act(connection: sa.Connection) -> None:
        now = changed(rules_of(connection, dataset_id), values)  # on top of what somebody else set meanwhile
        update = training_datasets.update().where(training_datasets.c.id == dataset_id)
        connection.execute(update.values(rules=now.model_dump()))
        audit.record(connection, actor, "dataset.rules", f"dataset {dataset_id}", detail)

    settle(
        wb,
        newest,
        actor.id,
        "rules",
        detail,
        act=act,
        change=lambda state: replace(state, rules=changed(state.rules, values)),
    )
    return new


def settle(
    wb: Workbench,
    version: Version,
    user_id: int | None,
    action: str,
    detail: Mapping[str, Any],
    *,
    checked: dict[str, Any] | None = None,
    act: Callable[[sa.Connection], None] = lambda connection: None,
    change: Callable[[State], State] = lambda state: state,
) -> None:
    """Do `act`, count the version's findings anew and write both with a line of the log, in one transaction.

    `change` is what `act` does to the numbers; `checked` the result of a check that ends now. What was decided
    is read and counted before the transaction, for others wait for that, and again where somebody was faster:
    the log then has a newer line. Raises NotFound where the dataset is gone.
    """
    while True:
        with wb.db.read() as connection:
            before = state_of(connection, version)
            now = checked or connection.execute(sa.select(_V.found).where(_V.id == version.id)).scalar()
        after = change(before)
        numbers: dict[str, Any] = {}
        judged = gate.unchecked(version.row_count)
        status = UNCHECKED
        if now is not None:
            table = pq.read_table(wb.files.local_path(now["findings"]))
            counted = tally(table, now["summary"], after.kept, after.broken)
            numbers = {"open": counted.open, "kept": counted.kept}
            now = {**now, **numbers, "counts": asdict(counted.counts)}
            counts, stale = counts_of(now, after.rules)
            judged = gate.judge(counts, after.rules)
            status = UNCHECKED if stale else PASSED if judged.passed else FAILED

        def work(
            connection: sa.Connection,
            before: State = before,
            now: dict[str, Any] | None = now,
            judged: Gate = judged,
            status: str = status,
            numbers: dict[str, Any] = numbers,
        ) -> bool:
            lock(connection, version.dataset_id)
            if newest_line(connection, version.dataset_id) != before.line:
                return False
            act(connection)
            if now is not None:
                connection.execute(
                    training_dataset_versions.update()
                    .where(_V.id == version.id)
                    .values(found=now, status=status)
                )
            note(connection, version, user_id, action, {**detail, **numbers}, judged if now else None)
            return True

        if wb.db.write(work):
            return


def note(
    connection: sa.Connection,
    version: Version,
    user_id: int | None,
    action: str,
    detail: Mapping[str, Any],
    judged: Gate | None,
) -> None:
    """Write a line of the log, with the gate after the act where one is known. Within the act's transaction."""
    connection.execute(
        dataset_quality_logs.insert().values(
            dataset_id=version.dataset_id,
            version_id=version.id,
            at=datetime.now(UTC),
            user_id=user_id,
            action=action,
            score=judged.score if judged else None,
            passed=judged.passed if judged else None,
            detail=dict(detail),
        )
    )


def lock(connection: sa.Connection, dataset_id: int) -> None:
    """Writers of one dataset take turns; raises NotFound where it is gone."""
    column = training_datasets.c
    query = sa.select(column.id).where(column.id == dataset_id, column.deleted_at.is_(None))
    if connection.dialect.name == "postgresql":
        query = query.with_for_update(key_share=True)
    if connection.execute(query).one_or_none() is None:
        raise gone(dataset_id)


# --- the parts ---


def _decide(
    wb: Workbench,
    actor: auth.User,
    version: Version,
    kind: str,
    hashes: Sequence[str],
    keep: bool,
    detail: dict[str, Any],
) -> None:
    dataset_id = version.dataset_id
    pairs = frozenset((digest, kind) for digest in hashes)
    kept_rows = [
        {
            "dataset_id": dataset_id,
            "row_hash": digest,
            "kind": kind,
            "kept_by": actor.id,
            "kept_at": datetime.now(UTC),
        }
        for digest in hashes
    ]

    def act(connection: sa.Connection) -> None:
        with relation(connection, text_kept, kept_rows) as (source, given):
            columns = ", ".join(kept_rows[0])
            same = "o.dataset_id = s.dataset_id AND o.row_hash = s.row_hash AND o.kind = s.kind"
            if keep:
                connection.execute(
                    sa.text(
                        f"INSERT INTO text_kept ({columns}) SELECT {columns} FROM (SELECT * FROM {source}) AS s"
                        f" WHERE NOT EXISTS (SELECT 1 FROM text_kept o WHERE {same})"
                    ),
                    given,
                )
            else:
                connection.execute(
                    sa.text(
                        "DELETE FROM text_kept AS o WHERE EXISTS"
                        f" (SELECT 1 FROM (SELECT * FROM {source}) AS s WHERE {same})"
                    ),
                    given,
                )
        audit.record(
            connection, actor, "dataset.keep" if keep else "dataset.reopen", f"dataset {dataset_id}", detail
        )

    def change(state: State) -> State:
        kept = state.kept | pairs if keep else state.kept - pairs
        return replace(state, kept=kept, broken=0 if kind == BROKEN else state.broken)

    settle(wb, version, actor.id, "keep" if keep else "reopen", detail, act=act, change=change)
