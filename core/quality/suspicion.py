"""Stored. Labelled images ordered by how improbable their label is, whether or not a check doubts it by name.

Confident learning names about as many labels as are wrong; some of those that it names are right, so some that are
wrong have no name. Whoever wants these too goes on down this order for as long as it finds any.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from core import images, side_jobs
from core.db.tables import image_findings, train_data
from core.image_filter import Filter
from core.quality.check_jobs import KIND, SETTLED
from core.workbench import Workbench

UNKNOWN = 2.0
"""Above every probability: comes last."""


def order(wb: Workbench, theme_id: int, which: Filter) -> np.ndarray:
    """Ids (int64) of the images that fit: those whose label the newest check judged, the least probable first.

    After them, in the filter's own order, come those that it could not judge, those labelled anew since, and those whose
    label somebody has confirmed. All of them are where no check judged labels, and on an earlier day.
    """
    ids = images.ids(wb, theme_id, which)
    probable = {} if which.moment is not None else _probable(wb, theme_id)
    if not probable:
        return ids
    scores = np.array([probable.get(image_id, UNKNOWN) for image_id in ids.tolist()])
    return ids[np.argsort(scores, kind="stable")]


def _probable(wb: Workbench, theme_id: int) -> dict[int, float]:
    """By image: how probable the label is that it still has, but for those that are settled."""
    column, found = train_data.c, image_findings.c
    with wb.db.read() as connection:
        last = side_jobs.newest_applied(connection, KIND, theme_id)
        if not last or "judged" not in last:
            return {}
        labelled = dict(
            connection.execute(
                sa.select(column.id, column.label_id).where(
                    column.theme_id == theme_id, column.label_id.is_not(None)
                )
            )
            .tuples()
            .all()
        )
        settled = set(connection.execute(SETTLED, {"theme": theme_id}).scalars())
        kept = sa.select(found.image_id, found.label_id).where(
            found.theme_id == theme_id, found.kind == "mislabelled", found.kept_at.is_not(None)
        )
        settled |= {
            image_id for image_id, label in connection.execute(kept) if labelled.get(image_id) == label
        }
    try:
        with wb.files.open(last["judged"]) as file:
            table = pq.read_table(file, columns=["image_id", "label_id", "own"])
    except (OSError, pa.ArrowInvalid):  # of an earlier release, or gone
        return {}
    table = table.filter(table["own"].is_valid())
    return {
        image_id: own
        for image_id, label, own in zip(*table.to_pydict().values(), strict=True)
        if labelled.get(image_id) == label and image_id not in settled
    }
