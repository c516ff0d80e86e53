"""Many images predicted in the background by a model version, deployed or not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from api import multipart
from api.deps import Bench, Id, Viewer
from api.images import RefusalOut
from api.router import Router
from core import prediction_answers, prediction_batches, prediction_intake, prediction_jobs
from core.archives import Refusal
from core.image_filter import Filter
from core.prediction_batches import Batch
from core.prediction_intake import Taken
from core.workbench import Workbench

router = Router(prefix="/prediction-batches", tags=["predictions"])


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Create(_In):
    version_id: Annotated[int, Field(ge=1, le=2**63 - 1)]
    name: str = ""
    """The moment, where it is empty."""


class Images(_In):
    theme_id: Annotated[int, Field(ge=1, le=2**63 - 1)]
    state: Literal["all", "labelled", "unlabelled"] = "all"
    split: Literal["train", "valid", "test", "none"] | None = None
    """`none`: images that were not dealt yet."""


class LabelOut(BaseModel):
    label: str
    n: int
    confidence: float | None
    """Mean over its images."""


class UnsureOut(BaseModel):
    row: int
    """Of the answers, from 0; its picture is at `pictures/{row}`."""
    file: str
    label: str
    confidence: float
    next: str | None
    """The label with the second greatest probability."""


class FailedOut(BaseModel):
    file: str
    error: str


class SummaryOut(BaseModel):
    n: int
    """Images with an answer."""
    errors: int
    by_label: list[LabelOut]
    unsure: list[UnsureOut]
    """The answers with the least confidence, the least sure first."""
    failed: list[FailedOut]
    """The first files without an answer; the download has them all."""


class BatchOut(BaseModel):
    id: int
    name: str
    theme_id: int
    version_id: int
    model: str
    version: int
    images: int
    refused: int
    """Files that could not be taken."""
    created_by: str
    created_at: datetime
    status: str
    """open while it takes images; then queued, running, lost (goes on with another worker), succeeded, failed or
    cancelled."""
    place: int | None
    """In the queue, 1 = next."""
    progress: dict[str, Any] | None
    """`fraction` of the whole, `step` of `steps` images, `eta_s` seconds to the end."""
    error: dict[str, Any] | None
    started_at: datetime | None
    ended_at: datetime | None


class DetailOut(BatchOut):
    summary: SummaryOut | None
    """Once it has succeeded."""


class PageOut(BaseModel):
    items: list[BatchOut]
    next: int | None


class TakenOut(BaseModel):
    added: int
    refused: list[RefusalOut]
    refused_total: int
    batch: BatchOut


def _out(wb: Workbench, batch: Batch) -> dict[str, Any]:
    version = batch.version
    return {
        **{name: getattr(batch, name) for name in _SAME},
        "theme_id": version.theme_id,
        "version_id": version.id,
        "model": version.model_name,
        "version": version.version,
        "place": prediction_jobs.place(wb, batch),
    }


_SAME = (
    "id", "name", "images", "refused", "created_by", "created_at", "status", "progress", "error", "started_at",
    "ended_at",
)  # fmt: skip


def _detail(wb: Workbench, batch: Batch) -> DetailOut:
    return DetailOut.model_validate({**_out(wb, batch), "summary": batch.result if batch.done else None})


@router.post("", status_code=201, summary="A batch without images")
def create(wb: Bench, user: Viewer, body: Create) -> BatchOut:
    """For a version; then add files or images of a theme, and start it."""
    return BatchOut(**_out(wb, prediction_batches.create(wb, user, body.version_id, body.name)))


@router.get("", summary="Batches, newest first")
def page(
    wb: Bench,
    _user: Viewer,
    theme: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
    before: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
    limit: Annotated[int, Query(ge=1, le=prediction_batches.MAX_PAGE)] = 20,
) -> PageOut:
    """Of versions of one theme or of all. Give `next` of one page as `before` for the following one."""
    found = prediction_batches.page(wb, theme, limit=limit, before=before)
    items = [BatchOut(**_out(wb, batch)) for batch in found]
    return PageOut(items=items, next=found[-1].id if len(found) == limit else None)


@router.get("/{batch_id}", summary="A batch with its progress and a summary of its answers")
def get(wb: Bench, _user: Viewer, batch_id: Id) -> DetailOut:
    return _detail(wb, prediction_batches.get(wb, batch_id))


@router.post("/{batch_id}/files", summary="Add image files")
async def add_files(request: Request, wb: Bench, user: Viewer, batch_id: Id) -> TakenOut:
    """Many at once or packed as zip, tar or tar.gz (multipart field `files`), with their folders.

    What cannot be accepted is listed with its reason and the rest is kept.
    """

    def consume(files: Iterator[multipart.Item]) -> Taken:
        return prediction_intake.add_files(wb, user, batch_id, files)

    taken, problem = await multipart.receive(
        request, consume, folder=wb.settings.data_dir / "incoming", limit=wb.settings.max_upload_bytes
    )
    if problem is not None:
        taken.refuse(Refusal("", problem))
    return TakenOut(
        added=taken.added,
        refused=[RefusalOut(name=each.name, reason=each.reason) for each in taken.refused],
        refused_total=taken.refused_total,
        batch=BatchOut(**_out(wb, prediction_batches.get(wb, batch_id))),
    )


@router.post("/{batch_id}/images", summary="Add images of a theme")
def add_images(wb: Bench, user: Viewer, batch_id: Id, body: Images) -> BatchOut:
    """Their files stay the theme's: deleting the batch does not delete them."""
    which = Filter(state=body.state, split=body.split)
    prediction_intake.add_images(wb, user, batch_id, body.theme_id, which)
    return BatchOut(**_out(wb, prediction_batches.get(wb, batch_id)))


@router.post("/{batch_id}/start", summary="Predict its images")
def start(wb: Bench, user: Viewer, batch_id: Id) -> DetailOut:
    """From then on it takes no more images; ask for the batch to see how far it is."""
    return _detail(wb, prediction_jobs.start(wb, user, batch_id))


@router.post("/{batch_id}/cancel", summary="Stop predicting")
def cancel(wb: Bench, user: Viewer, batch_id: Id) -> DetailOut:
    """Stops within seconds; what is predicted is kept for `resume`."""
    return _detail(wb, prediction_jobs.cancel(wb, user, batch_id))


@router.post("/{batch_id}/resume", summary="Go on where it was stopped or failed")
def resume(wb: Bench, user: Viewer, batch_id: Id) -> DetailOut:
    return _detail(wb, prediction_jobs.resume(wb, user, batch_id))


@router.delete("/{batch_id}", status_code=204, summary="Delete a batch with its images and answers")
def delete(wb: Bench, user: Viewer, batch_id: Id) -> Response:
    """Stops it, too. The files go within seconds."""
    prediction_batches.delete(wb, user, batch_id)
    return Response(status_code=204)


@router.get("/{batch_id}/answers", response_class=StreamingResponse, summary="Download the answers")
def answers(
    wb: Bench,
    user: Viewer,
    batch_id: Id,
    format: Annotated[str, Query(description="csv, jsonl or parquet")] = "csv",
) -> StreamingResponse:
    """A row a file in the order in which they came: label, confidence, every label's probability, or the error."""
    found = prediction_answers.download(wb, user, batch_id, format)
    headers = {
        "Cache-Control": "no-store",
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(found.name, safe='')}",
        "X-Content-Type-Options": "nosniff",
    }
    return StreamingResponse(found.chunks, media_type=found.media_type, headers=headers)


@router.get("/{batch_id}/pictures/{row}", response_class=Response, summary="A small picture of an image")
def picture(wb: Bench, _user: Viewer, batch_id: Id, row: Annotated[int, Path(ge=0, le=2**31)]) -> Response:
    """WebP of the image in a row of the answers, counted from 0."""
    headers = {
        "Cache-Control": "private, max-age=86400",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "X-Content-Type-Options": "nosniff",
    }
    data = prediction_answers.picture(wb, batch_id, row)
    return Response(data, media_type="image/webp", headers=headers)
