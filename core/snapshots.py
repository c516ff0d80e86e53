"""Stored. Frozen dataset versions: a Parquet manifest in the file store and the hash of what it says."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from core import audit, auth, themes
from core.db.engine import next_ids
from core.db.tables import labels, snapshots, train_data
from core.errors import InvalidInput, NotFound
from core.workbench import Workbench

FORMAT = 1
"""Part of the hash; rises when the canonical content is written differently."""

_FIELDS: list[pa.Field[Any]] = [
    pa.field("image_id", pa.int64()),
    pa.field("image_path", pa.string()),
    pa.field("sha256", pa.string()),
    pa.field("label_id", pa.int64()),
    pa.field("label", pa.string()),
    pa.field("split", pa.string()),
    pa.field("width", pa.int32()),
    pa.field("height", pa.int32()),
]
SCHEMA = pa.schema(_FIELDS)
"""Columns of a manifest; one row an image, by image id."""


@dataclass(frozen=True)
class Snapshot:
    id: int
    theme_id: int
    hash: str
    """SHA-256 over the canonical content (rows and label order), the same whatever wrote the file."""
    path: str
    """Key of the manifest in the file store."""
    counts: dict[str, dict[str, int]]
    """Images by split and label name: {"train": {"cat": 120, …}, …}."""
    labels: tuple[str, ...]
    """Names of the labels that have images here, by their position: the order of a model's outputs."""


def freeze(wb: Workbench, actor: auth.User, theme_id: int) -> Snapshot:
    """Freeze the images that have a label and a split; an identical snapshot is used again.

    Raises InvalidInput where there are none, NotFound, NotAllowed.
    """
    auth.require(actor, auth.TRAINER)
    theme = themes.get(wb, theme_id)
    rows = _rows(wb, theme_id)
    if not rows:
        raise InvalidInput(
            "No image of the theme “{name}” has both a label and a split; label images and split them first.",
            name=theme.name,
        )
    order = _order(rows)
    digest = content_hash(order, rows)
    path = f"snapshots/{digest}.parquet"
    if not wb.files.exists(path):
        wb.files.write(path, _parquet(order, rows, digest))
    counts: dict[str, dict[str, int]] = {}
    for row in rows:
        of_split = counts.setdefault(row.split, {})
        of_split[row.label] = of_split.get(row.label, 0) + 1

    def work(connection: sa.Connection) -> int:
        themes.lock(connection, theme_id)
        same = connection.execute(
            sa.select(snapshots.c.id).where(snapshots.c.theme_id == theme_id, snapshots.c.hash == digest)
        ).scalar()
        if same is not None:
            return int(same)
        [snapshot_id] = next_ids(connection, "snapshots_id_seq", 1)
        connection.execute(
            snapshots.insert().values(
                id=snapshot_id,
                theme_id=theme_id,
                hash=digest,
                path=path,
                counts=counts,
                created_by=actor.id,
                created_at=datetime.now(UTC),
            )
        )
        audit.record(
            connection, actor, "snapshot.create", f"snapshot {snapshot_id}", {"hash": digest, "n": len(rows)}
        )
        return snapshot_id

    return Snapshot(wb.db.write(work), theme_id, digest, path, counts, tuple(order))


def get(wb: Workbench, snapshot_id: int) -> Snapshot:
    """Raises NotFound."""
    with wb.db.read() as connection:
        row = connection.execute(sa.select(snapshots).where(snapshots.c.id == snapshot_id)).one_or_none()
    if row is None:
        raise NotFound("There is no snapshot {id}.", id=snapshot_id)
    order = json.loads(pq.read_schema(wb.files.open(row.path)).metadata[b"labels"])
    return Snapshot(row.id, row.theme_id, row.hash, row.path, row.counts, tuple(order))


def read(wb: Workbench, snapshot: Snapshot) -> pa.Table:
    """The manifest's rows, columns as in SCHEMA, by image id."""
    with wb.files.open(snapshot.path) as file:
        return pq.read_table(file)


def says(wb: Workbench, path: str) -> str:
    """The hash of what a manifest in the file store says now.

    Raises FileNotFoundError, and OSError, KeyError or ArrowException where it is no manifest any more.
    """
    with wb.files.open(path) as file:
        found = pq.read_table(file)
    order = json.loads((found.schema.metadata or {}).get(b"labels", b"[]"))
    columns = [found[name].to_pylist() for name in SCHEMA.names]
    return _digest(order, zip(*columns, strict=True))


def current(wb: Workbench, theme_id: int) -> tuple[str, pa.Table]:
    """Hash and rows of what `freeze` would freeze now; nothing is written. Raises NotFound."""
    themes.get(wb, theme_id)
    rows = _rows(wb, theme_id)
    return content_hash(_order(rows), rows), _table(rows)


def content_hash(order: list[str], rows: list[sa.Row[Any]]) -> str:
    """SHA-256 over one JSON line for the label order and one for each row, in SCHEMA's column order."""
    return _digest(order, ([getattr(row, name) for name in SCHEMA.names] for row in rows))


def _digest(order: list[str], rows: Iterable[Sequence[Any]]) -> str:
    digest = hashlib.sha256(_line([FORMAT, order]))
    for row in rows:
        digest.update(_line(list(row)))
    return digest.hexdigest()


def _line(values: list[Any]) -> bytes:
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _rows(wb: Workbench, theme_id: int) -> list[sa.Row[Any]]:
    column = train_data.c
    columns = [
        column.id.label("image_id"), column.image_path, column.sha256, column.label_id,
        labels.c.name.label("label"), column.split, column.width, column.height, labels.c.position,
    ]  # fmt: skip
    query = (
        sa.select(*columns)
        .select_from(train_data)
        .join(labels, labels.c.id == column.label_id)
        .where(column.theme_id == theme_id, column.deleted_at.is_(None), column.split.is_not(None))
        .order_by(column.id)
    )
    with wb.db.read() as connection:
        return list(connection.execute(query))


def _order(rows: list[sa.Row[Any]]) -> list[str]:
    return [name for _, name in sorted({(row.position, row.label) for row in rows})]


def _table(rows: list[sa.Row[Any]]) -> pa.Table:
    columns = {name: [getattr(row, name) for row in rows] for name in SCHEMA.names}
    return pa.table(columns, schema=SCHEMA)


def _parquet(order: list[str], rows: list[sa.Row[Any]], digest: str) -> bytes:
    table = _table(rows).replace_schema_metadata({"veritrain_hash": digest, "labels": json.dumps(order)})
    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd")
    return out.getvalue()
