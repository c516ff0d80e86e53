"""Stored. A version as a file to download, in any format and shape that its rows can have."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from core import audit, auth
from core.datasets import access, store
from core.datasets.store import Dataset, Version
from core.errors import InvalidInput
from core.texts import formats, rowfile, rowpages, writing
from core.texts.records import Record
from core.texts.tables import Report, shown
from core.transfer.export_formats import safe
from core.workbench import Workbench

MEDIA_TYPES = {
    "jsonl": "application/x-ndjson",
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}
_PART = 256 * 1024


@dataclass(frozen=True)
class Export:
    name: str
    """File name to offer."""
    media_type: str
    size: int
    """Bytes."""
    report: Report
    """How many rows are in the file, and which were left out since they cannot have this shape."""
    file: IO[bytes]
    """A temporary file, at its beginning; whoever has the export closes it."""

    def chunks(self) -> Iterator[bytes]:
        """The content; closes the file."""
        with self.file:
            while part := self.file.read(_PART):
                yield part


def export(
    wb: Workbench,
    actor: auth.User,
    dataset_id: int,
    *,
    shape: str,
    file_format: str = "jsonl",
    number: int | None = None,
    split: str | None = None,
) -> Export:
    """A version (None: the newest), or one split of it, as a file of `file_format` (writing.FILE_FORMATS).

    It is written out first, so that a refusal comes before the first byte and the size is known.
    Raises InvalidInput, also where no row can have the shape; NotFound, NotAllowed.
    """
    auth.require(actor, auth.LABELER)
    if shape not in formats.OUTPUTS:
        raise InvalidInput(
            "The shape “{shape}” is not one of: {all}.", shape=shown(shape), all=", ".join(formats.OUTPUTS)
        )
    dataset = store.get(wb, dataset_id)
    version = access.readable(wb, actor, dataset_id, number)
    rows = _Rows(wb, version, split)
    file = tempfile.TemporaryFile()  # noqa: SIM115 (closed by who has the export)
    try:
        report = writing.write(rows, file, file_format, shape)
        if not report.rows:
            raise report.broken[0].error if report.broken else _empty(dataset, split)
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
    except BaseException:
        file.close()
        raise
    detail = {"number": version.number, "shape": shape, "format": file_format, "rows": report.rows}
    wb.db.write(lambda c: audit.record(c, actor, "dataset.export", f"dataset {dataset_id}", detail))
    part = f"-{split}" if split else ""
    name = f"{safe(dataset.name)}-v{version.number}{part}-{shape}.{file_format}"
    return Export(name, MEDIA_TYPES[file_format], size, report, file)


class _Rows:
    """The records of a version, read from its file each time anew."""

    def __init__(self, wb: Workbench, version: Version, split: str | None) -> None:
        self._path = wb.files.local_path(version.path)
        store.check_split(split)
        self._split = split

    def __iter__(self) -> Iterator[Record]:
        for table in rowpages.groups(self._path, self._split):
            for row in rowfile.rows_of(table):
                yield row.record


def _empty(dataset: Dataset, split: str | None) -> InvalidInput:
    return InvalidInput(
        "No row of “{name}” is in the split “{split}”; split the dataset first.",
        name=dataset.name,
        split=split,
    )
