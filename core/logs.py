"""Pure. The log of a process: key=value for people, one JSON object a line for machines.

Everything that goes through `logging` comes out alike, with the request's id in the app and the run's id in a worker.
"""

from __future__ import annotations

import logging
import re
import secrets
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import structlog

TEXT, JSON = FORMATS = ("text", "json")
QUIET = ("httpx", "alembic", "uvicorn.access")
"""Loggers that say too much."""
_SANE = re.compile(r"[A-Za-z0-9._-]{1,64}")

_request: ContextVar[str | None] = ContextVar("request_id", default=None)
_always: dict[str, Any] = {}


def setup(kind: str) -> None:
    """Send all logging of this process to standard error, as one of FORMATS."""
    chain: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        _who,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]
    if kind == JSON:
        last: list[Any] = [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
        ]
    else:
        plain = structlog.dev.plain_traceback
        console = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=plain, timestamp_key="time"
        )
        last = [console]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=chain,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        adopt(logging.getLogger(name))
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *chain,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def adopt(logger: logging.Logger) -> None:
    """Have a library's logger that brings handlers of its own speak through ours."""
    logger.handlers.clear()
    logger.propagate = True


def always(**fields: Any) -> None:
    """Put these fields into every line of this process from now on; None takes one out."""
    for name, value in fields.items():
        if value is None:
            _always.pop(name, None)
        else:
            _always[name] = value


@contextmanager
def request(given: str | None) -> Iterator[str]:
    """Within: lines carry the request's id, the one that was given where it is sane, else a new one."""
    found = given if given is not None and _SANE.fullmatch(given) else new_id()
    token = _request.set(found)
    try:
        yield found
    finally:
        _request.reset(token)


def request_id() -> str | None:
    """Of the request that is being answered here, if one is."""
    return _request.get()


def new_id() -> str:
    return secrets.token_hex(8)


def _who(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in _always.items():
        event.setdefault(name, value)
    if (found := _request.get()) is not None:
        event.setdefault("request_id", found)
    return event
