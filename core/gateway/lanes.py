"""Pure. The way to one deployment's model servers: what arrives while they are busy goes together in the next batch.

A single request on an idle lane is sent at once. Under load a worker waits a few milliseconds for the rest of those
who were answered together, since a model takes a batch in little more time than one image. How images, or rows of
what is trained elsewhere, go over the line is the lane's `Wire`.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Protocol

import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ReadTimeoutError

from core.errors import Unavailable, VeritrainError
from core.gateway.breaker import Breaker, gone, silent
from core.serving_protocol import IMAGES_PATH, framed
from core.settings import MIB

log = logging.getLogger(__name__)

Row = dict[str, Any]
"""What a model says of one image: label, confidence, probabilities, error."""

BATCH_BYTES = 32 * MIB
"""Most bytes of items in one request to a model server, unless one item has more."""
MAX_WAITING = 2_048
"""Items that may wait for one deployment; beyond, whoever comes is told to come again."""
REST_SECONDS = 1.0
"""How long a replica whose connection broke is asked only when there is no other."""
PATIENCE_SECONDS = 12.0
"""How long a batch waits for a server that is gone: the spare one goes on for it, and jobs.serve says “up” for ten."""
TRY_SECONDS = 0.1
WORKER_SECONDS = 5.0
"""How long a lane's thread waits for work before it ends."""


@dataclass(frozen=True)
class Options:
    images: int
    """Most of one batch."""
    wait: float
    """Seconds that a batch waits for others under load."""
    timeout: float
    """Seconds for the model server to answer one batch."""


class Wire(Protocol):
    """How items of requests go to a model server."""

    @property
    def path(self) -> str:
        """Of the server."""

    @property
    def headers(self) -> Mapping[str, str]: ...

    def size(self, item: Any, /) -> int:
        """Bytes, about."""

    def shape(self, items: Sequence[Any]) -> Hashable:
        """Only requests of one shape go together."""

    def body(self, items: Sequence[Any]) -> bytes: ...

    def answers(self, data: bytes) -> Any:
        """What the body of an answer says, one for each item. Raises ValueError, KeyError, TypeError."""

    def refused(self, status: int) -> VeritrainError:
        """Of a request that the server answered with this status."""


class Images:
    """Their bytes as they are, for a path of our own model servers."""

    path = IMAGES_PATH
    headers: ClassVar[Mapping[str, str]] = {"Content-Type": "application/octet-stream"}
    size = staticmethod(len)

    def shape(self, items: Sequence[bytes]) -> Hashable:
        return None

    def body(self, items: Sequence[bytes]) -> bytes:
        return framed(items)

    def answers(self, data: bytes) -> Any:
        return json.loads(data)["predictions"]

    def refused(self, status: int) -> VeritrainError:
        return Unavailable(
            "The model server refused the request ({status}); look at its state under Models.", status=status
        )


IMAGES = Images()


class _Ask:
    """Items of one request, answered together."""

    __slots__ = ("future", "items", "shape", "size")

    def __init__(self, wire: Wire, items: Sequence[Any]) -> None:
        self.items = items
        self.size = sum(map(wire.size, items))
        self.shape = wire.shape(items)
        self.future: Future[list[Any]] = Future()


class _Refused(Exception):
    """The model server answered with this status."""

    def __init__(self, status: int) -> None:
        self.status = status


class Lane:
    """Of one deployment; any thread may submit. Its own threads, one a replica, come with work and end without."""

    def __init__(self, options: Options, breaker: Breaker | None = None, wire: Wire = IMAGES) -> None:
        self.options = options
        self.wire = wire
        self.breaker = breaker or Breaker()
        self._change = threading.Condition()
        self._waiting: deque[_Ask] = deque()
        self._items = 0
        """Of those who wait."""
        self._workers = self._idle = 0
        self._wanted = 1
        """Items that wake a worker."""
        self._last = (0, 0)
        """Requests and items of the last batch."""
        self._urls: tuple[str, ...] = ()
        self._busy: dict[str, int] = {}
        self._rest_until: dict[str, float] = {}

    def submit(self, urls: Sequence[str], items: Sequence[Any]) -> Future[list[Any]]:
        """An answer for each item, in their order, of whichever of the servers at `urls`.

        Raises Unavailable at once while the breaker is open or too many wait. The future raises Unavailable where no
        server answers or one refuses, InvalidInput where a model cannot answer such rows. Whoever does not wait any
        longer cancels it.
        """
        ask = _Ask(self.wire, items)
        if not items:
            ask.future.set_result([])
            return ask.future
        with self._change:
            self.breaker.check()
            if self._waiting and self._items + len(items) > MAX_WAITING:
                raise Unavailable(
                    "The model has too much to do at the moment; try again in {seconds} s.", seconds=1
                )
            self._urls = tuple(urls)
            self._waiting.append(ask)
            self._items += len(items)
            if not self._idle or self._items >= self._wanted:
                self._wake()
        return ask.future

    def _wake(self) -> None:
        """An idle worker, else one more if a replica has none."""
        if self._idle:
            self._change.notify()
        elif self._workers < len(self._urls):
            self._workers += 1
            threading.Thread(target=self._work, name="gateway-lane", daemon=True).start()

    def _work(self) -> None:
        while batch := self._next():
            self._answer(batch)

    def _next(self) -> list[_Ask]:
        """The next batch once there is one; an empty one after a while without work, and the worker is gone."""
        with self._change:
            began = time.monotonic()
            until = began + WORKER_SECONDS
            while True:
                while not self._waiting:
                    left = until - time.monotonic()
                    if left <= 0:
                        self._workers -= 1
                        return []
                    self._wait(left)
                if self._last[0] > 1 and time.monotonic() - began < self.options.wait:
                    self._linger(min(self.options.images, self._last[1]))
                if batch := self._take():
                    self._last = (len(batch), sum(len(ask.items) for ask in batch))
                    if self._waiting:
                        self._wake()
                    return batch

    def _wait(self, seconds: float) -> None:
        self._idle += 1
        self._change.wait(seconds)
        self._idle -= 1

    def _linger(self, items: int) -> None:
        """Wait a little for as many as came together last time."""
        until = time.monotonic() + self.options.wait
        self._wanted = items
        while self._items < items and (left := until - time.monotonic()) > 0:
            self._wait(left)
        self._wanted = 1

    def _take(self) -> list[_Ask]:
        batch: list[_Ask] = []
        items = size = 0
        while self._waiting:
            ask = self._waiting[0]
            items += len(ask.items)
            size += ask.size
            full = items > self.options.images or size > BATCH_BYTES
            if batch and (full or ask.shape != batch[0].shape):
                break
            self._waiting.popleft()
            self._items -= len(ask.items)
            if ask.future.set_running_or_notify_cancel():
                batch.append(ask)
            else:
                items -= len(ask.items)
                size -= ask.size
        return batch

    def _answer(self, batch: list[_Ask]) -> None:
        try:
            rows = self._ask([item for ask in batch for item in ask.items])
        except _Refused as error:
            if len(batch) > 1:  # one of them is at fault; the others have nothing to do with it
                for ask in batch:
                    self._answer([ask])
                return
            batch[0].future.set_exception(self.wire.refused(error.status))
        except VeritrainError as error:
            for ask in batch:
                ask.future.set_exception(error)
        except Exception as error:  # handed to those who wait; the lane goes on
            log.exception("asking a model server")
            for ask in batch:
                ask.future.set_exception(error)
        else:
            start = 0
            for ask in batch:
                ask.future.set_result(rows[start : start + len(ask.items)])
                start += len(ask.items)

    def _ask(self, items: list[Any]) -> list[Any]:
        """Raises Unavailable, _Refused."""
        answer = self._sent(self.wire.body(items))
        if answer.status >= 500:
            self.breaker.failed()
        else:
            self.breaker.passed()
        if answer.status != 200:
            raise _Refused(answer.status)
        try:
            rows = self.wire.answers(answer.data)
            if not isinstance(rows, list) or len(rows) != len(items):
                raise ValueError(f"{len(rows)} answers to {len(items)} items")
        except (ValueError, KeyError, TypeError) as error:
            log.error("what a model server answered: %r", error)
            raise Unavailable(
                "The model server's answer cannot be read; look at its state under Models."
            ) from error
        return rows

    def _sent(self, body: bytes) -> urllib3.BaseHTTPResponse:
        """A prediction changes nothing: where a connection breaks it is asked for anew, of another server if possible.

        Once only where a server had got it, for it may be what ended the server; one that is gone is waited for.
        """
        until = time.monotonic() + PATIENCE_SECONDS
        asked: set[str] = set()
        broken = 0
        while True:
            url = self._pick()
            if url in asked:
                time.sleep(TRY_SECONDS)
            asked.add(url)
            try:
                return _pool().request(
                    "POST",
                    f"{url}{self.wire.path}",
                    body=body,
                    headers=self.wire.headers,
                    timeout=self.options.timeout,
                )
            except ReadTimeoutError as error:
                self.breaker.failed()
                raise too_slow(self.options.timeout) from error
            except HTTPError as error:
                with self._change:
                    self._rest_until[url] = time.monotonic() + REST_SECONDS
                broken += not isinstance(error, ConnectTimeoutError | NewConnectionError)
                if time.monotonic() > until:
                    self.breaker.failed(gone=True)
                    raise gone() from error
                if broken > 1:
                    self.breaker.failed()
                    raise silent(1) from error
            finally:
                with self._change:
                    self._busy[url] -= 1

    def _pick(self) -> str:
        """The replica with the least to do, one that just failed last."""
        with self._change:
            now = time.monotonic()
            url = min(
                self._urls, key=lambda url: (self._rest_until.get(url, 0.0) > now, self._busy.get(url, 0))
            )
            self._busy[url] = self._busy.get(url, 0) + 1
            return url


def too_slow(seconds: float) -> Unavailable:
    return Unavailable(
        "The model server took longer than {limit} s; send fewer or smaller images.", limit=round(seconds)
    )


@cache
def _pool() -> urllib3.PoolManager:
    """One for the process; its connections to the model servers stay open, also to many of them."""
    return urllib3.PoolManager(num_pools=512, maxsize=64, retries=False)
