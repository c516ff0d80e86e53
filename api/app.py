"""The REST side: one FastAPI application, mounted at /api beside the screens."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from api import (
    ab,
    alerts,
    assets,
    auth,
    dataset_quality,
    datasets,
    duels,
    evaluations,
    exports,
    finetuning,
    gate_policies,
    images,
    imports,
    labelling,
    models,
    monitoring,
    overview,
    parameters,
    passports,
    predict,
    prediction_batches,
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
    versions,
    webhooks,
)

routers = (  # tried in this order, so those that programs ask with every request of theirs are first
    predict.router,
    ab.router,
    auth.router,
    users.router,
    themes.router,
    images.router,
    labelling.router,
    imports.router,
    exports.router,
    suggestions.router,
    prediction_batches.router,
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
    monitoring.router,
    webhooks.router,
    alerts.router,
    gate_policies.router,
    assets.router,
    versions.router,  # its /{version_id} would take the paths without an id of the one before
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
