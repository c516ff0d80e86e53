"""Stored. What people change of a model version: its number, tags and description; and taking it off the lists."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from core import audit, auth, ledger, registry, runs, versions
from core.db.tables import ab_duels, ab_experiments, deployments, model_registry, model_tags
from core.errors import Conflict
from core.events import ENDED, Status
from core.ledger import ARCHIVED
from core.registry import Version
from core.versions import Semver
from core.workbench import Workbench


def edit(
    wb: Workbench,
    actor: auth.User,
    version_id: int,
    *,
    semver: str | None = None,
    tags: Iterable[str] | None = None,
    description: str | None = None,
) -> Version:
    """Change what is given. A number only goes up, and only to one that no version of the model ever had.

    Raises InvalidInput, Conflict, NotFound, NotAllowed.
    """
    auth.require(actor, auth.TRAINER)
    number = versions.semver(semver) if semver is not None else None
    kept_tags = versions.tags(tags) if tags is not None else None
    text = versions.description(description) if description is not None else None

    def work(connection: sa.Connection) -> Version:
        version = registry.read(connection, version_id)
        registry.lock(connection, version.model_id)
        changes: dict[str, Any] = {}
        if number is not None and number != version.semver:
            _check_number(connection, version, number)
            changes |= vars(number)
        if text is not None and text != version.description:
            changes["description"] = text
        if changes:
            row = model_registry.update().where(model_registry.c.id == version_id)
            connection.execute(row.values(**changes))
        if kept_tags is not None and kept_tags != version.tags:
            changes["tags"] = list(kept_tags)
            _set_tags(connection, version, kept_tags)
        if changes:
            told = changes | {"uri": version.uri, "semver_before": str(version.semver)}
            audit.record(connection, actor, "registry.edit", f"version {version_id}", told)
        return registry.read(connection, version_id)

    return wb.db.write(work)


def delete(wb: Workbench, actor: auth.User, version_id: int) -> None:
    """Take an archived version off every list. Its decisions stay in the ledger, its files in MLflow.

    Raises Conflict where it is needed, NotFound, NotAllowed.
    """
    auth.require(actor, auth.TRAINER)

    def work(connection: sa.Connection) -> None:
        ledger.lock(connection)  # nobody changes its stage meanwhile
        version = registry.read(connection, version_id)
        _check_needless(connection, version)
        row = model_registry.update().where(model_registry.c.id == version_id)
        connection.execute(row.values(deleted_at=datetime.now(UTC)))
        told = {"uri": version.uri, "semver": str(version.semver)}
        audit.record(connection, actor, "registry.delete", f"version {version_id}", told)

    wb.db.write(work)


def of_run(wb: Workbench, run_id: int) -> Version:
    """The version that a run registered when it ended. Raises NotFound, and Conflict that says why there is none."""
    run = runs.get(wb, run_id)
    if version := registry.of_run(wb, run_id):
        return version
    if run.kind == runs.TRIAL:
        raise Conflict(
            "Run {id} is a trial of a tuning, so it has no version; only the best trial's model is registered.",
            id=run_id,
        )
    if Status(run.status) not in ENDED:
        raise Conflict(
            "Run {id} is not finished; its model is registered by itself once it ends well.", id=run_id
        )
    if run.status != Status.SUCCEEDED:
        raise Conflict(
            "Run {id} ended without a result, so there is no model to register; start it again.", id=run_id
        )
    raise Conflict(
        "Run {id} has no model to register: it brought none, or its version was deleted.", id=run_id
    )


def _check_number(connection: sa.Connection, version: Version, number: Semver) -> None:
    if number < version.semver:
        raise Conflict(
            "Version {number} is lower than {now}, and numbers only go up; choose a higher one.",
            number=number,
            now=version.semver,
        )
    row = model_registry.c
    taken = sa.select(row.id).where(
        row.model_id == version.model_id,
        row.major == number.major,
        row.minor == number.minor,
        row.patch == number.patch,
    )
    if connection.execute(taken).first() is not None:
        highest = registry.highest_semver(connection, version.model_id) or number
        raise Conflict(
            "This model has or had a version {number} already; the next free one is {free}.",
            number=number,
            free=highest.next(),
        )


def _set_tags(connection: sa.Connection, version: Version, tags: tuple[str, ...]) -> None:
    own = model_tags.c.version_id == version.id
    if gone := set(version.tags) - set(tags):
        connection.execute(model_tags.delete().where(own, model_tags.c.tag.in_(gone)))
    if new := [{"version_id": version.id, "tag": tag} for tag in tags if tag not in version.tags]:
        connection.execute(model_tags.insert(), new)


def _check_needless(connection: sa.Connection, version: Version) -> None:
    """Raises Conflict naming the first thing that needs the version."""
    if version.stage != ARCHIVED:
        raise Conflict(
            "Only archived versions can be deleted; archive {number} first.", number=version.semver
        )
    back = ledger.way_back(connection, version.model_id)
    if back is not None and back[0] == version.id:
        raise Conflict(
            "Version {number} is where a rollback leads; it can be deleted once another has taken that place.",
            number=version.semver,
        )
    served = sa.select(deployments.c.id).where(
        deployments.c.version_id == version.id, deployments.c.desired == "up"
    )
    if connection.execute(served).first() is not None:
        raise Conflict("Version {number} is deployed; stop its model server first.", number=version.semver)
    tests = sa.select(ab_experiments.c.name, ab_experiments.c.plan).where(
        ab_experiments.c.theme_id == version.theme_id
    )
    for name, plan in connection.execute(tests):
        if version.id in plan["versions"]:
            raise Conflict(
                "Version {number} is part of the A/B test “{test}”, whose results need it.",
                number=version.semver,
                test=name,
            )
    duels = sa.select(ab_duels.c.id).where(
        sa.or_(ab_duels.c.version_a == version.id, ab_duels.c.version_b == version.id)
    )
    if (duel := connection.execute(duels).scalar()) is not None:
        raise Conflict(
            "Version {number} is part of duel {duel}, whose results need it.",
            number=version.semver,
            duel=duel,
        )
