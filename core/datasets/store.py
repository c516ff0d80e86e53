"""Stored. Text datasets and their versions: list, read, add a version, rename, delete, restore."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from core import audit, auth
from core.datasets import names
from core.datasets.lists import Dataset, Page, chain, get, gone, listed, version, version_of, versions
from core.datasets.rows import (
    FAILED,
    MAX_PAGE,
    MAX_ROWS,
    PASSED,
    STATUSES,
    UNCHECKED,
    Made,
    RowsPage,
    Version,
    check_split,
    made,
    ordered,
    page,
    table,
)
from core.db.engine import next_ids
from core.db.tables import users
from core.db.text_tables import training_dataset_versions, training_datasets
from core.errors import Conflict
from core.texts import differences
from core.workbench import Workbench

__all__ = [
    "FAILED", "MAX_PAGE", "MAX_ROWS", "PASSED", "STATUSES", "UNCHECKED",
    "Also", "Dataset", "Made", "Page", "RowsPage", "Version", "add_version", "adopt", "chain", "check_new", "check_split",
    "create", "delete", "get", "listed", "page", "rename", "restore", "table", "version", "versions",
]  # fmt: skip


_D, _V = training_datasets.c, training_dataset_versions.c


Also = Callable[[sa.Connection, Version], None]
"""More to do in the transaction that adds a version; what it raises leaves nothing behind."""


def check_new(wb: Workbench, name: str, description: str = "") -> None:
    """Raises what `create` would raise for them, before a long file is read in vain."""
    name = names.checked(name)
    names.checked_description(description)
    with wb.db.read() as connection:
        names.refuse_taken(connection, name)


def create(
    wb: Workbench,
    actor: auth.User,
    name: str,
    rows: pa.Table,
    *,
    shape: str,
    description: str = "",
    source: dict[str, Any] | None = None,
) -> Dataset:
    """A new dataset whose first version has these rows. Raises InvalidInput, TooLarge, Conflict, NotAllowed."""
    auth.require(actor, auth.LABELER)
    name, description = names.checked(name), names.checked_description(description)
    ready = made(wb, ordered(rows))
    change = {"kind": "upload", "added": len(rows), "removed": 0, "changed": 0, "resplit": 0}

    def work(connection: sa.Connection) -> int:
        names.refuse_taken(connection, name)
        [dataset_id] = next_ids(connection, "training_datasets_id_seq", 1)
        now = datetime.now(UTC)
        connection.execute(
            training_datasets.insert().values(
                id=dataset_id,
                name=name,
                description=description,
                shape=shape,
                created_by=actor.id,
                created_at=now,
                updated_at=now,
            )
        )
        _insert(connection, actor, dataset_id, 1, None, ready, source, change)
        audit.record(
            connection, actor, "dataset.create", f"dataset {dataset_id}", {"name": name, "rows": len(rows)}
        )
        return dataset_id

    return get(wb, wb.db.write(work))


def add_version(
    wb: Workbench,
    actor: auth.User,
    dataset_id: int,
    rows: pa.Table,
    change: dict[str, Any],
    *,
    parent: int,
    source: dict[str, Any] | None = None,
    also: Also | None = None,
) -> Version:
    """A version with these rows (core.texts.rowfile.SCHEMA), made from the version with id `parent`.

    `change` has its `kind` and what else is worth knowing; counts are added here. Where nothing differs
    from the parent, the parent is returned and no version is made.
    Raises Conflict where `parent` is no longer the newest, NotFound, InvalidInput, TooLarge, NotAllowed.
    """
    auth.require(actor, auth.LABELER)
    old = _by_id(wb, dataset_id, parent)
    rows = ordered(rows)
    ready = made(wb, rows, old)
    if ready.hash == old.hash:
        return old
    before = table(wb, old, differences.COLUMNS)
    change = change | differences.compare(before, rows.select(differences.COLUMNS)).counts
    return adopt(wb, actor, dataset_id, ready, change, parent=parent, source=source, also=also)


def adopt(
    wb: Workbench,
    actor: auth.User,
    dataset_id: int,
    ready: Made,
    change: dict[str, Any],
    *,
    parent: int,
    source: dict[str, Any] | None = None,
    also: Also | None = None,
) -> Version:
    """A version whose file is there already; `change` has the counts of core.texts.differences, too.

    Raises Conflict where `parent` is no longer the newest, NotFound, NotAllowed.
    """
    auth.require(actor, auth.LABELER)

    def work(connection: sa.Connection) -> Version:
        dataset = _locked(connection, dataset_id)
        newest = _newest(connection, dataset_id)
        if newest.id != parent:
            raise _overtaken(connection, dataset.name, newest)
        version = _insert(connection, actor, dataset_id, newest.number + 1, parent, ready, source, change)
        _touch(connection, dataset_id)
        audit.record(
            connection,
            actor,
            "dataset.version",
            f"dataset {dataset_id}",
            {"number": version.number, **change},
        )
        if also is not None:
            also(connection, version)
        return version

    return wb.db.write(work)


def rename(
    wb: Workbench,
    actor: auth.User,
    dataset_id: int,
    *,
    name: str | None = None,
    description: str | None = None,
) -> Dataset:
    """Another name or description. Raises NotFound, InvalidInput, Conflict, NotAllowed."""
    auth.require(actor, auth.LABELER)
    values: dict[str, Any] = {}
    if name is not None:
        values["name"] = names.checked(name)
    if description is not None:
        values["description"] = names.checked_description(description)

    def work(connection: sa.Connection) -> None:
        _locked(connection, dataset_id)
        if "name" in values:
            names.refuse_taken(connection, values["name"], but=dataset_id)
        _touch(connection, dataset_id, **values)
        audit.record(connection, actor, "dataset.update", f"dataset {dataset_id}", values)

    if values:
        wb.db.write(work)
    return get(wb, dataset_id)


def delete(wb: Workbench, actor: auth.User, dataset_id: int) -> None:
    """Take a dataset off the lists; its rows stay, so `restore` brings it back. Raises NotFound, NotAllowed."""
    auth.require(actor, auth.TRAINER)

    def work(connection: sa.Connection) -> None:
        _locked(connection, dataset_id)
        _touch(connection, dataset_id, deleted_at=datetime.now(UTC))
        audit.record(connection, actor, "dataset.delete", f"dataset {dataset_id}")

    wb.db.write(work)


def restore(wb: Workbench, actor: auth.User, dataset_id: int) -> Dataset:
    """Bring a deleted dataset back; one that was not deleted stays as it is.

    Raises NotFound, NotAllowed, and Conflict where another dataset has its name by now.
    """
    auth.require(actor, auth.TRAINER)

    def work(connection: sa.Connection) -> None:
        row = _locked(connection, dataset_id, deleted=True)
        if row.deleted_at is None:
            return
        names.refuse_taken(connection, row.name)
        _touch(connection, dataset_id, deleted_at=None)
        audit.record(connection, actor, "dataset.restore", f"dataset {dataset_id}")

    wb.db.write(work)
    return get(wb, dataset_id)


# --- the parts ----------------------------------------------------------------


def _insert(
    connection: sa.Connection,
    actor: auth.User,
    dataset_id: int,
    number: int,
    parent: int | None,
    ready: Made,
    source: dict[str, Any] | None,
    change: dict[str, Any],
) -> Version:
    [version_id] = next_ids(connection, "training_dataset_versions_id_seq", 1)
    version = Version(
        version_id,
        dataset_id,
        number,
        parent,
        ready.row_count,
        ready.path,
        ready.hash,
        source,
        change,
        ready.splits,
        ready.statistics,
        UNCHECKED,
        None,
        actor.id,
        datetime.now(UTC),
    )
    connection.execute(training_dataset_versions.insert().values(**vars(version)))
    return version


def _by_id(wb: Workbench, dataset_id: int, version_id: int) -> Version:
    query = sa.select(training_dataset_versions).where(_V.id == version_id, _V.dataset_id == dataset_id)
    with wb.db.read() as connection:
        row = connection.execute(query).one_or_none()
    if row is None:
        raise gone(dataset_id)
    return version_of(row)


def _newest(connection: sa.Connection, dataset_id: int) -> sa.Row[Any, Any, Any]:
    query = sa.select(_V.id, _V.number, _V.created_by).where(_V.dataset_id == dataset_id)
    return connection.execute(query.order_by(_V.number.desc()).limit(1)).one()


def _locked(connection: sa.Connection, dataset_id: int, *, deleted: bool = False) -> sa.Row[Any, Any]:
    """Writers of one dataset take turns: on Postgres this holds its row until the transaction ends."""
    query = sa.select(_D.name, _D.deleted_at).where(_D.id == dataset_id)
    if not deleted:
        query = query.where(_D.deleted_at.is_(None))
    if connection.dialect.name == "postgresql":
        query = query.with_for_update(key_share=True)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise gone(dataset_id)
    return row


def _touch(connection: sa.Connection, dataset_id: int, **values: Any) -> None:
    connection.execute(
        training_datasets.update().where(_D.id == dataset_id).values(**values, updated_at=datetime.now(UTC))
    )


def _overtaken(connection: sa.Connection, name: str, newest: sa.Row[Any, Any, Any]) -> Conflict:
    person = connection.execute(sa.select(users.c.name).where(users.c.id == newest.created_by)).scalar()
    return Conflict(
        "“{name}” has version {number} by now, made by {person}; look at it, then do this again.",
        name=name,
        number=newest.number,
        person=person or "?",
    )
