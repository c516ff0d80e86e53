"""Stored. Versions that were trained elsewhere: taken over from MLflow, with each file's hash and what they take."""

from __future__ import annotations

import hashlib
import re
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import httpx
import sqlalchemy as sa

from core import audit, auth, mlflow_files, registry, signatures, themes, versions
from core.db.engine import next_ids
from core.db.tables import model_registry, models
from core.errors import Conflict, InvalidInput, NotFound, Unavailable
from core.ledger import STAGING
from core.notices import outbox
from core.proof import MODEL
from core.registry import Version
from core.runs import MODEL_NAMES
from core.serving_protocol import ADDED_BY_MLFLOW
from core.signatures import Signature
from core.workbench import Workbench

MOST = 500
"""Newest versions in MLflow that are offered."""
MAX_MLMODEL = 4 << 20
"""Bytes of the file that says what a model takes."""
TIMEOUT = httpx.Timeout(10.0, connect=2.0)
_URI = re.compile(r"models:/([^/]+)/([1-9][0-9]{0,8})")


def register(wb: Workbench, actor: auth.User, theme_id: int, uri: str) -> Version:
    """Take a version in our MLflow, `models:/name/3`, into the registry; one that is there already is returned.

    Reads all of its files. Raises InvalidInput where the gateway could not ask such a model, Conflict where its name
    is another model's or it was deleted here, NotFound, NotAllowed, Unavailable where MLflow does not answer.
    """
    auth.require(actor, auth.TRAINER)
    themes.get(wb, theme_id)
    name, number = _named(uri)
    uri = f"models:/{name}/{number}"
    with wb.db.read() as connection:
        known = _known(connection, theme_id, name, number)
    if known is not None:
        return registry.get(wb, known)
    try:
        signature, files, size = _looked_at(wb, uri, name, number)
    except FileNotFoundError:
        raise NotFound("MLflow has no version “{uri}” with its files; look for it there.", uri=uri) from None
    except (httpx.HTTPError, OSError) as error:
        raise Unavailable("MLflow at {url} does not answer.", url=wb.settings.mlflow_url) from error

    def work(connection: sa.Connection) -> int:
        themes.lock(connection, theme_id)
        if (known := _known(connection, theme_id, name, number)) is not None:
            return known
        now = datetime.now(UTC)
        model_id, semver = registry.place(connection, theme_id, name, now)
        _check_kind(connection, model_id, name, signature)
        [version_id] = next_ids(connection, "model_registry_id_seq", 1)
        connection.execute(
            model_registry.insert().values(
                id=version_id,
                model_id=model_id,
                version=number,
                stage=STAGING,
                uri=uri,
                code={},
                metrics={},
                created_at=now,
                files=files,
                size=size,
                major=semver.major,
                minor=semver.minor,
                patch=semver.patch,
                kind=signature.kind,
                architecture=signature.flavor,
                weights="none",
                labels=[],
                description="",
                inputs=[asdict(column) for column in signature.columns],
            )
        )
        audit.record(connection, actor, "registry.register", f"version {version_id}", {"uri": uri})
        said = {"version_id": version_id, "run_id": None, "theme_id": theme_id}
        model = {"model": name, "version": number, "metrics": {}}
        outbox.tell(connection, outbox.VERSION_REGISTERED, said | model)
        return version_id

    return registry.get(wb, wb.db.write(work))


def offered(wb: Workbench, theme_id: int) -> list[str]:
    """URIs of MLflow's versions that the registry does not have and could take for this theme, newest first.

    Raises Unavailable.
    """
    url = f"{wb.settings.mlflow_url}/api/2.0/mlflow/model-versions/search"
    asked: dict[str, str | int] = {"max_results": MOST, "order_by": "creation_timestamp DESC"}
    try:
        answer = httpx.get(url, params=asked, timeout=TIMEOUT, trust_env=False)
        found: list[dict[str, Any]] = answer.raise_for_status().json().get("model_versions", [])
    except httpx.HTTPError as error:
        raise Unavailable("MLflow at {url} does not answer.", url=wb.settings.mlflow_url) from error
    column = model_registry.c
    query = sa.select(models.c.name, models.c.theme_id, column.version).outerjoin(
        model_registry, column.model_id == models.c.id
    )
    with wb.db.read() as connection:
        rows = connection.execute(query).all()
    known = {(row.name, row.version) for row in rows}
    taken = {row.name for row in rows if row.theme_id != theme_id}
    return [
        f"models:/{each['name']}/{each['version']}"
        for each in found
        if (each["name"], int(each["version"])) not in known
        and each["name"] not in taken
        and not each["name"].startswith(MODEL_NAMES)
    ]


def _named(uri: str) -> tuple[str, int]:
    """Name and number. Raises InvalidInput."""
    found = _URI.fullmatch(uri.strip())
    if found is None:
        raise InvalidInput(
            "“{uri}” names no version in MLflow; write its name and number, such as models:/reviews/3.",
            uri=uri[:120],
        )
    name = versions.model_name(found[1])
    if name.startswith(MODEL_NAMES):
        raise InvalidInput(
            "Names that begin with “{start}” belong to the models that are trained here; register it in MLflow under "
            "another name.",
            start=MODEL_NAMES,
        )
    return name, int(found[2])


def _known(connection: sa.Connection, theme_id: int, name: str, number: int) -> int | None:
    """Id of the version where the registry has it. Raises Conflict where it cannot be registered for this theme."""
    row = connection.execute(sa.select(models.c.id, models.c.theme_id).where(models.c.name == name)).first()
    if row is None:
        return None
    if row.theme_id != theme_id:
        raise Conflict(
            "The model “{name}” belongs to another theme; register its versions there, or under another name.",
            name=name,
        )
    column = model_registry.c
    query = sa.select(column.id, column.deleted_at).where(column.model_id == row.id, column.version == number)
    found = connection.execute(query).first()
    if found is None:
        return None
    if found.deleted_at is not None:
        raise Conflict(
            "Version {n} of “{name}” was deleted here and does not come back; register it in MLflow as a new version.",
            n=number,
            name=name,
        )
    return int(found.id)


def _check_kind(connection: sa.Connection, model_id: int, name: str, signature: Signature) -> None:
    """Raises Conflict where the model's versions take something else: one of them would let down who asks it."""
    query = sa.select(model_registry.c.kind).where(model_registry.c.model_id == model_id).limit(1)
    kind = connection.execute(query).scalar()
    if kind is not None and kind != signature.kind:
        raise Conflict(
            "The versions of “{name}” take “{known}”, this one takes “{field}”; register it under another name.",
            name=name,
            known=signatures.FIELDS[kind],
            field=signatures.FIELDS[signature.kind],
        )


def _looked_at(wb: Workbench, uri: str, name: str, number: int) -> tuple[Signature, dict[str, str], int]:
    """What it takes, SHA-256 of each file, and bytes of all. Raises InvalidInput, FileNotFoundError, HTTPError."""
    mlflow = wb.settings.mlflow_url
    folder = mlflow_files.place(mlflow, name, number)
    elsewhere = "://" in folder and not folder.startswith("file:")
    if not folder.startswith(mlflow_files.PROXIED) and not elsewhere:
        # A folder of this machine may be any; whoever downloads the version would get what lies there.
        raise InvalidInput(
            "The files of “{uri}” do not lie in MLflow's store; log the model to this MLflow.", uri=uri
        )
    mlmodel = b""
    for piece in mlflow_files.read(mlflow, folder, MODEL):
        mlmodel += piece
        if len(mlmodel) > MAX_MLMODEL:
            raise InvalidInput(
                "The MLmodel file of “{uri}” cannot be read; log the model anew with MLflow.", uri=uri
            )
    signature = signatures.read(uri, mlmodel)
    files: dict[str, str] = {}
    size = 0
    for each in mlflow_files.names(mlflow, folder):
        if each == ADDED_BY_MLFLOW:
            continue
        whole = hashlib.sha256()
        for piece in mlflow_files.read(mlflow, folder, each):
            whole.update(piece)
            size += len(piece)
        files[each] = whole.hexdigest()
    return signature, files, size
