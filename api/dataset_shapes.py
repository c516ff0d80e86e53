"""What the routes of text datasets take and answer."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from core import auth, splits
from core.datasets import uploads
from core.datasets.diff import Diff
from core.datasets.splitting import SplitReport
from core.datasets.store import Dataset, RowsPage, Version
from core.datasets.uploads import Preview
from core.texts.records import Record
from core.texts.rowfile import DataRow
from core.workbench import Workbench


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ColumnsIn(_In):
    shape: str
    of: dict[str, str]


class DatasetIn(_In):
    name: str | None = None
    description: str | None = None


class SplitIn(_In):
    ratios: list[float] = Field(default=list(splits.RATIOS), max_length=10)
    """Of train, valid and test; they add up to 1."""
    seed: int = splits.SEED


class DatasetOut(BaseModel):
    id: int
    name: str
    description: str
    shape: str
    """alpaca, chat or parallel."""
    rows: int
    version: int
    """Number of the newest version."""
    status: str
    """Of the newest version: unchecked, passed or failed."""
    splits: dict[str, int]
    """Rows in train, valid and test; "" counts those that have no split yet."""
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None

    @classmethod
    def of(cls, dataset: Dataset) -> DatasetOut:
        return cls(**_dataset(dataset))


class DatasetsOut(BaseModel):
    items: list[DatasetOut]
    total: int
    page: int
    page_size: int


class BrokenOut(BaseModel):
    line: int
    reason: str


class SourceOut(BaseModel):
    file: str
    bytes: int
    format: str
    encoding: str
    """Empty for Parquet."""
    columns: dict[str, Any]
    broken: list[BrokenOut]
    """The first thousand rows that could not be read."""
    broken_total: int


class VersionOut(BaseModel):
    id: int
    number: int
    parent: int | None
    """Id of the version it was made from."""
    rows: int
    hash: str
    """Two versions with one hash have the same rows in the same splits."""
    change: dict[str, Any]
    source: SourceOut | None
    """The file it came from; null where a fix made it."""
    splits: dict[str, int]
    status: str
    created_by: str | None
    created_at: datetime

    @classmethod
    def listed(cls, wb: Workbench, versions: Iterable[Version]) -> list[VersionOut]:
        names = {user.id: user.name for user in auth.list_users(wb)}
        return [
            cls(
                id=version.id,
                number=version.number,
                parent=version.parent_id,
                rows=version.row_count,
                hash=version.hash,
                change=version.change,
                source=None if version.source is None else _source(version.source),
                splits=version.splits,
                status=version.status,
                created_by=names.get(version.created_by),
                created_at=version.created_at,
            )
            for version in versions
        ]


class DetailOut(DatasetOut):
    shown: VersionOut

    @classmethod
    def made(cls, wb: Workbench, dataset: Dataset, version: Version) -> DetailOut:
        return cls(**_dataset(dataset), shown=VersionOut.listed(wb, [version])[0])


class TurnOut(BaseModel):
    role: str
    content: str


class RecordOut(BaseModel):
    line: int
    """In the file it came from."""
    turns: list[TurnOut]
    context: str
    """Alpaca's input."""
    system: str
    extra: dict[str, Any]
    """Other columns of the file."""


class RowOut(RecordOut):
    id: int
    """Stays with the row through all versions."""
    split: str | None


class RowsOut(BaseModel):
    items: list[RowOut]
    total: int
    page: int
    page_size: int
    version: int

    @classmethod
    def of(cls, found: RowsPage, version: Version, page: int, page_size: int) -> RowsOut:
        return cls(
            items=[row_out(row) for row in found.rows],
            total=found.total,
            page=page,
            page_size=page_size,
            version=version.number,
        )


class ChangeOut(BaseModel):
    id: int
    old: RowOut | None
    """Null where the row was added."""
    new: RowOut | None
    """Null where the row was removed."""


class DiffOut(BaseModel):
    a: int
    b: int
    added: int
    removed: int
    changed: int
    resplit: int
    """Rows that lie in another split."""
    examples: list[ChangeOut]

    @classmethod
    def of(cls, a: int, b: int, found: Diff) -> DiffOut:
        examples = [
            ChangeOut(
                id=each.row_id,
                old=None if each.old is None else row_out(each.old),
                new=None if each.new is None else row_out(each.new),
            )
            for each in found.examples
        ]
        return cls(a=a, b=b, examples=examples, **found.counts)


class AppendOut(BaseModel):
    added: int
    version: VersionOut


class SplitOut(BaseModel):
    ratios: list[float]
    seed: int
    dealt: dict[str, int]
    kept: int
    together: int
    """Rows dealt as a group, since they are copies or ask the same."""
    torn: int
    """Rows left without a split, since their copies lie in two splits already."""
    version: VersionOut

    @classmethod
    def of(cls, wb: Workbench, report: SplitReport) -> SplitOut:
        [version] = VersionOut.listed(wb, [report.version])
        return cls(**vars(report) | {"ratios": list(report.ratios), "version": version})


class SplitJobOut(BaseModel):
    """Of a dataset so large that a job splits it."""

    running: bool
    progress: float
    error: dict[str, Any] | None
    """Why the newest split failed, if it did."""
    version_id: int | None
    """Of the version that the newest split made."""
    torn: int
    """Rows that the newest split left without one, since their copies lie in two splits already."""


class PreviewOut(BaseModel):
    format: str
    encoding: str
    columns: list[str]
    """Of the file."""
    shape: str
    of: dict[str, str]
    """Which column is which field."""
    sure: bool
    """False where a person should look: names said nothing, so the order of the columns decided."""
    whole: bool
    """All rows of the file were read, not only its first ones."""
    rows: list[dict[str, Any]]
    records: list[RecordOut]
    read: int
    broken: list[BrokenOut]
    broken_total: int

    @classmethod
    def made(cls, preview: Preview) -> PreviewOut:
        report = preview.report
        return cls(
            format=report.format,
            encoding=report.encoding,
            columns=report.columns,
            shape=preview.columns.shape,
            of=dict(preview.columns.of),
            sure=preview.columns.sure,
            whole=preview.whole,
            rows=[row.values for row in preview.rows],
            records=[RecordOut(**_record(record)) for record in preview.records],
            read=report.rows,
            broken=[BrokenOut(line=row.line, reason=row.text) for row in report.broken],
            broken_total=report.broken_total,
        )


def _dataset(dataset: Dataset) -> dict[str, Any]:
    newest = dataset.newest
    return {
        "id": dataset.id,
        "name": dataset.name,
        "description": dataset.description,
        "shape": dataset.shape,
        "rows": newest.row_count,
        "version": newest.number,
        "status": newest.status,
        "splits": newest.splits,
        "created_at": dataset.created_at,
        "updated_at": dataset.updated_at,
        "deleted_at": dataset.deleted_at,
    }


def _source(source: dict[str, Any]) -> SourceOut:
    broken = [BrokenOut(line=row["line"], reason=uploads.sentence(row)) for row in source["broken"]]
    return SourceOut(**source | {"broken": broken})


def row_out(row: DataRow) -> RowOut:
    return RowOut(id=row.row_id, split=row.split, **_record(row.record))


def _record(record: Record) -> dict[str, Any]:
    return {
        "line": record.line,
        "turns": [TurnOut(role=turn.role, content=turn.content) for turn in record.turns],
        "context": record.context,
        "system": record.system,
        "extra": dict(record.extra),
    }
