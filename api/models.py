"""Model versions, deployments and predictions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import File, UploadFile
from pydantic import BaseModel

from api.deps import Bench, Id, Trainer, Viewer
from api.router import Router
from core import registry, serving
from core.errors import TooLarge
from core.registry import Version
from core.serving import Deployment
from core.settings import MIB

router = Router(tags=["models"])

PREDICT_BYTES = 512 * MIB
"""What one prediction may send; an archive among it is read as a whole."""


class VersionOut(BaseModel):
    id: int
    model_id: int
    model_name: str
    theme_id: int
    theme_name: str
    version: int
    stage: str
    run_id: int
    uri: str
    snapshot_hash: str
    code: dict[str, Any]
    metrics: dict[str, Any]
    labels: tuple[str, ...]
    created_at: datetime


class DeploymentOut(BaseModel):
    id: int
    version_id: int
    desired: str
    status: str
    detail: str | None
    created_at: datetime


class PredictionOut(BaseModel):
    name: str
    label: str | None
    confidence: float | None
    probabilities: dict[str, float]
    error: str | None


def _version(version: Version) -> VersionOut:
    return VersionOut.model_validate(version, from_attributes=True)


def _deployment(deployment: Deployment) -> DeploymentOut:
    return DeploymentOut(
        id=deployment.id,
        version_id=deployment.version.id,
        desired=deployment.desired,
        status=deployment.status,
        detail=deployment.detail,
        created_at=deployment.created_at,
    )


@router.get("/models", summary="Model versions, newest first")
def versions(wb: Bench, _user: Viewer, theme: int | None = None) -> list[VersionOut]:
    return [_version(version) for version in registry.versions(wb, theme)]


@router.get("/models/{version_id}", summary="One version")
def version(wb: Bench, _user: Viewer, version_id: Id) -> VersionOut:
    return _version(registry.get(wb, version_id))


@router.post("/models/{version_id}/deploy", status_code=201, summary="Serve a version")
def deploy(wb: Bench, user: Trainer, version_id: Id) -> DeploymentOut:
    return _deployment(serving.deploy(wb, user, version_id))


@router.get("/deployments", summary="What is served")
def deployments(wb: Bench, _user: Viewer, theme: int | None = None) -> list[DeploymentOut]:
    return [_deployment(deployment) for deployment in serving.deployments(wb, theme)]


@router.delete("/deployments/{deployment_id}", summary="Stop serving")
def stop(wb: Bench, user: Trainer, deployment_id: Id) -> DeploymentOut:
    return _deployment(serving.stop(wb, user, deployment_id))


@router.post("/deployments/{deployment_id}/predict", summary="Labels for images")
def predict(
    wb: Bench, user: Viewer, deployment_id: Id, files: Annotated[list[UploadFile], File()]
) -> list[PredictionOut]:
    """Image files or archives of them, as multipart `files`."""
    total = sum(file.size or 0 for file in files)
    if total > PREDICT_BYTES:
        raise TooLarge(
            "That is more than {limit} MB of images at once; send them in parts.", limit=PREDICT_BYTES // MIB
        )
    # Parts lie on disk; each is read when it is its turn.
    named = ((file.filename or "file", file.file.read()) for file in files)
    return [
        PredictionOut.model_validate(answer, from_attributes=True)
        for answer in serving.predict(wb, user, deployment_id, named)
    ]
