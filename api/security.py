"""ASGI middleware before everything: who is asking, may they, and from where.

It covers HTTP and WebSocket alike. Signed out, a person reaches the sign-in page, the
first-run page and static files of the front end, nothing else. Writes made with a
cookie must come from our own origin (the browser's Sec-Fetch-Site or Origin header).
"""

from __future__ import annotations

import time
from http.cookies import CookieError, SimpleCookie
from urllib.parse import quote, urlsplit

from anyio import to_thread
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import problems
from api.html import not_found
from core import addresses, auth, i18n
from core.workbench import current

OPEN = ("/health", "/metrics", "/sign-in", "/first-run", "/favicon.ico", "/favicon.png", "/robots.txt")
OPEN_PREFIXES = (
    "/api/auth/",
    "/static/",
    "/_stcore/health",
    "/_stcore/host-config",
    "/_stcore/script-health-check",
)
STREAMLIT_PREFIXES = ("/_stcore/", "/media/", "/component/", "/_component/", "/app/static/")
THUMBS = "/api/thumbs/"
CACHED_PREFIXES = (THUMBS, "/api/predict/")
CACHE_SECONDS = 2.0
"""How long a session check serves thumbnails and predictions, which come by the hundred; all else asks each time."""
CACHE_SIZE = 1_000
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

CSP = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; worker-src 'self' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self' ws: wss: data: blob:; frame-src 'self' blob:; frame-ancestors 'self'; "
    "object-src 'none'; base-uri 'self'; form-action 'self'"
)


class Security:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._seen: dict[str, tuple[float, auth.User]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        path: str = scope["path"]
        bearer, token = _token(headers)
        user = await self._user(token, path)
        scope.setdefault("state", {})["user"] = user
        scope["state"]["token"] = token
        if scope["type"] == "websocket":
            if user is None or not _host_allowed(headers) or not _same_origin(headers):
                await send({"type": "websocket.close", "code": 4401})
                return
            await self.app(scope, receive, send)
            return
        answer = self._refusal(Request(scope), headers, path, user, bearer)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                _harden(MutableHeaders(scope=message), path)
            await send(message)

        await (answer or self.app)(scope, receive, send_with_headers)

    def _refusal(
        self, request: Request, headers: Headers, path: str, user: auth.User | None, bearer: bool
    ) -> Response | None:
        """The answer when the request goes no further, else None."""
        i18n.use((user.language if user else None) or i18n.negotiate(headers.get("accept-language")))
        if not _host_allowed(headers):
            return problems.problem(
                400, "unknown-host", i18n.gettext("This server does not answer to that host name.")
            )
        if request.method not in SAFE_METHODS and not bearer and not _same_origin(headers):
            detail = i18n.gettext("This came from another site and was refused; use Veritrain's own pages.")
            return problems.problem(403, "other-origin", detail)
        if path in OPEN or path.startswith(OPEN_PREFIXES):
            return None
        if path.startswith("/api"):
            if user is None:
                detail = i18n.gettext("Sign in first, or send a bearer token.")
                return problems.problem(401, "not-signed-in", detail)
            return None
        streamlit = path.startswith(STREAMLIT_PREFIXES)
        if user is None:
            if streamlit:
                return problems.problem(401, "not-signed-in", i18n.gettext("Sign in first."))
            return _to_sign_in(request)
        if streamlit or path in addresses.PATHS or path.startswith(("/mlflow", "/optuna")):
            return None
        if target := addresses.redirect(path):
            return RedirectResponse(target, 303)
        return HTMLResponse(not_found(path), 404)

    async def _user(self, token: str | None, path: str) -> auth.User | None:
        if token is None:
            return None
        cached = path.startswith(CACHED_PREFIXES)
        if cached and (hit := self._seen.get(token)) and hit[0] > time.monotonic():
            return hit[1]
        user = await to_thread.run_sync(auth.user_of, current(), token)
        if cached and user is not None:
            if len(self._seen) >= CACHE_SIZE:
                self._seen.clear()
            self._seen[token] = (time.monotonic() + CACHE_SECONDS, user)
        return user


def _token(headers: Headers) -> tuple[bool, str | None]:
    """(whether it came as a bearer token, the token)."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and value:
        return True, value.strip()
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get(auth.COOKIE)
    except CookieError:
        cookie = None
    return False, cookie.value if cookie else None


def _to_sign_in(request: Request) -> Response:
    if request.method not in SAFE_METHODS:
        return problems.problem(401, "not-signed-in", i18n.gettext("Sign in first."))
    if auth.first_run(current()):
        return RedirectResponse("/first-run", 303)
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse("/sign-in" + (f"?next={quote(wanted)}" if wanted != "/" else ""), 303)


def _host_allowed(headers: Headers) -> bool:
    """Refuses other names that resolve to us (DNS rebinding)."""
    settings = current().settings
    host = urlsplit(f"//{headers.get('host', '')}").hostname or ""
    if settings.allowed_hosts:
        return host in settings.allowed_hosts
    if settings.listens_beyond_loopback:
        return True
    return host in LOOPBACK or host == urlsplit(settings.public_url).hostname


def _same_origin(headers: Headers) -> bool:
    """What a browser says of where the request came from; programs say nothing and are let through."""
    site = headers.get("sec-fetch-site")
    if site is not None and site not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    if origin is None:
        return True
    theirs = urlsplit(origin)
    return theirs.netloc == headers.get("host", "") or origin == current().settings.public_url


def _harden(headers: MutableHeaders, path: str) -> None:
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Referrer-Policy"] = "same-origin"
    headers.setdefault("X-Frame-Options", "SAMEORIGIN")
    # MLflow's and the API documentation's pages bring their own scripts; they stay same-origin as well.
    headers.setdefault("Content-Security-Policy", CSP)
    if path.startswith("/api/") and not path.startswith((THUMBS, "/api/images/")):
        headers.setdefault("Cache-Control", "no-store")
