"""A router whose every path answers with and without a slash at its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter


class Router(APIRouter):
    """Redirecting would lose the body of a POST with some clients, so both forms are routes."""

    def add_api_route(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        path = path.rstrip("/")
        super().add_api_route(f"{path}/", endpoint, **options)
        super().add_api_route(path, endpoint, **{**options, "include_in_schema": False})
