"""Stored. The model servers of deployments as jobs.serve sees them now: their restarts, and the end of their logs."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import redis

from core import auth, serving
from core.errors import NotFound
from core.processes import tail
from core.serving_protocol import LOGS, SEEN_KEY, server_name
from core.workbench import Workbench

LINES, MOST_LINES = 200, 2_000
"""Of a log that are shown, and that can be asked for."""


@dataclass(frozen=True)
class Server:
    number: int
    """From 1."""
    restarts: int
    up_since: datetime | None
    ended_at: datetime | None
    """When it last ended by itself."""


def of(wb: Workbench, deployment_ids: Collection[int]) -> dict[int, list[Server]]:
    """The servers of each; none where none is started yet, or while the broker is away."""
    ids = list(deployment_ids)
    try:
        told: Any = wb.broker.hmget(SEEN_KEY, list(map(str, ids))) if ids else []
    except redis.RedisError:
        told = [None] * len(ids)
    return {key: _servers(json.loads(text)) if text else [] for key, text in zip(ids, told, strict=True)}


def _servers(state: dict[str, Any]) -> list[Server]:
    return [
        Server(number, each["restarts"], _moment(each["up_since"]), _moment(each["ended_at"]))
        for number, each in enumerate(state.get("servers", []), 1)
    ]


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def log(
    wb: Workbench, actor: auth.User, deployment_id: int, number: int = 1, lines: int = LINES
) -> list[str]:
    """The last lines that one of a deployment's servers wrote, starts that failed included.

    Raises NotAllowed, and NotFound where there is no such deployment or its log is not among this machine's artifacts.
    """
    auth.require(actor, auth.TRAINER)
    deployment = serving.get(wb, deployment_id)
    folder = wb.settings.artifacts_dir / LOGS
    try:
        return tail(folder / f"{server_name(deployment.id, number)}.log", lines)
    except OSError as error:
        raise NotFound(
            "Server {n} of deployment {id} has no log in {folder} here. If the model servers run on another machine, "
            "look there.",
            n=number,
            id=deployment.id,
            folder=str(folder),
        ) from error
