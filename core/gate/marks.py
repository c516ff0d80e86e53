"""Stored. The gate's lines about what a version got right on its test images."""

from __future__ import annotations

import sqlalchemy as sa

from core.db.tables import model_train_data
from core.gate.lines import ACCURACY, GREEN, OPEN, RED, Line
from core.registry import Version


def accuracy(connection: sa.Connection, version: Version, champion: Version | None) -> Line:
    """Whether it is right as often as what is in production, where both were tested on the same images."""
    if champion is None:
        return Line(ACCURACY, OPEN)
    fields = {"champion": champion.version, "champion_id": champion.id}
    own, other = (each.metrics.get("test", {}).get("accuracy") for each in (version, champion))
    if own is None or other is None or not _same_test(connection, version, champion):
        return Line(ACCURACY, OPEN, fields, "other images")
    return Line(ACCURACY, GREEN if own >= other else RED, fields | {"own": own, "other": other})


def _same_test(connection: sa.Connection, one: Version, two: Version) -> bool:
    """Whether both were measured on the same test images with the same labels, whatever they learned from."""
    if one.snapshot_hash == two.snapshot_hash:
        return True
    a, b = model_train_data.alias("a").c, model_train_data.alias("b").c

    def count(version: Version) -> int:
        query = sa.select(sa.func.count()).where(a.version_id == version.id, a.split == "test")
        return int(connection.execute(query).scalar_one())

    both = sa.select(sa.func.count()).where(
        a.version_id == one.id, a.split == "test",
        b.version_id == two.id, b.split == "test",
        a.image_id == b.image_id, a.label_id == b.label_id,
    )  # fmt: skip
    n = count(one)
    return n > 0 and n == count(two) == connection.execute(both).scalar_one()
