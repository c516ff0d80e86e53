"""Every refusal of the API in one shape: RFC 9457 problem details, one sentence in `detail`."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from core import i18n, logs
from core.errors import VeritrainError

log = logging.getLogger(__name__)


def problem(status: int, code: str, detail: str, **more: Any) -> JSONResponse:
    """A problem document; `type` is a name of ours, not an address that could go stale."""
    content = {"type": f"urn:veritrain:{code}", "title": code.replace("-", " "), "status": status}
    return JSONResponse(
        {**content, "detail": detail, "code": code, **more},
        status_code=status,
        media_type="application/problem+json",
    )


def refusal(error: VeritrainError) -> JSONResponse:
    """The problem document of a refusal; `Retry-After` where it says in how many seconds to come again."""
    answer = problem(error.status, error.code, error.text(i18n.gettext))
    if wait := retry_after(error):
        answer.headers["Retry-After"] = wait
    return answer


def retry_after(error: VeritrainError) -> str | None:
    return str(error.fields["seconds"]) if error.status in (429, 503) and "seconds" in error.fields else None


def speak(request: Request) -> None:
    """Use the signed-in person's language, else the one the request asks for."""
    user = request.scope.get("state", {}).get("user")
    wanted = user.language if user is not None and user.language else None
    i18n.use(wanted or i18n.negotiate(request.headers.get("accept-language")))


def install(app: FastAPI) -> None:
    @app.exception_handler(VeritrainError)
    async def refused(request: Request, error: VeritrainError) -> JSONResponse:
        speak(request)
        return refusal(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        speak(request)
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path"))
        detail = i18n.gettext("“{field}” is not right: {reason}.").format(
            field=field or "body", reason=first["msg"]
        )
        return problem(422, "invalid-input", detail, field=field)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        speak(request)
        if error.status_code == 404:
            detail = i18n.gettext("There is nothing at {path}; /api/docs lists every route.").format(
                path=request.url.path
            )
            return problem(404, "not-found", detail)
        return problem(error.status_code, "refused", str(error.detail))

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> JSONResponse:
        speak(request)
        number = logs.request_id() or logs.new_id()
        log.error("%s %s [%s]", request.method, request.url.path, number, exc_info=error)
        detail = i18n.gettext(
            "Something went wrong on our side; nothing was changed by halves. Tell your administrator the number {id}."
        ).format(id=number)
        return problem(500, "internal", detail, id=number)
