"""Images of a theme: upload, pages, labels, deletion, the files themselves."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from api import multipart, thumbs
from api.deps import Bench, Id, Labeler, Viewer
from api.router import Router
from api.themes import StatisticsOut, statistics_out
from core import auth, image_filter, images, images_io, similar, themes
from core.archives import Refusal
from core.images import Image
from core.quality import suspicion

router = Router(tags=["images"])
router.add_route("/thumbs/{name}", thumbs.thumbnail, methods=["GET"], include_in_schema=False)

MIME = {
    "JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp",
    "BMP": "image/bmp", "GIF": "image/gif", "TIFF": "image/tiff",
}  # fmt: skip
NOT_SHOWN = {"TIFF"}
"""Formats that browsers do not show; their large view is made a PNG."""


FILTERS = {
    "parameters": [
        {"name": name, "in": "query", "required": False, "description": text, "schema": {"type": "string"}}
        for name, text in (
            ("state", "all, labelled or unlabelled"),
            ("label", "id of a label"),
            ("split", "train, valid, test or none"),
            ("by", "id of the person who labelled"),
            ("flagged", "yes or no"),
            ("suggested", "id of the label that the newest model suggests"),
            ("confidence_from", "least confidence of the suggestion, 0 to 1"),
            ("confidence_to", "greatest confidence of the suggestion, 0 to 1"),
            ("import", "id of the import that brought the image"),
            ("since", "first day, like 2026-11-20"),
            ("until", "last day"),
            ("at", "a day: the images and labels of then, the end of that day (UTC)"),
            ("name", "part of the file name"),
            ("picked", "a kept selection, see the route quality/pick"),
            ("sort", f"one of: {', '.join(image_filter.SORTS)}"),
            ("like", "with sort=similar: id of the image to compare with"),
        )
    ]
}


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Ids(_In):
    ids: list[Annotated[int, Field(ge=1, le=2**63 - 1)]] = Field(max_length=images.MAX_CHANGES)


class ImageOut(BaseModel):
    id: int
    file_name: str
    label_id: int | None
    split: str | None
    width: int
    height: int
    size: int
    format: str
    thumb: str
    small: str
    full: str
    created_at: datetime
    uploaded_by: str | None
    labeled_at: datetime | None
    labeled_by: str | None
    import_id: int | None
    flag_note: str | None
    audit: bool
    """Labelled by people one at a time without a suggestion, so that rates measured on it are unbiased."""
    suggested_label_id: int | None
    suggested_confidence: float | None
    likelier: dict[str, int]
    """By kind of finding, `contradicted` or `mislabelled`: the label that speaks against the one it has."""


class ChangeOut(BaseModel):
    at: datetime
    user: str | None
    before: str | None
    after: str | None
    source: str


class ImageDetail(ImageOut):
    sha256: str
    group: str | None
    history: list[ChangeOut]


class RowsOut(BaseModel):
    items: list[ImageOut]


class PageOut(BaseModel):
    items: list[ImageOut]
    next: int | None


class RefusalOut(BaseModel):
    name: str
    reason: str


class UploadOut(BaseModel):
    added: int
    labelled: int
    labels_created: list[str]
    duplicates: int
    duplicate_names: list[str]
    labelled_late: int
    """Of the duplicates, those that had no label and got that of their folder."""
    contradicted: int
    """Of the duplicates, those in the folder of another label than the image has, which it keeps."""
    contradicted_names: list[str]
    refused: list[RefusalOut]
    refused_total: int
    statistics: StatisticsOut


class DeletedOut(BaseModel):
    deleted: int
    statistics: StatisticsOut


@router.get("/theme/{theme_id}/images", openapi_extra=FILTERS)
def list_images(
    request: Request,
    wb: Bench,
    user: Viewer,
    theme_id: Id,
    after: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
    limit: Annotated[int, Query(ge=1, le=images.MAX_PAGE)] = 200,
) -> PageOut:
    """Images that fit the filter, newest first. Give `next` of one page as `after` for the following one."""
    which = image_filter.from_query(request.query_params)
    themes.get(wb, theme_id)
    page = images.page(wb, theme_id, which, after=after, limit=limit)
    return PageOut(items=[ImageOut(**_item(image)) for image in page.items], next=page.next)


@router.get("/theme/{theme_id}/images/ids", response_class=Response, openapi_extra=FILTERS)
def list_ids(request: Request, wb: Bench, user: Viewer, theme_id: Id) -> Response:
    """Ids of all images that fit the filter, in its order: little-endian unsigned numbers of `X-Id-Bytes` bytes.

    The grid holds them as its positions, so that a million images scroll like a hundred.
    """
    which = image_filter.from_query(request.query_params)
    themes.get(wb, theme_id)
    if which.sort == "similar" and which.like is not None:
        found = similar.order(wb, theme_id, which)
    elif which.sort == "suspicious":
        found = suspicion.order(wb, theme_id, which)
    else:
        found = images.ids(wb, theme_id, which)
    width = 4 if not len(found) or int(found.max()) < 2**32 else 8
    data = found.astype("<u4" if width == 4 else "<u8").tobytes()
    headers = {"X-Id-Bytes": str(width), "Cache-Control": "no-store"}
    return Response(data, media_type="application/octet-stream", headers=headers)


@router.get("/theme/{theme_id}/images/rows")
def list_rows(
    wb: Bench,
    user: Viewer,
    theme_id: Id,
    ids: Annotated[str, Query(pattern=r"^[0-9]{1,18}(,[0-9]{1,18})*$")],
    at: date | None = None,
) -> RowsOut:
    """The images with these ids (separated by commas), in the order given; those that are gone are left out.

    With `at`, a day, the images and labels are those of the end of that day (UTC).
    """
    found = images.rows(wb, theme_id, [int(i) for i in ids.split(",")], images.Filter(at=at))
    return RowsOut(items=[ImageOut(**_item(image)) for image in found])


@router.get("/theme/{theme_id}/images/{image_id}")
def get_image(wb: Bench, user: Viewer, theme_id: Id, image_id: Id) -> ImageDetail:
    """One image with the history of its labels."""
    image = images.get(wb, theme_id, image_id)
    changes = [
        ChangeOut.model_validate(change, from_attributes=True) for change in images.history(wb, image_id)
    ]
    return ImageDetail(**_item(image), sha256=image.sha256, group=image.group_name, history=changes)


@router.post("/theme/{theme_id}/images/upload")
async def upload_images(
    request: Request,
    wb: Bench,
    user: Labeler,
    theme_id: Id,
    label_from_folder: bool = False,
    split_from_folder: bool = False,
    create_labels: bool = False,
) -> UploadOut:
    """Add images, many at once or packed as zip, tar or tar.gz (multipart field `files`).

    What cannot be accepted is listed with its reason and the rest is kept. With
    `label_from_folder` the last folder names the label, which `create_labels` makes where
    it is missing; with `split_from_folder` a folder train, valid or test says the split.
    """
    if create_labels:
        auth.require(user, auth.TRAINER)

    def consume(files: Iterator[multipart.Item]) -> tuple[images.UploadReport, StatisticsOut]:
        report = images.add(
            wb,
            user,
            theme_id,
            files,
            label_from_folder=label_from_folder,
            split_from_folder=split_from_folder,
            create_labels=create_labels,
        )
        return report, statistics_out(wb, theme_id)

    (report, statistics), problem = await multipart.receive(
        request, consume, folder=wb.settings.data_dir / "incoming", limit=wb.settings.max_upload_bytes
    )
    if problem is not None:
        report.refuse(Refusal("", problem))
    return UploadOut(
        added=report.added,
        labelled=report.labelled,
        labels_created=report.labels_created,
        duplicates=report.duplicates,
        duplicate_names=report.duplicate_names,
        labelled_late=report.labelled_late,
        contradicted=report.contradicted,
        contradicted_names=report.contradicted_names,
        refused=[RefusalOut(name=r.name, reason=r.reason) for r in report.refused],
        refused_total=report.refused_total,
        statistics=statistics,
    )


@router.post("/theme/{theme_id}/images/delete")
def delete_images(wb: Bench, user: Labeler, theme_id: Id, body: Ids) -> DeletedOut:
    """Delete several images at once: all of them or, where one is not there, none."""
    deleted = images.delete(wb, user, theme_id, body.ids)
    return DeletedOut(deleted=deleted, statistics=statistics_out(wb, theme_id))


@router.delete("/theme/{theme_id}/images/{image_id}")
def delete_image(wb: Bench, user: Labeler, theme_id: Id, image_id: Id) -> DeletedOut:
    images.get(wb, theme_id, image_id)
    deleted = images.delete(wb, user, theme_id, [image_id])
    return DeletedOut(deleted=deleted, statistics=statistics_out(wb, theme_id))


@router.get("/images/{image_id}/file", response_class=Response)
def get_file(
    wb: Bench,
    user: Viewer,
    image_id: Id,
    as_: Annotated[Literal["png"] | None, Query(alias="as")] = None,
) -> Response:
    """The file as it was uploaded, or made a PNG."""
    image = images.find(wb, image_id)
    data = wb.files.read(image.image_path)
    name = PurePosixPath(image.file_name).name
    if as_ == "png":
        data, name = images_io.to_png(data), f"{name}.png"
    return Response(
        data,
        media_type="image/png" if as_ == "png" else MIME[image.format],
        headers={
            "Cache-Control": "private, max-age=3600",
            "Content-Disposition": f"inline; filename*=UTF-8''{quote(name, safe='')}",
            "Content-Security-Policy": "default-src 'none'; sandbox",
            "X-Content-Type-Options": "nosniff",
        },
    )


def _item(image: Image) -> dict[str, Any]:
    suffix = "?as=png" if image.format in NOT_SHOWN else ""
    return {
        "id": image.id,
        "file_name": image.file_name,
        "label_id": image.label_id,
        "split": image.split,
        "width": image.width,
        "height": image.height,
        "size": image.size,
        "format": image.format,
        "thumb": f"/api/thumbs/{image.sha256}.webp",
        "small": f"/api/thumbs/{image.sha256}-small.webp",
        "full": f"/api/images/{image.id}/file{suffix}",
        "created_at": image.created_at,
        "uploaded_by": image.uploaded_by,
        "labeled_at": image.labeled_at,
        "labeled_by": image.labeled_by,
        "import_id": image.import_id,
        "flag_note": image.flag_note,
        "audit": images.in_audit_slice(image),
        "suggested_label_id": image.suggested_label_id,
        "likelier": image.likelier,
        "suggested_confidence": image.suggested_confidence,
    }
