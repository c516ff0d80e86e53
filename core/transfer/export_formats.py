"""Stored. How the lists of an export are written: one line an image, into a file beside the archive."""

from __future__ import annotations

import csv
import json
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import IO, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from core import themes
from core.cells import escaped
from core.images_io import FORMATS as EXTENSIONS
from core.snapshots import SCHEMA

MAX_NAME = 100
"""Characters of a file's name that an archive keeps."""
BATCH = 10_000
_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]+')

COLUMNS = (
    "image", "original_name", "sha256", "label", "split", "group", "labelled_by", "labelled_at", "flag_note",
)  # fmt: skip


@dataclass(frozen=True)
class Exported:
    """An image as an export sees it."""

    image_id: int
    image_path: str
    file_name: str
    sha256: str
    format: str
    width: int
    height: int
    size: int
    label_id: int | None
    label: str | None
    split: str | None
    group_name: str | None
    flag_note: str | None
    labeled_by: str | None
    labeled_at: datetime | None


class Lists(Protocol):
    """Takes each image with its name in the archive, gives the lists as (name, open file, bytes)."""

    def add(self, name: str, row: Exported) -> None: ...
    def files(self) -> Iterator[tuple[str, IO[bytes], int]]: ...


def safe(name: str) -> str:
    """A name for one file or folder on any system; never empty, never a path."""
    cleaned = _UNSAFE.sub("_", unicodedata.normalize("NFC", name)).strip(" .")
    return cleaned[:MAX_NAME].strip(" .") or "_"


def archive_name(format: str, row: Exported) -> str:
    """Where an image lies in the archive; its id makes the name the only one."""
    stem = safe(Path(row.file_name).stem or row.file_name)
    name = f"{stem}-{row.image_id}.{EXTENSIONS[row.format]}"
    label = safe(row.label) if row.label else "unlabelled"
    match format:
        case "folders":
            # An image without a label lies in no folder of its own: a folder's name would be taken for one.
            parts = [row.split or "", label if row.label else "", name]
            return "/".join(part for part in parts if part)
        case "imagefolder":
            return "/".join([row.split or "train", label, name])
    return f"images/{name}"


class _Text:
    """A text file that grows line by line."""

    def __init__(self, folder: str, name: str) -> None:
        self.path = Path(folder, name)
        self.out: IO[str] = self.path.open("w", encoding="utf-8", newline="")

    def opened(self) -> tuple[IO[bytes], int]:
        self.out.close()
        return self.path.open("rb"), os.path.getsize(self.path)


class _Csv:
    def __init__(self, theme: themes.Theme, folder: str) -> None:
        self._file = _Text(folder, "manifest.csv")
        self._rows = csv.writer(self._file.out)
        self._rows.writerow(COLUMNS)

    def add(self, name: str, row: Exported) -> None:
        self._rows.writerow([escaped(value or "") for value in _values(name, row)])

    def files(self) -> Iterator[tuple[str, IO[bytes], int]]:
        yield ("manifest.csv", *self._file.opened())


class _ParquetManifest:
    SCHEMA = pa.schema([pa.field(name, pa.string()) for name in COLUMNS])

    def __init__(self, theme: themes.Theme, folder: str) -> None:
        self._path = Path(folder, "manifest.parquet")
        self._writer = pq.ParquetWriter(self._path, self.SCHEMA, compression="zstd")
        self._waiting: list[list[str | None]] = []

    def add(self, name: str, row: Exported) -> None:
        self._waiting.append(_values(name, row))
        if len(self._waiting) >= BATCH:
            self._write()

    def files(self) -> Iterator[tuple[str, IO[bytes], int]]:
        self._write()
        self._writer.close()
        yield "manifest.parquet", self._path.open("rb"), os.path.getsize(self._path)

    def _write(self) -> None:
        columns = zip(*self._waiting, strict=True) if self._waiting else ([] for _ in COLUMNS)
        self._writer.write_table(
            pa.table(dict(zip(COLUMNS, map(list, columns), strict=True)), schema=self.SCHEMA)
        )
        self._waiting = []


class _Coco:
    """COCO's object detection file: each labelled image has one annotation, whose box is the whole image."""

    def __init__(self, theme: themes.Theme, folder: str) -> None:
        self._numbers = {label.id: number for number, label in enumerate(theme.labels, 1)}
        categories = [{"id": self._numbers[label.id], "name": label.name} for label in theme.labels]
        self._images = _Text(folder, "annotations.json")
        self._annotations = _Text(folder, "more.json")
        self._images.out.write(f'{{"categories": {_json(categories)}, "images": [')
        self._first = self._first_labelled = True

    def add(self, name: str, row: Exported) -> None:
        image = {"id": row.image_id, "file_name": name, "width": row.width, "height": row.height}
        self._images.out.write(("" if self._first else ",\n") + _json(image))
        self._first = False
        if row.label_id is None:
            return
        annotation = {
            "id": row.image_id,
            "image_id": row.image_id,
            "category_id": self._numbers[row.label_id],
            "bbox": [0, 0, row.width, row.height],
            "area": row.width * row.height,
            "iscrowd": 0,
        }
        self._annotations.out.write(("" if self._first_labelled else ",\n") + _json(annotation))
        self._first_labelled = False

    def files(self) -> Iterator[tuple[str, IO[bytes], int]]:
        self._annotations.out.close()
        self._images.out.write('], "annotations": [')
        with self._annotations.path.open(encoding="utf-8") as annotations:
            while part := annotations.read(1 << 20):
                self._images.out.write(part)
        self._images.out.write("]}")
        yield ("annotations.json", *self._images.opened())


class _LabelStudio:
    """Label Studio's JSON: a task an image, its label as a choice."""

    def __init__(self, theme: themes.Theme, folder: str) -> None:
        self._file = _Text(folder, "labelstudio.json")
        self._file.out.write("[")
        self._first = True

    def add(self, name: str, row: Exported) -> None:
        choice = {
            "from_name": "label",
            "to_name": "image",
            "type": "choices",
            "value": {"choices": [row.label]},
        }
        task = {
            "id": row.image_id,
            "data": {"image": name},
            "meta": {"split": row.split, "group": row.group_name, "sha256": row.sha256},
            "annotations": [{"result": [choice], "was_cancelled": False}] if row.label else [],
        }
        self._file.out.write(("" if self._first else ",\n") + _json(task))
        self._first = False

    def files(self) -> Iterator[tuple[str, IO[bytes], int]]:
        self._file.out.write("]")
        yield ("labelstudio.json", *self._file.opened())


class _ImageFolder:
    """Hugging Face's imagefolder: a metadata.jsonl in each split's folder. What has no split goes to train."""

    def __init__(self, theme: themes.Theme, folder: str) -> None:
        self._folder = folder
        self._files: dict[str, _Text] = {}

    def add(self, name: str, row: Exported) -> None:
        split, inside = name.split("/", 1)
        if split not in self._files:
            self._files[split] = _Text(self._folder, f"{split}.jsonl")
        record = {"file_name": inside, "label": row.label, "group": row.group_name, "sha256": row.sha256}
        self._files[split].out.write(_json(record) + "\n")

    def files(self) -> Iterator[tuple[str, IO[bytes], int]]:
        for split, file in self._files.items():
            yield (f"{split}/metadata.jsonl", *file.opened())


LISTS: dict[str, Callable[[themes.Theme, str], Lists]] = {
    "manifest": _Csv,
    "parquet": _ParquetManifest,
    "coco": _Coco,
    "labelstudio": _LabelStudio,
    "imagefolder": _ImageFolder,
}


def write_snapshot(file: IO[bytes], rows: Iterable[Exported], batch: int) -> None:
    """Write the rows with the columns of a snapshot's manifest; unlabelled ones have no label there."""
    source = iter(rows)
    with pq.ParquetWriter(file, SCHEMA, compression="zstd") as writer:
        while part := list(islice(source, batch)):
            writer.write_table(
                pa.table(
                    {
                        name: pa.array([getattr(row, name) for row in part], SCHEMA.field(name).type)
                        for name in SCHEMA.names
                    },
                    schema=SCHEMA,
                )
            )


def _values(name: str, row: Exported) -> list[str | None]:
    at = row.labeled_at.isoformat() if row.labeled_at else None
    # A space stands for a flag without a note: an empty cell is no flag.
    flag = " " if row.flag_note == "" else row.flag_note
    return [
        name, row.file_name, row.sha256, row.label, row.split, row.group_name, row.labeled_by, at, flag,
    ]  # fmt: skip


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
