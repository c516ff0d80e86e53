"""Stored. Answers through a test: assign, note the exposure, ask the variant's model, log what happened."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from core import auth, registry, serving
from core.ab import assigning, interactions, queries, trials
from core.db.tables import ab_exposures
from core.errors import Conflict, VeritrainError
from core.serving import Prediction
from core.workbench import Workbench

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answer:
    """What the unit gets; `key` is for its rating later. `variant` None: it takes no part and got A."""

    key: str
    variant: str | None
    prediction: Prediction


def answer(
    wb: Workbench,
    actor: auth.User,
    test_id: int,
    unit: str,
    image: tuple[str, bytes],
    *,
    key: str | None = None,
    segments: Mapping[str, str] | None = None,
) -> Answer:
    """The prediction of the unit's variant for one image, logged whatever becomes of it.

    What could not be logged is refused before the model is asked; once it has answered, the unit gets the
    answer even where the test has ended meanwhile. Raises NotFound, Conflict where the test is not running
    or the variant's model is not deployed, InvalidInput, and what the model server's failure raises (logged
    as an error first).
    """
    auth.require(actor, auth.VIEWER)
    trial = assigning.open_trial(wb, test_id)
    key = key or uuid4().hex
    row: dict[str, Any] = {"unit": unit, "key": key, "query": image[0], "segments": segments}
    interactions.checked(trial, row, datetime.now(UTC))
    with wb.db.read() as connection:
        kept = assigning.recorded(connection, trial, [unit]).get(unit)
    arm = kept[0] if kept else assigning.arm_of(trial, unit)
    version_id = trial.plan.versions[arm or 0]
    deployment = serving.recent(wb, version_id)
    if deployment is None:
        raise Conflict("Version {n} of this test is not deployed; deploy it under Models.", n=version_id)
    registry.require_images(deployment.version)
    if arm is not None and _expose(wb, trial, unit, arm, key, known=kept is not None) != arm:
        # Somebody else gave this new user another variant in the same moment.
        return answer(wb, actor, test_id, unit, image, key=key, segments=segments)
    variant = trial.plan.names[arm] if arm is not None else None
    began = time.perf_counter()
    try:
        [prediction] = serving.ask(wb, deployment, [image])
    except VeritrainError as error:
        if variant is not None:
            row |= {"variant": variant, "status": "error", "response": str(error)}
            row["response_time_ms"] = (time.perf_counter() - began) * 1000
            _log(wb, trial, row)
        raise
    if variant is not None:
        if not prediction.error:
            _keep(wb, trial, key, image[1])
        row |= {"variant": variant, "response": prediction.label or prediction.error}
        row["status"] = "error" if prediction.error else "ok"
        row["response_time_ms"] = (time.perf_counter() - began) * 1000
        _log(wb, trial, row)
    return Answer(key, variant, prediction)


def _expose(wb: Workbench, trial: trials.Trial, unit: str, arm: int, key: str, *, known: bool) -> int:
    """Note in one transaction that the unit has this arm and is about to be answered; the arm that it has."""
    assert trial.phase is not None
    exposure = ab_exposures.insert().values(
        test_id=trial.id, key=key, phase=trial.phase.number, unit=unit, arm=arm, at=datetime.now(UTC)
    )

    def work(connection: sa.Connection) -> int:
        if not known:
            if unit not in assigning.recorded(connection, trial, [unit]):
                assigning.record(connection, trial, {unit: arm})
            # On Postgres another request may have been first, and its record stands.
            [(has, _)] = assigning.recorded(connection, trial, [unit]).values()
            if has != arm:
                return has
        connection.execute(exposure)
        return arm

    try:
        return wb.db.write(work)
    except sa.exc.IntegrityError:  # this key was exposed before: the question is asked again
        found = None if known else assigning.assign(wb, trial.id, unit)
        return assigning.index_of(trial, found.variant) if found else arm


def _keep(wb: Workbench, trial: trials.Trial, key: str, data: bytes) -> None:
    """Keep the image, so that it can be labelled if the user is not content; a full disk costs nobody the answer."""
    try:
        queries.keep(wb, trial.id, key, data)
    except OSError:
        log.exception("image of interaction %s of A/B test %d", key, trial.id)


def _log(wb: Workbench, trial: trials.Trial, row: Mapping[str, Any]) -> None:
    """Log what happened; what cannot be logged any more, as when the test has ended, costs nobody the answer."""
    try:
        refused = [error for _, error in interactions.log(wb, trial.id, [row]).refused]
    except VeritrainError as error:
        refused = [error]
    for why in refused:
        log.warning("interaction %s of A/B test %d was not logged: %s", row["key"], trial.id, why)
