"""How new images differ from those of the training, and the trust report of a dataset version."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from fastapi import Query, Request
from fastapi.responses import Response
from pydantic import BaseModel

from api import problems, report_files
from api.deps import Bench, Id, Viewer
from api.report_files import Format
from api.router import Router
from core import image_filter
from core.ab.plain import plain
from core.datasets import trust as text_trust
from core.quality import batches, drift_words, trust, trust_words
from core.quality import report as papers

router = Router(tags=["quality"])

_MAKERS: dict[Format, Callable[[papers.Report], str | bytes | dict[str, Any]]] = {
    "json": papers.as_json,
    "html": papers.as_html,
    "pdf": papers.as_pdf,
}


class FeatureOut(BaseModel):
    name: str
    level: str
    """same, some or much."""
    n_reference: int
    n_batch: int
    psi: float | None
    statistic: float
    p: float
    adjusted: float
    middle_reference: float | None
    middle_batch: float | None
    bars: list[str]
    reference: list[float]
    batch: list[float]


class DriftOut(BaseModel):
    snapshot_id: int | None
    since: datetime | None
    images: int
    reference: int
    drifted: bool | None
    """null where nothing can be said; `why` says why."""
    why: str
    sentence: str
    features: list[FeatureOut]
    moved: str | None
    examples: list[int]
    """Ids of images that show best how `moved` moved."""


@router.get("/theme/{theme_id}/quality/drift", summary="New images against those of the newest training")
def drift(
    request: Request,
    wb: Bench,
    _user: Viewer,
    theme_id: Id,
    import_: Annotated[str, Query(alias="import", description="images of this import")] = "",
    since: Annotated[str, Query(description="first day (UTC) on which they came, like 2026-11-20")] = "",
    until: Annotated[str, Query(description="last day")] = "",
) -> DriftOut:
    """Without a filter: all images that came since."""
    problems.speak(request)
    given = {"import": import_, "since": since, "until": until}
    which = image_filter.from_query(given)
    found = batches.compare(wb, theme_id, which if which.narrows else None)
    features = found.drift.features if found.drift else ()
    return DriftOut(
        snapshot_id=found.snapshot_id,
        since=found.since,
        images=found.images,
        reference=found.reference,
        drifted=bool(found.drift.drifted) if found.drift else None,
        why=found.why,
        sentence=drift_words.sentence(found.drift, found.images, found.reference)
        if found.drift
        else drift_words.why_not(found.why),
        features=[FeatureOut(**plain(asdict(each)), level=each.level) for each in features],
        moved=found.moved,
        examples=list(found.examples),
    )


@router.get(
    "/theme/{theme_id}/quality/report.{format}",
    summary="The trust report of a training snapshot, or of the images as they are now",
)
def report(
    request: Request,
    wb: Bench,
    _user: Viewer,
    theme_id: Id,
    format: Format,
    snapshot: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
) -> Response:
    problems.speak(request)
    name = f"trust-theme-{theme_id}" + (f"-version-{snapshot}" if snapshot else "")
    made = trust_words.report(trust.gather(wb, theme_id, snapshot))
    return report_files.answer(name, format, _MAKERS[format](made))


@router.get(
    "/v1/admin/training/datasets/{dataset_id}/quality/report.{format}",
    summary="The trust report of a version of a text dataset",
)
def report_of_texts(
    request: Request,
    wb: Bench,
    _user: Viewer,
    dataset_id: Id,
    format: Format,
    version: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
) -> Response:
    problems.speak(request)
    made = text_trust.report(wb, dataset_id, version)
    name = f"trust-texts-{dataset_id}-version-{made.of['version']}"
    return report_files.answer(name, format, _MAKERS[format](made))
