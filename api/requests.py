"""ASGI middleware around everything: each request has an id, is counted and timed; and the page of the counts."""

from __future__ import annotations

import hmac
import time

import structlog
from anyio import to_thread
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core import addresses, logs, metrics
from core.workbench import current

log = structlog.stdlib.get_logger("veritrain.requests")

HEADER = "X-Request-ID"
PATH = "/metrics"
OWN = ("/static", "/_stcore", "/media", "/component", "/_component", "/app/static", "/mlflow", "/optuna")
"""First parts of paths that are others' business: one series each."""
LOOPBACK = frozenset({"127.0.0.1", "::1"})
FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
"""What proxies add: behind one every caller seems to be on this machine."""
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
METHODS = SAFE_METHODS | {"POST", "PUT", "PATCH", "DELETE"}


class Requests:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        with logs.request(Headers(scope=scope).get(HEADER)) as number:
            if scope["type"] == "websocket":
                await self.app(scope, receive, send)
                return
            status, began = 500, time.perf_counter()

            async def numbered(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                    MutableHeaders(scope=message)[HEADER] = number
                await send(message)

            try:
                await self.app(scope, receive, numbered)
            finally:
                _count(scope, status, time.perf_counter() - began)


def _count(scope: Scope, status: int, seconds: float) -> None:
    method = scope["method"] if scope["method"] in METHODS else "other"
    route = template(scope)
    metrics.http_requests.labels(method, route, str(status)).inc()
    metrics.http_seconds.labels(method, route).observe(seconds)
    if route.startswith("/api/") and (method not in SAFE_METHODS or status >= 500):
        log.info("request", method=method, route=route, status=status, seconds=round(seconds, 4))


def template(scope: Scope) -> str:
    """The route as it was declared, `/api/theme/{theme_id}`; few of them, whatever people ask for."""
    path: str = scope["path"]
    route = getattr(scope.get("route"), "path", None)
    if path.startswith("/api/"):
        return f"/api{route.rstrip('/')}" if route else "/api/other"
    for first in OWN:
        if path.startswith(f"{first}/"):
            return first
    return path if path in addresses.PATHS or path in ("/health", "/sign-in", "/first-run", PATH) else "other"


async def exposition(request: Request) -> Response:
    """For Prometheus; see `may_scrape`."""
    if not may_scrape(request):
        return PlainTextResponse("Send the token of VERITRAIN_METRICS_TOKEN as a bearer token.\n", 401)
    body = await to_thread.run_sync(metrics.exposition, current())
    return Response(body, media_type=metrics.CONTENT_TYPE)


def may_scrape(request: Request) -> bool:
    """With the token where one is set; else from this machine alone, and not through a proxy."""
    token = current().settings.metrics_token
    if token:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())
    client = request.client.host if request.client else ""
    return client in LOOPBACK and not any(name in request.headers for name in FORWARDED)
