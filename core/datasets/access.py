"""Stored. Whose eyes the rows of a version are for."""

from __future__ import annotations

import sqlalchemy as sa

from core import auth
from core.datasets import store
from core.datasets.store import Version
from core.db.text_tables import training_dataset_versions
from core.errors import NotAllowed
from core.quality.texts.kinds import MASK
from core.workbench import Workbench


def readable(wb: Workbench, actor: auth.User, dataset_id: int, number: int | None = None) -> Version:
    """A version (None: the newest) whose rows this person may read.

    What was masked is for administrators alone, and so are the versions from before, which still show it.
    Raises NotAllowed, NotFound.
    """
    version = store.version(wb, dataset_id, number)
    if actor.may(auth.ADMIN):
        return version
    column = training_dataset_versions.c
    query = sa.select(sa.func.max(column.number)).where(
        column.dataset_id == dataset_id,
        column.number > version.number,
        sa.literal_column("change ->> 'fix'") == MASK,
    )
    with wb.db.read() as connection:
        masked = connection.execute(query).scalar()
    if masked is not None:
        raise NotAllowed(
            "Version {masked} masked personal data that version {number} still shows, so only administrators may "
            "read that one; take version {masked} or a newer one.",
            masked=masked,
            number=version.number,
        )
    return version
