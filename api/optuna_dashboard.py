"""/optuna: optuna-dashboard's own screens behind our sign-in. Below administrator they are for reading only.

The dashboard has the addresses /dashboard, /api and /static written into its page and script; they are moved below
/optuna on their way out.
"""

from __future__ import annotations

from functools import lru_cache

import httpx
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from api import problems
from core import auth, i18n
from core.workbench import current

PREFIX = "/optuna"
MOVED = (
    (b'src="/static/', b'src="/optuna/static/'),
    (b"${this.baseURL}/api/", b"${this.baseURL}/optuna/api/"),
    (b'url_prefix:"/dashboard"', b'url_prefix:"/optuna/dashboard"'),
)
KEPT = ("content-type", "content-security-policy", "cache-control", "last-modified", "etag")
ONE_DAY = "private, max-age=86400"


@lru_cache(maxsize=1)
def _dashboard(url: str) -> httpx.Client:
    """The dashboard, spoken to within this process; imported when somebody first opens it."""
    from optuna_dashboard import wsgi

    from core.tuning import search

    transport = httpx.WSGITransport(app=wsgi(search.storage(url)), raise_app_exceptions=False)
    return httpx.Client(transport=transport, base_url="http://dashboard", timeout=60.0)


async def _serve(request: Request) -> Response:
    path = request.url.path.removeprefix(PREFIX)
    if path in ("", "/"):
        return RedirectResponse(f"{PREFIX}/dashboard", 303)
    user: auth.User = request.scope["state"]["user"]
    if request.method not in ("GET", "HEAD") and not user.may(auth.ADMIN):
        detail = i18n.gettext(
            "In Optuna's dashboard only administrators change things; you can look at everything."
        )
        return problems.problem(403, "not-allowed", detail)
    body = await request.body()
    headers = {"content-type": request.headers["content-type"]} if "content-type" in request.headers else {}
    query = f"?{request.url.query}" if request.url.query else ""
    answer = await run_in_threadpool(
        lambda: _dashboard(current().settings.optuna_url).request(
            request.method, f"{path}{query}", content=body, headers=headers
        )
    )
    content = answer.content
    if path.startswith("/static/") or answer.headers.get("content-type", "").startswith("text/html"):
        for old, new in MOVED:
            content = content.replace(old, new)
    kept = {name: value for name, value in answer.headers.items() if name.lower() in KEPT}
    if path.startswith("/static/"):
        kept["cache-control"] = ONE_DAY
    if "location" in answer.headers:
        kept["location"] = PREFIX + httpx.URL(answer.headers["location"]).path
    return Response(content, answer.status_code, headers=kept)


METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
routes = [Route(PREFIX, _serve, methods=METHODS), Route(PREFIX + "/{path:path}", _serve, methods=METHODS)]
