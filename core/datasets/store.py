"""Stored. Text datasets and their versions: list, read, add a version, rename, delete, restore."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from core import audit, auth, storable
from core.datasets import names
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
    page,
    table,
)
from core.db.engine import next_ids
from core.db.tables import users
from core.db.text_tables import training_dataset_versions, training_datasets
from core.errors import Conflict, InvalidInput, NotFound
from core.texts import differences
from core.workbench import Workbench

__all__ = [
    "FAILED", "MAX_PAGE", "MAX_ROWS", "PASSED", "STATUSES", "UNCHECKED",
    "Dataset", "Page", "RowsPage", "Version", "add_version", "check_new", "check_split", "create", "delete",
    "get", "listed", "page", "rename", "restore", "table", "version", "versions",
]  # fmt: skip


_D, _V = training_datasets.c, training_dataset_versions.c


@dataclass(frozen=True)
class Dataset:
    id: int
    name: str
    description: str
    shape: str
    """One of core.texts.mapping.SHAPES."""
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None
    newest: Version


@dataclass(frozen=True)
class Page:
    items: list[Dataset]
    total: int


Also = Callable[[sa.Connection, Version], None]
"""More to do in the transaction that adds a version; what it raises leaves nothing behind."""


def get(wb: Workbench, dataset_id: int, *, deleted: bool = False) -> Dataset:
    """Raises NotFound where there is none or it was deleted; with `deleted`, deleted ones are found too."""
    query = _datasets().where(_D.id == dataset_id)
    if not deleted:
        query = query.where(_D.deleted_at.is_(None))
    with wb.db.read() as connection:
        row = connection.execute(query).one_or_none()
    if row is None:
        raise _no_dataset(dataset_id)
    return _dataset(row)


def listed(
    wb: Workbench,
    *,
    page: int = 1,
    page_size: int = 20,
    status: str | None = None,
    search: str = "",
    deleted: bool = False,
) -> Page:
    """Datasets, newest first: those whose newest version has this status, whose name or description
    contains `search` in any case; with `deleted`, the deleted ones alone. Raises InvalidInput.
    """
    if status is not None and status not in STATUSES:
        raise InvalidInput(
            "The status “{status}” is not one of: {all}.", status=status, all=", ".join(STATUSES)
        )
    if page < 1 or not 1 <= page_size <= MAX_PAGE:
        raise InvalidInput(
            "Pages count from 1 and have 1 to {limit} datasets; ask for such a page.", limit=MAX_PAGE
        )
    query = _datasets().where(_D.deleted_at.is_not(None) if deleted else _D.deleted_at.is_(None))
    if status is not None:
        query = query.where(_V.status == status)
    if word := storable.check("search", search.strip()):
        query = query.where(
            _D.name.icontains(word, autoescape=True) | _D.description.icontains(word, autoescape=True)
        )
    some = query.order_by(_D.id.desc()).offset((page - 1) * page_size).limit(page_size)
    with wb.db.read() as connection:
        total = connection.execute(sa.select(sa.func.count()).select_from(query.subquery())).scalar_one()
        return Page([_dataset(row) for row in connection.execute(some)], total)


def versions(wb: Workbench, dataset_id: int) -> list[Version]:
    """All of them, newest first. Raises NotFound."""
    get(wb, dataset_id)
    query = sa.select(training_dataset_versions).where(_V.dataset_id == dataset_id)
    with wb.db.read() as connection:
        return [_version(row) for row in connection.execute(query.order_by(_V.number.desc()))]


def version(wb: Workbench, dataset_id: int, number: int | None = None) -> Version:
    """By its number; None is the newest. Raises NotFound."""
    newest = get(wb, dataset_id).newest
    if number is None or number == newest.number:
        return newest
    query = sa.select(training_dataset_versions).where(_V.dataset_id == dataset_id, _V.number == number)
    with wb.db.read() as connection:
        row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound(
            "There is no version {number} of dataset {id}; the newest is {newest}.",
            number=number,
            id=dataset_id,
            newest=newest.number,
        )
    return _version(row)


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
    """A new dataset whose first version has these rows. Raises InvalidInput, Conflict, NotAllowed."""
    auth.require(actor, auth.LABELER)
    name, description = names.checked(name), names.checked_description(description)
    ready = made(wb, rows)
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
    Raises Conflict where `parent` is no longer the newest, NotFound, InvalidInput, NotAllowed.
    """
    auth.require(actor, auth.LABELER)
    old = _by_id(wb, dataset_id, parent)
    ready = made(wb, rows, old)
    if ready.hash == old.hash:
        return old
    before = table(wb, old, differences.COLUMNS)
    change = change | differences.compare(before, ready.rows.select(differences.COLUMNS)).counts

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
        len(ready.rows),
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


def _datasets() -> sa.Select[Any]:
    """Each dataset beside its newest version."""
    last = sa.select(_V.dataset_id, sa.func.max(_V.number).label("number")).group_by(_V.dataset_id).subquery()
    return (
        sa.select(
            *(column.label(f"d_{column.name}") for column in training_datasets.columns),
            *training_dataset_versions.columns,
        )
        .join(last, last.c.dataset_id == _D.id)
        .join(
            training_dataset_versions,
            sa.and_(_V.dataset_id == last.c.dataset_id, _V.number == last.c.number),
        )
    )


def _dataset(row: sa.Row[Any]) -> Dataset:
    return Dataset(
        row.d_id,
        row.d_name,
        row.d_description,
        row.d_shape,
        row.d_created_at,
        row.d_updated_at,
        row.d_deleted_at,
        _version(row),
    )


def _version(row: sa.Row[Any]) -> Version:
    return Version(**{name: getattr(row, name) for name in Version.__dataclass_fields__})


def _by_id(wb: Workbench, dataset_id: int, version_id: int) -> Version:
    query = sa.select(training_dataset_versions).where(_V.id == version_id, _V.dataset_id == dataset_id)
    with wb.db.read() as connection:
        row = connection.execute(query).one_or_none()
    if row is None:
        raise _no_dataset(dataset_id)
    return _version(row)


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
        raise _no_dataset(dataset_id)
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


def _no_dataset(dataset_id: int) -> NotFound:
    return NotFound("There is no dataset {id}; it may have been deleted.", id=dataset_id)
