"""Stored. The life of an A/B test: drafted, started and sealed, ramped, stopped or concluded.

Weights are frozen per phase: other weights are a new phase with a new salt, so nobody is re-mixed
within one. Raising the coverage stays in the phase, for it moves nobody.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import Any

import sqlalchemy as sa

from core import audit, auth, registry, storable, themes
from core.ab import assignment, lanes
from core.ab.plan import Exclusion, Plan, check_weights, read, seal
from core.db.engine import next_ids
from core.db.tables import ab_experiments, ab_phases
from core.db.tables import themes as theme_rows
from core.errors import Conflict, InvalidInput, NotFound
from core.workbench import Workbench

DRAFT, RUNNING, STOPPED, CONCLUDED = "draft", "running", "stopped", "concluded"
MAX_NAME = 100
MAX_REASON = 2_000
RECENT_SECONDS = 1.0
_RECENT: dict[tuple[int, int], tuple[float, Trial]] = {}


@dataclass(frozen=True)
class Phase:
    number: int
    salt: str
    weights: tuple[float, ...]
    coverage: float
    started_at: datetime


@dataclass(frozen=True)
class Trial:
    """An A/B test. `phase` is the present one, None before the start.

    `intact` is False where the stored plan is no longer the one that was sealed.
    """

    id: int
    theme_id: int
    name: str
    status: str
    plan: Plan
    seal: str | None
    intact: bool
    phase: Phase | None
    outcome: dict[str, Any] | None
    created_by: int
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None

    @property
    def planned_end(self) -> datetime | None:
        return self.started_at + timedelta(days=self.plan.days) if self.started_at else None

    def rule(self) -> assignment.Plan:
        """How the present phase assigns. Raises Conflict before the start."""
        if self.phase is None:
            raise Conflict("This test has not started; start it first.")
        return assignment.Plan(self.phase.salt, self.plan.names, self.phase.weights, self.phase.coverage)


def create(wb: Workbench, actor: auth.User, theme_id: int, name: str, plan: Mapping[str, Any]) -> Trial:
    """Draft a test. Raises NotFound for a theme or version that is not there, InvalidInput, NotAllowed."""
    auth.require(actor, auth.TRAINER)
    themes.get(wb, theme_id)
    name = check_name(name)
    chosen = _plan(wb, theme_id, plan)

    def work(connection: sa.Connection) -> int:
        [test_id] = next_ids(connection, "ab_experiments_id_seq", 1)
        connection.execute(
            ab_experiments.insert().values(
                id=test_id,
                theme_id=theme_id,
                name=name,
                status=DRAFT,
                plan=chosen.plain(),
                phase=0,
                created_by=actor.id,
                created_at=datetime.now(UTC),
            )
        )
        audit.record(connection, actor, "ab.create", f"ab test {test_id}", {"name": name})
        return test_id

    return get(wb, wb.db.write(work))


def update(
    wb: Workbench,
    actor: auth.User,
    test_id: int,
    *,
    name: str | None = None,
    plan: Mapping[str, Any] | None = None,
    coverage: float | None = None,
    weights: tuple[float, ...] | None = None,
) -> Trial:
    """Change a draft; of a running test the name, the coverage (upwards), or the weights (a new phase).

    Raises InvalidInput, and Conflict for what a sealed plan no longer allows.
    """
    auth.require(actor, auth.TRAINER)
    found = get(wb, test_id)
    if name is not None:
        name = check_name(name)
    chosen = _plan(wb, found.theme_id, plan) if plan is not None and found.status == DRAFT else None
    if weights is not None:
        check_weights(tuple(weights), len(found.plan.versions))
    if coverage is not None and not 0 < coverage <= 1:
        raise InvalidInput("The coverage is a share from 0 to 1; {x:g} is not.", x=coverage)

    def work(connection: sa.Connection) -> None:
        now = _locked(connection, test_id)
        if plan is not None and (chosen is None or now.status != DRAFT):
            raise Conflict("The plan was sealed when the test started; make a new test for another plan.")
        if (coverage is not None or weights is not None) and now.status != RUNNING:
            raise Conflict("Only a running test can be ramped; change the plan of a draft instead.")
        values: dict[str, Any] = {}
        if name is not None:
            values["name"] = name
        if chosen is not None:
            values["plan"] = chosen.plain()
        if now.phase is not None and weights is not None:
            values["phase"] = now.phase.number + 1
            _add_phase(connection, test_id, now.phase.number + 1, weights, coverage or now.phase.coverage)
        elif now.phase is not None and coverage is not None:
            if coverage < now.phase.coverage:
                raise Conflict(
                    "Fewer users cannot take part without moving some out; give new weights, which begin a phase."
                )
            connection.execute(
                ab_phases.update()
                .where(ab_phases.c.test_id == test_id, ab_phases.c.number == now.phase.number)
                .values(coverage=coverage)
            )
        if values:
            connection.execute(ab_experiments.update().where(ab_experiments.c.id == test_id).values(**values))
        detail = {"name": name, "coverage": coverage, "weights": weights, "plan": plan is not None}
        audit.record(connection, actor, "ab.change", f"ab test {test_id}", detail)

    wb.db.write(work)
    _RECENT.pop((id(wb.db), test_id), None)
    return get(wb, test_id)


def start(wb: Workbench, actor: auth.User, test_id: int) -> Trial:
    """Seal the plan and let users in.

    Raises Conflict where it has started already, and where its exclusion group has no lane left for it.
    """
    auth.require(actor, auth.TRAINER)

    def work(connection: sa.Connection) -> None:
        found = _locked(connection, test_id)
        if found.status != DRAFT:
            raise Conflict("This test has started already.")
        plan = _with_lane(connection, found).plain()
        _add_phase(connection, test_id, 1, found.plan.weights, found.plan.coverage)
        connection.execute(
            ab_experiments.update()
            .where(ab_experiments.c.id == test_id)
            .values(status=RUNNING, phase=1, plan=plan, seal=seal(plan), started_at=datetime.now(UTC))
        )
        audit.record(connection, actor, "ab.start", f"ab test {test_id}", {"seal": seal(plan)})

    wb.db.write(work)
    _RECENT.pop((id(wb.db), test_id), None)
    return get(wb, test_id)


def discard(wb: Workbench, actor: auth.User, test_id: int) -> None:
    """Throw a draft away. Raises NotFound, and Conflict for a test that has started: that is kept for ever."""
    auth.require(actor, auth.TRAINER)

    def work(connection: sa.Connection) -> None:
        found = _locked(connection, test_id)
        if found.status != DRAFT:
            raise Conflict("A test that has started is kept; stop it instead.")
        connection.execute(ab_experiments.delete().where(ab_experiments.c.id == test_id))
        audit.record(connection, actor, "ab.discard", f"ab test {test_id}", {"name": found.name})

    wb.db.write(work)
    _RECENT.pop((id(wb.db), test_id), None)


def end(
    wb: Workbench,
    actor: auth.User | None,
    test_id: int,
    status: str,
    reason: str,
    *,
    winner: str | None = None,
    verdict: Mapping[str, Any] | None = None,
) -> Trial:
    """Stop a test with a reason, or conclude it with a winner. `actor` None is the guardrail watch.

    Raises Conflict where it is not running, InvalidInput for a missing reason or an unknown winner.
    """
    if actor is not None:
        auth.require(actor, auth.TRAINER)
    reason = reason.strip()
    if not 1 <= len(reason) <= MAX_REASON:
        raise InvalidInput("Say why in 1 to {limit} characters; it is kept with the test.", limit=MAX_REASON)
    storable.check("reason", reason)

    def work(connection: sa.Connection) -> None:
        found = _locked(connection, test_id)
        if found.status != RUNNING:
            raise Conflict("This test is not running, so it cannot be ended.")
        if status == CONCLUDED and winner not in found.plan.names:
            raise InvalidInput(
                "“{name}” is not a variant of this test; there are: {all}.",
                name=winner,
                all=", ".join(found.plan.names),
            )
        outcome = {
            "reason": reason,
            "winner": winner,
            "verdict": verdict,
            "by": actor.name if actor else None,
        }
        connection.execute(
            ab_experiments.update()
            .where(ab_experiments.c.id == test_id)
            .values(status=status, outcome=outcome, ended_at=datetime.now(UTC))
        )
        audit.record(
            connection, actor, f"ab.{status}", f"ab test {test_id}", {"reason": reason, "winner": winner}
        )

    wb.db.write(work)
    _RECENT.pop((id(wb.db), test_id), None)
    return get(wb, test_id)


def get(wb: Workbench, test_id: int) -> Trial:
    """Raises NotFound."""
    with wb.db.read() as connection:
        return _get(connection, test_id)


def recent(wb: Workbench, test_id: int) -> Trial:
    """The test as it was at most a second ago, for what is asked many times a second. Raises NotFound.

    What this process changes shows at once; a change by another replica within the second.
    """
    kept = _RECENT.get((id(wb.db), test_id))
    if kept is None or time.monotonic() - kept[0] > RECENT_SECONDS:
        kept = (time.monotonic(), get(wb, test_id))
        _RECENT[id(wb.db), test_id] = kept
    return kept[1]


def listed(
    wb: Workbench, theme_id: int | None = None, *, after: int | None = None, limit: int = 50
) -> list[Trial]:
    """Tests, newest first, of one theme or of all; give the last one's id as `after` for those before it."""
    query = _select().order_by(ab_experiments.c.id.desc()).limit(limit)
    if theme_id is not None:
        query = query.where(ab_experiments.c.theme_id == theme_id)
    if after is not None:
        query = query.where(ab_experiments.c.id < after)
    with wb.db.read() as connection:
        return [_trial(row) for row in connection.execute(query).mappings()]


def room(wb: Workbench, theme_id: int, group: str) -> float:
    """The share of the theme's users that a test of an exclusion group could still have for itself."""
    with wb.db.read() as connection:
        return lanes.room(list(_taken(connection, theme_id, group).values()))


def running(wb: Workbench) -> list[Trial]:
    with wb.db.read() as connection:
        query = _select().where(ab_experiments.c.status == RUNNING)
        return [_trial(row) for row in connection.execute(query).mappings()]


def _with_lane(connection: sa.Connection, trial: Trial) -> Plan:
    """The plan with a lane of its own beside those of the group's running tests. Raises Conflict."""
    wanted = trial.plan.exclusion
    if wanted is None:
        return trial.plan
    if connection.dialect.name == "postgresql":  # two starts at once must not be given one lane
        connection.execute(
            sa.select(theme_rows.c.id).where(theme_rows.c.id == trial.theme_id).with_for_update()
        )
    taken = _taken(connection, trial.theme_id, wanted.group)
    lane = lanes.free(list(taken.values()), wanted.part)
    if lane is None:
        raise Conflict(
            "In the exclusion group “{group}” {room:.0%} of the users are still free and this test wants {part:.0%}; "
            "end a test of the group first ({names}), or plan with fewer users.",
            group=wanted.group,
            room=lanes.room(list(taken.values())),
            part=wanted.part,
            names=", ".join(taken),
        )
    return trial.plan.model_copy(update={"exclusion": wanted.model_copy(update={"lane": lane})})


def _taken(connection: sa.Connection, theme_id: int, group: str) -> dict[str, lanes.Lane]:
    """The lanes of a group's running tests, by the tests' names."""
    table = ab_experiments.c
    query = _select().where(table.theme_id == theme_id, table.status == RUNNING).order_by(table.id)
    found = {}
    for row in connection.execute(query).mappings():
        trial = _trial(row)
        own = trial.plan.exclusion
        if own is not None and own.group == group and own.lane is not None:
            found[trial.name if trial.name not in found else f"{trial.name} ({trial.id})"] = own.lane
    return found


def _plan(wb: Workbench, theme_id: int, given: Mapping[str, Any]) -> Plan:
    chosen = read(given)
    if chosen.exclusion is not None:  # its lane is given at the start, whatever a copied plan says
        own = Exclusion(group=chosen.exclusion.group, part=chosen.exclusion.part)
        chosen = chosen.model_copy(update={"exclusion": own})
    for version in registry.by_id(wb, set(chosen.versions)).values():
        if version.theme_id != theme_id:
            raise NotFound("There is no model version {id} in this theme.", id=version.id)
    return chosen


def check_name(name: str) -> str:
    """The name without needless spaces. Raises InvalidInput for one that is empty, too long, or cannot be stored."""
    name = " ".join(name.split())
    if not 1 <= len(name) <= MAX_NAME:
        raise InvalidInput("A name has 1 to {limit} visible characters.", limit=MAX_NAME)
    return storable.check("name", name)


def _add_phase(
    connection: sa.Connection, test_id: int, number: int, weights: tuple[float, ...], coverage: float
) -> None:
    connection.execute(
        ab_phases.insert().values(
            test_id=test_id,
            number=number,
            salt=token_hex(16),
            weights=list(weights),
            coverage=coverage,
            started_at=datetime.now(UTC),
        )
    )


def _select() -> sa.Select[Any]:
    return sa.select(
        ab_experiments,
        ab_phases.c.salt,
        ab_phases.c.weights,
        ab_phases.c.coverage,
        ab_phases.c.started_at.label("phase_started_at"),
    ).select_from(
        ab_experiments.outerjoin(
            ab_phases,
            (ab_phases.c.test_id == ab_experiments.c.id) & (ab_phases.c.number == ab_experiments.c.phase),
        )
    )


def _get(connection: sa.Connection, test_id: int) -> Trial:
    row = connection.execute(_select().where(ab_experiments.c.id == test_id)).mappings().one_or_none()
    if row is None:
        raise NotFound("There is no A/B test {id}.", id=test_id)
    return _trial(row)


def _locked(connection: sa.Connection, test_id: int) -> Trial:
    """The test, kept as it is until the transaction ends."""
    if connection.dialect.name == "postgresql":
        connection.execute(
            sa.select(ab_experiments.c.id).where(ab_experiments.c.id == test_id).with_for_update()
        )
    return _get(connection, test_id)


def _trial(row: Mapping[Any, Any]) -> Trial:
    phase = None
    if row["phase"]:
        phase = Phase(
            row["phase"], row["salt"], tuple(row["weights"]), row["coverage"], row["phase_started_at"]
        )
    return Trial(
        id=row["id"],
        theme_id=row["theme_id"],
        name=row["name"],
        status=row["status"],
        plan=Plan.model_validate(row["plan"]),
        seal=row["seal"],
        intact=row["seal"] is None or row["seal"] == seal(row["plan"]),
        phase=phase,
        outcome=row["outcome"],
        created_by=row["created_by"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
    )
