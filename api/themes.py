"""Themes, their labels, their split and their counts; the demonstration theme."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from api.deps import Bench, Id, Trainer, Viewer
from api.router import Router
from core import demo, images, splits, themes
from core.workbench import Workbench

router = Router(tags=["themes"])


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewTheme(_In):
    name: str
    description: str = ""
    labels: list[str] = Field([], max_length=themes.MAX_LABELS)


class ThemeChange(_In):
    name: str | None = None
    description: str | None = None


class NewLabel(_In):
    name: str
    color: str | None = None


class LabelChange(_In):
    name: str | None = None
    color: str | None = None


class SplitIn(_In):
    ratios: list[float] = list(splits.RATIOS)
    seed: int = splits.SEED


class LabelOut(BaseModel):
    id: int
    name: str
    position: int
    color: str


class LastRunOut(BaseModel):
    id: int
    status: str
    at: datetime


class ThemeOut(BaseModel):
    id: int
    name: str
    description: str
    created_at: datetime
    labels: list[LabelOut]


class CardOut(ThemeOut):
    images: int
    labelled: int
    last_run: LastRunOut | None


class CardsOut(BaseModel):
    items: list[CardOut]


class StatisticsOut(BaseModel):
    """`by_split` and `by_label_split` count under `none` what was not dealt yet; labels go by their id."""

    total: int
    labelled: int
    unlabelled: int
    by_label: dict[str, int]
    by_split: dict[str, int]
    by_label_split: dict[str, dict[str, int]]


class SplitOut(BaseModel):
    ratios: list[float]
    seed: int
    dealt: dict[str, int]
    kept: int
    unlabelled: int
    torn: int
    held: int
    statistics: StatisticsOut


def statistics_out(wb: Workbench, theme_id: int) -> StatisticsOut:
    counts = images.statistics(wb, theme_id)
    return StatisticsOut(
        total=counts.total,
        labelled=counts.labelled,
        unlabelled=counts.unlabelled,
        by_label={str(label): n for label, n in counts.by_label.items()},
        by_split={split or "none": n for split, n in counts.by_split.items()},
        by_label_split={
            str(label): {split or "none": n for split, n in row.items()}
            for label, row in counts.by_label_split.items()
        },
    )


def _theme_out(theme: themes.Theme) -> ThemeOut:
    return ThemeOut.model_validate(theme, from_attributes=True)


@router.get("/theme")
def list_themes(wb: Bench, user: Viewer, search: str = "") -> CardsOut:
    """All themes, newest first; `search` looks in names and descriptions."""
    return CardsOut(
        items=[
            CardOut(
                **_theme_out(card.theme).model_dump(),
                images=card.images,
                labelled=card.labelled,
                last_run=LastRunOut(**vars(card.last_run)) if card.last_run else None,
            )
            for card in themes.cards(wb, search)
        ]
    )


@router.post("/theme/create", status_code=201)
def create_theme(wb: Bench, user: Trainer, body: NewTheme) -> ThemeOut:
    return _theme_out(themes.create(wb, user, **body.model_dump()))


@router.get("/theme/{theme_id}")
def get_theme(wb: Bench, user: Viewer, theme_id: Id) -> ThemeOut:
    return _theme_out(themes.get(wb, theme_id))


@router.put("/theme/{theme_id}")
def update_theme(wb: Bench, user: Trainer, theme_id: Id, body: ThemeChange) -> ThemeOut:
    """What is left out stays as it is."""
    return _theme_out(themes.update(wb, user, theme_id, **body.model_dump()))


@router.delete("/theme/{theme_id}")
def delete_theme(
    wb: Bench,
    user: Trainer,
    theme_id: Id,
    confirm_name: Annotated[str, Query(description="The theme's name, to be sure.")],
) -> dict[str, int]:
    """Take a theme off every screen; answers how many images, labels, runs and models went with it."""
    return themes.delete(wb, user, theme_id, confirm_name=confirm_name)


@router.post("/theme/{theme_id}/labels", status_code=201)
def create_label(wb: Bench, user: Trainer, theme_id: Id, body: NewLabel) -> LabelOut:
    label = themes.add_label(wb, user, theme_id, **body.model_dump())
    return LabelOut.model_validate(label, from_attributes=True)


@router.put("/theme/{theme_id}/labels/{label_id}")
def update_label(wb: Bench, user: Trainer, theme_id: Id, label_id: Id, body: LabelChange) -> LabelOut:
    label = themes.update_label(wb, user, theme_id, label_id, **body.model_dump())
    return LabelOut.model_validate(label, from_attributes=True)


@router.delete("/theme/{theme_id}/labels/{label_id}")
def delete_label(wb: Bench, user: Trainer, theme_id: Id, label_id: Id) -> dict[str, int]:
    """Its images become unlabelled; answers how many."""
    return {"unlabelled": themes.delete_label(wb, user, theme_id, label_id)}


@router.get("/theme/{theme_id}/statistics")
def get_statistics(wb: Bench, user: Viewer, theme_id: Id) -> StatisticsOut:
    themes.get(wb, theme_id)
    return statistics_out(wb, theme_id)


@router.post("/theme/{theme_id}/split")
def split_theme(wb: Bench, user: Trainer, theme_id: Id, body: SplitIn | None = None) -> SplitOut:
    """Deal the labelled images that have no split yet; the others stay where they are."""
    wanted = body or SplitIn()
    report = splits.split(wb, user, theme_id, ratios=wanted.ratios, seed=wanted.seed)
    fields: dict[str, Any] = {**vars(report), "ratios": list(report.ratios)}
    return SplitOut(**fields, statistics=statistics_out(wb, theme_id))


@router.post("/demo", status_code=201)
def load_demo(wb: Bench, user: Trainer) -> ThemeOut:
    """The theme of handwritten digits: made on the first call, found on later ones."""
    return _theme_out(demo.load(wb, user))
