"""Stored. Predictions of deployments that take texts, user ids or rows of a table; the rows are checked already.

As `core.serving` does for images: the same lanes, the same listeners, one part of a request after the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from core import auth, serving
from core.errors import InvalidInput
from core.gateway import lanes, rows
from core.gateway.observed import observing
from core.gateway.rows import Output, Values
from core.registry import Version
from core.serving import Deployment
from core.workbench import Workbench


def read(wb: Workbench, version: Version, body: dict[str, Any], *, mlflow: bool = False) -> list[Values]:
    """The rows of a request to a version, in our own words or in MLflow's protocol. Raises InvalidInput."""
    assert version.inputs is not None
    read = rows.frame if mlflow else rows.given
    return read(wb.settings, body, version.kind, version.inputs)


def predict(wb: Workbench, actor: auth.User, deployment_id: int, body: dict[str, Any]) -> list[Output]:
    """What a deployment says of each row of `body`, which is that of a request to the gateway.

    Raises InvalidInput, also for one that takes images, and what `core.serving.predict` raises.
    """
    auth.require(actor, auth.VIEWER)
    deployment = serving.get(wb, deployment_id)
    version = deployment.version
    if version.inputs is None:
        raise InvalidInput("This model answers for images; it takes no “{field}”.", field="rows")
    with observing(version.model_name, version.id, deployment.id) as told:
        found = asyncio.run(ask(wb, deployment, read(wb, version, body)))
        told += (each.told for each in found)
    return found


async def ask(wb: Workbench, deployment: Deployment, given: Sequence[Values]) -> list[Output]:
    """Answers in their order. Raises Unavailable, Conflict; InvalidInput where the model cannot answer the rows."""
    answers: list[Output] = []
    for part in rows.parts(given):
        lane, urls = serving.lane(wb, deployment)
        try:
            async with asyncio.timeout(wb.settings.predict_seconds):
                said = await asyncio.wrap_future(lane.submit(urls, part))
        except TimeoutError:
            raise lanes.too_slow(wb.settings.predict_seconds) from None
        answers += map(rows.output, said)
    return answers
