"""Pure. The files of a version as MLflow keeps them: where they lie, their names, each in pieces; by its REST."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import httpx

from core.files import FileStore

PIECE = 1 << 20
"""Bytes of a file that are read at once."""
TIMEOUT = httpx.Timeout(60.0, connect=2.0)
PROXIED = "mlflow-artifacts:/"
"""How a place begins that MLflow itself reads and writes."""


def place(mlflow: str, name: str, version: int, timeout: httpx.Timeout = TIMEOUT) -> str:
    """Folder with the files of a version, of the MLflow at that address.

    Raises FileNotFoundError where it has no such version, HTTPError.
    """
    asked = {"name": name, "version": str(version)}
    url = f"{mlflow}/api/2.0/mlflow/model-versions/get-download-uri"
    answer = httpx.get(url, params=asked, timeout=timeout, trust_env=False)
    if answer.status_code == httpx.codes.NOT_FOUND:
        raise FileNotFoundError(f"{name} {version}")
    return str(answer.raise_for_status().json()["artifact_uri"])


def names(mlflow: str, folder: str) -> Iterator[str]:
    """Every file below a folder, from there. Raises FileNotFoundError, HTTPError."""
    if not folder.startswith(PROXIED):
        yield from FileStore(folder).names()
        return
    url = f"{mlflow}/api/2.0/mlflow-artifacts/artifacts"
    root = _below(folder)
    waiting = [""]
    while waiting:
        below = waiting.pop()
        asked = {"path": f"{root}/{below}".rstrip("/")}
        answer = httpx.get(url, params=asked, timeout=TIMEOUT, trust_env=False)
        if answer.status_code == httpx.codes.NOT_FOUND:  # whoever wants the files is told so by each of them
            continue
        answer.raise_for_status()
        for each in answer.json().get("files", []):
            if each.get("is_dir"):
                waiting.append(f"{below}{each['path']}/")
            else:
                yield f"{below}{each['path']}"


def read(mlflow: str, folder: str, name: str) -> Iterator[bytes]:
    """A file in pieces. Raises FileNotFoundError, HTTPError."""
    if not folder.startswith(PROXIED):
        with FileStore(folder).open(name) as file:
            while piece := file.read(PIECE):
                yield piece
        return
    url = f"{mlflow}/api/2.0/mlflow-artifacts/artifacts/{quote(f'{_below(folder)}/{name}')}"
    with httpx.stream("GET", url, timeout=TIMEOUT, trust_env=False) as answer:
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise FileNotFoundError(name)
        answer.raise_for_status()
        yield from answer.iter_bytes(PIECE)


def _below(folder: str) -> str:
    return folder.removeprefix(PROXIED).lstrip("/")
