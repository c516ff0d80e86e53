"""Stored. Deployments: what should be served, what is, and predictions through the model servers.

The database says what people want; `jobs.serve` reads it from the broker, runs the servers
and writes back what it sees. Predictions go over HTTP to MLflow's model server only.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import redis
import sqlalchemy as sa
from anyio import to_thread

from core import audit, auth, registry
from core.db.engine import Database, next_ids
from core.db.tables import deployments as table
from core.db.tables import model_registry, models, themes
from core.errors import Conflict, InvalidInput, NotFound, Unavailable
from core.gateway import breaker, lanes
from core.gateway.images import Given, Part, Prediction, parts
from core.gateway.lanes import Lane, Row, Wire
from core.gateway.observed import observing
from core.gateway.rows import Table
from core.monitoring import inputs
from core.notices import outbox
from core.registry import Version
from core.serving_protocol import SEEN_KEY, WANTED_KEY
from core.workbench import Workbench

MAX_REPLICAS = 8
RECENT_SECONDS = 1.0
_RECENT: WeakKeyDictionary[Database, dict[int | str, tuple[float, Deployment | None]]] = WeakKeyDictionary()
_LANES: WeakKeyDictionary[Database, dict[int, Lane]] = WeakKeyDictionary()
DOWN, UP, STARTING, RESTARTING, FAILED = "down", "up", "starting", "restarting", "failed"


@dataclass(frozen=True)
class Deployment:
    id: int
    version: Version
    desired: str
    """up | down"""
    status: str
    """starting | up | restarting | failed | down"""
    replicas: int
    """How many servers should run."""
    url: str | None
    """Where those that are up answer, with a space between."""
    detail: str | None
    """Why it is not up, from the server's log."""
    created_by: int
    created_at: datetime
    updated_at: datetime


def deploy(wb: Workbench, actor: auth.User, version_id: int, replicas: int | None = None) -> Deployment:
    """Ask for a version to be served by so many servers, one unless said.

    One that is served already is returned, with the new number where one is given. Raises InvalidInput, NotFound.
    """
    auth.require(actor, auth.TRAINER)
    version = registry.get(wb, version_id)
    if replicas is not None and not 1 <= replicas <= MAX_REPLICAS:
        raise InvalidInput("A version is served by 1 to {limit} servers.", limit=MAX_REPLICAS)

    def work(connection: sa.Connection) -> int:
        now = datetime.now(UTC)
        same = connection.execute(
            sa.select(table.c.id, table.c.replicas).where(
                table.c.version_id == version_id, table.c.desired == UP
            )
        ).first()
        if same is not None:
            if replicas not in (None, same.replicas):
                connection.execute(
                    table.update().where(table.c.id == same.id).values(replicas=replicas, updated_at=now)
                )
                audit.record(
                    connection, actor, "deployment.scale", f"deployment {same.id}", {"replicas": replicas}
                )
            return int(same.id)
        [deployment_id] = next_ids(connection, "deployments_id_seq", 1)
        connection.execute(
            table.insert().values(
                id=deployment_id,
                version_id=version_id,
                desired=UP,
                status=STARTING,
                replicas=replicas or 1,
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
    _LANES.get(wb.db, {}).pop(deployment_id, None)  # what is under way is answered
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
    kept = memory(wb)
    found = kept.get(version_id)
    if found is None or time.monotonic() - found[0] > RECENT_SECONDS:
        found = (time.monotonic(), _of_version(wb, version_id))
        kept[version_id] = found
    return found[1]


def memory(wb: Workbench) -> dict[int | str, tuple[float, Deployment | None]]:
    """What this process remembers of deployments, and since when; thrown away whole when it changes one.

    What is read after this call may be put there: if something changed meanwhile, the memory is another one.
    """
    return _RECENT.setdefault(wb.db, {})


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
    changed, before = {}, {row["id"]: row for row in rows}
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
                event = {UP: outbox.DEPLOYMENT_UP, FAILED: outbox.DEPLOYMENT_FAILED}.get(
                    values["status"] or ""
                )
                if event is not None and values["status"] != before[deployment_id]["status"]:
                    said = {"deployment_id": deployment_id, "version_id": before[deployment_id]["version_id"]}
                    outbox.tell(connection, event, said | {"detail": values["detail"]})

        wb.db.write(work)
        _RECENT.pop(wb.db, None)


def predict(
    wb: Workbench, actor: auth.User, deployment_id: int, files: Iterable[tuple[str, bytes]]
) -> list[Prediction]:
    """Labels for images (archives are opened), in their order; a bad file spoils only its own answer.

    `files` are taken one after the other, so that no more than a request's worth is held.

    Raises what `servers_up` raises, Unavailable when its server does not answer, InvalidInput for too many images,
    Conflict for a version that takes none.
    """
    auth.require(actor, auth.VIEWER)
    return ask(wb, get(wb, deployment_id), files)


def ask(wb: Workbench, deployment: Deployment, files: Iterable[Given]) -> list[Prediction]:
    """The same, of a deployment that is at hand; whoever listens (core.gateway.observed) hears of it."""
    version = deployment.version
    with observing(version.model_name, version.id, deployment.id) as told:
        answers = _answers(wb, deployment, files)
        told += (each.told for each in answers)
    return answers


def _answers(wb: Workbench, deployment: Deployment, files: Iterable[Given]) -> list[Prediction]:
    answers: list[Prediction] = []
    for part in parts(wb.settings, files):
        future = _sent(wb, deployment, part)
        try:
            rows = future.result(wb.settings.predict_seconds)
        except TimeoutError:
            future.cancel()
            raise lanes.too_slow(wb.settings.predict_seconds) from None
        answers += part.answers(rows, deployment.version.labels)
    return answers


async def ask_async(
    wb: Workbench,
    deployment: Deployment,
    files: Iterable[Given],
    *,
    small: bool = False,
    sampled: bool = False,
) -> list[Prediction]:
    """The same without a thread that waits.

    `small` files are looked at here, others in a thread. With `sampled`, the answers say how bright the images are.
    """
    answers: list[Prediction] = []
    taken = parts(wb.settings, files)
    while part := next(taken, None) if small else await to_thread.run_sync(next, taken, None):
        try:
            async with asyncio.timeout(wb.settings.predict_seconds):
                rows = await asyncio.wrap_future(_sent(wb, deployment, part))
        except TimeoutError:
            raise lanes.too_slow(wb.settings.predict_seconds) from None
        read = partial(part.answers, rows, deployment.version.labels, sampled=sampled)
        decodes = sampled or any(row.get("error") for row in rows)
        answers += await to_thread.run_sync(read) if decodes else read()
    return answers


def _sent(wb: Workbench, deployment: Deployment, part: Part) -> Future[list[Row]]:
    registry.require_images(deployment.version)
    way, urls = lane(wb, deployment)
    for data in part.readable:
        inputs.offer(deployment.id, data)
    return way.submit(urls, part.readable)


def lane(wb: Workbench, deployment: Deployment) -> tuple[Lane, list[str]]:
    """The way to its servers, and where they answer. Raises as `servers_up`."""
    urls = servers_up(deployment)
    kept = _LANES.setdefault(wb.db, {})
    found = kept.get(deployment.id)
    if found is None:
        own, columns = wb.settings, deployment.version.inputs
        options = lanes.Options(own.batch_images, own.batch_wait, own.predict_seconds)
        wire: Wire = lanes.IMAGES if columns is None else Table(columns)
        found = kept.setdefault(deployment.id, Lane(options, wire=wire))
    return found, urls


def servers_up(deployment: Deployment) -> list[str]:
    """Where its servers answer. Raises Conflict where it was stopped, Unavailable where none of them is up."""
    if deployment.desired == DOWN:
        raise Conflict("This deployment was stopped; deploy the version again under Models.")
    if deployment.status == UP and deployment.url:
        return deployment.url.split()
    version = deployment.version
    if deployment.status == FAILED:
        raise Unavailable(
            "The server for version {n} of “{name}” cannot be started; a trainer can read why under Models.",
            n=version.version,
            name=version.model_name,
        )
    raise Unavailable(
        "No server for version {n} of “{name}” is up; it is being started, which can take up to half a minute. "
        "Try again in {seconds} s.",
        n=version.version,
        name=version.model_name,
        seconds=breaker.START_SECONDS,
    )


def _publish(wb: Workbench) -> None:
    """Write to the broker what should be served; when it is away the next round does it."""
    with wb.db.read() as connection:
        rows = connection.execute(
            sa.select(table.c.id, table.c.version_id, table.c.replicas).where(table.c.desired == UP)
        ).all()
    versions = registry.by_id(wb, {row.version_id for row in rows}) if rows else {}
    wanted: Any = {
        str(row.id): json.dumps({"uri": of.uri, "files": of.files, "replicas": row.replicas})
        for row in rows
        for of in [versions[row.version_id]]
    }
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
        replicas=row["replicas"],
        url=row["url"],
        detail=row["detail"],
        created_by=row["created_by"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
