"""Stored. Hears of every request to a deployment, counts it in memory, and writes the counts every few seconds.

One thread an app process. A request pays microseconds: a few additions, and now and then a place in a short queue
for an image to be looked at later.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from datetime import UTC, datetime

from core import images_io
from core.errors import VeritrainError
from core.gateway import observed
from core.gateway.observed import Observed
from core.monitoring import inputs, minutes
from core.monitoring.counts import Counts
from core.workbench import Workbench

log = logging.getLogger(__name__)

FLUSH_SECONDS = 5.0
SAMPLE_SECONDS = 0.5
"""Of the images that a deployment is asked about, one in so long is looked at: enough to tell drift within minutes."""
WAITING = 8
"""Images that wait to be looked at; more are left out, for nobody may wait for this."""
MOST_MINUTES = 10_000
"""Deployments × minutes kept in memory while the database is away; the oldest go first."""

Key = tuple[int, datetime]


class Observer:
    """Use `start` and `stop`; while it runs, `core.gateway.observed` and `core.monitoring.inputs` tell it of requests."""

    def __init__(self, wb: Workbench) -> None:
        self.wb = wb
        self._lock = threading.Lock()
        self._pending: dict[Key, Counts] = {}
        self._images: queue.Queue[tuple[Key, bytes]] = queue.Queue(WAITING)
        self._looked: dict[int, float] = {}
        self._over = threading.Event()
        self._failing = False
        self._thread = threading.Thread(target=self._run, name="observer", daemon=True)

    def start(self) -> None:
        observed.listeners.append(self.hear)
        inputs.listeners.append(self.offer)
        self._thread.start()

    def stop(self) -> None:
        """End after one more write."""
        observed.listeners.remove(self.hear)
        inputs.listeners.remove(self.offer)
        self._over.set()
        self._thread.join(timeout=10)

    def hear(self, seen: Observed) -> None:
        """Count one request; one that failed before a deployment was chosen belongs to none."""
        if seen.deployment_id is None:
            return
        with self._lock:
            counts = self._counts((seen.deployment_id, minutes.minute_of(seen.at)))
            counts.hear(seen.seconds, seen.status)
            for told in seen.predictions:
                counts.answer(told.label, told.confidence, told.answered)

    def offer(self, deployment_id: int, data: bytes) -> None:
        """An image that the deployment was asked about."""
        now = time.monotonic()
        if now - self._looked.get(deployment_id, -SAMPLE_SECONDS) < SAMPLE_SECONDS:
            return
        self._looked[deployment_id] = now
        with contextlib.suppress(queue.Full):
            self._images.put_nowait(((deployment_id, minutes.minute_of(datetime.now(UTC))), data))

    def flush(self) -> None:
        """Look at what waits and write everything down; what cannot be written now is kept for the next time."""
        while not self._images.empty():
            self._look(*self._images.get_nowait())
        with self._lock:
            found, self._pending = self._pending, {}
        try:
            minutes.store(self.wb, found)
            self._failing = False
        except Exception:
            if not self._failing:
                log.exception("counts of requests cannot be written; they are kept and tried again")
            self._failing = True
            with self._lock:
                for key, counts in found.items():
                    self._counts(key).add(counts)
                for key in sorted(self._pending, key=lambda each: each[1])[:-MOST_MINUTES]:
                    del self._pending[key]

    def _counts(self, key: Key) -> Counts:
        found = self._pending.get(key)
        if found is None:
            found = self._pending[key] = Counts()
        return found

    def _run(self) -> None:
        flushed = time.monotonic()
        while not self._over.is_set():
            try:
                with contextlib.suppress(queue.Empty):
                    self._look(*self._images.get(timeout=0.5))
                if time.monotonic() - flushed >= FLUSH_SECONDS:
                    flushed = time.monotonic()
                    self.flush()
            except Exception:  # whatever one image did, the others are still counted
                log.exception("observer")
        self.flush()

    def _look(self, key: Key, data: bytes) -> None:
        """Measure an image as those of a training were measured when they came in."""
        try:
            found = images_io.look_again(data, images_io.Limits.of(self.wb.settings))
        except VeritrainError:
            return
        features = found.measures.as_row() | {
            "width": found.width,
            "height": found.height,
            "aspect": found.width / found.height,
            "size": len(data),
        }
        with self._lock:
            self._counts(key).measure(features)
