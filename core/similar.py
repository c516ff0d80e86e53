"""Stored. Images ordered by how much they look like one of them."""

from __future__ import annotations

import numpy as np
import sqlalchemy as sa

from core import images
from core.db.tables import image_features, train_data
from core.image_filter import Filter
from core.looks import likeness
from core.workbench import Workbench


def order(wb: Workbench, theme_id: int, which: Filter) -> np.ndarray:
    """Ids (int64) of the images that fit, the most similar to `which.like` first, itself on top.

    Compares the model's embeddings where the image has one, else shapes and colours; images
    without such a vector come last. Raises NotFound where the image is not in the theme.
    """
    assert which.like is not None
    images.get(wb, theme_id, which.like)
    vector = image_features.c
    with wb.db.read() as connection:
        one = connection.execute(
            sa.select(vector.look, vector.embedding, vector.version_id).where(vector.image_id == which.like)
        ).one_or_none()
        if one is None:
            return images.ids(wb, theme_id, which)
        by_model = one.embedding is not None
        query = (
            sa.select(train_data.c.id, vector.embedding if by_model else vector.look)
            .select_from(train_data)
            .outerjoin(
                image_features,
                sa.and_(
                    vector.image_id == train_data.c.id,
                    vector.version_id == one.version_id if by_model else sa.true(),
                ),
            )
            .where(*which.where(theme_id))
        )
        rows = connection.execute(query).all()
    reference = np.frombuffer(one.embedding if by_model else one.look, dtype=np.int8)
    places = [n for n, (_, found) in enumerate(rows) if found is not None and len(found) == len(reference)]
    matrix = np.frombuffer(b"".join(rows[n][1] for n in places), dtype=np.int8)
    ids = np.array([row[0] for row in rows], dtype=np.int64)
    scores = np.full(len(ids), -2.0, dtype=np.float32)  # below the least likeness: comes last
    scores[places] = likeness(matrix.reshape(-1, len(reference)), reference)
    scores[ids == which.like] = 2.0
    return ids[np.lexsort((-ids, -scores))]
