"""Pure. What a source says about its images, whichever format says it."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import pyarrow as pa
import pyarrow.parquet as pq

from core.archives import Refusal
from core.cells import unescaped
from core.errors import InvalidInput, VeritrainError
from core.i18n import gettext
from core.labelling import MAX_NOTE
from core.labels import label_color, label_name, normal
from core.transfer.sources import MAX_LISTS, File, Source, address, shown
from core.uploads import LISTED, SPLIT_FOLDERS, places_of

FORMATS = ("folders", "manifest", "coco", "labelstudio", "imagefolder")

IMAGE_COLUMNS = ("image", "path", "file", "file_name", "filename", "image_path", "filepath", "url", "name")
HASH_COLUMNS = ("sha256",)
LABEL_COLUMNS = ("label", "class", "category", "label_name", "class_name", "text")
SPLIT_COLUMNS = ("split", "set", "subset")
GROUP_COLUMNS = ("group", "group_name", "group_id")
NAME_COLUMNS = ("original_name",)
FLAG_COLUMNS = ("flag_note",)
"""Names a column may have, the one that counts first."""

_TABLE_COLUMNS: tuple[tuple[str, ...], ...] = (
    IMAGE_COLUMNS, HASH_COLUMNS, LABEL_COLUMNS, SPLIT_COLUMNS, GROUP_COLUMNS, NAME_COLUMNS, FLAG_COLUMNS,
)  # fmt: skip
_METADATA = re.compile(r"(^|/)metadata\.(csv|jsonl|parquet)$", re.IGNORECASE)
_THEME = re.compile(r"(^|/)theme\.json$")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_UPLOAD_PREFIX = re.compile(r"^[0-9a-f]{8}-")
"""What Label Studio puts before the name of an uploaded file."""


@dataclass(frozen=True)
class Options:
    """How to read a source. `format` is one of FORMATS; None finds it out."""

    format: str | None = None
    create_labels: bool = True
    take_labels: bool = True
    take_splits: bool = True


@dataclass(frozen=True)
class Conflict:
    """An image (or label) that comes, but not with all that the source says of it, and why."""

    name: str
    error: VeritrainError

    @property
    def text(self) -> str:
        """The sentence in the reader's language."""
        return self.error.text(gettext)


@dataclass(slots=True)
class Row:
    """One image of a source. A row without a file names a stored image by its hash."""

    name: str
    file: File | None
    sha256: str = ""
    label: str | None = None
    split: str | None = None
    group: str | None = None
    flag: str | None = None
    """Note of an image that was flagged as unsure."""


@dataclass
class Reading:
    """What a source says: its rows, and the first LISTED of what does not fit."""

    format: str
    options: Options
    rows: list[Row] = field(default_factory=list)
    labels: list[tuple[str, str]] = field(default_factory=list)
    """(name, colour) in order, where the source is an export of ours."""
    conflicts: list[Conflict] = field(default_factory=list)
    conflicts_total: int = 0
    problems: list[Refusal] = field(default_factory=list)
    problems_total: int = 0

    def conflict(self, error: InvalidInput) -> None:
        """`error` has the image's or label's name as its field `name`."""
        self.conflicts_total += 1
        if len(self.conflicts) < LISTED:
            self.conflicts.append(Conflict(str(error.fields["name"]), error))

    def refuse(self, name: str, error: VeritrainError) -> None:
        self.problems_total += 1
        if len(self.problems) < LISTED:
            self.problems.append(Refusal(shown(name), error))

    def add(
        self,
        name: str,
        file: File | None,
        sha256: str = "",
        label: str | None = None,
        split: str | None = None,
        group: str | None = None,
        flag: str | None = None,
    ) -> None:
        """A row, its label and split checked."""
        label = self._label(name, label) if label is not None and self.options.take_labels else None
        if split and self.options.take_splits:
            known = SPLIT_FOLDERS.get(split.strip().casefold())
            if known is None:
                self.conflict(
                    InvalidInput(
                        "“{name}” comes without its split “{split}”; write train, valid or test.",
                        name=shown(name),
                        split=shown(split),
                    )
                )
            split = known
        else:
            split = None
        self.rows.append(
            Row(
                name,
                file,
                sha256,
                label,
                split,
                shown(normal(group)) or None if group else None,
                flag.strip()[:MAX_NOTE] if flag is not None else None,
            )
        )

    def _label(self, name: str, raw: str) -> str | None:
        if raw in self._checked:
            return self._checked[raw]
        if not raw.strip():
            return None
        try:
            label = label_name(raw)
        except InvalidInput as error:
            self.conflict(
                InvalidInput("“{name}” comes without a label: {reason}", name=shown(name), reason=str(error))
            )
            return None
        self._checked[raw] = label
        return label

    _checked: dict[str, str] = field(default_factory=dict)


def read(source: Source, options: Options) -> Reading:
    """Everything the source says. Raises InvalidInput where it says nothing that can be read."""
    if options.format is not None and options.format not in FORMATS:
        raise InvalidInput(
            "The format “{format}” is not one of: {all}.",
            format=shown(options.format),
            all=", ".join(FORMATS),
        )
    name = options.format or detect(source)
    reading = Reading(name, options)
    for problem in source.problems:
        reading.refuse(problem.name, problem.error)
    _READERS[name](source, reading)
    reading.labels = _theme_labels(source)
    return reading


def _theme_labels(source: Source) -> list[tuple[str, str]]:
    """Labels of the theme.json that our exports carry; what is not as it should be there says nothing."""
    for name, data in source.lists.items():
        if not _THEME.search(name):
            continue
        try:
            found = [
                (label_name(str(r["name"])), label_color(str(r["color"])))
                for r in _records(_json(name, data), "labels")
            ]
        except (InvalidInput, KeyError):
            continue
        return found
    return []


def detect(source: Source) -> str:
    """The format of a source, from the names and contents of its lists. Raises InvalidInput."""
    if any(_METADATA.search(name) for name in source.lists):
        return "imagefolder"
    for name, data in source.lists.items():
        if data.lstrip()[:1] in (b"[", b"{") and not name.lower().endswith(".jsonl"):
            try:
                content = _json(name, data)
            except InvalidInput:
                if not source.files:
                    raise
                continue
            if _is_coco(content):
                return "coco"
            if _is_label_studio(content):
                return "labelstudio"
    if any(_is_manifest(name, data) for name, data in source.lists.items()):
        return "manifest"
    if source.files:
        return "folders"
    if not source.lists and source.problems:
        raise source.problems[0].error
    raise InvalidInput(
        "“{name}” holds neither images nor a list of them; give an archive, a CSV or Parquet manifest, "
        "or a COCO or Label Studio file.",
        name=shown(source.name),
    )


# --- folders ----------------------------------------------------------------


def _folders(source: Source, reading: Reading) -> None:
    for name in source.lists:
        if _THEME.search(name):
            continue
        reading.refuse(name, InvalidInput("“{name}” is not an image and was left out.", name=shown(name)))
    for file in source.files:
        label, split = places_of(file.folders, label=True, split=True)
        reading.add(file.name, file, label=label, split=split)


# --- tables: manifest and imagefolder ----------------------------------------


def _manifest(source: Source, reading: Reading) -> None:
    lists = {name: data for name, data in source.lists.items() if _is_manifest(name, data)}
    if not lists:
        raise InvalidInput(
            "“{name}” holds no manifest; give a CSV or Parquet file with a column image or sha256.",
            name=shown(source.name),
        )
    _tables(source, reading, lists)


def _imagefolder(source: Source, reading: Reading) -> None:
    lists = {name: data for name, data in source.lists.items() if _METADATA.search(name)}
    if lists:
        _tables(source, reading, lists)
    else:
        _folders(source, reading)


def _tables(source: Source, reading: Reading, lists: dict[str, bytes]) -> None:
    used: set[int] = set()
    for list_name, data in lists.items():
        near = tuple(list_name.split("/")[:-1])
        columns = _columns(list_name, data, source.settings.max_files_per_upload)
        images, hashes, labels, splits, groups, names, flags = (
            _column(columns, names) for names in _TABLE_COLUMNS
        )
        if images is None and hashes is None:
            raise InvalidInput(
                "“{name}” has no column image or sha256; add one of them.", name=shown(list_name)
            )
        by_folder = splits is None and reading.format == "imagefolder"
        empty: list[str | None] = [None] * len(next(iter(columns.values())))
        filled = (column or empty for column in (images, hashes, labels, splits, groups, names, flags))
        all_rows = zip(*filled, strict=True)
        for number, (image, digest, label, split, group, original, flag) in enumerate(all_rows, 1):
            place = f"{list_name}: {number}"
            digest = (digest or "").strip()
            file = None
            try:
                if digest and not _SHA256.fullmatch(digest):
                    raise InvalidInput(
                        "“{name}” has a sha256 that is not 64 hexadecimal digits.", name=shown(image or place)
                    )
                if image and (source.files or not digest):
                    try:
                        file = source.find(image, near)
                    except InvalidInput:
                        if not digest:
                            raise
                if not image and not digest:
                    raise InvalidInput("“{name}” names no image; fill image or sha256.", name=shown(place))
            except InvalidInput as error:
                reading.refuse(image or place, error)
                continue
            if file is not None:
                used.add(id(file))
                if by_folder:
                    split = places_of(file.folders, label=False, split=True)[1]
            name = shown(original) if original else file.name if file else shown(image) if image else ""
            reading.add(name, file, digest.lower(), label, split, group, flag)
    _left_out(source, reading, used, next(iter(lists)))


def _left_out(source: Source, reading: Reading, used: set[int], list_name: str) -> None:
    n = sum(1 for file in source.files if id(file) not in used and file.problem is None)
    if n:
        name = shown(list_name)
        reading.refuse(
            name,
            InvalidInput(
                "“{name}” does not name {n} image files of the source; they were left out.", name=name, n=n
            ),
        )


def _is_manifest(name: str, data: bytes) -> bool:
    try:
        names = {_key(column) for column in _header(name, data)}
    except InvalidInput:
        return False
    return not names.isdisjoint(IMAGE_COLUMNS + HASH_COLUMNS)


def _header(name: str, data: bytes) -> list[str]:
    if _is_parquet(data):
        return [str(column) for column in _parquet(name, data).schema_arrow.names]
    if name.lower().endswith(".jsonl"):
        return [str(key) for key in next(_json_lines(name, data), {})]
    if data.lstrip()[:1] in (b"[", b"{"):
        return []
    return next(_csv(name, data), [])


def _columns(name: str, data: bytes, limit: int) -> dict[str, list[str | None]]:
    """The columns of a table as text, by lower-case name. Raises InvalidInput."""
    if _is_parquet(data):
        file = _parquet(name, data)
        size = sum(file.metadata.row_group(i).total_byte_size for i in range(file.num_row_groups))
        if file.metadata.num_rows > limit or size > MAX_LISTS:
            raise _too_many_rows(name, limit)
        wanted = sum(_TABLE_COLUMNS, ())
        chosen = [column for column in file.schema_arrow.names if _key(column) in wanted]
        try:
            table = file.read(columns=chosen)
        except (pa.ArrowException, OSError):
            raise _damaged(name) from None
        return {
            _key(column): [_text(value) for value in table[column].to_pylist()] for column in reversed(chosen)
        }
    if name.lower().endswith(".jsonl"):
        records = []
        for record in _json_lines(name, data):
            records.append({_key(key): value for key, value in record.items()})
            if len(records) > limit:
                raise _too_many_rows(name, limit)
        keys = {key for record in records for key in record}
        return {key: [_text(record.get(key)) for record in records] for key in keys}
    lines = _csv(name, data)
    header = [_key(column) for column in next(lines, [])]
    rows: list[list[str | None]] = []
    for line in lines:
        if not line:
            continue
        if len(line) > len(header):
            raise InvalidInput(
                "“{name}” has more fields than columns in row {row}; put quotes around text with a comma.",
                name=shown(name),
                row=len(rows) + 1,
            )
        rows.append([*line, *[None] * (len(header) - len(line))])
        if len(rows) > limit:
            raise _too_many_rows(name, limit)
    values = zip(*rows, strict=True) if rows else ([] for _ in header)
    return {
        column: [unescaped(value) or None if value else None for value in column_values]
        for column, column_values in zip(header, values, strict=True)
    }


def _csv(name: str, data: bytes) -> Iterator[list[str]]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInput(
            "“{name}” is not text in UTF-8; save it as “CSV UTF-8”.", name=shown(name)
        ) from None
    first = text[: text.find("\n")] if "\n" in text else text
    delimiter = max(",;\t", key=first.count)
    try:
        yield from csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    except csv.Error:
        raise _damaged(name) from None


def _is_parquet(data: bytes) -> bool:
    return data[:4] == b"PAR1"


def _parquet(name: str, data: bytes) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(io.BytesIO(data))
    except (pa.ArrowException, OSError):
        raise _damaged(name) from None


def _json_lines(name: str, data: bytes) -> Iterator[dict[str, Any]]:
    for line in data.splitlines():
        if line.strip():
            record = _json(name, line)
            if not isinstance(record, dict):
                raise _damaged(name)
            yield record


def _column(columns: dict[str, list[str | None]], names: tuple[str, ...]) -> list[str | None] | None:
    return next((columns[name] for name in names if name in columns), None)


def _key(column: object) -> str:
    return str(column).strip().casefold()


def _text(value: object) -> str | None:
    if isinstance(value, dict):  # an image column of the datasets library
        value = value.get("path")
    return None if value is None or value == "" else str(value)


# --- COCO -------------------------------------------------------------------


def _is_coco(content: object) -> bool:
    return isinstance(content, dict) and "images" in content and "annotations" in content


def _coco(source: Source, reading: Reading) -> None:
    found = {name: content for name, content in _documents(source) if _is_coco(content)}
    if not found:
        raise InvalidInput(
            "“{name}” holds no COCO file; it needs images, annotations and categories.",
            name=shown(source.name),
        )
    used: set[int] = set()
    for list_name, content in found.items():
        near = tuple(list_name.split("/")[:-1])
        categories = {
            category["id"]: _text(category.get("name")) or ""
            for category in _records(content, "categories")
            if _plain(category.get("id"))
        }
        of_image: dict[Any, dict[str, None]] = {}
        for annotation in _records(content, "annotations"):
            category = annotation.get("category_id")
            image_id = annotation.get("image_id")
            if _plain(category) and _plain(image_id):
                name = categories.get(category, "")
                of_image.setdefault(image_id, {})[name] = None
        for image in _records(content, "images"):
            named = _text(image.get("file_name")) or _text(image.get("coco_url")) or "?"
            file = _find(source, reading, named, near)
            if file is None:
                continue
            used.add(id(file))
            image_id = image.get("id")
            names = list(of_image.get(image_id, {})) if _plain(image_id) else []
            if "" in names:
                reading.conflict(
                    InvalidInput(
                        "“{name}” comes without a label: its category is not in the list of categories.",
                        name=shown(named),
                    )
                )
                names = []
            _, split = places_of((*near, *file.folders), label=False, split=True)
            reading.add(file.name, file, label=_one(reading, named, names), split=split)
    _left_out(source, reading, used, next(iter(found)))


# --- Label Studio -----------------------------------------------------------


def _is_label_studio(content: object) -> bool:
    tasks = content if isinstance(content, list) else [content]
    return any(
        isinstance(task, dict) and isinstance(task.get("data"), dict) and "annotations" in task
        for task in tasks[:10]
    )


def _label_studio(source: Source, reading: Reading) -> None:
    found = {name: content for name, content in _documents(source) if _is_label_studio(content)}
    if not found:
        raise InvalidInput(
            "“{name}” holds no Label Studio export; choose JSON when exporting.",
            name=shown(source.name),
        )
    used: set[int] = set()
    for list_name, content in found.items():
        near = tuple(list_name.split("/")[:-1])
        for number, task in enumerate(content if isinstance(content, list) else [content], 1):
            data = task.get("data") if isinstance(task, dict) else None
            named = _task_image(data)
            if named is None:
                place = shown(f"{list_name}: {number}")
                reading.refuse(place, InvalidInput("“{name}” names no image in its data.", name=place))
                continue
            file = _task_file(source, reading, named, near)
            if file is None:
                continue
            used.add(id(file))
            names = list(dict.fromkeys(_choices(task)))
            _, split = places_of(file.folders, label=False, split=True)
            reading.add(file.name, file, label=_one(reading, file.name, names), split=split)
    _left_out(source, reading, used, next(iter(found)))


def _task_image(data: object) -> str | None:
    if not isinstance(data, dict):
        return None
    texts = [data["image"]] if "image" in data else list(data.values())
    return next((text for text in texts if isinstance(text, str) and text.strip()), None)


def _task_file(source: Source, reading: Reading, named: str, near: tuple[str, ...]) -> File | None:
    try:
        parts = address(named)
    except InvalidInput as error:
        reading.refuse(named, error)
        return None
    if parts.path.startswith("/data/local-files"):
        path = parse_qs(parts.query).get("d", [""])[0]
    elif parts.path.startswith("/data/"):
        path = parts.path
    else:
        return _find(source, reading, named, near)
    try:
        file = source.by_base(path)
        if file is None:
            file = source.by_base(_UPLOAD_PREFIX.sub("", path.rsplit("/", 1)[-1]))
        if file is None:
            name = shown(path.rsplit("/", 1)[-1])
            raise InvalidInput("“{name}” is not in the source; add the file or correct its name.", name=name)
    except InvalidInput as error:
        reading.refuse(named, error)
        return None
    return file


def _choices(task: dict[str, Any]) -> Iterator[str]:
    """What the first annotation that was not cancelled chose."""
    for annotation in _records(task, "annotations"):
        if annotation.get("was_cancelled"):
            continue
        for result in _records(annotation, "result"):
            value = result.get("value")
            if result.get("type") == "choices" and isinstance(value, dict):
                choices = value.get("choices")
                yield from (str(choice) for choice in choices) if isinstance(choices, list) else ()
        return


# --- shared -----------------------------------------------------------------


def _documents(source: Source) -> Iterator[tuple[str, Any]]:
    for name, data in source.lists.items():
        if data.lstrip()[:1] in (b"[", b"{") and not name.lower().endswith(".jsonl"):
            yield name, _json(name, data)


def _find(source: Source, reading: Reading, named: str, near: tuple[str, ...]) -> File | None:
    try:
        return source.find(named, near)
    except InvalidInput as error:
        reading.refuse(named, error)
        return None


def _one(reading: Reading, name: str, names: list[str]) -> str | None:
    if len(names) > 1:
        reading.conflict(
            InvalidInput(
                "“{name}” comes without a label: the source names {n} of them ({labels}).",
                name=shown(name),
                n=len(names),
                labels=shown(", ".join(names)),
            )
        )
        return None
    return names[0] if names else None


def _records(content: Any, key: str) -> list[dict[str, Any]]:
    found = content.get(key) if isinstance(content, dict) else None
    return [record for record in found if isinstance(record, dict)] if isinstance(found, list) else []


def _plain(value: object) -> bool:
    return isinstance(value, (int, str))


def _json(name: str, data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise _damaged(name) from None


def _damaged(name: str) -> InvalidInput:
    return InvalidInput("“{name}” is damaged or not in its format; export it again.", name=shown(name))


def _too_many_rows(name: str, limit: int) -> InvalidInput:
    return InvalidInput(
        "“{name}” lists more than {limit} images; split it into parts.",
        name=shown(name),
        limit=limit,
    )


_READERS: dict[str, Callable[[Source, Reading], None]] = {
    "folders": _folders,
    "manifest": _manifest,
    "coco": _coco,
    "labelstudio": _label_studio,
    "imagefolder": _imagefolder,
}
