"""Pure. What a process looks after from time to time, a little at a time.

All of it at once would hold up whoever is answered by the same process meanwhile.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

log = logging.getLogger(__name__)

AT_ONCE = 2
"""Chores that are begun in one turn."""


@dataclass
class Chore:
    name: str
    work: Callable[[], object]
    every_seconds: float
    aside: bool = False
    """Done in a thread of its own, since it may take seconds; never twice at once."""
    due: float = 0.0
    """By the monotonic clock."""


class Chores:
    """`turn` begins those that are due, the one that waited longest first."""

    def __init__(self, chores: Sequence[Chore]) -> None:
        self.all = tuple(chores)
        self._asides: dict[str, threading.Thread] = {}

    def turn(self) -> None:
        """Raises what a chore raises that is not done aside; the others come in the next turns."""
        now = time.monotonic()
        due = sorted((chore for chore in self.all if chore.due <= now), key=lambda chore: chore.due)
        for chore in due[:AT_ONCE]:
            chore.due = now + chore.every_seconds
            if chore.aside:
                self._begin(chore)
            else:
                chore.work()

    def join(self, seconds: float) -> None:
        """Wait for those that are done aside, so long for each."""
        for thread in self._asides.values():
            thread.join(timeout=seconds)

    def _begin(self, chore: Chore) -> None:
        def logged() -> None:
            try:
                chore.work()
            except Exception:
                log.exception(chore.name)

        if chore.name not in self._asides or not self._asides[chore.name].is_alive():
            self._asides[chore.name] = threading.Thread(
                target=logged, name=f"chore-{chore.name}", daemon=True
            )
            self._asides[chore.name].start()
