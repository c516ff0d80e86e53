"""The REST side: one FastAPI application, mounted at /api beside the screens."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from api import (
    ab,
    auth,
    dataset_quality,
    datasets,
    duels,
    evaluations,
    exports,
    finetuning,
    images,
    imports,
    labelling,
    models,
    overview,
    parameters,
    passports,
    problems,
    quality,
    quality_report,
    stages,
    suggestions,
    teamwork,
    themes,
    training,
    tunings,
    users,
)

routers = (  # tried in this order, so the one that programs ask with every request of theirs is first
    ab.router,
    auth.router,
    users.router,
    themes.router,
    images.router,
    labelling.router,
    imports.router,
    exports.router,
    suggestions.router,
    teamwork.router,
    overview.router,
    quality.router,
    dataset_quality.router,
    datasets.router,
    quality_report.router,
    parameters.router,
    training.router,
    evaluations.router,
    finetuning.router,
    tunings.router,
    models.router,
    duels.router,
    stages.router,
    passports.router,
)


def create() -> FastAPI:
    """Build the application; it answers once a workbench is open (core.workbench)."""
    app = FastAPIOffline(  # the documentation page brings its scripts along instead of fetching them
        title="Veritrain",
        summary="Label, verify, train, prove: everything the screens do, for programs.",
        docs_url="/docs",
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    problems.install(app)
    for router in routers:
        app.include_router(router)
    return app
