"""Model versions and deployments."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel

from api.deps import Bench, Id, Trainer, Viewer
from api.router import Router
from core import registry, serving
from core.registry import Version
from core.serving import Deployment

router = Router(tags=["models"])


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
    replicas: int
    detail: str | None
    created_at: datetime


def _version(version: Version) -> VersionOut:
    return VersionOut.model_validate(version, from_attributes=True)


def _deployment(deployment: Deployment) -> DeploymentOut:
    return DeploymentOut(
        id=deployment.id,
        version_id=deployment.version.id,
        desired=deployment.desired,
        status=deployment.status,
        replicas=deployment.replicas,
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
def deploy(
    wb: Bench,
    user: Trainer,
    version_id: Id,
    replicas: Annotated[int | None, Query(ge=1, le=serving.MAX_REPLICAS)] = None,
) -> DeploymentOut:
    """By one server, or so many; asked again with another number, servers are added or ended."""
    return _deployment(serving.deploy(wb, user, version_id, replicas))


@router.get("/deployments", summary="What is served")
def deployments(wb: Bench, _user: Viewer, theme: int | None = None) -> list[DeploymentOut]:
    return [_deployment(deployment) for deployment in serving.deployments(wb, theme)]


@router.delete("/deployments/{deployment_id}", summary="Stop serving")
def stop(wb: Bench, user: Trainer, deployment_id: Id) -> DeploymentOut:
    return _deployment(serving.stop(wb, user, deployment_id))
