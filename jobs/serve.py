"""Keeps MLflow's model server running for each deployed version, once a replica. Run: python -m jobs.serve

What should be served stands in the broker (core.serving writes it there from the database);
what is seen goes back the same way. Beside the servers a spare one waits that knows no model yet
(jobs/model_server.py): it goes on at once for one that dies, or serves what is wanted next. Without
one a server is started again with back-off; one whose model cannot be loaded says why, from its log.
One that is not wanted any more finishes what it has begun.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import shutil
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psutil
import redis
from PIL import Image

from core import logs
from core.processes import Child, die_with_parent, free_port, on_signals
from core.serving_protocol import (
    ALIVE_KEY,
    ALIVE_SECONDS,
    IMAGES_PATH,
    LOGS,
    SEEN_KEY,
    WANTED_KEY,
    framed,
    server_name,
)
from core.settings import ROOT, Settings

log = logging.getLogger(__name__)

ROUND_SECONDS = 0.25
IDLE_SECONDS = 1.0
"""Of a round while nothing is served."""
PING_SECONDS = 1.0
MODEL_SERVER = ROOT / "jobs" / "model_server.py"
LEAVE_SECONDS = 2.0
"""From when a server is not wanted until it is asked to end; by then every app knows that it goes."""
DRAIN_SECONDS = 120.0
"""Longest that it may take to answer what it has begun; then it is killed."""
HUNG_SECONDS = 180.0
"""A server that was up and has not answered for this long, longer than any prediction takes, is started again."""
WARM_SECONDS = 60.0
"""Longest that the first prediction of a server is waited for before it takes traffic all the same."""
BACK_SECONDS = 10.0
"""So long one that the spare goes on for counts as up: the gateway waits longer than that for it."""
SPARE_FREE = 2 * 2**30
"""Bytes of memory that must be free before a spare server is begun; one has half a GiB for itself."""
FAILING_RESTARTS = 3
"""After so many restarts in a row the state is shown as failed; restarting goes on."""


@dataclass
class Server:
    child: Child
    port: int
    folder: Path
    """Its copy of the model."""
    up: bool = False
    was_up: bool = False
    """The last process that has ended, or the one that runs, was up at a time."""
    back_at: float = -BACK_SECONDS
    """When the spare went on for it."""
    answered_at: float = 0.0
    refused: bool = False
    """The last look: one that is just dying refuses before it has ended, and is up until the next."""
    warming: threading.Thread | None = None
    up_since: datetime | None = None
    ended_at: datetime | None = None
    """When it last ended by itself."""
    last_words: str = ""
    """The end of its log then, before the next try writes into it."""
    _lived: bool = False
    """Whether the process that runs was up."""
    _begun: bool = True
    """Whether the process that has ended, or runs, is one whose end was not seen yet."""

    def look(self, http: httpx.Client, spare: Child) -> None:
        """Keep it running and see whether it answers. One that predicts answers nothing else and is still up."""
        self._look(http, spare)
        self.up_since = (self.up_since or datetime.now(UTC)) if self.up else None

    def _look(self, http: httpx.Client, spare: Child) -> None:
        if not self.child.running:
            if self._begun:
                self.ended_at, self.last_words = datetime.now(UTC), self.child.tail()
                self.was_up, self._lived = self._lived, False
            self.up, self.warming = False, None
            if self.was_up and spare.running:
                log.warning("%s ended; the spare server goes on for it", self.child.name)
                self.child.take(spare)
                self.child.restarts += 1
                self.back_at = time.monotonic()
                self._begun = True
            else:
                self._begun = self.child.watch()
            return
        try:
            answers = http.get(f"http://127.0.0.1:{self.port}/ping").status_code == 200
            self.up = answers and self._warm()
            self.answered_at, self.refused = time.monotonic(), False
        except httpx.ReadTimeout:
            if self.up and time.monotonic() - self.answered_at > HUNG_SECONDS:
                self.up = False
                self.child.end()
        except httpx.HTTPError:
            self.up, self.refused = self.up and not self.refused, True
        self._lived = self._lived or self.up
        self.was_up = self.was_up or self.up

    def _warm(self) -> bool:
        """Whether its first prediction is over: what a model does late, such as waking a GPU, no person waits for."""
        if self.warming is None:
            self.warming = threading.Thread(target=predict_first, args=(self.port,), daemon=True)
            self.warming.start()
        return not self.warming.is_alive()

    @property
    def back_soon(self) -> bool:
        return time.monotonic() - self.back_at < BACK_SECONDS

    @property
    def failed(self) -> bool:
        return self.child.restarts >= FAILING_RESTARTS and not self.was_up

    def told(self) -> dict[str, Any]:
        return {
            "restarts": self.child.restarts,
            "up_since": self.up_since and self.up_since.isoformat(),
            "ended_at": self.ended_at and self.ended_at.isoformat(),
        }


def predict_first(port: int) -> None:
    """One grey image; where a model takes something else there is nothing to send, and it is as warm as it gets."""
    out = io.BytesIO()
    Image.new("RGB", (64, 64), "grey").save(out, "PNG")
    with contextlib.suppress(httpx.HTTPError), httpx.Client(timeout=WARM_SECONDS, trust_env=False) as http:
        http.post(f"http://127.0.0.1:{port}{IMAGES_PATH}", content=framed([out.getvalue()]))


@dataclass
class Deployment:
    """One version and its servers."""

    uri: str
    files: dict[str, str] | None
    """SHA-256 of the version's files by name, None where they are not known; no others are served."""
    servers: list[Server]

    def state(self, host: str) -> dict[str, Any]:
        return {**self._whole(host), "servers": [server.told() for server in self.servers]}

    def _whole(self, host: str) -> dict[str, Any]:
        """Up where one of them is, or will be in a moment."""
        up = [server for server in self.servers if server.up]
        if up := up or [server for server in self.servers if server.back_soon]:
            urls = " ".join(f"http://{host}:{server.port}" for server in up)
            return {"status": "up", "url": urls, "detail": None}
        if all(server.failed for server in self.servers):
            return {"status": "failed", "url": None, "detail": self.servers[0].last_words[-1000:]}
        status = "restarting" if any(server.child.restarts for server in self.servers) else "starting"
        return {"status": status, "url": None, "detail": None}


@dataclass
class Leaving:
    """A server that is not wanted any more. uvicorn, asked to end, answers what it has begun and takes nothing new."""

    server: Server
    since: float
    asked: bool = False

    def gone(self) -> bool:
        """One look at it; True when it has ended or had to."""
        child, now = self.server.child, time.monotonic()
        if not self.asked and now - self.since > LEAVE_SECONDS:
            self.asked = True
            child.ask_all_to_stop()
        if child.left() and now - self.since < DRAIN_SECONDS:
            return False
        child.stop(0)
        shutil.rmtree(self.server.folder, ignore_errors=True)
        return True


class Supervisor:
    """Brings the running servers in line with what is wanted, round by round."""

    def __init__(self, settings: Settings, environment: Mapping[str, str] = os.environ) -> None:
        self.settings = settings
        self.host = environment.get("VERITRAIN_SERVE_HOST", "127.0.0.1")
        # The servers listen on loopback unless they have to be reached from another machine.
        self.listen = "127.0.0.1" if self.host == "127.0.0.1" else "0.0.0.0"
        self.deployments: dict[str, Deployment] = {}
        self._leaving: list[Leaving] = []
        self._broker = redis.Redis.from_url(settings.redis_url, socket_timeout=5, health_check_interval=15)
        self._http = httpx.Client(timeout=PING_SECONDS, trust_env=False)
        # Model code must stand on its own: our packages are not on its path, nor is our folder its own.
        self._environment = {k: v for k, v in environment.items() if k != "PYTHONPATH"}
        self._environment["MLFLOW_TRACKING_URI"] = settings.mlflow_url
        self._folder = settings.artifacts_dir / LOGS
        self._folder.mkdir(parents=True, exist_ok=True)
        for old in self._folder.glob("*.model"):
            shutil.rmtree(old, ignore_errors=True)
        self._spare = self._child("spare", "")

    def turn(self) -> None:
        """One round. A broker that is away changes nothing: what runs goes on."""
        try:
            self._broker.set(ALIVE_KEY, 1, ex=ALIVE_SECONDS)
            wanted = {key.decode(): json.loads(value) for key, value in self._hash(WANTED_KEY).items()}
        except redis.RedisError as error:
            log.warning("the broker is away (%s)", error)
            wanted = None
        if wanted is not None:
            self._align(wanted)
        for server in self._servers():
            server.look(self._http, self._spare)
        for key, deployment in self.deployments.items():
            self._tell(key, deployment.state(self.host))
        self._leaving = [each for each in self._leaving if not each.gone()]
        self._keep_spare()

    def _keep_spare(self) -> None:
        """While anything is served; a new one is not begun before all servers that start have had the processor."""
        free = psutil.virtual_memory().available
        if not self.deployments:
            self._spare.stop(0)
        elif self._spare.process is not None:
            self._spare.watch()
        elif all(server.up or server.failed for server in self._servers()) and free > SPARE_FREE:
            self._spare.start()

    def _servers(self) -> list[Server]:
        """Of all deployments; those that leave are not among them."""
        return [server for deployment in self.deployments.values() for server in deployment.servers]

    def _align(self, wanted: Mapping[str, dict[str, Any]]) -> None:
        for key in self.deployments.keys() - wanted.keys():
            self._let_go(self.deployments.pop(key).servers)
            self._tell(key, None)
        for key, what in wanted.items():
            files = what.get("files")
            deployment = self.deployments.setdefault(key, Deployment(what["uri"], files, []))
            if deployment.files != files:  # published by an earlier release; checked at the next start
                deployment.files = files
                for each in deployment.servers:
                    each.child.told = self._told(deployment, each.child.log_file, each.port, each.folder)
            servers, replicas = deployment.servers, what.get("replicas", 1)
            while len(servers) < replicas:
                servers.append(self._start(key, len(servers) + 1, deployment))
            self._let_go(servers[replicas:])
            del servers[replicas:]

    def _let_go(self, servers: list[Server]) -> None:
        self._leaving += [Leaving(server, time.monotonic()) for server in servers]

    @property
    def busy(self) -> bool:
        """Whether there are servers to look after."""
        return bool(self.deployments or self._leaving)

    def stop(self) -> None:
        servers = [*self._servers(), *(each.server for each in self._leaving)]
        children = [self._spare, *(server.child for server in servers)]
        for child in children:
            child.ask_to_stop()
        for child in children:
            child.stop()
        for key in self.deployments:
            self._tell(key, None)

    def _start(self, key: str, replica: int, of: Deployment) -> Server:
        port = free_port()
        name = server_name(key, replica)
        # The port tells it from one of the same name that still leaves, and takes its own folder along.
        folder = self._folder / f"{name}-{port}.model"
        child = self._child(name, self._told(of, self._folder / f"{name}.log", port, folder))
        if self._spare.running:
            child.take(self._spare)
        else:
            child.start()
        log.info("deployment %s: serving %s on port %s", name, of.uri, port)
        return Server(child, port, folder)

    def _told(self, of: Deployment, log_file: Path, port: int, folder: Path) -> str:
        """What jobs.model_server waits for."""
        told = {"uri": of.uri, "files": of.files, "host": self.listen, "port": port}
        return json.dumps(told | {"folder": str(folder), "log": str(log_file)}) + "\n"

    def _child(self, name: str, told: str) -> Child:
        command = [sys.executable, "-P", str(MODEL_SERVER)]
        return Child(
            f"deployment-{name}", command, self._environment, self._folder, self._folder / f"{name}.log", told
        )

    def _hash(self, name: str) -> dict[bytes, bytes]:
        found: Any = self._broker.hgetall(name)
        return dict(found)

    def _tell(self, key: str, state: dict[str, Any] | None) -> None:
        with contextlib.suppress(redis.RedisError):  # told again every round
            if state:
                self._broker.hset(SEEN_KEY, key, json.dumps(state))
            else:
                self._broker.hdel(SEEN_KEY, key)


def main() -> None:
    settings = Settings.from_env()
    logs.setup(settings.log_format)
    die_with_parent()
    over = threading.Event()
    on_signals(over)
    supervisor = Supervisor(settings)
    try:
        while not over.wait(ROUND_SECONDS if supervisor.busy else IDLE_SECONDS):
            supervisor.turn()
    finally:
        supervisor.stop()


if __name__ == "__main__":
    main()
