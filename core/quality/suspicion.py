"""Stored. Labelled images ordered by how improbable their label is, whether or not a check doubts it by name.

Confident learning names about as many labels as are wrong; some of those that it names are right, so some that are
wrong have no name. Whoever wants these too goes on down this order for as long as it finds any.
"""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from core import images, side_jobs
from core.db.engine import fetch_column
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
    if which.moment is not None or not len(ids):
        return ids
    judged, own = _judged(wb, theme_id)
    if not len(judged):
        return ids
    place = np.minimum(np.searchsorted(judged, ids), len(judged) - 1)
    scores = np.where(judged[place] == ids, own[place], UNKNOWN)
    return ids[np.argsort(scores, kind="stable")]


def _judged(wb: Workbench, theme_id: int) -> tuple[np.ndarray, np.ndarray]:
    """Images whose label is still the one that was judged and that nobody confirmed, by id; how probable it is."""
    nothing = np.empty(0, np.int64), np.empty(0)
    column, found = train_data.c, image_findings.c
    with wb.db.read() as connection:
        last = side_jobs.newest_applied(connection, KIND, theme_id)
        if not last or "judged" not in last:
            return nothing
        since = datetime.fromisoformat(last["at"])
        anew = sa.select(column.id).where(
            column.theme_id == theme_id, sa.or_(column.label_id.is_(None), column.labeled_at > since)
        )
        kept = (
            sa.select(found.image_id)
            .join(train_data, sa.and_(column.id == found.image_id, column.label_id == found.label_id))
            .where(found.theme_id == theme_id, found.kind == "mislabelled", found.kept_at.is_not(None))
        )
        settled = list(connection.execute(SETTLED, {"theme": theme_id}).scalars())
        out = np.concatenate(
            [fetch_column(connection, anew), fetch_column(connection, kept), np.array(settled, np.int64)]
        )
    try:
        with wb.files.open(last["judged"]) as file:
            table = pq.read_table(file, columns=["image_id", "own"])
    except (OSError, pa.ArrowInvalid):  # of an earlier release, or gone
        return nothing
    table = table.filter(table["own"].is_valid())
    judged = table["image_id"].to_numpy()
    stays = ~np.isin(judged, out)
    return judged[stays], table["own"].to_numpy()[stays]
