"""Stored. Images that a model was asked about go back to their theme, with the label that a person gives them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from core import auth, labelling, prediction_answers, prediction_batches, themes, uploads
from core.db.tables import train_data
from core.uploads import UploadReport
from core.workbench import Workbench


@dataclass(frozen=True)
class Corrected:
    """What became of them."""

    upload: UploadReport
    labelled: int
    """Whose label changed, also of images that the theme had already."""


def add(wb: Workbench, actor: auth.User, theme_id: int, items: Sequence[tuple[str, bytes, int]]) -> Corrected:
    """Add images as (name, bytes, label id) to a theme and label them; of the same bytes given twice the last counts.

    Raises InvalidInput for a label that the theme does not have, NotFound, NotAllowed.
    """
    auth.require(actor, auth.LABELER)
    labelling.refuse_unknown(
        {label_id for _name, _data, label_id in items}
        - {label.id for label in themes.get(wb, theme_id).labels},
        "These labels are not in the theme; they may have been deleted: {ids}.",
    )
    report = uploads.add(wb, actor, theme_id, ((name, data) for name, data, _label in items))
    wanted = {hashlib.sha256(data).hexdigest(): label_id for _name, data, label_id in items}
    query = sa.select(train_data.c.id, train_data.c.sha256).where(
        train_data.c.theme_id == theme_id,
        train_data.c.deleted_at.is_(None),
        train_data.c.sha256.in_(wanted),
    )
    with wb.db.read() as connection:
        found = [(int(row.id), wanted[row.sha256]) for row in connection.execute(query)]
    return Corrected(report, labelling.label(wb, actor, theme_id, found))


def of_batch(wb: Workbench, actor: auth.User, batch_id: int, right: Mapping[int, int]) -> Corrected:
    """The same for images of a batch, {row of its answers: label id}, in the theme of the version that answered.

    One that is the theme's already is labelled there. Raises also Conflict before the batch was started.
    """
    auth.require(actor, auth.LABELER)
    theme_id = prediction_batches.get(wb, batch_id).version.theme_id
    given = prediction_answers.originals(wb, batch_id, right.keys())
    return add(wb, actor, theme_id, [(*image, right[row]) for row, image in given.items()])
