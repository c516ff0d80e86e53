"""Stored. Who answers for a model: the version in production, or the one before it while that one is not up yet."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa

from core import auth, gate, ledger, registry, serving, stages
from core.ab.trials import Trial
from core.db.tables import models, themes
from core.errors import Conflict, NotFound, VeritrainError
from core.ledger import Entry
from core.registry import Version
from core.serving import Deployment, Prediction
from core.workbench import Workbench

log = logging.getLogger(__name__)

SETTLED_SECONDS = 1.0
"""After a decision of this process nothing is remembered for so long; by then it is committed."""
_renewing = threading.Lock()
"""Held while a thread looks although nobody waits for it."""
_looking = threading.Lock()
"""When what was remembered is too old, one of those who ask looks and the others wait for it."""


@dataclass(frozen=True)
class Answers:
    """What a model's users get."""

    version: Version
    """That answered."""
    predictions: list[Prediction]


@dataclass(frozen=True)
class Promotion:
    """What became of a winner: the ledger's entry, or why its stage did not change."""

    entry: Entry | None
    refusal: VeritrainError | None


def predict(wb: Workbench, actor: auth.User, model_name: str, files: Iterable[tuple[str, bytes]]) -> Answers:
    """Labels for images by whatever version of a model answers now; see `answering` and `core.serving.predict`."""
    auth.require(actor, auth.VIEWER)
    deployment = answering(wb, model_name)
    return Answers(deployment.version, serving.ask(wb, deployment, files))


def answering(wb: Workbench, model_name: str) -> Deployment:
    """The server that answers for a model.

    A version that has just been put into production takes over once it is up; until then the one before it goes on.
    Where none is up it is the one that should be, so that whoever counts what fails knows whose failure it is.
    What this process decides shows at once, what another replica of the app does within the second.
    Raises NotFound for an unknown model, Conflict where none of its versions is in production or none is served.
    """
    with _looking:
        found = at_hand(wb, model_name)
        return found if found is not None else _remembered(wb, model_name)


def at_hand(wb: Workbench, model_name: str) -> Deployment | None:
    """The same as far as it is remembered, without asking the database.

    What is half too old is looked for anew meanwhile, so that of many who ask none has to wait for it.
    """
    at, found = serving.memory(wb).get(model_name, (0.0, None))
    age = time.monotonic() - at
    if age > serving.RECENT_SECONDS or at <= ledger.decided() + SETTLED_SECONDS:
        return None
    if age > serving.RECENT_SECONDS / 2 and _renewing.acquire(blocking=False):
        threading.Thread(target=_renew, args=(wb, model_name), name="production", daemon=True).start()
    return found


def _remembered(wb: Workbench, model_name: str) -> Deployment:
    """What is looked for now, kept for `at_hand`."""
    memory, began = serving.memory(wb), time.monotonic()
    found = _look(wb, model_name)
    memory[model_name] = (began, found)
    return found


def _renew(wb: Workbench, model_name: str) -> None:
    try:
        _remembered(wb, model_name)
    except VeritrainError:
        pass  # whoever asks once that is too old looks, and is told
    except Exception:
        log.exception("production")
    finally:
        _renewing.release()


def _look(wb: Workbench, model_name: str) -> Deployment:
    with wb.db.read() as connection:
        found = connection.execute(
            sa.select(models.c.id)
            .join(themes, themes.c.id == models.c.theme_id)
            .where(models.c.name == model_name, themes.c.deleted_at.is_(None))
        ).scalar()
        if found is None:
            raise NotFound("There is no model “{name}”.", name=model_name)
        now = gate.in_production(connection, found)
        before = ledger.before(connection, found)
    if now is None:
        raise Conflict("No version of “{name}” is in production; promote one under Models.", name=model_name)
    served = [
        deployment
        for version_id in (now.id, before)
        if version_id is not None and (deployment := serving.recent(wb, version_id)) is not None
    ]
    if not served:
        raise Conflict(
            "Version {n} of “{name}” is in production, but no server for it is up; deploy it under Models.",
            n=now.version,
            name=model_name,
        )
    return next((each for each in served if each.status == serving.UP), served[0])


def stands_in(wb: Workbench, deployment: Deployment) -> bool:
    """Whether it answers who asks for the version in production, though that is another one."""
    if deployment.status != serving.UP or deployment.version.stage == ledger.PRODUCTION:
        return False
    try:
        return answering(wb, deployment.version.model_name).id == deployment.id
    except VeritrainError:  # nobody answers
        return False


@dataclass(frozen=True)
class WayBack:
    """What a rollback would do."""

    version: Version
    """That would be in production again."""
    warm: bool
    """Its server is up, so it answers at once."""
    removed: Entry | None = None
    """The rollback that took it out of production; None where it left in another way."""


def way_back(wb: Workbench, version: Version) -> WayBack | None:
    """Where a rollback of the version in production leads; None where no other one was there before it."""
    with wb.db.read() as connection:
        found = ledger.way_back(connection, version.model_id)
    if found is None:
        return None
    before, removed = found
    deployment = serving.recent(wb, before)
    warm = deployment is not None and deployment.status == serving.UP
    return WayBack(registry.get(wb, before), warm, removed)


def roll_back(wb: Workbench, actor: auth.User, version_id: int, reason: str) -> Entry:
    """As `core.stages.roll_back`, and have the version served where the one that it replaces is."""
    entry = stages.roll_back(wb, actor, version_id, reason)
    _serve_like(wb, actor, serving.recent(wb, version_id), entry.version_id)
    return entry


def promote(
    wb: Workbench, actor: auth.User, version_id: int, to: str, reason: str, *, override: str | None = None
) -> Entry:
    """As `core.stages.promote`; in production a version is served where the one that it replaces is."""
    former = served(wb, registry.get(wb, version_id).model_id)
    entry = stages.promote(wb, actor, version_id, to, reason, override=override)
    if to == ledger.PRODUCTION:
        _serve_like(wb, actor, former, version_id)
    return entry


def promote_winner(wb: Workbench, actor: auth.User, trial: Trial) -> Promotion:
    """Put the winner of a concluded test into production, by the test's reason and its sealed verdict.

    The test stays concluded whatever the gate says. Where A won nothing changes.
    """
    outcome = trial.outcome or {}
    winner = outcome.get("winner")
    try:
        if winner not in trial.plan.names:
            raise Conflict("This test has no winner, so no version is promoted.")
        if winner == trial.plan.names[0]:
            raise Conflict("A won and keeps its place, so no stage was changed.")
        version_id = trial.plan.versions[trial.plan.names.index(winner)]
        evidence = {"ab_test": {"id": trial.id, "seal": trial.seal, "verdict": outcome.get("verdict")}}
        former = served(wb, registry.get(wb, version_id).model_id)
        entry = stages.promote(wb, actor, version_id, ledger.PRODUCTION, outcome["reason"], evidence)
    except VeritrainError as error:
        return Promotion(None, error)
    _serve_like(wb, actor, former, version_id)
    return Promotion(entry, None)


def served(wb: Workbench, model_id: int) -> Deployment | None:
    """What serves the version in production; one that is promoted in its place is served as well then."""
    with wb.db.read() as connection:
        now = gate.in_production(connection, model_id)
    return serving.recent(wb, now.id) if now is not None else None


def _serve_like(wb: Workbench, actor: auth.User, served: Deployment | None, version_id: int) -> None:
    """By as many servers, unless it is served already; the former version's stay, and answer until these are up."""
    if served is not None and serving.recent(wb, version_id) is None:
        serving.deploy(wb, actor, version_id, served.replicas)
