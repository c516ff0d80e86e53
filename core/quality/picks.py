"""Stored. The map of a theme's pictures, and selections on it, kept under a hash so that an address can name them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow.parquet as pq
import sqlalchemy as sa

from core import auth, side_jobs, themes
from core.db.engine import bulk_insert
from core.db.tables import image_picks, train_data
from core.errors import InvalidInput
from core.quality import conditions
from core.workbench import Workbench

MOST = 20_000


@dataclass(frozen=True)
class Points:
    """Pictures on the map that are still in the theme, in one order."""

    ids: list[int]
    labels: list[int | None]
    x: list[float]
    """0…1."""
    y: list[float]


def points(wb: Workbench, theme_id: int) -> Points | None:
    """The map that the newest check drew, with the labels of now; None where there is none. Raises NotFound."""
    themes.get(wb, theme_id)
    with wb.db.read() as connection:
        last = side_jobs.newest_applied(connection, "check", theme_id) or {}
        try:
            with wb.files.open(last["map"]) as file:
                table = pq.read_table(file).to_pydict()
        except (KeyError, OSError):  # never drawn, or the file store was cleared: the next check draws it
            return None
        column = train_data.c
        own = sa.select(column.id, column.label_id).where(conditions.live(theme_id), column.id.in_(_GIVEN))
        labels: dict[int, int | None] = dict(
            connection.execute(own, {"ids": table["image_id"]}).tuples().all()
        )
    rows = [row for row in zip(*table.values(), strict=True) if row[0] in labels]
    return Points(
        [row[0] for row in rows],
        [labels[row[0]] for row in rows],
        [row[1] for row in rows],
        [row[2] for row in rows],
    )


def pick(wb: Workbench, actor: auth.User, theme_id: int, ids: Sequence[int]) -> str:
    """Keep a selection of the theme's images; returns its hash, the filter `picked` of core.image_filter.

    The same images give the same hash. Raises InvalidInput for none or more than MOST, NotFound, NotAllowed.
    """
    auth.require(actor, auth.VIEWER)
    themes.get(wb, theme_id)
    wanted = sorted(set(ids))
    if not 0 < len(wanted) <= MOST:
        raise InvalidInput("{n} images were picked; pick 1 to {limit}.", n=len(wanted), limit=MOST)
    key = hashlib.sha256(f"{theme_id}:{','.join(map(str, wanted))}".encode()).hexdigest()[:32]
    own = sa.select(train_data.c.id).where(conditions.live(theme_id), train_data.c.id.in_(_GIVEN))
    known = sa.select(image_picks.c.hash).where(image_picks.c.hash == key).limit(1)
    with wb.db.read() as connection:  # screens ask again with every drawing; the writer is left alone
        if connection.execute(known).first():
            return key

    def work(connection: sa.Connection) -> None:
        themes.lock(connection, theme_id)
        if connection.execute(known).first():
            return
        found = connection.execute(own, {"ids": wanted}).scalars()
        bulk_insert(connection, image_picks, [{"hash": key, "image_id": each} for each in found])

    wb.db.write(work)
    return key


_GIVEN = sa.text("SELECT unnest(CAST(:ids AS BIGINT[]))")
