"""Stored. Deployments: what should be served, what is, and predictions through the model servers.

The database says what people want; `jobs.serve` reads it from the broker, runs the servers
and writes back what it sees. Predictions go over HTTP to MLflow's model server only.
"""

from __future__ import annotations

import base64
import io
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import httpx
import redis
import sqlalchemy as sa

from core import archives, audit, auth, images_io, registry
from core.db.engine import Database, next_ids
from core.db.tables import deployments as table
from core.db.tables import model_registry, models, themes
from core.errors import Conflict, InvalidInput, NotFound, Unavailable, VeritrainError
from core.i18n import gettext
from core.registry import Version
from core.serving_protocol import SEEN_KEY, WANTED_KEY
from core.settings import MIB
from core.workbench import Workbench

CHUNK, CHUNK_BYTES = 32, 32 * MIB
"""Images, and bytes of them, sent to the model server in one request."""
PREDICT_SECONDS = 120.0
MAX_IMAGES = 1_000
"""Images of one prediction; the answers are held in memory."""
IDLE_SECONDS = 2.0
"""How long a connection to a model server is kept unused; the server itself ends one after five seconds."""
RECENT_SECONDS = 1.0
_RECENT: WeakKeyDictionary[Database, dict[int, tuple[float, Deployment | None]]] = WeakKeyDictionary()
DOWN, UP, STARTING, RESTARTING, FAILED = "down", "up", "starting", "restarting", "failed"


@dataclass(frozen=True)
class Deployment:
    id: int
    version: Version
    desired: str
    """up | down"""
    status: str
    """starting | up | restarting | failed | down"""
    url: str | None
    detail: str | None
    """Why it is not up, from the server's log."""
    created_by: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class Prediction:
    """The answer for one image; `error` says why there is none."""

    name: str
    label: str | None
    confidence: float | None
    probabilities: dict[str, float]
    error: str | None = None


def deploy(wb: Workbench, actor: auth.User, version_id: int) -> Deployment:
    """Ask for a version to be served; one that is served already is returned as it is."""
    auth.require(actor, auth.TRAINER)
    version = registry.get(wb, version_id)

    def work(connection: sa.Connection) -> int:
        same = connection.execute(
            sa.select(table.c.id).where(table.c.version_id == version_id, table.c.desired == UP)
        ).scalar()
        if same is not None:
            return int(same)
        now = datetime.now(UTC)
        [deployment_id] = next_ids(connection, "deployments_id_seq", 1)
        connection.execute(
            table.insert().values(
                id=deployment_id,
                version_id=version_id,
                desired=UP,
                status=STARTING,
                created_by=actor.id,
                created_at=now,
                updated_at=now,
            )
        )
        audit.record(
            connection, actor, "deployment.start", f"deployment {deployment_id}", {"uri": version.uri}
        )
        return deployment_id

    deployment_id = wb.db.write(work)
    _RECENT.pop(wb.db, None)
    _publish(wb)
    return get(wb, deployment_id)


def stop(wb: Workbench, actor: auth.User, deployment_id: int) -> Deployment:
    """Stop serving. Raises NotFound; stopping twice is no error."""
    auth.require(actor, auth.TRAINER)
    get(wb, deployment_id)

    def work(connection: sa.Connection) -> None:
        connection.execute(
            table.update()
            .where(table.c.id == deployment_id)
            .values(desired=DOWN, status=DOWN, url=None, detail=None, updated_at=datetime.now(UTC))
        )
        audit.record(connection, actor, "deployment.stop", f"deployment {deployment_id}")

    wb.db.write(work)
    _RECENT.pop(wb.db, None)
    _publish(wb)
    return get(wb, deployment_id)


def get(wb: Workbench, deployment_id: int) -> Deployment:
    """Raises NotFound."""
    with wb.db.read() as connection:
        row = connection.execute(sa.select(table).where(table.c.id == deployment_id)).mappings().one_or_none()
    if row is None:
        raise NotFound("There is no deployment {id}.", id=deployment_id)
    return _deployment(row, registry.get(wb, row["version_id"]))


def deployments(wb: Workbench, theme_id: int | None = None, live_only: bool = True) -> list[Deployment]:
    """Deployments, newest first; with `live_only` those that should be up."""
    query = (
        sa.select(table)
        .join(model_registry, model_registry.c.id == table.c.version_id)
        .join(models, models.c.id == model_registry.c.model_id)
        .join(themes, themes.c.id == models.c.theme_id)
        .where(themes.c.deleted_at.is_(None))
        .order_by(table.c.id.desc())
    )
    if theme_id is not None:
        query = query.where(models.c.theme_id == theme_id)
    if live_only:
        query = query.where(table.c.desired == UP)
    with wb.db.read() as connection:
        rows = connection.execute(query).mappings().all()
        known = registry.some(connection, {row["version_id"] for row in rows})
    return [_deployment(row, known[row["version_id"]]) for row in rows if row["version_id"] in known]


def recent(wb: Workbench, version_id: int) -> Deployment | None:
    """What serves a version, as it was at most a second ago, for what is asked many times a second.

    What this process changes shows at once; a change by another replica within the second.
    """
    kept = _RECENT.setdefault(wb.db, {})
    found = kept.get(version_id)
    if found is None or time.monotonic() - found[0] > RECENT_SECONDS:
        found = (time.monotonic(), _of_version(wb, version_id))
        kept[version_id] = found
    return found[1]


def _of_version(wb: Workbench, version_id: int) -> Deployment | None:
    query = sa.select(table).where(table.c.version_id == version_id, table.c.desired == UP)
    with wb.db.read() as connection:
        row = connection.execute(query.order_by(table.c.id.desc()).limit(1)).mappings().one_or_none()
        return _deployment(row, registry.read(connection, version_id)) if row is not None else None


def sync(wb: Workbench) -> None:
    """Publish what should be served and take over what is seen; the collector calls it every few seconds."""
    _publish(wb)
    seen: Any = wb.broker.hgetall(SEEN_KEY)
    states = {int(key): json.loads(value) for key, value in seen.items()}
    with wb.db.read() as connection:
        rows = connection.execute(sa.select(table).where(table.c.desired == UP)).mappings().all()
    changed = {}
    for row in rows:
        state = states.get(row["id"], {"status": STARTING, "url": None, "detail": None})
        new = {name: state.get(name) for name in ("status", "url", "detail")}
        if new != {name: row[name] for name in new}:
            changed[row["id"]] = new
    if changed:

        def work(connection: sa.Connection) -> None:
            for deployment_id, values in changed.items():
                connection.execute(
                    table.update()
                    .where(table.c.id == deployment_id, table.c.desired == UP)
                    .values(**values, updated_at=datetime.now(UTC))
                )

        wb.db.write(work)
        _RECENT.pop(wb.db, None)


def predict(
    wb: Workbench, actor: auth.User, deployment_id: int, files: Iterable[tuple[str, bytes]]
) -> list[Prediction]:
    """Labels for images (archives are opened), in their order; a bad file spoils only its own answer.

    `files` are taken one after the other, so that no more than a request's worth is held.

    Raises Conflict when the deployment is not up, Unavailable when its server does not answer,
    InvalidInput for too many images.
    """
    auth.require(actor, auth.VIEWER)
    return ask(wb, get(wb, deployment_id), files)


def ask(wb: Workbench, deployment: Deployment, files: Iterable[tuple[str, bytes]]) -> list[Prediction]:
    """The same, of a deployment that is at hand."""
    if deployment.status != UP or not deployment.url:
        raise Conflict("This model is not ready yet; wait until its state is “up”.")
    answers: list[Prediction] = []
    waiting: dict[int, bytes] = {}

    def send() -> None:
        rows = _ask(str(deployment.url), list(waiting.values()))
        for index, row in zip(waiting, rows, strict=True):
            answers[index] = _answer(answers[index].name, row, deployment.version.labels)
        waiting.clear()

    for name, data, refusal in _images(wb, files):
        if len(answers) >= MAX_IMAGES:
            raise InvalidInput(
                "Predict at most {limit} images at once; send the rest after.", limit=MAX_IMAGES
            )
        if refusal is None:
            waiting[len(answers)] = data
        answers.append(Prediction(name, None, None, {}, refusal))
        if len(waiting) >= CHUNK or sum(map(len, waiting.values())) >= CHUNK_BYTES:
            send()
    if waiting:
        send()
    return answers


@cache
def _client() -> httpx.Client:
    """One for the process: making one costs 20 ms, and its connections to the model servers stay open."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=64, keepalive_expiry=IDLE_SECONDS)
    return httpx.Client(timeout=PREDICT_SECONDS, trust_env=False, limits=limits)


def _ask(url: str, batch: list[bytes]) -> list[dict[str, Any]]:
    body = {
        "dataframe_split": {
            "columns": ["image"],
            "data": [[base64.b64encode(data).decode()] for data in batch],
        }
    }
    try:
        answer = _client().post(f"{url}/invocations", json=body)
    except httpx.HTTPError as error:
        raise Unavailable(
            "The model server does not answer; it is restarted by itself. Try again."
        ) from error
    if answer.status_code != 200:
        raise Unavailable(
            "The model server refused the request ({status}); look at its state under Models.",
            status=answer.status_code,
        )
    rows: list[dict[str, Any]] = answer.json()["predictions"]
    return rows


def _answer(name: str, row: Mapping[str, Any], labels: tuple[str, ...]) -> Prediction:
    if row.get("error"):
        return Prediction(name, None, None, {}, str(row["error"]))
    return Prediction(
        name,
        row["label"],
        float(row["confidence"]),
        {label: float(p) for label, p in zip(labels, row["probabilities"], strict=True)},
    )


def _images(wb: Workbench, files: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, bytes, str | None]]:
    """(name, bytes, why it is refused) of each image, archives opened."""
    limits = archives.Limits.of(wb.settings)
    for name, data in files:
        if archives.kind_of(data[:512]) is None:
            yield name, data, _refusal(wb, name, data)
            continue
        for member in archives.members(io.BytesIO(data), name, len(data), limits):
            if isinstance(member, archives.Refusal):
                yield member.name, b"", member.reason
            else:
                yield member.name, member.data, _refusal(wb, member.name, member.data)


def _refusal(wb: Workbench, name: str, data: bytes) -> str | None:
    try:
        images_io.check(data, images_io.Limits.of(wb.settings), name)
    except VeritrainError as error:
        return error.text(gettext)
    return None


def _publish(wb: Workbench) -> None:
    """Write to the broker what should be served; when it is away the next round does it."""
    with wb.db.read() as connection:
        ids = dict(
            connection.execute(sa.select(table.c.id, table.c.version_id).where(table.c.desired == UP)).all()
        )
    versions = registry.by_id(wb, set(ids.values())) if ids else {}
    wanted: Any = {str(i): json.dumps({"uri": versions[v].uri}) for i, v in ids.items()}
    try:
        present: Any = wb.broker.hkeys(WANTED_KEY)
        pipe = wb.broker.pipeline()
        if gone := {key.decode() for key in present} - wanted.keys():
            pipe.hdel(WANTED_KEY, *gone)
        if wanted:
            pipe.hset(WANTED_KEY, mapping=wanted)
        pipe.execute()
    except redis.RedisError:
        pass


def _deployment(row: Mapping[Any, Any], version: Version) -> Deployment:
    return Deployment(
        id=row["id"],
        version=version,
        desired=row["desired"],
        status=row["status"],
        url=row["url"],
        detail=row["detail"],
        created_by=row["created_by"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
