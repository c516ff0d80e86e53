"""Labels and flags: setting them, and what others changed meanwhile."""

from __future__ import annotations

from datetime import datetime
from itertools import groupby
from typing import Annotated, Literal

from fastapi import Query, Request
from pydantic import BaseModel, ConfigDict, Field

from api import problems
from api.deps import Bench, Id, Labeler, Viewer
from api.router import Router
from api.themes import StatisticsOut, statistics_out
from core import i18n, images, labelling, teamwork, themes

router = Router(tags=["labels"])

Number = Annotated[int, Field(ge=1, le=2**63 - 1)]

ACTION_ID = r"^[0-9a-zA-Z-]{8,36}$"


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class LabelSet(_In):
    image_id: Number
    label_id: Number | None


class Labels(_In):
    changes: list[LabelSet] = Field(max_length=labelling.MAX_CHANGES)


class LabelsOut(BaseModel):
    updated: int
    statistics: StatisticsOut


class ActionIn(_In):
    id: Annotated[str, Field(pattern=ACTION_ID)]
    """Made by the sender; an action that arrives twice is done once."""
    changes: list[tuple[Number, Number | None]] = Field(default=[], max_length=labelling.MAX_CHANGES)
    """Pairs of image id and label id; null takes the label away."""
    notes: list[tuple[Number, str | None]] = Field(default=[], max_length=labelling.MAX_CHANGES)
    """Pairs of image id and note; null takes the flag away."""
    undo: Annotated[str | None, Field(pattern=ACTION_ID)] = None
    """An earlier action of the same person, to take back where it still stands."""
    seconds: float | None = None
    source: Literal["hand", "queue", "sweep", "settled", "undo", "redo"] = "hand"


class Actions(_In):
    actions: list[ActionIn] = Field(max_length=labelling.MAX_ACTIONS)


class DoneOut(BaseModel):
    id: str
    updated: int
    missing: list[int]
    refused: str | None


class ActionsOut(BaseModel):
    done: list[DoneOut]


class LiveItem(BaseModel):
    image_id: int
    label_id: int | None
    by: str | None
    at: datetime


class LiveOut(BaseModel):
    last: int
    items: list[LiveItem]
    reload: bool
    statistics: StatisticsOut | None


@router.post("/theme/{theme_id}/label/update")
def update_labels(wb: Bench, user: Labeler, theme_id: Id, body: Labels) -> LabelsOut:
    """Set labels (null takes one away): all of them or, where one is refused, none."""
    changes = [(change.image_id, change.label_id) for change in body.changes]
    updated = images.label(wb, user, theme_id, changes)
    return LabelsOut(updated=updated, statistics=statistics_out(wb, theme_id))


@router.post("/theme/{theme_id}/label/actions")
def do_actions(request: Request, wb: Bench, user: Labeler, theme_id: Id, body: Actions) -> ActionsOut:
    """Do what a person did, in order; the answer means that it is on disk. Sending again does nothing twice.

    An action that is refused says why and leaves the others; images that are gone are listed as missing.
    """
    actions = [
        labelling.Action(each.id, each.changes, each.notes, each.undo, each.seconds, each.source)
        for each in body.actions
    ]
    done = []
    for queued, part in groupby(actions, lambda action: action.source == "queue"):
        do = teamwork.answer if queued else labelling.act
        done += do(wb, user, theme_id, list(part))
    problems.speak(request)
    return ActionsOut(
        done=[
            DoneOut(
                id=each.id,
                updated=each.updated,
                missing=each.missing,
                refused=each.refused.text(i18n.gettext) if each.refused else None,
            )
            for each in done
        ]
    )


@router.get("/theme/{theme_id}/label/changes")
def get_changes(
    wb: Bench,
    user: Viewer,
    theme_id: Id,
    after: Annotated[int | None, Query(ge=0, le=2**63 - 1)] = None,
    total: Annotated[int | None, Query(ge=0)] = None,
) -> LiveOut:
    """Labels that changed after entry `after` of the history, with new counts where there is anything new.

    Leave `after` out to learn where to start. `total` is the number of images the reader knows of.
    """
    themes.get(wb, theme_id)
    live = labelling.changes_since(wb, theme_id, after)
    statistics = statistics_out(wb, theme_id)
    fresh = after is None or live.last != after or statistics.total != total
    return LiveOut(
        last=live.last,
        items=[LiveItem(image_id=i, label_id=label, by=by, at=at) for i, label, by, at in live.items],
        reload=live.too_many,
        statistics=statistics if fresh else None,
    )
