"""Stored. All lines of the gate for one version, as they are now."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from core import auth, registry, runs
from core.db.tables import model_registry
from core.gate import costs, marks, policy, release, verdicts
from core.gate.lines import Line
from core.gate.policy import Policy
from core.ledger import PRODUCTION
from core.registry import Version
from core.workbench import Workbench


@dataclass(frozen=True)
class Measured:
    """What the lines need and a decision's own transaction shall not wait for: files, and all answers of two runs."""

    policy: Policy
    champion_id: int | None
    """With which `slices` compares."""
    slices: tuple[Line, ...]
    costs: tuple[Line, ...]
    dataset: tuple[Line, ...]
    mark: tuple[Line, ...]
    """Each empty where the policy does not ask for it."""


class Outdated(Exception):
    """Another version went into production since it was measured."""


def look(wb: Workbench, version_id: int, actor: auth.User | None = None) -> list[Line]:
    """The gate's lines for a version as they are now; `actor` is who would promote it, None anybody.

    Raises NotFound, InvalidInput where the saved policy was damaged by hand, Unavailable where git does not work.
    """
    while True:
        found = measure(wb, version_id)
        try:
            with wb.db.read() as connection:
                return lines(connection, registry.read(connection, version_id), found, actor)
        except Outdated:
            continue


def measure(wb: Workbench, version_id: int) -> Measured:
    """What `lines` is given. Raises as `look`."""
    version = registry.get(wb, version_id)
    with wb.db.read() as connection:
        champion = _champion(connection, version)
    found = policy.of_theme(wb, version.theme_id)
    rules = found.rules
    asked = rules.champion.slices
    run = None if version.run_id is None else runs.get(wb, version.run_id)
    return Measured(
        policy=found,
        champion_id=champion.id if champion else None,
        slices=(marks.by_kind(wb, version, champion, asked.delta),) if asked.enabled else (),
        mark=(marks.metric(version, run, rules.metric),) if rules.metric.enabled else (),
        costs=(
            *([costs.latency(version, run, rules.latency.limit)] if rules.latency.enabled else []),
            *([costs.size(version, rules.size.limit)] if rules.size.enabled else []),
        ),
        dataset=(release.dataset(wb, version.theme_id),) if rules.release.dataset else (),
    )


def lines(
    connection: sa.Connection, version: Version, measured: Measured, actor: auth.User | None
) -> list[Line]:
    """The gate's lines within a transaction. A version in production is compared with nothing.

    Raises Outdated where `measured` was compared with another version than the one in production.
    """
    champion = _champion(connection, version)
    if measured.slices and measured.champion_id != (champion.id if champion else None):
        raise Outdated
    rules = measured.policy.rules
    return [
        *([verdicts.verdict(connection, version, champion)] if rules.champion.verdict else []),
        *([marks.accuracy(connection, version, champion)] if rules.champion.accuracy else []),
        *measured.slices,
        *measured.mark,
        *costs.benchmarks(connection, version, rules.benchmarks),
        *measured.costs,
        *measured.dataset,
        *([release.approval(connection, version, actor)] if rules.release.approval else []),
    ]


def in_production(connection: sa.Connection, model_id: int) -> Version | None:
    table = model_registry.c
    query = sa.select(table.id).where(table.model_id == model_id, table.stage == PRODUCTION)
    found = connection.execute(query).scalar()
    return registry.read(connection, found) if found is not None else None


def _champion(connection: sa.Connection, version: Version) -> Version | None:
    """What a version would replace."""
    found = in_production(connection, version.model_id)
    return None if found is None or found.id == version.id else found
