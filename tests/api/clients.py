"""Programs that ask the REST routes in process, each signed in as somebody."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.testclient import TestClient

from core import auth

Client = Callable[[auth.User], TestClient]
"""A client signed in as that person; the fixture `client`."""


def refused(answer: Any, status: int) -> str:
    """The sentence of a refusal with this status, which has the one shape of all refusals."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return str(answer.json()["detail"])
