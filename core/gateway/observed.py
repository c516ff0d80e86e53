"""Pure. What the gateway tells of each request, for whoever counts, watches or keeps samples.

A listener is called once per answered or failed request, in the thread that answers and often the event loop's: it
takes what it needs and returns at once. One that fails is logged and costs nobody the answer.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from core.errors import VeritrainError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Told:
    """What was answered for one image or row; never the image or row itself."""

    label: str | None
    """None: it could not be read, or is `answered` otherwise."""
    confidence: float | None
    width: int | None = None
    """Pixels, as they stand in the file; None where the file is no image."""
    height: int | None = None
    brightness: float | None = None
    """Mean of its grey levels, 0 to 1; known for sampled requests alone, since it takes decoding."""
    answered: bool = False
    """Of a row: its answer need not be a label."""


@dataclass(frozen=True)
class Observed:
    """One request to a model."""

    model: str
    """Its registered name, or what was asked for where no model has that name."""
    version_id: int | None
    """That answered, or should have; None where it failed before one was chosen."""
    deployment_id: int | None
    at: datetime
    """When it came, UTC."""
    seconds: float
    """Until the answer was ready."""
    status: int
    """HTTP status of the answer."""
    predictions: tuple[Told, ...] = ()
    """Empty where the request failed."""


Listener = Callable[[Observed], None]
listeners: list[Listener] = []
"""Append a function to hear of each request."""


def observe(seen: Observed) -> None:
    """Tell every listener."""
    for listener in tuple(listeners):
        try:
            listener(seen)
        except Exception:
            log.exception("listener %r", listener)


@contextmanager
def observing(model: str, version_id: int, deployment_id: int) -> Iterator[list[Told]]:
    """Tell every listener of the request that is answered meanwhile; what was told of it goes into the list."""
    at, began = datetime.now(UTC), time.perf_counter()
    told: list[Told] = []
    status = 500
    try:
        yield told
        status = 200
    except VeritrainError as error:
        status = error.status
        raise
    finally:
        seconds = time.perf_counter() - began
        observe(Observed(model, version_id, deployment_id, at, seconds, status, tuple(told)))
