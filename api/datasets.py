"""Text datasets: upload, versions, figures, rows, split, conversion."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import IO, Annotated, TypeVar
from urllib.parse import quote

from fastapi import Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from api import multipart, problems
from api.dataset_figures import StatisticsOut, StatsOut
from api.dataset_shapes import (
    AppendOut,
    ColumnsIn,
    DatasetIn,
    DatasetOut,
    DatasetsOut,
    DetailOut,
    DiffOut,
    PreviewOut,
    RowsOut,
    SplitIn,
    SplitJobOut,
    SplitOut,
    VersionOut,
)
from api.deps import Bench, Id, Labeler, Trainer, Viewer
from api.router import Router
from core.datasets import access, diff, exports, split_jobs, splitting, statistics, store, uploads
from core.errors import InvalidInput
from core.texts import formats, writing
from core.texts.mapping import Columns
from core.workbench import Workbench

router = Router(prefix="/v1/admin/training/datasets", tags=["datasets"])

T = TypeVar("T")

FORM = 256 * 1024
"""Bytes of a form around its file."""

Number = Annotated[
    int | None, Query(ge=1, le=2**31 - 1, description="of the version; the newest if left out")
]
PageNumber = Annotated[int, Query(ge=1, le=10**9)]
PageSize = Annotated[int, Query(ge=1, le=store.MAX_PAGE)]
Search = Annotated[str, Query(max_length=1_000)]


def _form(**texts: str) -> dict[str, object]:
    """What the documentation says of a form that is read while it arrives."""
    fields = {"file": {"type": "string", "format": "binary"}} | {
        name: {"type": "string", "description": description} for name, description in texts.items()
    }
    schema = {"type": "object", "required": ["file"], "properties": fields}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


_COLUMNS = (
    'JSON: {"shape": "alpaca", "of": {"instruction": "question", "output": "answer"}}; guessed if left out'
)


@router.post(
    "",
    status_code=201,
    summary="Upload a dataset",
    openapi_extra=_form(name="the file's name if left out", description="", columns=_COLUMNS),
)
async def create_dataset(request: Request, wb: Bench, user: Labeler) -> DetailOut:
    """A file of CSV, TSV, JSON, JSON Lines or Parquet, also gzipped, becomes a dataset.

    Rows that cannot be read are left out and listed in `version.source.broken`.
    """

    def work(name: str, file: IO[bytes], texts: dict[str, str]) -> DetailOut:
        problems.speak(request)
        title = texts.get("name") or PurePosixPath(name).name.split(".")[0]
        made = uploads.create(wb, user, title, file, name, _columns(texts), texts.get("description", ""))
        return DetailOut.made(wb, made, made.newest)

    return await _with_file(request, wb, work)


@router.post("/preview", summary="See how a file would be read", openapi_extra=_form(columns=_COLUMNS))
async def preview_file(request: Request, wb: Bench, user: Labeler) -> PreviewOut:
    """Its columns, the likeliest meaning of each, its first rows and what they become; nothing is kept."""

    def work(name: str, file: IO[bytes], texts: dict[str, str]) -> PreviewOut:
        problems.speak(request)
        return PreviewOut.made(uploads.preview(file, name, wb.settings, _columns(texts)))

    return await _with_file(request, wb, work)


@router.get("")
def list_datasets(
    wb: Bench,
    user: Viewer,
    page: PageNumber = 1,
    page_size: PageSize = 20,
    status: Annotated[str | None, Query(description=f"one of: {', '.join(store.STATUSES)}")] = None,
    search: Search = "",
    deleted: Annotated[bool, Query(description="the deleted ones instead")] = False,
) -> DatasetsOut:
    """Newest first; `search` looks into names and descriptions."""
    found = store.listed(wb, page=page, page_size=page_size, status=status, search=search, deleted=deleted)
    items = [DatasetOut.of(each) for each in found.items]
    return DatasetsOut(items=items, total=found.total, page=page, page_size=page_size)


@router.get("/{dataset_id}")
def get_dataset(
    request: Request, wb: Bench, user: Viewer, dataset_id: Id, version: Number = None
) -> DetailOut:
    """One dataset with one version of it."""
    problems.speak(request)
    return DetailOut.made(wb, store.get(wb, dataset_id), store.version(wb, dataset_id, version))


@router.patch("/{dataset_id}")
def change_dataset(wb: Bench, user: Labeler, dataset_id: Id, body: DatasetIn) -> DatasetOut:
    """Another name or description; what is left out stays."""
    return DatasetOut.of(store.rename(wb, user, dataset_id, name=body.name, description=body.description))


@router.delete("/{dataset_id}")
def delete_dataset(wb: Bench, user: Trainer, dataset_id: Id) -> DatasetOut:
    """Take it off the lists; `restore` brings it back."""
    store.delete(wb, user, dataset_id)
    return DatasetOut.of(store.get(wb, dataset_id, deleted=True))


@router.post("/{dataset_id}/restore")
def restore_dataset(wb: Bench, user: Trainer, dataset_id: Id) -> DatasetOut:
    return DatasetOut.of(store.restore(wb, user, dataset_id))


@router.get("/{dataset_id}/versions")
def list_versions(request: Request, wb: Bench, user: Viewer, dataset_id: Id) -> list[VersionOut]:
    """All versions, newest first, with the one each was made from and what changed."""
    problems.speak(request)
    return VersionOut.listed(wb, store.versions(wb, dataset_id))


@router.get("/{dataset_id}/stats")
def get_stats(wb: Bench, user: Viewer, dataset_id: Id, version: Number = None) -> StatsOut:
    """Counts, splits, status, and the rates that the newest check of the version found."""
    return StatsOut.of(wb, store.version(wb, dataset_id, version))


@router.get("/{dataset_id}/statistics")
def get_statistics(wb: Bench, user: Viewer, dataset_id: Id, version: Number = None) -> StatisticsOut:
    """Lengths in characters and tokens with their distributions, and example rows."""
    which = access.readable(wb, user, dataset_id, version)
    return StatisticsOut.of(which, statistics.examples(wb, which))


@router.get("/{dataset_id}/rows")
def list_rows(
    wb: Bench,
    user: Viewer,
    dataset_id: Id,
    version: Number = None,
    page: PageNumber = 1,
    page_size: PageSize = 50,
    split: Annotated[str | None, Query(description="train, valid, test or none")] = None,
    search: Search = "",
) -> RowsOut:
    """Rows by id; `search` looks into all texts and columns."""
    which = access.readable(wb, user, dataset_id, version)
    found = store.page(wb, which, split=split, search=search, offset=(page - 1) * page_size, limit=page_size)
    return RowsOut.of(found, which, page, page_size)


@router.get("/{dataset_id}/diff")
def get_diff(
    wb: Bench,
    user: Viewer,
    dataset_id: Id,
    a: Annotated[int, Query(ge=1, le=2**31 - 1)],
    b: Annotated[int, Query(ge=1, le=2**31 - 1)],
) -> DiffOut:
    """What became of the rows from version `a` to version `b`."""
    first, second = (access.readable(wb, user, dataset_id, number) for number in (a, b))
    return DiffOut.of(a, b, diff.diff(wb, first, second))


@router.post("/{dataset_id}/append", summary="Add the rows of a file", openapi_extra=_form(columns=_COLUMNS))
async def append_rows(request: Request, wb: Bench, user: Labeler, dataset_id: Id) -> AppendOut:
    """A new version; the rows that are there keep their ids and splits."""

    def work(name: str, file: IO[bytes], texts: dict[str, str]) -> AppendOut:
        problems.speak(request)
        made = uploads.append(wb, user, dataset_id, file, name, _columns(texts))
        return AppendOut(added=made.change["added"], version=VersionOut.listed(wb, [made])[0])

    return await _with_file(request, wb, work)


@router.post("/{dataset_id}/split", responses={202: {"description": "A job splits it", "model": SplitJobOut}})
def split_dataset(
    request: Request,
    response: Response,
    wb: Bench,
    user: Labeler,
    dataset_id: Id,
    body: SplitIn | None = None,
) -> SplitOut | SplitJobOut:
    """Deal the rows that have no split; those that have one keep it, and copies stay on one side.

    Beyond 100,000 rows a job does it: the answer is 202, and `GET` says how far it is.
    """
    problems.speak(request)
    wanted = body or SplitIn()
    if splitting.takes_long(store.version(wb, dataset_id)):
        split_jobs.start(wb, user, dataset_id, ratios=wanted.ratios, seed=wanted.seed)
        response.status_code = 202
        return SplitJobOut(**vars(split_jobs.state(wb, dataset_id)))
    return SplitOut.of(wb, splitting.split(wb, user, dataset_id, ratios=wanted.ratios, seed=wanted.seed))


@router.get("/{dataset_id}/split")
def get_split(wb: Bench, user: Viewer, dataset_id: Id) -> SplitJobOut:
    """How far the job is that splits a large dataset, and what became of the last one."""
    store.get(wb, dataset_id)
    return SplitJobOut(**vars(split_jobs.state(wb, dataset_id)))


@router.post("/{dataset_id}/split/cancel")
def cancel_split(wb: Bench, user: Labeler, dataset_id: Id) -> SplitJobOut:
    """Stop the job; no row is dealt then."""
    split_jobs.cancel(wb, user, dataset_id)
    return SplitJobOut(**vars(split_jobs.state(wb, dataset_id)))


@router.post("/{dataset_id}/preprocess", response_class=StreamingResponse, summary="Convert and download")
def preprocess(
    wb: Bench,
    user: Labeler,
    dataset_id: Id,
    output_format: Annotated[str, Query(description=f"one of: {', '.join(formats.OUTPUTS)}")],
    file_format: Annotated[str, Query(description=f"one of: {', '.join(writing.FILE_FORMATS)}")] = "jsonl",
    version: Number = None,
    split: Annotated[str | None, Query(description="train, valid, test or none; all if left out")] = None,
) -> StreamingResponse:
    """The rows as a file. `X-Rows` counts them, `X-Rows-Left-Out` those that cannot have this format."""
    found = exports.export(
        wb, user, dataset_id, shape=output_format, file_format=file_format, number=version, split=split
    )
    headers = {
        "Cache-Control": "no-store",
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(found.name, safe='')}",
        "Content-Length": str(found.size),
        "X-Content-Type-Options": "nosniff",
        "X-Rows": str(found.report.rows),
        "X-Rows-Left-Out": str(found.report.broken_total),
    }
    return StreamingResponse(found.chunks(), media_type=found.media_type, headers=headers)


async def _with_file(
    request: Request, wb: Workbench, work: Callable[[str, IO[bytes], dict[str, str]], T]
) -> T:
    """`work(file name, file, other fields)`, in a thread, once the whole form is there.

    Raises InvalidInput, TooLarge.
    """
    texts: dict[str, str] = {}
    (files, extra), problem = await multipart.receive(
        request,
        _first,
        folder=wb.settings.data_dir / "incoming",
        limit=wb.settings.max_text_bytes + FORM,
        field="file",
        texts=texts,
    )
    if problem is None and (not files or extra):
        problem = InvalidInput(
            "Send one file in the field “file” of the form; there are {n}.", n=len(files) + extra
        )
    if problem is not None:
        for _, file in files:
            file.close()
        raise problem
    [(name, file)] = files
    with file:
        return await run_in_threadpool(work, name, file, texts)


def _first(files: Iterator[multipart.Item]) -> tuple[list[multipart.Item], int]:
    """The first file, kept until the form's fields are there too, and how many more there were."""
    kept: list[multipart.Item] = []
    extra = 0
    for item in files:
        if kept:
            item[1].close()
            extra += 1
        else:
            kept.append(item)
    return kept, extra


def _columns(texts: dict[str, str]) -> Columns | None:
    if not texts.get("columns"):
        return None
    try:
        given = ColumnsIn.model_validate_json(texts["columns"])
    except ValidationError:
        raise InvalidInput(
            "“columns” is not JSON like {example}; write it so, or leave it out.",
            example='{"shape": "alpaca", "of": {"instruction": "question", "output": "answer"}}',
        ) from None
    return Columns(given.shape, given.of)
