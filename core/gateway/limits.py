"""Pure. How many requests a minute one key may send."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable

from core.errors import TooMany

MINUTE = 60.0
KEYS = 1_000
"""Keys that are remembered before those without a request in the last minute are forgotten."""


class Limiter:
    """Counts the requests of each key within any minute, in this process. Any thread may ask it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._times: dict[str, deque[float]] = {}

    def take(self, key: str, limit: int) -> None:
        """Count one request; `limit` a minute, 0 for none. Raises TooMany; what is refused does not count."""
        if not limit:
            return
        now = self._clock()
        with self._lock:
            times = self._times.get(key)
            if times is None or times.maxlen != limit:
                self._forget(now)
                times = self._times[key] = deque(times or (), maxlen=limit)
            if len(times) == limit and times[0] > now - MINUTE:
                raise TooMany(
                    "This key may send {limit} requests a minute; go on in {seconds} s.",
                    limit=limit,
                    seconds=max(1, math.ceil(times[0] + MINUTE - now)),
                )
            times.append(now)

    def _forget(self, now: float) -> None:
        if len(self._times) >= KEYS:
            for key in [key for key, times in self._times.items() if times[-1] <= now - MINUTE]:
                del self._times[key]
