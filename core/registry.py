"""Stored. Model versions: MLflow is the source of versions, these rows are what we know of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow.parquet as pq
import sqlalchemy as sa

from core.db.engine import bulk_insert, next_ids
from core.db.tables import (
    model_evaluations,
    model_registry,
    model_tags,
    model_train_data,
    models,
    themes,
)
from core.errors import Conflict, NotFound
from core.files import FileStore
from core.ledger import STAGING
from core.signatures import FIELDS, VISION, Column, called
from core.spec import RunSpec
from core.versions import FIRST, Semver
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
    run_id: int | None
    """That made it; None: it was trained elsewhere, see core.outside."""
    uri: str
    """models:/name/version"""
    snapshot_hash: str | None
    """None where there is no run."""
    code: dict[str, Any]
    metrics: dict[str, Any]
    """{"valid": {…}, "test": {…}}"""
    labels: tuple[str, ...]
    created_at: datetime
    files: dict[str, str] | None
    """SHA-256 of each file of the model, by name; None for versions of before they were kept."""
    size: int | None
    """Bytes of those files."""
    semver: Semver
    kind: str
    """One of core.signatures.KINDS."""
    architecture: str
    """Of what was trained elsewhere, MLflow's name of what made it: sklearn, transformers, …"""
    weights: str
    """That the training began with: none, default, or a file's name."""
    description: str
    tags: tuple[str, ...]
    deleted_at: datetime | None
    inputs: tuple[Column, ...] | None
    """What it takes; None: images."""

    @property
    def called(self) -> str:
        """The model as people know it."""
        return called(self.kind, self.theme_name, self.model_name)

    @property
    def checksum(self) -> str | None:
        """SHA-256 over the names and hashes of all files, as JSON with sorted keys."""
        return None if self.files is None else fingerprint(self.files)


def fingerprint(files: Mapping[str, str]) -> str:
    """See `Version.checksum`."""
    said = json.dumps(dict(files), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(said.encode()).hexdigest()


def versions(
    wb: Workbench,
    theme_id: int | None = None,
    *,
    kind: str | None = None,
    limit: int | None = None,
    before: int | None = None,
) -> list[Version]:
    """Versions, newest first; of one theme or of all that are not deleted; with `before`, those with smaller ids.

    For what people choose from see `core.version_lists`.
    """
    query = _select().where(themes.c.deleted_at.is_(None), _LIVE).order_by(model_registry.c.id.desc())
    if theme_id is not None:
        query = query.where(models.c.theme_id == theme_id)
    if kind is not None:
        query = query.where(model_registry.c.kind == kind)
    if before is not None:
        query = query.where(model_registry.c.id < before)
    with wb.db.read() as connection:
        return _found(connection, query.limit(limit))


def newest(wb: Workbench, theme_id: int | None = None, *, kind: str | None = None) -> Version | None:
    """The version that was registered last; of one theme or of all that are not deleted, of one kind or of any."""
    found = versions(wb, theme_id, kind=kind, limit=1)
    return found[0] if found else None


def get(wb: Workbench, version_id: int, *, deleted: bool = False) -> Version:
    """Raises NotFound where there is none or it was deleted; with `deleted`, deleted ones are found too."""
    return by_id(wb, {version_id}, deleted=deleted)[version_id]


def read(connection: sa.Connection, version_id: int) -> Version:
    """The same within a transaction. Raises NotFound."""
    found = some(connection, [version_id])
    if not found:
        raise NotFound("There is no model version {id}.", id=version_id)
    return found[version_id]


def by_id(wb: Workbench, ids: Collection[int], *, deleted: bool = False) -> dict[int, Version]:
    """Several versions at once. Raises NotFound naming the first that is missing, or deleted as in `get`."""
    with wb.db.read() as connection:
        found = some(connection, ids, deleted=deleted)
    for missing in sorted(set(ids) - found.keys()):
        raise NotFound("There is no model version {id}.", id=missing)
    return found


def some(connection: sa.Connection, ids: Collection[int], *, deleted: bool = False) -> dict[int, Version]:
    """Those of them that there are, within a transaction."""
    query = _select().where(model_registry.c.id.in_(ids))
    return {each.id: each for each in _found(connection, query if deleted else query.where(_LIVE))}


def of_run(wb: Workbench, run_id: int) -> Version | None:
    """The version a run registered, if it did and it was not deleted."""
    with wb.db.read() as connection:
        found = _found(connection, _select().where(model_registry.c.run_id == run_id, _LIVE))
    return found[0] if found else None


def made_by(version: Version) -> int:
    """The run that made it. Raises Conflict where it was trained elsewhere."""
    if version.run_id is None:
        raise Conflict(
            "Version {n} of “{name}” was trained elsewhere, so nothing is known here of its training and its answers.",
            n=version.version,
            name=version.model_name,
        )
    return version.run_id


def require_images(version: Version) -> None:
    """Raises Conflict for a version that takes something else."""
    if version.kind != VISION:
        raise Conflict(
            "Version {n} of “{name}” takes “{field}”, no images; choose a version that was trained here.",
            n=version.version,
            name=version.model_name,
            field=FIELDS[version.kind],
        )


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
    model_id, number = place(connection, spec.theme_id, name, now)
    base = spec.params["model"]
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
            major=number.major,
            minor=number.minor,
            patch=number.patch,
            kind=run["kind"],
            architecture=base["architecture"],
            weights=base["weights"],
            labels=list(spec.labels),
            description="",
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


def place(connection: sa.Connection, theme_id: int, name: str, at: datetime) -> tuple[int, Semver]:
    """Within the transaction that registers a version: the id of its model, made if need be, and its number."""
    model_id = connection.execute(sa.select(models.c.id).where(models.c.name == name)).scalar()
    if model_id is None:
        [model_id] = next_ids(connection, "models_id_seq", 1)
        connection.execute(models.insert().values(id=model_id, theme_id=theme_id, name=name, created_at=at))
    lock(connection, model_id)
    highest = highest_semver(connection, model_id)
    return model_id, highest.next() if highest else FIRST


def lock(connection: sa.Connection, model_id: int) -> None:
    """Within a transaction: nobody else gives a version of this model a number until it ends.

    DuckDB has one writer anyway.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(
            sa.select(models.c.id).where(models.c.id == model_id).with_for_update(key_share=True)
        )


def highest_semver(connection: sa.Connection, model_id: int) -> Semver | None:
    """Of all versions the model ever had, deleted ones too: a number is never given twice."""
    numbers = (model_registry.c.major, model_registry.c.minor, model_registry.c.patch)
    query = sa.select(*numbers).where(model_registry.c.model_id == model_id)
    found = connection.execute(query.order_by(*(each.desc() for each in numbers)).limit(1)).one_or_none()
    return Semver(*found) if found else None


_LIVE = model_registry.c.deleted_at.is_(None)


def _select() -> sa.Select[Any]:
    return (
        sa.select(
            model_registry,
            models.c.name.label("model_name"),
            models.c.theme_id,
            themes.c.name.label("theme_name"),
        )
        .select_from(model_registry)
        .join(models, models.c.id == model_registry.c.model_id)
        .join(themes, themes.c.id == models.c.theme_id)
    )


def _found(connection: sa.Connection, query: sa.Select[Any]) -> list[Version]:
    rows = connection.execute(query).mappings().all()
    tags: dict[int, list[str]] = {row["id"]: [] for row in rows}
    if rows:
        own = sa.select(model_tags).where(model_tags.c.version_id.in_(list(tags))).order_by(model_tags.c.tag)
        for version_id, tag in connection.execute(own):
            tags[version_id].append(tag)
    return [_version(row, tags[row["id"]]) for row in rows]


def _version(row: Mapping[Any, Any], tags: Collection[str]) -> Version:
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
        labels=tuple(row["labels"]),
        created_at=row["created_at"],
        files=row["files"],
        size=row["size"],
        semver=Semver(row["major"], row["minor"], row["patch"]),
        kind=row["kind"],
        architecture=row["architecture"],
        weights=row["weights"],
        description=row["description"],
        tags=tuple(tags),
        deleted_at=row["deleted_at"],
        inputs=None if row["inputs"] is None else tuple(Column(**each) for each in row["inputs"]),
    )
