"""Searches for better parameters, for programs: start, look, stop, go on, use what came out."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, ConfigDict

from api.deps import Bench, Id, Trainer, Viewer
from api.router import Router
from core import themes
from core.params import value_at
from core.tuning import tunings
from core.tuning.tunings import Tuning
from core.workbench import Workbench

router = Router(tags=["runs"])
TUNINGS = "/v1/admin/finetuning/tunings"


class TuningIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    theme_id: int
    override: str = ""
    """Why to train although the dataset gate fails; administrators only."""


class UseIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    run_id: int
    """One of the tuning's trials."""


class TrialOut(BaseModel):
    number: int
    run_id: int
    status: str
    parameters: dict[str, Any]
    """Those that are searched."""


class TuningOut(BaseModel):
    id: int
    theme_id: int
    status: str
    stopping: bool
    created_by: str
    created_at: datetime
    ended_at: datetime | None
    search: dict[str, Any]
    metric: str
    result: dict[str, Any] | None
    error: dict[str, Any] | None
    trials: list[TrialOut]

    @classmethod
    def of(cls, wb: Workbench, tuning: Tuning) -> TuningOut:
        own = {
            name: getattr(tuning, name)
            for name in cls.model_fields
            if name not in ("search", "metric", "trials")
        }
        varied = list(tuning.search.search)
        trials = [
            TrialOut(
                number=run.spec.trial.number,
                run_id=run.id,
                status=run.status,
                parameters={name: value_at(run.spec.params, name) for name in varied},
            )
            for run in tunings.trials(wb, tuning.id)
            if run.spec.trial
        ]
        return cls(**own, search=tuning.spec.search, metric=tuning.spec.metric, trials=trials)


@router.post(TUNINGS, status_code=201, summary="Search for better parameters of a theme")
def start(wb: Bench, user: Trainer, body: TuningIn) -> TuningOut:
    return TuningOut.of(wb, tunings.start(wb, user, body.theme_id, override=body.override))


@router.get(TUNINGS, summary="Tunings of a theme, newest first")
def listed(wb: Bench, _user: Viewer, theme_id: Annotated[int, Query(ge=1)]) -> list[TuningOut]:
    themes.get(wb, theme_id)
    return [TuningOut.of(wb, tuning) for tuning in tunings.listed(wb, theme_id)]


@router.get(TUNINGS + "/{tuning_id}", summary="One tuning with its trials")
def one(wb: Bench, _user: Viewer, tuning_id: Id) -> TuningOut:
    return TuningOut.of(wb, tunings.get(wb, tuning_id))


@router.post(TUNINGS + "/{tuning_id}/stop", summary="Begin no further trial; the best so far is kept")
def stop(wb: Bench, user: Trainer, tuning_id: Id) -> TuningOut:
    return TuningOut.of(wb, tunings.stop(wb, user, tuning_id))


@router.post(TUNINGS + "/{tuning_id}/resume", summary="Go on with a tuning that was stopped or failed")
def resume(wb: Bench, user: Trainer, tuning_id: Id) -> TuningOut:
    return TuningOut.of(wb, tunings.resume(wb, user, tuning_id))


@router.post(TUNINGS + "/{tuning_id}/use", summary="Save a trial's parameters as the theme's own")
def use(wb: Bench, user: Trainer, tuning_id: Id, body: UseIn) -> TuningOut:
    tunings.use(wb, user, tuning_id, body.run_id)
    return TuningOut.of(wb, tunings.get(wb, tuning_id))
