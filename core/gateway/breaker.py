"""Pure. A circuit breaker: after failures in a row nobody waits for a server that is away."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

from core.errors import Unavailable

FAILURES = 5
"""Failures in a row that open it."""
START_SECONDS = 10
"""After which to come again where a server is started, which takes some seconds to half a minute."""
OPEN_SECONDS = 1.0
"""How long it stays open; then one request tries (half open), and closes it or opens it again."""


class Breaker:
    """Of one deployment; any thread may ask it."""

    def __init__(
        self,
        failures: int = FAILURES,
        seconds: float = OPEN_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = failures
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._failed = 0
        self._gone = False
        self._closed_to = 0.0
        """Until then nothing passes while it is open."""

    def check(self) -> None:
        """Raises Unavailable while it is open. Half open, it lets one through and no other for as long again."""
        with self._lock:
            if self._failed < self._limit:
                return
            now = self._clock()
            if now < self._closed_to:
                if self._gone:
                    raise gone()
                raise silent(math.ceil(self._closed_to - now))
            self._closed_to = now + self._seconds

    def passed(self) -> None:
        with self._lock:
            self._failed = 0

    def failed(self, *, gone: bool = False) -> None:
        """`gone`: no server is left, so those who are refused from then on are told how long that takes."""
        with self._lock:
            self._failed += 1
            self._gone = gone
            self._closed_to = self._clock() + self._seconds


def silent(seconds: int) -> Unavailable:
    """Of servers that did not answer."""
    return Unavailable(
        "The model server does not answer; it is restarted by itself. Try again in {seconds} s.",
        seconds=seconds,
    )


def gone() -> Unavailable:
    """Of servers that no spare one went on for in time."""
    return Unavailable(
        "The model server does not answer; it is being restarted, which can take up to half a minute. "
        "Try again in {seconds} s.",
        seconds=START_SECONDS,
    )
