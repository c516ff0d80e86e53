"""Stored. Whose eyes the rows of a version are for."""

from __future__ import annotations

import sqlalchemy as sa

from core import auth
from core.datasets import store
from core.datasets.store import Version
from core.db.text_tables import training_dataset_versions
from core.errors import NotAllowed
from core.workbench import Workbench


def readable(wb: Workbench, actor: auth.User, dataset_id: int, number: int | None = None) -> Version:
    """A version (None: the newest) whose rows this person may read.

    What was masked is for administrators alone, and so are the versions from before, which still show it.
    Raises NotAllowed, NotFound.
    """
    version = store.version(wb, dataset_id, number)
    if not actor.may(auth.ADMIN) and version.number < _masked(wb, dataset_id):
        raise NotAllowed(
            "Version {number} still shows personal data that was masked later; ask an administrator, or open the "
            "newest version.",
            number=version.number,
        )
    return version


def _masked(wb: Workbench, dataset_id: int) -> int:
    """Number of the newest version that masked personal data; 0 where none did."""
    column = training_dataset_versions.c
    query = sa.select(sa.func.max(column.number)).where(
        column.dataset_id == dataset_id, sa.literal_column("change ->> 'fix'") == "mask"
    )
    with wb.db.read() as connection:
        return int(connection.execute(query).scalar() or 0)
