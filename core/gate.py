"""Stored. The gate before production: lines, each with its evidence, on which a promotion is decided."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from core import registry
from core.ab import trials
from core.ab.plan import Plan, seal
from core.db.tables import ab_experiments, model_registry, model_train_data
from core.errors import Conflict
from core.ledger import PRODUCTION
from core.params.fields import N_
from core.registry import Version
from core.workbench import Workbench

GREEN, RED, OPEN = "green", "red", "open"
"""Open: there is nothing to compare with yet, which stops nobody."""
VERDICT, ACCURACY = "verdict", "accuracy"
BETTER = "better"
"""As core.ab.verdict says it; that module brings statistics which a look at the gate need not load."""

_TEXTS = {
    (VERDICT, GREEN): N_("The A/B test “{test}” was concluded with the verdict that this version is better."),
    (VERDICT, RED): N_(
        "No concluded A/B test says that this version is better than version {champion}, which is in production."
    ),
    ("newer test", RED): N_(
        "The newest A/B test of both, “{test}”, did not end with the verdict that this version is better than "
        "version {champion}, which is in production."
    ),
    (VERDICT, OPEN): N_("No version is in production yet, so there is none that an A/B test must beat."),
    (ACCURACY, GREEN): N_(
        "Right on {own} of the test images; version {champion}, which is in production, on {other} of the same."
    ),
    (ACCURACY, RED): N_(
        "Right on only {own} of the test images; version {champion}, which is in production, "
        "on {other} of the same."
    ),
    (ACCURACY, OPEN): N_("No version is in production yet whose accuracy this one could be compared with."),
    ("other images", OPEN): N_(
        "Measured on other test images than version {champion}, which is in production: "
        "their accuracy cannot be compared."
    ),
}


@dataclass(frozen=True)
class Line:
    """One line of the gate. `fields` is its evidence as plain data, and fills its sentence."""

    code: str
    """verdict | accuracy"""
    state: str
    """green | red | open"""
    fields: dict[str, Any] = field(default_factory=dict)

    def text(self, translate: Callable[[str], str] = str) -> str:
        """One sentence for people, through `translate` (a gettext function) when one is given."""
        code = self.code
        if self.code == ACCURACY and self.state == OPEN and "champion" in self.fields:
            code = "other images"
        elif self.code == VERDICT and self.state == RED and "test" in self.fields:
            code = "newer test"
        shares = {
            name: f"{self.fields[name] * 100:.1f} %" for name in ("own", "other") if name in self.fields
        }
        return translate(_TEXTS[code, self.state]).format(**(self.fields | shares))

    def plain(self) -> dict[str, Any]:
        return {"code": self.code, "state": self.state, "fields": self.fields}


class Refused(Conflict):
    """The gate is red; `lines` says where."""

    code = "gate"

    def __init__(self, lines: Sequence[Line]) -> None:
        self.lines = tuple(lines)
        super().__init__(
            "It was not promoted. {lines} An administrator may override this with a written reason."
        )

    def text(self, translate: Callable[[str], str] = str) -> str:
        red = " ".join(line.text(translate) for line in self.lines if line.state == RED)
        return translate(self.message).format(lines=red)


def look(wb: Workbench, version_id: int) -> list[Line]:
    """The gate's lines for a version as they are now. Raises NotFound."""
    with wb.db.read() as connection:
        return lines(connection, registry.read(connection, version_id))


def lines(connection: sa.Connection, version: Version) -> list[Line]:
    """The same within a transaction. A version in production is compared with nothing."""
    champion = in_production(connection, version.model_id)
    if champion is not None and champion.id == version.id:
        champion = None
    return [_verdict(connection, version, champion), _accuracy(connection, version, champion)]


def in_production(connection: sa.Connection, model_id: int) -> Version | None:
    table = model_registry.c
    query = sa.select(table.id).where(table.model_id == model_id, table.stage == PRODUCTION)
    found = connection.execute(query).scalar()
    return registry.read(connection, found) if found is not None else None


def _verdict(connection: sa.Connection, version: Version, champion: Version | None) -> Line:
    """The newest ended test of this version and the one it would replace decides: an old win does not outlive it.

    It says yes where it was concluded with this version as the winner, its verdict is that this version is
    better than A, A is the champion, and its plan is the one that was sealed.
    """
    found = _newest(connection, version, champion)
    if found is None:
        if champion is None:
            return Line(VERDICT, OPEN)
        return Line(VERDICT, RED, {"champion": champion.version, "champion_id": champion.id})
    row, plan = found
    verdict = row.outcome.get("verdict") or {}
    fields = {
        "test": row.name,
        "test_id": row.id,
        "seal": row.seal,
        "ended_at": row.ended_at.isoformat(),
        "verdict": verdict,
    }
    winner = row.outcome["winner"] if row.status == trials.CONCLUDED else None
    if (
        winner is not None
        and plan.versions[plan.names.index(winner)] == version.id
        and (verdict.get("kind"), verdict.get("variant")) == (BETTER, winner)
        and (champion is None or plan.versions[0] == champion.id)
        and seal(row.plan) == row.seal
    ):
        return Line(VERDICT, GREEN, fields)
    if champion is None:
        return Line(VERDICT, OPEN)
    return Line(VERDICT, RED, fields | {"champion": champion.version, "champion_id": champion.id})


def _newest(connection: sa.Connection, version: Version, champion: Version | None) -> tuple[Any, Plan] | None:
    """The newest ended test, concluded or stopped, that compares both; without a champion, this version with any A.

    Every variant is compared with A, so one of the two must be A.
    """
    table = ab_experiments.c
    query = (
        sa.select(table.id, table.name, table.status, table.plan, table.seal, table.outcome, table.ended_at)
        .where(table.theme_id == version.theme_id, table.status.in_((trials.CONCLUDED, trials.STOPPED)))
        .order_by(table.ended_at.desc(), table.id.desc())
    )
    for row in connection.execute(query):
        plan = Plan.model_validate(row.plan)
        first, others = plan.versions[0], plan.versions[1:]
        if champion is None and version.id in others:
            return row, plan
        if champion is not None and (
            (first == champion.id and version.id in others) or (first == version.id and champion.id in others)
        ):
            return row, plan
    return None


def _accuracy(connection: sa.Connection, version: Version, champion: Version | None) -> Line:
    if champion is None:
        return Line(ACCURACY, OPEN)
    fields = {"champion": champion.version, "champion_id": champion.id}
    own, other = (each.metrics.get("test", {}).get("accuracy") for each in (version, champion))
    if own is None or other is None or not _same_test(connection, version, champion):
        return Line(ACCURACY, OPEN, fields)
    return Line(ACCURACY, GREEN if own >= other else RED, fields | {"own": own, "other": other})


def _same_test(connection: sa.Connection, one: Version, two: Version) -> bool:
    """Whether both were measured on the same test images with the same labels, whatever they learned from."""
    if one.snapshot_hash == two.snapshot_hash:
        return True
    a, b = model_train_data.alias("a").c, model_train_data.alias("b").c

    def count(version: Version) -> int:
        query = sa.select(sa.func.count()).where(a.version_id == version.id, a.split == "test")
        return int(connection.execute(query).scalar_one())

    both = sa.select(sa.func.count()).where(
        a.version_id == one.id, a.split == "test",
        b.version_id == two.id, b.split == "test",
        a.image_id == b.image_id, a.label_id == b.label_id,
    )  # fmt: skip
    n = count(one)
    return n > 0 and n == count(two) == connection.execute(both).scalar_one()
