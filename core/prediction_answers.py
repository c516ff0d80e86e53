"""Stored. What a batch's job answered: as a file to download, and the pictures of single answers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow.parquet as pq
import sqlalchemy as sa

from core import audit, auth, images_io, prediction_batches
from core.db.tables import finetuning_jobs
from core.errors import Conflict, InvalidInput, NotFound, VeritrainError
from core.gateway import tables
from core.prediction_batches import OPEN, Batch
from core.prediction_files import PART
from core.transfer.export_formats import safe
from core.workbench import Workbench

_BYTES = 256 * 1024


@dataclass(frozen=True)
class Download:
    name: str
    """File name to offer."""
    media_type: str
    chunks: Iterator[bytes]


def download(wb: Workbench, actor: auth.User, batch_id: int, file_format: str = "csv") -> Download:
    """All answers, one of the formats of `core.gateway.tables`, read while they are sent.

    Raises NotFound, NotAllowed, InvalidInput for another format, Conflict before there are answers.
    """
    auth.require(actor, auth.VIEWER)
    if file_format not in tables.FORMATS:
        raise InvalidInput(
            "Answers can be had as one of {all}; “{value}” is not.",
            all=", ".join(tables.FORMATS),
            value=file_format[:60],
        )
    batch = prediction_batches.get(wb, batch_id)
    key = _answers(batch)
    name = f"{safe(batch.name)}.{file_format}"
    media_type = tables.FORMATS[file_format][0]
    detail = {"format": file_format}
    wb.db.write(lambda c: audit.record(c, actor, "predict.download", f"batch {batch_id}", detail))
    return Download(name, media_type, _chunks(wb, key, file_format, batch.version.labels))


def picture(wb: Workbench, batch_id: int, row: int) -> bytes:
    """A small WebP of the image in a row of the answers, counted from 0.

    Raises NotFound where there is none (any more), Conflict before the batch was started.
    """
    batch = prediction_batches.get(wb, batch_id)
    query = sa.select(finetuning_jobs.c.spec).where(finetuning_jobs.c.id == batch.run_id)
    with wb.db.read() as connection:
        spec = connection.execute(query).scalar()
    if spec is None:
        raise _nothing(batch)
    group, place = divmod(row, PART)
    with contextlib.suppress(FileNotFoundError, IndexError, VeritrainError):
        manifest = pq.ParquetFile(wb.files.local_path(spec["manifest"]))
        if group < manifest.num_row_groups:
            path = manifest.read_row_group(group, columns=["path"])["path"][place].as_py()
            if path is not None:
                return images_io.thumbnail(wb.files.read(path), images_io.Limits.of(wb.settings))
    raise NotFound("Row {n} of the batch “{name}” has no picture.", n=row, name=batch.name)


def _answers(batch: Batch) -> str:
    if not batch.done or batch.result is None:
        raise _nothing(batch)
    return str(batch.result["answers"])


def _nothing(batch: Batch) -> Conflict:
    if batch.status == OPEN:
        return Conflict("The batch “{name}” was not started yet; start it to get answers.", name=batch.name)
    if batch.active:
        return Conflict("The batch “{name}” has no answers yet; wait for its end.", name=batch.name)
    return Conflict(
        "The batch “{name}” ended before it had all its answers; let it go on to get them.", name=batch.name
    )


def _chunks(wb: Workbench, key: str, file_format: str, labels: tuple[str, ...]) -> Iterator[bytes]:
    path = wb.files.local_path(key)
    if file_format not in tables.LINES:
        with path.open("rb") as file:
            while part := file.read(_BYTES):
                yield part
        return
    answers = pq.ParquetFile(path)
    groups = (answers.read_row_group(number) for number in range(answers.num_row_groups))
    found = (row for group in groups for row in tables.rows_of(group))
    waiting = bytearray()
    for line in tables.LINES[file_format](found, labels):
        waiting += line
        if len(waiting) >= _BYTES:
            yield bytes(waiting)
            waiting.clear()
    yield bytes(waiting)
