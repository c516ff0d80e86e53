"""Stored. What a batch's job answered: as a file to download, page by page, and the images of single answers."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
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
ORDERS: dict[str, list[tuple[str, Literal["ascending", "descending"]]]] = {
    "unsure": [("confidence", "ascending")],
    "sure": [("confidence", "descending")],
    "name": [("file", "ascending")],
}
"""In which answers can be read, by name: the columns that decide."""


@dataclass(frozen=True)
class Download:
    name: str
    """File name to offer."""
    media_type: str
    chunks: Iterator[bytes]


@dataclass(frozen=True)
class Answer:
    row: int
    """Of the answers, counted from 0."""
    file: str
    label: str
    confidence: float
    probabilities: dict[str, float]


def page(wb: Workbench, batch_id: int, order: str, first: int, limit: int) -> list[Answer]:
    """So many answers from the `first` on, in one of ORDERS; files without an answer are left out.

    Raises NotFound, Conflict before there are answers.
    """
    batch = prediction_batches.get(wb, batch_id)
    file = _opened(wb, batch, _answers(batch))
    every = file.read(columns=["file", "label", "confidence"])
    every = every.append_column("row", pa.array(range(len(every)), pa.int64()))
    every = every.filter(every["label"].is_valid()).sort_by([*ORDERS[order], ("row", "ascending")])
    shown = every.slice(first, limit).to_pylist()
    shares = _column(file, "probabilities", [each["row"] for each in shown])
    return [
        Answer(**each, probabilities=dict(zip(batch.version.labels, shares[each["row"]], strict=True)))
        for each in shown
    ]


def originals(wb: Workbench, batch_id: int, rows: Collection[int]) -> dict[int, tuple[str, bytes]]:
    """The images in these rows of the answers with their names, as they were sent; those that are gone are left out.

    Raises NotFound, Conflict before the batch was started.
    """
    manifest = _manifest(wb, prediction_batches.get(wb, batch_id))
    names, paths = _column(manifest, "file", rows), _column(manifest, "path", rows)
    found: dict[int, tuple[str, bytes]] = {}
    for row, path in paths.items():
        with contextlib.suppress(FileNotFoundError):
            if path is not None:
                found[row] = (names[row], wb.files.read(path))
    return found


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
    manifest = _manifest(wb, batch)
    with contextlib.suppress(FileNotFoundError, VeritrainError):
        path = _column(manifest, "path", [row]).get(row) if row < manifest.metadata.num_rows else None
        if path is not None:
            return images_io.thumbnail(wb.files.read(path), images_io.Limits.of(wb.settings))
    raise NotFound("Row {n} of the batch “{name}” has no picture.", n=row, name=batch.name)


def _manifest(wb: Workbench, batch: Batch) -> pq.ParquetFile:
    """A row a file, as in the answers. Raises Conflict before the batch was started, NotFound."""
    query = sa.select(finetuning_jobs.c.spec).where(finetuning_jobs.c.id == batch.run_id)
    with wb.db.read() as connection:
        spec = connection.execute(query).scalar()
    if spec is None:
        raise _nothing(batch)
    return _opened(wb, batch, spec["manifest"])


def _opened(wb: Workbench, batch: Batch, key: str) -> pq.ParquetFile:
    """Raises NotFound."""
    try:
        return pq.ParquetFile(wb.files.local_path(key))
    except (OSError, pa.ArrowException) as error:
        raise NotFound(
            "The files of the batch “{name}” are not there any more; make another one.", name=batch.name
        ) from error


def _column(file: pq.ParquetFile, name: str, rows: Collection[int]) -> dict[int, Any]:
    """What stands there in these rows of the manifest or the answers; only their row groups are read."""
    found: dict[int, Any] = {}
    for group in {row // PART for row in rows}:
        values = file.read_row_group(group, columns=[name])[name]
        found |= {row: values[row % PART].as_py() for row in rows if row // PART == group}
    return found


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
