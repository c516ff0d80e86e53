"""MLflow's routes by which a version's files are read: where it lies, what lies there, and each file."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from core.workbench import Workbench

Kept = tuple[Workbench, dict[str, bytes]]
"""A workbench with an MLflow, and the files that are kept there."""


class Artifacts(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path.startswith("/mlflow/api/2.0/mlflow/model-versions/get-download-uri"):
            return self._answer(
                200, json.dumps({"artifact_uri": "mlflow-artifacts:/1/models/m-1/artifacts"}).encode()
            )
        kept: dict[str, bytes] = self.server.kept  # type: ignore[attr-defined]
        parts = urlsplit(self.path)
        if parts.path == "/mlflow/api/2.0/mlflow-artifacts/artifacts":
            return self._answer(200, json.dumps({"files": _listed(kept, parse_qs(parts.query))}).encode())
        before = "/mlflow/api/2.0/mlflow-artifacts/artifacts/1/models/m-1/artifacts/"
        assert self.path.startswith(before), self.path
        name = self.path.removeprefix(before)
        self._answer(200 if name in kept else 404, kept.get(name, b""))

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        return


def _listed(kept: Mapping[str, bytes], query: Mapping[str, list[str]]) -> list[dict[str, Any]]:
    """What lies in the folder that is asked for, folders by their last name as MLflow has them."""
    below = f"{query['path'][0]}/".removeprefix("1/models/m-1/artifacts/")
    names = {name.removeprefix(below) for name in kept if name.startswith(below)}
    folders = {name.partition("/")[0] for name in names if "/" in name}
    return [{"path": each, "is_dir": True} for each in folders] + [
        {"path": each, "is_dir": False} for each in names if "/" not in each
    ]


@contextmanager
def keeping(wb: Workbench, files: Mapping[str, bytes]) -> Iterator[Kept]:
    """Every version has these files, until they are changed."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Artifacts)
    server.kept = dict(files)  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/mlflow"
    yield replace(wb, settings=replace(wb.settings, mlflow_url=url)), server.kept  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()
