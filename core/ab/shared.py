"""Stored. What several people look at in the same moment, computed once for all of them.

An open screen looks every few seconds, and each look reads every user's sums. Only the screens come in
here; what decides (the end of a test, its guardrails) and REST compute anew.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from core.ab import analysis
from core.ab.findings import Results
from core.ab.trials import Trial
from core.db.engine import Database
from core.workbench import Workbench

T = TypeVar("T")

SECONDS = 4.0
"""How long a look is good for everybody: less than an open screen waits before its next one."""


@dataclass
class _Kept:
    lock: threading.Lock = field(default_factory=threading.Lock)
    until: float = 0.0
    found: Any = None


_kept: WeakKeyDictionary[Database, dict[Hashable, _Kept]] = WeakKeyDictionary()
_lock = threading.Lock()


def results(wb: Workbench, trial: Trial) -> Results:
    """`analysis.results`, some seconds old at most; the test itself is as given. Raises as that does."""
    found = once(wb, trial, "results", lambda: analysis.results(wb, trial))
    return replace(found, trial=trial)


def once(wb: Workbench, trial: Trial, what: str, compute: Callable[[], T]) -> T:
    """What `compute` found for somebody else a moment ago; where nobody asked, or too long ago, it is called.

    Who asks meanwhile waits for it. A change of the test's status or phase is seen at once.
    """
    key = (trial.id, trial.phase.number if trial.phase else 0, trial.status, what)
    with _lock:
        of = _kept.setdefault(wb.db, {})
        for old in [each for each, kept in of.items() if kept.until < time.monotonic() and each != key]:
            if not of[old].lock.locked():
                del of[old]
        kept = of.setdefault(key, _Kept())
    with kept.lock:
        if kept.until < time.monotonic():
            kept.found = compute()
            kept.until = time.monotonic() + SECONDS
        found: T = kept.found
    return found
