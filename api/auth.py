"""Sign-in, sign-out and first run. Cookies are set here; each is a full navigation of the browser."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from anyio import to_thread
from fastapi import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from api import html
from api.router import Router
from core import auth, i18n
from core.errors import InvalidInput, NotSignedIn, VeritrainError
from core.workbench import current

router = Router(tags=["people"])

MAX_FORM_FIELDS = 10
LANGUAGE_COOKIE = "veritrain_language"


def _speak(request: Request, wanted: str = "") -> None:
    known = wanted or request.cookies.get(LANGUAGE_COOKIE, "")
    i18n.use(known or i18n.negotiate(request.headers.get("accept-language")))


def _local(target: str) -> str:
    """`target` when it is a path of ours, else the home page (no open redirect)."""
    parts = urlsplit(target)
    plain = target.startswith("/") and not target.startswith(("//", "/\\")) and "\\" not in target
    return target if plain and not parts.scheme and not parts.netloc and target.isprintable() else "/"


def _with_cookie(request: Request, response: Response, token: str) -> Response:
    settings = current().settings
    response.set_cookie(
        auth.COOKIE,
        token,
        max_age=settings.session_days * 86_400,
        httponly=True,
        samesite="lax",
        secure=settings.public_url.startswith("https://"),
    )
    return response


async def _values(request: Request) -> tuple[dict[str, str], bool]:
    """The posted fields and whether they came from a page's form rather than as JSON."""
    if request.headers.get("content-type", "").startswith("application/json"):
        try:
            body: Any = await request.json()
        except ValueError:
            raise InvalidInput("The body is not valid JSON.") from None
        if not isinstance(body, dict):
            raise InvalidInput("The body must be a JSON object.")
        return {str(k): str(v) for k, v in body.items()}, False
    form = await request.form(max_fields=MAX_FORM_FIELDS, max_files=0)
    return {k: str(v) for k, v in form.items()}, True


@router.post("/auth/sign-in", response_model=None, summary="Sign in with name and password")
async def sign_in(request: Request) -> Response:
    """Sets the session cookie. JSON {"name", "password"} answers JSON; a form goes on to its page."""
    values, from_page = await _values(request)
    _speak(request, values.get("lang", ""))
    name, password = values.get("name", ""), values.get("password", "")
    client = request.client.host if request.client else ""
    target = _local(values.get("next", "/") or "/")
    try:
        token = await to_thread.run_sync(auth.sign_in, current(), name, password, client)
    except VeritrainError as error:
        if not from_page:
            raise
        page = html.sign_in(next=values.get("next", ""), name=name, error=error.text(i18n.gettext))
        return HTMLResponse(page, error.status)
    response: Response = RedirectResponse(target, 303) if from_page else JSONResponse({"token": token})
    return _with_cookie(request, response, token)


@router.post("/auth/sign-out", response_model=None, summary="End this session")
async def sign_out(request: Request) -> Response:
    await to_thread.run_sync(auth.sign_out, current(), request.cookies.get(auth.COOKIE))
    response = RedirectResponse("/sign-in", 303)
    response.delete_cookie(auth.COOKIE)
    return response


@router.post(
    "/auth/first-run", response_model=None, summary="Create the administrator of a fresh installation"
)
async def first_run(request: Request) -> Response:
    """Works once: as soon as anybody exists it is refused."""
    values, from_page = await _values(request)
    _speak(request, values.get("lang", ""))
    name, password = values.get("name", ""), values.get("password", "")
    wb = current()

    def create() -> str:
        if from_page and password != values.get("again", ""):
            raise InvalidInput("The two passwords are not the same; type them again.")
        auth.create_first_admin(wb, name, password, values.get("setup_token", ""))
        return auth.sign_in(wb, name, password, request.client.host if request.client else "")

    try:
        token = await to_thread.run_sync(create)
    except VeritrainError as error:
        if not from_page:
            raise
        page = html.first_run(token=bool(wb.settings.setup_token), name=name, error=error.text(i18n.gettext))
        return HTMLResponse(page, error.status)
    response: Response = RedirectResponse("/", 303) if from_page else JSONResponse({"token": token})
    return _with_cookie(request, response, token)


@router.get("/auth/me", summary="Who am I?")
async def me(request: Request) -> dict[str, Any]:
    user: auth.User | None = request.scope["state"]["user"]
    if user is None:
        raise NotSignedIn("Sign in first, or send a bearer token.")
    return {"id": user.id, "name": user.name, "role": user.role, "language": user.language}


async def _sign_in_page(request: Request) -> Response:
    _speak(request, request.query_params.get("lang", ""))
    if request.scope["state"]["user"] is not None:
        return RedirectResponse(_local(request.query_params.get("next", "/")), 303)
    if await to_thread.run_sync(auth.first_run, current()):
        return RedirectResponse("/first-run", 303)
    return _remember(HTMLResponse(html.sign_in(next=request.query_params.get("next", ""))), request)


async def _first_run_page(request: Request) -> Response:
    _speak(request, request.query_params.get("lang", ""))
    wb = current()
    if not await to_thread.run_sync(auth.first_run, wb):
        return RedirectResponse("/sign-in", 303)
    return _remember(HTMLResponse(html.first_run(token=bool(wb.settings.setup_token))), request)


def _remember(response: Response, request: Request) -> Response:
    """Keep the language a person chose before signing in."""
    if request.query_params.get("lang", "") in i18n.LANGUAGES:
        response.set_cookie(LANGUAGE_COOKIE, request.query_params["lang"], max_age=31_536_000, samesite="lax")
    return response


pages = [Route("/sign-in", _sign_in_page), Route("/first-run", _first_run_page)]
