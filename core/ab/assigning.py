"""Stored. Who saw what: the hash decides, the first record stands."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from core.ab import assignment, lanes, trials
from core.ab.trials import Trial
from core.db.engine import bulk_insert, relation
from core.db.tables import ab_assignments
from core.errors import Conflict, InvalidInput
from core.workbench import Workbench

_table = ab_assignments.c
# What every request asks is built once; SQLAlchemy then only looks its SQL up.
_RECORDED = sa.select(_table.unit, _table.arm, _table.forced).where(
    _table.test_id == sa.bindparam("test"), _table.phase == sa.bindparam("phase")
)
_RECORDED_ONE = _RECORDED.where(_table.unit == sa.bindparam("unit"))
_INSERT = ab_assignments.insert()
FEW = 20
"""Up to so many rows plain look-ups and inserts are quicker than one through Arrow or arrays."""


@dataclass(frozen=True)
class Assigned:
    """The variant of a unit; `new` where this call recorded it."""

    unit: str
    variant: str
    version_id: int
    phase: int
    forced: bool
    new: bool


def assign(wb: Workbench, test_id: int, unit: str, *, force: str | None = None) -> Assigned | None:
    """The unit's variant, recorded at the first call; None for a unit that takes no part.

    `force` puts a tester into a variant; such units are never counted. A unit that is recorded
    already keeps its variant. Raises NotFound, Conflict where the test is not running, InvalidInput.
    """
    trial = open_trial(wb, test_id)
    if found := _recorded(wb, trial, unit):
        return found
    arm = arm_of(trial, unit) if force is None else index_of(trial, force)
    if arm is None:
        return None
    row = _row(trial, unit, arm, force is not None)
    try:
        wb.db.write(lambda connection: connection.execute(_INSERT, row) and None)
    except sa.exc.IntegrityError:  # another request was first, and its record stands
        return _recorded(wb, trial, unit)
    return _assigned(trial, unit, (arm, force is not None), True)


def peek(wb: Workbench, test_id: int, unit: str) -> Assigned | None:
    """What `assign` would answer, without recording it."""
    trial = open_trial(wb, test_id)
    if found := _recorded(wb, trial, unit):
        return found
    arm = arm_of(trial, unit)
    if arm is None or trial.phase is None:
        return None
    return Assigned(unit, trial.plan.names[arm], trial.plan.versions[arm], trial.phase.number, False, False)


def open_trial(wb: Workbench, test_id: int) -> Trial:
    """The test, which must be running, as `trials.recent` knows it. Raises NotFound, Conflict."""
    trial = trials.recent(wb, test_id)
    if trial.status != trials.RUNNING:
        raise Conflict("This A/B test is not running, so it takes nobody in and logs nothing.")
    return trial


def arm_of(trial: Trial, unit: str) -> int | None:
    """Index of the arm the hash gives; None for a unit that is held out, in another test's lane, or not covered.

    Raises InvalidInput.
    """
    held = trial.plan.holdout and assignment.position(f"holdout {trial.theme_id}", unit) < trial.plan.holdout
    exclusion = trial.plan.exclusion
    if exclusion is not None and exclusion.lane is not None and not held:
        low, high = exclusion.lane
        held = not low <= lanes.position(trial.theme_id, exclusion.group, unit) < high
    name = None if held else trial.rule().arm(unit)
    if name is None:
        assignment.position("", unit)  # a name that is not usable is refused in any case
        return None
    return trial.plan.names.index(name)


def index_of(trial: Trial, variant: str) -> int:
    """Raises InvalidInput for a variant the test does not have."""
    if variant not in trial.plan.names:
        raise InvalidInput(
            "“{name}” is not a variant of this test; there are: {all}.",
            name=variant,
            all=", ".join(trial.plan.names),
        )
    return trial.plan.names.index(variant)


def record(connection: sa.Connection, trial: Trial, arms: Mapping[str, int]) -> None:
    """Write first assignments of units to arms, of units that `recorded` did not find in this transaction."""
    # In order, so that two requests which bring the same units do not block each other.
    rows = [_row(trial, unit, arm, False) for unit, arm in sorted(arms.items())]
    if connection.dialect.name == "postgresql" and rows:  # another request may bring them at the same time
        connection.execute(insert(ab_assignments).on_conflict_do_nothing(), rows)
    elif len(rows) > FEW:  # DuckDB has one writer, and its ON CONFLICT reads the whole table
        bulk_insert(connection, ab_assignments, rows)
    elif rows:
        connection.execute(_INSERT, rows)


def recorded(connection: sa.Connection, trial: Trial, units: Collection[str]) -> dict[str, tuple[int, bool]]:
    """(arm, forced) of the units that have one in the present phase."""
    if len(units) > FEW:
        with relation(connection, ab_assignments, [{"unit": unit} for unit in units]) as (source, given):
            query = sa.text(
                "SELECT unit, arm, forced FROM ab_assignments WHERE test_id = :test AND phase = :phase"
                f" AND unit IN (SELECT unit FROM {source})"
            )
            found = connection.execute(query, _place(trial) | given).all()
    else:
        found = connection.execute(_RECORDED.where(_table.unit.in_(units)), _place(trial)).all()
    return {unit: (arm, forced) for unit, arm, forced in found}


def _recorded(wb: Workbench, trial: Trial, unit: str) -> Assigned | None:
    with wb.db.read() as connection:
        row = connection.execute(_RECORDED_ONE, _place(trial) | {"unit": unit}).one_or_none()
    return _assigned(trial, unit, (row.arm, row.forced), False) if row is not None else None


def _place(trial: Trial) -> dict[str, Any]:
    assert trial.phase is not None
    return {"test": trial.id, "phase": trial.phase.number}


def _row(trial: Trial, unit: str, arm: int, forced: bool) -> dict[str, Any]:
    assert trial.phase is not None
    return {
        "test_id": trial.id,
        "phase": trial.phase.number,
        "unit": unit,
        "arm": arm,
        "forced": forced,
        "at": datetime.now(UTC),
    }


def _assigned(trial: Trial, unit: str, kept: tuple[int, bool], new: bool) -> Assigned:
    assert trial.phase is not None
    arm, forced = kept
    return Assigned(unit, trial.plan.names[arm], trial.plan.versions[arm], trial.phase.number, forced, new)
