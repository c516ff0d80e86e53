"""The prediction gateway: images, texts, user ids or rows in, answers out, in our own words and in MLflow's protocol."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Message

from api import problems
from api.deps import Bench, Id, Viewer
from api.predict_shapes import BODY, INVOCATIONS, AnswersOut, OutputOut, PredictionOut
from api.router import Router
from core import i18n, production, serving, serving_rows
from core.errors import InvalidInput, TooLarge, VeritrainError
from core.gateway import inputs, observed, samples
from core.gateway.images import Given
from core.gateway.limits import Limiter
from core.gateway.observed import Observed
from core.gateway.rows import Output
from core.serving import Deployment, Prediction
from core.settings import MIB
from core.signatures import FIELDS
from core.workbench import Workbench

router = Router(tags=["predictions"])

SMALL = MIB // 2
"""Bytes of a request that is looked at in the event loop; a larger one goes to a thread."""
ARRIVE_SECONDS = 300.0
"""For a request to arrive whole."""
_limiter = Limiter()

MLFLOW_CODES = {
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    409: "INVALID_STATE",
    429: "REQUEST_LIMIT_EXCEEDED",
    503: "TEMPORARILY_UNAVAILABLE",
}
"""MLflow's names of our statuses; all else is a bad request."""


@dataclass
class _Sent:
    """What a request holds."""

    files: Iterable[Given]
    small: bool
    """Nothing of it takes long to look at."""


Take = Callable[[], Awaitable[Deployment]]
T = TypeVar("T")
Found = list[Prediction] | list[Output]


@router.post(
    "/predict/{model}",
    summary="Answers by the version in production",
    response_model=AnswersOut,
    openapi_extra=BODY,
)
async def predict_in_production(request: Request, wb: Bench, user: Viewer, model: str) -> JSONResponse:
    """Image files or archives of them as multipart `files`, or JSON `{"images": […]}`: base64, or addresses of hosts
    that the administrator allowed. A version that was just promoted takes over once its server is up.
    A model that was trained elsewhere takes `{"texts": […]}`, `{"user_ids": […]}` or `{"rows": [{column: value}]}`,
    whichever its version's `inputs` say, and answers each with what it said as `output`.

    A bad image has its reason as `error` and spoils no other; where all are bad the first reason is the answer.
    Rows are checked against the model's columns, and one that does not fit is the answer to all.
    429 and 503 say in `Retry-After` when to come again.
    """
    deployment, found = await _answered(request, wb, model, _production(wb, model))
    return JSONResponse(
        {
            "model": model,
            "version": deployment.version.version,
            "predictions": [_plain(each) for each in found],
        }
    )


@router.post(
    "/predict/{model}/invocations",
    summary="The same in the protocol of MLflow's model server",
    openapi_extra=INVOCATIONS,
)
async def invocations(request: Request, wb: Bench, user: Viewer, model: str) -> JSONResponse:
    """One of `dataframe_split`, `dataframe_records`, `instances` and `inputs` with the column `image` (base64), or
    with the columns of a model that was trained elsewhere; refused as MLflow does it: 400 with `error_code` and
    `message`."""
    try:
        _deployment, found = await _answered(request, wb, model, _production(wb, model), mlflow=True)
    except VeritrainError as error:
        problems.speak(request)
        status = error.status if error.status in MLFLOW_CODES else 413 if error.status == 413 else 400
        headers = {"Retry-After": wait} if (wait := problems.retry_after(error)) else None
        told = {
            "error_code": MLFLOW_CODES.get(status, "BAD_REQUEST"),
            "message": error.text(i18n.gettext),
        }
        return JSONResponse(told, status_code=status, headers=headers)
    return JSONResponse({"predictions": [_row(each) for each in found]})


@router.post(
    "/deployments/{deployment_id}/predict",
    summary="Answers by one deployment",
    response_model=list[PredictionOut] | list[OutputOut],
    openapi_extra=BODY,
)
async def predict(request: Request, wb: Bench, user: Viewer, deployment_id: Id) -> JSONResponse:
    """What is sent is the same as for the version in production; a bad image always has its reason as `error`."""

    async def take() -> Deployment:
        return await run_in_threadpool(serving.get, wb, deployment_id)

    deployment = await take()
    _deployment, found = await _answered(request, wb, deployment.version.model_name, take, strict=False)
    return JSONResponse([_plain(each) for each in found])


def _production(wb: Workbench, model: str) -> Take:
    async def take() -> Deployment:
        known = production.at_hand(wb, model)
        return known if known is not None else await run_in_threadpool(production.answering, wb, model)

    return take


async def _answered(
    request: Request, wb: Workbench, model: str, take: Take, *, mlflow: bool = False, strict: bool = True
) -> tuple[Deployment, Found]:
    """Which deployment answered, and what; told to whoever listens, whatever comes of it.

    Raises, if `strict`, why the first image has no answer where none has.
    """
    at, began = datetime.now(UTC), time.perf_counter()
    sampled = samples.chosen(wb.settings)
    deployment: Deployment | None = None
    found: Found = []
    status = 500
    try:
        _limiter.take(request.scope["state"]["token"], wb.settings.predict_per_minute)
        deployment = await take()
        serving.servers_up(deployment)  # before anything is read
        arrived = _arrived(request, wb)
        if deployment.version.inputs is not None:
            body, small = await _rows_body(arrived, deployment)
            deployment = await take()  # who answers may have changed since
            given = await _soon(small, serving_rows.read, wb, deployment.version, body, mlflow=mlflow)
            found = await serving_rows.ask(wb, deployment, given)
        else:
            async with _received(arrived, wb, mlflow) as sent:
                deployment = await take()
                found = answers = await serving.ask_async(
                    wb, deployment, sent.files, small=sent.small, sampled=sampled
                )
            if strict:
                _check_any(answers)
        status = 200
        return deployment, found
    except VeritrainError as error:
        status = error.status
        raise
    except ClientDisconnect:
        status = 499
        raise InvalidInput("The request was cut short; send it again.") from None
    finally:
        seen = Observed(
            model,
            deployment.version.id if deployment else None,
            deployment.id if deployment else None,
            at,
            time.perf_counter() - began,
            status,
            tuple(each.told for each in found),
        )
        observed.observe(seen)
        if sampled:
            await run_in_threadpool(samples.keep, wb.settings, seen)


def _check_any(found: list[Prediction]) -> None:
    """Raises the first image's refusal where none could be answered."""
    if not found:
        raise InvalidInput("There is no image in what was sent; send at least one.")
    first = found[0].refusal
    if first is not None and all(each.refusal is not None for each in found):
        raise first


@dataclass
class _Arrived:
    """A request whose body was not read yet."""

    kind: str
    """Its content type."""
    request: Request
    """That is read no further than the limit."""
    small: bool

    async def body(self) -> bytes:
        async with _in_time():
            return await self.request.body()


def _arrived(request: Request, wb: Workbench) -> _Arrived:
    """Raises TooLarge."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    declared = request.headers.get("content-length", "")
    limit = wb.settings.predict_bytes
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    small = declared.isdigit() and int(declared) <= SMALL
    return _Arrived(kind, Request(request.scope, _Counted(request, limit)), small)


async def _rows_body(arrived: _Arrived, deployment: Deployment) -> tuple[dict[str, Any], bool]:
    """The JSON object of a request for texts, user ids or rows, and whether it is small. Raises InvalidInput."""
    if arrived.kind != "application/json":
        raise InvalidInput(
            "This model takes “{field}” as application/json; “{kind}” is not read here.",
            field=FIELDS[deployment.version.kind],
            kind=arrived.kind[:100] or "no content type",
        )
    return await _soon(arrived.small, inputs.parsed, await arrived.body()), arrived.small


@asynccontextmanager
async def _received(arrived: _Arrived, wb: Workbench, mlflow: bool) -> AsyncIterator[_Sent]:
    """The images that were sent. Raises InvalidInput, TooLarge."""
    kind, small = arrived.kind, arrived.small
    if kind == "application/json":
        yield await _soon(small, _of_json, wb, await arrived.body(), mlflow)
    elif kind == "multipart/form-data" and not mlflow:
        try:
            async with _in_time():
                form = await arrived.request.form(max_files=wb.settings.predict_images)
        except HTTPException as error:
            raise InvalidInput(
                "The form could not be read ({reason}); send it again.", reason=error.detail
            ) from None
        try:
            files = [part for part in form.getlist("files") if isinstance(part, UploadFile)]
            if not files:
                raise InvalidInput("Send the images as files in the field “files” of the form.")
            yield _Sent(_named(files), small and not any(map(_is_archive, files)))
        finally:
            await form.close()
    elif mlflow:
        raise InvalidInput(
            "Send application/json; “{kind}” is not read here.", kind=kind[:100] or "no content type"
        )
    else:
        raise InvalidInput(
            "Send the images as a form (multipart/form-data) or as application/json; “{kind}” is not read here.",
            kind=kind[:100] or "no content type",
        )


async def _soon(small: bool, work: Callable[..., T], *arguments: Any, **named: Any) -> T:
    return work(*arguments, **named) if small else await run_in_threadpool(work, *arguments, **named)


def _of_json(wb: Workbench, body: bytes, mlflow: bool) -> _Sent:
    small = len(body) <= SMALL
    if mlflow:
        return _Sent(inputs.frame(wb.settings, inputs.parsed(body)), small)
    files, slow = inputs.images(wb.settings, inputs.parsed(body))
    return _Sent(files, small and not slow)


def _named(files: list[UploadFile]) -> Iterator[Given]:
    """Name and bytes of each. Parts lie on disk when they are large; each is read when it is its turn."""
    return ((file.filename or "file", file.file.read()) for file in files)


def _is_archive(file: UploadFile) -> bool:
    head = file.file.read(512)
    file.file.seek(0)
    return inputs.is_archive(head)


@asynccontextmanager
async def _in_time() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(ARRIVE_SECONDS):
            yield
    except TimeoutError:
        raise InvalidInput(
            "The request did not arrive within {limit} s; send fewer images.", limit=round(ARRIVE_SECONDS)
        ) from None


class _Counted:
    """A request's `receive` that ends at a limit, for bodies that do not say how long they are."""

    def __init__(self, request: Request, limit: int) -> None:
        self._receive = request.receive
        self._limit = self._left = limit

    async def __call__(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise _too_large(self._limit)
        return message


def _too_large(limit: int) -> TooLarge:
    return TooLarge("That is more than {limit} MB at once; send it in parts.", limit=limit // MIB)


def _plain(each: Prediction | Output) -> dict[str, Any]:
    if isinstance(each, Output):
        return {"output": each.output}
    return {
        "name": each.name,
        "label": each.label,
        "confidence": each.confidence,
        "probabilities": each.probabilities,
        "error": each.error,
    }


def _row(each: Prediction | Output) -> Any:
    """As the models answer themselves."""
    if isinstance(each, Output):
        return each.output
    return {
        "label": each.label,
        "confidence": each.confidence,
        "probabilities": None if each.error else list(each.probabilities.values()),
        "error": each.error,
    }
