"""Stored. Questions to the warm worker, which answers while a person waits."""

from __future__ import annotations

from typing import Any

import redis
from rq import Queue, Worker
from rq.exceptions import NoSuchJobError
from rq.results import Result
from rq.serializers import JSONSerializer

from core import queue
from core.errors import Unavailable
from core.spec import PREVIEW_QUEUE
from core.workbench import Workbench

PATIENCE_SECONDS = 8
"""A person waits no longer; below the 10 s after which the broker's connection gives up."""
KEPT_SECONDS = 60


def ask(wb: Workbench, entry: str, spec_json: str) -> dict[str, Any]:
    """What `entry`, a dotted name, answers. Raises Unavailable when no worker answers in time or it fails."""
    with queue.reachable():
        asked = Queue(PREVIEW_QUEUE, connection=wb.broker, serializer=JSONSerializer)
        if not Worker.count(queue=asked):
            raise Unavailable(
                "The worker that draws previews is not there; it is started again by itself, so try again in a "
                "minute. Everything else works without it."
            )
        job = asked.enqueue_call(
            entry,
            args=(spec_json,),
            timeout=PATIENCE_SECONDS * 4,
            ttl=PATIENCE_SECONDS,  # nobody waits for it any more
            result_ttl=KEPT_SECONDS,
            failure_ttl=KEPT_SECONDS,
            description=entry,
        )
        try:
            result = job.latest_result(timeout=PATIENCE_SECONDS)
        except (redis.TimeoutError, NoSuchJobError):
            result = None
    if result is None:
        raise Unavailable(
            "The preview did not come within {seconds} seconds: its worker is busy or starting. Try again in a moment.",
            seconds=PATIENCE_SECONDS,
        )
    if result.type != Result.Type.SUCCESSFUL:
        raise Unavailable(
            "The preview failed; the log of the preview worker says why. A training is not affected."
        )
    answer = result.return_value
    assert isinstance(answer, dict)
    return answer
