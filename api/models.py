"""Model versions and deployments."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, ConfigDict

from api.deps import Bench, Id, Trainer, Viewer
from api.router import Router
from core import aliases, auth, model_benchmarks, model_servers, registry, serving
from core.model_benchmarks import Benchmark
from core.registry import Version
from core.serving import Deployment
from core.workbench import Workbench

router = Router(tags=["models"])

MOST = 200
"""Versions in one answer."""


class BenchmarkOut(BaseModel):
    id: int
    name: str
    score: float
    detail: dict[str, Any]
    created_by: int
    created_at: datetime


class BaseOut(BaseModel):
    """What the training began with."""

    architecture: str
    weights: str
    """none, default, or a file's name."""


class ColumnOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    name: str
    """Empty where the model's signature has no name."""
    type: str
    """MLflow's: boolean, integer, long, float, double, string or datetime."""
    required: bool


class VersionOut(BaseModel):
    id: int
    model_id: int
    model_name: str
    theme_id: int
    theme_name: str
    version: int
    """MLflow's number."""
    semver: str
    stage: str
    kind: str
    base: BaseOut
    tags: tuple[str, ...]
    aliases: list[str]
    """champion, challenger, previous: as MLflow has them once it was told."""
    description: str
    run_id: int | None
    """null: it was trained elsewhere."""
    uri: str
    snapshot_hash: str | None
    commit: str | None
    code: dict[str, Any]
    metrics: dict[str, Any]
    benchmarks: list[BenchmarkOut]
    """The newest of each name."""
    labels: tuple[str, ...]
    inputs: list[ColumnOut] | None
    """What it takes; null: images."""
    size: int | None
    """Bytes of its files."""
    checksum: str | None
    """SHA-256 over the names and hashes of its files."""
    created_at: datetime


class ServerOut(BaseModel):
    restarts: int
    up_since: datetime | None
    ended_at: datetime | None
    """When it last ended by itself."""


class DeploymentOut(BaseModel):
    id: int
    version_id: int
    desired: str
    status: str
    replicas: int
    detail: str | None
    """Why it does not start, from its log; for trainers and administrators."""
    servers: list[ServerOut]
    created_at: datetime


class LogOut(BaseModel):
    lines: list[str]
    """Oldest first."""


def version_fields(
    version: Version, benchmarks: Sequence[Benchmark], own_aliases: Sequence[str]
) -> dict[str, Any]:
    """What `VersionOut` says of it."""
    return vars(version) | {
        "semver": str(version.semver),
        "base": BaseOut(architecture=version.architecture, weights=version.weights),
        "commit": version.code.get("commit"),
        "checksum": version.checksum,
        "benchmarks": [benchmark_out(each) for each in benchmarks],
        "aliases": own_aliases,
    }


def versions_out(wb: Workbench, found: Sequence[Version]) -> list[VersionOut]:
    scores = model_benchmarks.newest(wb, [version.id for version in found])
    known = aliases.of(wb, found)
    return [VersionOut(**version_fields(version, scores[version.id], known[version.id])) for version in found]


def benchmark_out(found: Benchmark) -> BenchmarkOut:
    return BenchmarkOut.model_validate(found, from_attributes=True)


def deployments_out(wb: Workbench, user: auth.User, found: Sequence[Deployment]) -> list[DeploymentOut]:
    servers = model_servers.of(wb, [deployment.id for deployment in found])
    return [
        DeploymentOut(
            id=deployment.id,
            version_id=deployment.version.id,
            desired=deployment.desired,
            status=deployment.status,
            replicas=deployment.replicas,
            detail=deployment.detail if user.may(auth.TRAINER) else None,
            servers=[ServerOut.model_validate(each, from_attributes=True) for each in servers[deployment.id]],
            created_at=deployment.created_at,
        )
        for deployment in found
    ]


def deployment_out(wb: Workbench, user: auth.User, deployment: Deployment) -> DeploymentOut:
    return deployments_out(wb, user, [deployment])[0]


@router.get("/models", summary="Model versions, newest first")
def versions(
    wb: Bench,
    _user: Viewer,
    theme: int | None = None,
    limit: Annotated[int, Query(ge=1, le=MOST)] = MOST,
    before: int | None = None,
) -> list[VersionOut]:
    """At most `limit`; give the last one's id as `before` for those that follow. `/v1/admin/models` has filters."""
    return versions_out(wb, registry.versions(wb, theme, limit=limit, before=before))


@router.get("/models/{version_id}", summary="One version")
def version(wb: Bench, _user: Viewer, version_id: Id) -> VersionOut:
    return versions_out(wb, [registry.get(wb, version_id)])[0]


@router.post("/models/{version_id}/deploy", status_code=201, summary="Serve a version")
def deploy(wb: Bench, user: Trainer, version_id: Id, replicas: int | None = None) -> DeploymentOut:
    """By one server, or so many; asked again with another number, servers are added or ended."""
    return deployment_out(wb, user, serving.deploy(wb, user, version_id, replicas))


@router.get("/deployments", summary="What is served")
def deployments(wb: Bench, user: Viewer, theme: int | None = None) -> list[DeploymentOut]:
    return deployments_out(wb, user, serving.deployments(wb, theme))


@router.get("/deployments/{deployment_id}/log", summary="The end of what a model server wrote")
def log(
    wb: Bench,
    user: Trainer,
    deployment_id: Id,
    server: Annotated[int, Query(ge=1, le=serving.MAX_REPLICAS)] = 1,
    tail: Annotated[int, Query(ge=1, le=model_servers.MOST_LINES)] = model_servers.LINES,
) -> LogOut:
    """Its last `tail` lines; of a deployment with several servers, `server` counts them from 1."""
    return LogOut(lines=model_servers.log(wb, user, deployment_id, server, tail))


@router.delete("/deployments/{deployment_id}", summary="Stop serving")
def stop(wb: Bench, user: Trainer, deployment_id: Id) -> DeploymentOut:
    return deployment_out(wb, user, serving.stop(wb, user, deployment_id))
