"""Stored. Model versions: MLflow is the source of versions, these rows are what we know of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow.parquet as pq
import sqlalchemy as sa

from core.db.engine import bulk_insert, next_ids
from core.db.tables import (
    finetuning_jobs,
    model_evaluations,
    model_registry,
    model_train_data,
    models,
    themes,
)
from core.errors import NotFound
from core.files import FileStore
from core.ledger import STAGING
from core.spec import RunSpec
from core.workbench import Workbench


@dataclass(frozen=True)
class Version:
    id: int
    model_id: int
    model_name: str
    """The registered name in MLflow."""
    theme_id: int
    theme_name: str
    version: int
    """MLflow's version number."""
    stage: str
    run_id: int
    uri: str
    """models:/name/version"""
    snapshot_hash: str
    code: dict[str, Any]
    metrics: dict[str, Any]
    """{"valid": {…}, "test": {…}}"""
    labels: tuple[str, ...]
    created_at: datetime
    files: dict[str, str] | None
    """SHA-256 of each file of the model, by name; None for versions of before they were kept."""
    size: int | None
    """Bytes of those files."""

    @property
    def checksum(self) -> str | None:
        """SHA-256 over the names and hashes of all files, as JSON with sorted keys."""
        return None if self.files is None else fingerprint(self.files)


def fingerprint(files: Mapping[str, str]) -> str:
    """See `Version.checksum`."""
    said = json.dumps(dict(files), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(said.encode()).hexdigest()


def versions(wb: Workbench, theme_id: int | None = None) -> list[Version]:
    """Versions, newest first; of one theme or of all that are not deleted."""
    query = _select().where(themes.c.deleted_at.is_(None)).order_by(model_registry.c.id.desc())
    if theme_id is not None:
        query = query.where(models.c.theme_id == theme_id)
    with wb.db.read() as connection:
        return [_version(row) for row in connection.execute(query).mappings()]


def get(wb: Workbench, version_id: int) -> Version:
    """Raises NotFound."""
    return by_id(wb, {version_id})[version_id]


def read(connection: sa.Connection, version_id: int) -> Version:
    """The same within a transaction. Raises NotFound."""
    row = connection.execute(_select().where(model_registry.c.id == version_id)).mappings().one_or_none()
    if row is None:
        raise NotFound("There is no model version {id}.", id=version_id)
    return _version(row)


def by_id(wb: Workbench, ids: set[int]) -> dict[int, Version]:
    """Several versions in one query. Raises NotFound naming the first that is missing."""
    with wb.db.read() as connection:
        rows = connection.execute(_select().where(model_registry.c.id.in_(ids))).mappings().all()
    found = {row["id"]: _version(row) for row in rows}
    for missing in sorted(ids - found.keys()):
        raise NotFound("There is no model version {id}.", id=missing)
    return found


def of_run(wb: Workbench, run_id: int) -> Version | None:
    """The version a run registered, if it did."""
    with wb.db.read() as connection:
        row = connection.execute(_select().where(model_registry.c.run_id == run_id)).mappings().first()
    return _version(row) if row else None


def record(
    connection: sa.Connection, files: FileStore, run: Mapping[Any, Any], result: dict[str, Any]
) -> int | None:
    """Write what a `result` event says of a new version: model, version, evaluations, the data it saw.

    Called by the collector within its transaction. Recording a run twice changes nothing.
    Returns the new version's id, None where there is none.
    """
    run_id = run["id"]
    seen = sa.select(model_registry.c.id).where(model_registry.c.run_id == run_id)
    if connection.execute(seen).first() is not None or not result.get("model"):
        return None
    spec = RunSpec.model_validate(run["spec"])
    now = datetime.now(UTC)
    name = result["model"]["name"]
    model_id = connection.execute(sa.select(models.c.id).where(models.c.name == name)).scalar()
    if model_id is None:
        [model_id] = next_ids(connection, "models_id_seq", 1)
        connection.execute(
            models.insert().values(id=model_id, theme_id=spec.theme_id, name=name, created_at=now)
        )
    [version_id] = next_ids(connection, "model_registry_id_seq", 1)
    connection.execute(
        model_registry.insert().values(
            id=version_id,
            model_id=model_id,
            run_id=run_id,
            version=int(result["model"]["version"]),
            stage=STAGING,
            uri=result["model"]["uri"],
            snapshot_hash=spec.snapshot.hash,
            code=spec.code.model_dump(),
            metrics=result["metrics"],
            created_at=now,
            files=result["model"].get("files"),
            size=result["model"].get("size"),
        )
    )
    for split, values in result["metrics"].items():
        connection.execute(
            model_evaluations.insert().values(run_id=run_id, split=split, metrics=values, created_at=now)
        )
    with files.open(spec.snapshot.path) as file:
        manifest = pq.read_table(file, columns=["image_id", "split", "label_id"])
    bulk_insert(
        connection, model_train_data, [{"version_id": version_id, **row} for row in manifest.to_pylist()]
    )
    return version_id


def _select() -> sa.Select[Any]:
    return (
        sa.select(
            model_registry,
            models.c.name.label("model_name"),
            models.c.theme_id,
            themes.c.name.label("theme_name"),
            finetuning_jobs.c.spec,
        )
        .select_from(model_registry)
        .join(models, models.c.id == model_registry.c.model_id)
        .join(themes, themes.c.id == models.c.theme_id)
        .join(finetuning_jobs, finetuning_jobs.c.id == model_registry.c.run_id)
    )


def _version(row: Mapping[Any, Any]) -> Version:
    return Version(
        id=row["id"],
        model_id=row["model_id"],
        model_name=row["model_name"],
        theme_id=row["theme_id"],
        theme_name=row["theme_name"],
        version=row["version"],
        stage=row["stage"],
        run_id=row["run_id"],
        uri=row["uri"],
        snapshot_hash=row["snapshot_hash"],
        code=row["code"],
        metrics=row["metrics"],
        labels=tuple(row["spec"]["labels"]),
        created_at=row["created_at"],
        files=row["files"],
        size=row["size"],
    )
