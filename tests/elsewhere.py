"""Versions that were trained elsewhere: an MLflow that has one, and a model server that answers for it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import yaml

from core import auth, outside, registry
from core.workbench import Workbench
from tests.mlflow_files import keeping

TEXT = [{"name": "text", "type": "string", "required": True}]
USERS = [{"name": "user_id", "type": "long", "required": True}]
TABLE = [
    {"name": "age", "type": "integer", "required": True},
    {"name": "income", "type": "double", "required": True},
    {"name": "city", "type": "string", "required": False},
    {"name": "member", "type": "boolean", "required": False},
    {"name": "since", "type": "datetime", "required": False},
]


def mlmodel(columns: Sequence[Any], flavors: Sequence[str] = ("python_function", "sklearn")) -> bytes:
    said = {"flavors": {name: {} for name in flavors}, "signature": {"inputs": json.dumps(columns)}}
    return yaml.safe_dump(said if columns else said | {"signature": None}).encode()


def files(columns: Sequence[Any]) -> dict[str, bytes]:
    return {"MLmodel": mlmodel(columns), "model.pkl": b"weights", "registered_model_meta": b"by MLflow"}


@contextmanager
def taken_over(
    wb: Workbench, trainer: auth.User, theme_id: int, columns: Sequence[Any], name: str = "reviews"
) -> Iterator[tuple[Workbench, registry.Version]]:
    """Its first version, while the MLflow answers that has it."""
    with keeping(wb, files(columns)) as (bench, _kept):
        yield bench, outside.register(bench, trainer, theme_id, f"models:/{name}/1")


class RowServer(ThreadingHTTPServer):
    """Answers as MLflow's model server: what `say` makes of each row; a table with “bad” in it is refused."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.sent: list[dict[str, Any]] = []
        self.say: Callable[[list[Any]], Any] = lambda row: f"about {row[0]}"
        self.open = threading.Event()
        self.open.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Answers(BaseHTTPRequestHandler):
    server: RowServer

    def do_POST(self) -> None:
        assert self.path == "/invocations"
        sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        table = sent.get("dataframe_split") or {"data": [[each] for each in sent["inputs"]]}
        self.server.sent.append(table)
        self.server.open.wait(20)
        refused = any("bad" in row for row in table["data"])
        said = json.dumps({"predictions": [self.server.say(row) for row in table["data"]]}).encode()
        self.send_response(400 if refused else 200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def row_server() -> Iterator[RowServer]:
    with RowServer() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.open.set()
        server.shutdown()
        thread.join()
