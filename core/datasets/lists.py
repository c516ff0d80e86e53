"""Stored. Text datasets and their versions: found, listed, followed back to where they came from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from core import storable
from core.datasets.rows import MAX_PAGE, STATUSES, Version
from core.db.text_tables import training_dataset_versions, training_datasets
from core.errors import InvalidInput, NotFound
from core.workbench import Workbench

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


def get(wb: Workbench, dataset_id: int, *, deleted: bool = False) -> Dataset:
    """Raises NotFound where there is none or it was deleted; with `deleted`, deleted ones are found too."""
    query = _datasets().where(_D.id == dataset_id)
    if not deleted:
        query = query.where(_D.deleted_at.is_(None))
    with wb.db.read() as connection:
        row = connection.execute(query).one_or_none()
    if row is None:
        raise gone(dataset_id)
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
        return [version_of(row) for row in connection.execute(query.order_by(_V.number.desc()))]


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
    return version_of(row)


def chain(wb: Workbench, version: Version) -> list[Version]:
    """The versions that a version came from, the first upload at the head, and itself. Raises NotFound."""
    known = {each.id: each for each in versions(wb, version.dataset_id)}
    found = [version]
    while (parent := known.get(found[-1].parent_id or 0)) is not None:
        found.append(parent)
    return found[::-1]


# --- the parts ----------------------------------------------------------------


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
        version_of(row),
    )


def version_of(row: sa.Row[Any]) -> Version:
    return Version(**{name: getattr(row, name) for name in Version.__dataclass_fields__})


def gone(dataset_id: int) -> NotFound:
    return NotFound("There is no dataset {id}; it may have been deleted.", id=dataset_id)
