"""MLflow's two routes by which a version's files are read: where it lies, and the files below its folder."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from core.workbench import Workbench

Kept = tuple[Workbench, dict[str, bytes]]
"""A workbench with an MLflow, and the files that are kept there."""


class Artifacts(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path.startswith("/mlflow/api/2.0/mlflow/model-versions/get-download-uri"):
            return self._answer(
                200, json.dumps({"artifact_uri": "mlflow-artifacts:/1/models/m-1/artifacts"}).encode()
            )
        before = "/mlflow/api/2.0/mlflow-artifacts/artifacts/1/models/m-1/artifacts/"
        assert self.path.startswith(before), self.path
        kept: dict[str, bytes] = self.server.kept  # type: ignore[attr-defined]
        name = self.path.removeprefix(before)
        self._answer(200 if name in kept else 404, kept.get(name, b""))

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        return


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
