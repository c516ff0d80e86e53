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
    rest_seconds: float = 0.0
    """So long it rests while there is nothing new, as `Chores` is told."""
    due: float = 0.0
    """By the monotonic clock."""
    rests_until: float = 0.0
    knew: object = None
    """What was new when it was last begun."""


class Chores:
    """`turn` begins those that are due, the one that waited longest first.

    `news` changes with whatever may give a chore that rests something to do; None where that is not known.
    """

    def __init__(self, chores: Sequence[Chore], news: Callable[[], object] = lambda: None) -> None:
        self.all = tuple(chores)
        self._news = news
        self._asides: dict[str, threading.Thread] = {}

    def turn(self) -> None:
        """Raises what a chore raises that is not done aside; the others come in the next turns."""
        now, news = time.monotonic(), self._news()

        def waits(chore: Chore) -> bool:
            aside = self._asides.get(chore.name)
            rests = news is not None and news == chore.knew and now < chore.rests_until
            return rests or (aside is not None and aside.is_alive())

        due = [chore for chore in self.all if chore.due <= now and not waits(chore)]
        for chore in sorted(due, key=lambda chore: chore.due)[:AT_ONCE]:
            chore.due, chore.rests_until = now + chore.every_seconds, now + chore.rest_seconds
            chore.knew = news
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

        self._asides[chore.name] = threading.Thread(target=logged, name=f"chore-{chore.name}", daemon=True)
        self._asides[chore.name].start()
