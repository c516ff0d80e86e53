"""Stored. A theme going out: streamed, in the formats that come in again, and as one table of its present state."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import sqlalchemy as sa

from core import audit, auth, themes
from core.db.tables import labels, train_data, users
from core.errors import InvalidInput
from core.transfer.archive_stream import Archive, Tar, Zip
from core.transfer.export_formats import LISTS, Exported, archive_name, safe, write_snapshot
from core.workbench import Workbench

FORMATS = ("folders", "manifest", "parquet", "coco", "labelstudio", "imagefolder", "snapshot")
BATCH = 1_000
"""Rows read at a time."""
MAX_ZIP = 100_000
"""Images from which an archive is a tar: a zip ends with a list of all its entries."""


@dataclass(frozen=True)
class Export:
    name: str
    """File name to offer."""
    media_type: str
    chunks: Iterator[bytes]


def stream(
    wb: Workbench, actor: auth.User, theme_id: int, format: str, *, with_images: bool = True
) -> Export:
    """The theme in one of FORMATS, read and sent bit by bit.

    Archives hold `theme.json` with the labels' order and colours. Raises InvalidInput, NotFound, NotAllowed.
    """
    auth.require(actor, auth.LABELER)
    theme = themes.get(wb, theme_id)
    if format not in FORMATS:
        raise InvalidInput(
            "The format “{format}” is not one of: {all}.", format=format[:50], all=", ".join(FORMATS)
        )
    if format == "folders" and not with_images:
        raise InvalidInput("Folders say everything by where an image lies; export them with the images.")
    column = train_data.c
    with wb.db.read() as connection:
        count = connection.execute(
            sa.select(sa.func.count())
            .select_from(train_data)
            .where(column.theme_id == theme_id, column.deleted_at.is_(None))
        ).scalar_one()
    detail = {"format": format, "images": count, "with_images": with_images}
    wb.db.write(lambda c: audit.record(c, actor, "theme.export", f"theme {theme_id}", detail))
    stem = f"{safe(theme.name)}-{format}"
    if format == "snapshot":
        return Export(f"{stem}.parquet", "application/vnd.apache.parquet", _table(wb, theme))
    archive = Zip() if count <= MAX_ZIP or not with_images else Tar()
    chunks = _archive(wb, theme, format, archive, with_images=with_images)
    return Export(stem + archive.suffix, archive.media_type, chunks)


def _archive(
    wb: Workbench, theme: themes.Theme, format: str, archive: Archive, *, with_images: bool
) -> Iterator[bytes]:
    described = {
        "name": theme.name,
        "description": theme.description,
        "labels": [{"name": label.name, "color": label.color} for label in theme.labels],
    }
    data = json.dumps(described, ensure_ascii=False, indent=2).encode()
    yield from archive.add("theme.json", data, len(data))
    missing: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        lists = LISTS[format](theme, folder) if format in LISTS else None
        for row in _rows(wb, theme.id):
            name = archive_name(format, row)
            if with_images:
                try:
                    image = wb.files.read(row.image_path)
                except FileNotFoundError:  # erased by an administrator
                    missing.append(row.file_name)
                else:
                    yield from archive.add(name, image, len(image))
            if lists is not None:
                lists.add(name, row)
        if lists is not None:
            for list_name, file, size in lists.files():
                with file:
                    yield from archive.add(list_name, file, size)
    if missing:
        note = "\n".join(missing).encode()
        yield from archive.add("missing.txt", note, len(note))
    yield from archive.end()


def _table(wb: Workbench, theme: themes.Theme) -> Iterator[bytes]:
    with tempfile.TemporaryFile() as file:
        write_snapshot(file, _rows(wb, theme.id), BATCH)
        file.seek(0)
        yield from _parts(file)


def _parts(file: IO[bytes]) -> Iterator[bytes]:
    while part := file.read(256 * 1024):
        yield part


def _rows(wb: Workbench, theme_id: int) -> Iterator[Exported]:
    """Live images by id, a batch at a time; those that come or go meanwhile may be in or not."""
    column = train_data.c
    columns: list[sa.ColumnElement[Any]] = [
        column.id.label("image_id"), column.image_path, column.file_name, column.sha256, column.format, column.width,
        column.height, column.size, column.label_id, labels.c.name.label("label"), column.split,
        column.group_name, column.flag_note, users.c.name.label("labeled_by"), column.labeled_at,
    ]  # fmt: skip
    query = (
        sa.select(*columns)
        .select_from(train_data)
        .outerjoin(labels, labels.c.id == column.label_id)
        .outerjoin(users, users.c.id == column.labeled_by)
        .where(column.theme_id == theme_id, column.deleted_at.is_(None))
        .order_by(column.id)
        .limit(BATCH)
    )
    after = 0
    while True:
        with wb.db.read() as connection:
            found = connection.execute(query.where(column.id > after)).mappings().all()
        for row in found:
            yield Exported(**row)
        if len(found) < BATCH:
            return
        after = found[-1]["image_id"]
