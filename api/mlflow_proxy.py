"""/mlflow: MLflow's own screens behind our sign-in. Below administrator it is for reading only."""

from __future__ import annotations

import httpx
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from api import html, problems
from core import auth, i18n
from core.workbench import current

READING_POSTS = ("/search", "/graphql", "/get-history-bulk", "/get-history-bulk-interval")
"""Ends of the paths that MLflow's screens POST to in order to read."""
# The length stays: MLflow reads nothing from a body that comes in chunks.
DROPPED_REQUEST = frozenset(
    {
        "host",
        "cookie",
        "authorization",
        "origin",
        "referer",
        "connection",
        "accept-encoding",
    }
)
DROPPED_RESPONSE = frozenset({"set-cookie", "connection", "transfer-encoding", "content-security-policy"})
TIMEOUT_SECONDS = 60.0

_client: httpx.AsyncClient | None = None


def _http() -> httpx.AsyncClient:
    global _client
    if _client is None:
        _client = httpx.AsyncClient(timeout=TIMEOUT_SECONDS, trust_env=False)
    return _client


async def close() -> None:
    """End the connections; called when the app stops."""
    global _client
    if _client is not None:
        await _client.aclose()
        _client = None


async def _proxy(request: Request) -> Response:
    base = current().settings.mlflow_url
    path = request.url.path.removeprefix("/mlflow")
    if not path:
        return RedirectResponse("/mlflow/", 303)
    user: auth.User = request.scope["state"]["user"]
    reading = request.method in ("GET", "HEAD") or (
        request.method == "POST" and path.rstrip("/").endswith(READING_POSTS)
    )
    if not reading and not user.may(auth.ADMIN):
        detail = i18n.gettext("In MLflow only administrators change things; you can look at everything.")
        return problems.problem(403, "not-allowed", detail)
    headers = {k: v for k, v in request.headers.items() if k.lower() not in DROPPED_REQUEST}
    outgoing = _http().build_request(
        request.method,
        f"{base}{path}",
        params=request.url.query or None,
        headers=headers,
        content=request.stream() if request.method not in ("GET", "HEAD") else None,
    )
    try:
        answer = await _http().send(outgoing, stream=True)
    except httpx.HTTPError:
        text = i18n.gettext("MLflow does not answer. It is started again by itself; try again in a minute.")
        return HTMLResponse(html.message(i18n.gettext("MLflow is away"), text), 503)
    kept = {k: v for k, v in answer.headers.items() if k.lower() not in DROPPED_RESPONSE}

    async def body():  # type: ignore[no-untyped-def]
        try:
            async for chunk in answer.aiter_raw():
                yield chunk
        finally:
            await answer.aclose()

    return StreamingResponse(body(), answer.status_code, headers=kept)


METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
routes = [Route("/mlflow", _proxy, methods=METHODS), Route("/mlflow/{path:path}", _proxy, methods=METHODS)]
