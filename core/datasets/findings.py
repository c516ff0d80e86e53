"""Stored. What the check found in a text dataset: read, counted and judged by the gate."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import sqlalchemy as sa

from core.datasets import store
from core.datasets.lists import gone
from core.datasets.store import Version
from core.db.tables import dataset_quality_logs, users
from core.db.text_tables import text_kept, training_dataset_versions, training_datasets
from core.errors import Conflict, InvalidInput
from core.quality.gate import Gate
from core.quality.texts import gate
from core.quality.texts.counting import tally
from core.quality.texts.foundfile import CHECKS
from core.quality.texts.gate import Counts
from core.quality.texts.kinds import KINDS, decided
from core.quality.texts.rules import Rules
from core.workbench import Workbench

LOGGED = 50
BROKEN = "broken"
"""As a kind of what was called fine: the broken rows of an upload, which are left out."""

_V = training_dataset_versions.c


@dataclass(frozen=True)
class Standing:
    """Where a version stands: open findings by kind, and the gate."""

    version: Version
    rules: Rules
    gate: Gate
    counts: Counts | None
    """None where the version was not checked."""
    stale: bool
    """It was not checked, or by other rules or checks than today's."""
    open: dict[str, int]
    """Rows with findings, by kind; of an unchecked version those of the last check that still hold."""
    kept: dict[str, int]
    """Rows with findings that somebody called fine, by kind."""
    broken: int
    """Rows of the uploads that could not be read and that nobody said to leave out."""
    not_checked: tuple[str, ...]
    """Sentences about what the check could not see (gettext messages)."""
    languages: dict[str, dict[str, int]]
    """Texts by column and language."""
    checked_at: datetime | None
    together: int = 0
    """Pairs, each different one once, that were judged together; 0 where that says nothing."""
    since: int = 0
    """That came or went after that: see core.quality.texts.paired."""


@dataclass(frozen=True)
class Found:
    row_id: int
    kind: str
    severity: str
    where: str
    """The field of the row, see core.texts.records; "" for the row as a whole."""
    message: str
    fields: dict[str, Any]
    group: int | None
    """Of copies and leaks: the least id of the rows that belong together."""
    kept: bool

    def text(self, translate: Callable[[str], str] = str) -> str:
        """The sentence, through `translate` (a gettext function) when one is given."""
        return translate(self.message).format(**self.fields)


@dataclass(frozen=True)
class FoundPage:
    items: list[Found]
    total: int


@dataclass(frozen=True)
class Basis:
    """The findings that hold for a version: of its own check, or of the nearest version before that has one."""

    version: Version
    """The one that was checked."""
    findings: pa.Table
    """Of rows that are still there as they were."""


@dataclass(frozen=True)
class Entry:
    """One line of the log of checks, fixes and decisions."""

    at: datetime
    person: str | None
    action: str
    version: int | None
    """Its number."""
    score: int | None
    passed: bool | None
    detail: dict[str, Any]


@dataclass(frozen=True)
class State:
    """What a version's numbers depend on beside the findings of its check."""

    rules: Rules
    kept: frozenset[tuple[str, str]]
    """(content hash, kind) that somebody called fine."""
    broken: int
    found: str | None
    """Key of the findings."""
    line: int | None
    """The newest line of the dataset's log: whatever changes the others writes one in its transaction."""


# --- reading --------------------------------------------------------------------


def standing(wb: Workbench, version: Version) -> Standing:
    """Of a version as `core.datasets.store` gave it. Raises NotFound where its dataset is gone."""
    with wb.db.read() as connection:
        state = state_of(connection, version)
    found = version.found
    if found is None:
        basis = basis_of(wb, version)
        counted = _rows_by_kind(basis.findings, state.kept) if basis else ({}, {})
        return Standing(
            version=version,
            rules=state.rules,
            gate=gate.unchecked(version.row_count),
            counts=None,
            stale=True,
            open=counted[0],
            kept=counted[1],
            broken=state.broken,
            not_checked=(),
            languages={},
            checked_at=None,
        )
    counts, stale = counts_of(found, state.rules)
    return Standing(
        version=version,
        rules=state.rules,
        gate=gate.judge(counts, state.rules),
        counts=counts,
        stale=stale,
        open=found["open"],
        kept=found["kept"],
        broken=counts.broken,
        not_checked=tuple(found["summary"]["not_checked"]),
        languages=found["summary"]["languages"],
        checked_at=datetime.fromisoformat(found["at"]),
        together=found["summary"].get("together", 0),
        since=found["summary"].get("since", 0),
    )


def basis_of(wb: Workbench, version: Version) -> Basis | None:
    """The findings that hold for the version; None where nothing of it was ever checked."""
    checked = version
    if version.found is None:
        query = (
            sa.select(_V.number)
            .where(_V.dataset_id == version.dataset_id, _V.number < version.number, _V.found.is_not(None))
            .order_by(_V.number.desc())
            .limit(1)
        )
        with wb.db.read() as connection:
            number = connection.execute(query).scalar()
        if number is None:
            return None
        checked = store.version(wb, version.dataset_id, number)
    assert checked.found is not None
    table = pq.read_table(wb.files.local_path(checked.found["findings"]))
    if checked.id != version.id:
        now = store.table(wb, version, ("row_id", "hash"))
        place = pc.index_in(table["row_id"], value_set=now["row_id"])
        same: Any = pc.equal(now["hash"].take(place), table["hash"])
        table = table.filter(pc.fill_null(same, pa.scalar(False)))
    return Basis(checked, table)


def found(
    wb: Workbench,
    version: Version,
    kind: str | None = None,
    *,
    kept: bool = False,
    offset: int = 0,
    limit: int = 50,
) -> FoundPage:
    """Findings by row id, of one kind or of all; open ones, or those that somebody called fine.

    Copies and leaks come group by group. Raises InvalidInput for a kind that does not exist.
    """
    table = of_kind(wb, version, kind, kept)
    if kind in ("copy", "near-copy", "leakage"):
        table = table.sort_by([("group", "ascending"), ("row_id", "ascending")])
    return FoundPage(_items(table.slice(offset, limit), kept), len(table))


def of_rows(wb: Workbench, version: Version, kind: str, ids: Sequence[int]) -> list[Found]:
    """The open findings of a kind in these rows. Raises InvalidInput for a kind that does not exist."""
    table = of_kind(wb, version, kind, False)
    return _items(table.filter(pc.is_in(table["row_id"], pa.array(sorted(ids), pa.int64()))), kept=False)


@dataclass(frozen=True)
class BrokenUpload:
    """Rows of one file that could not be read and that nobody said to leave out."""

    file: str
    total: int
    rows: list[dict[str, Any]]
    """The first of them, see core.datasets.uploads."""


def broken(wb: Workbench, version: Version) -> list[BrokenUpload]:
    """By upload, up to this version."""
    with wb.db.read() as connection:
        totals = broken_uploads(connection, version)
    return [
        BrokenUpload(each.source["file"], totals[each.id], each.source["broken"])
        for each in store.versions(wb, version.dataset_id)
        if each.id in totals and each.source
    ]


def rows(wb: Workbench, version: Version, kind: str, *, kept: bool = False) -> list[int]:
    """Ids of the rows with a finding, ascending: what `core.datasets.store.page` takes. Raises InvalidInput."""
    return sorted(set(row_ids(of_kind(wb, version, kind, kept))))


def entries(wb: Workbench, dataset_id: int, limit: int = LOGGED) -> list[Entry]:
    """The log of checks, fixes and decisions, newest first. Raises NotFound."""
    store.get(wb, dataset_id)
    column = dataset_quality_logs.c
    query = (
        sa.select(
            column.at,
            users.c.name,
            column.action,
            _V.number,
            column.score,
            column.passed,
            column.detail,
        )
        .select_from(dataset_quality_logs)
        .outerjoin(users, users.c.id == column.user_id)
        .outerjoin(training_dataset_versions, _V.id == column.version_id)
        .where(column.dataset_id == dataset_id)
        .order_by(column.id.desc())
        .limit(limit)
    )
    with wb.db.read() as connection:
        return [Entry(*row) for row in connection.execute(query)]


def rules(wb: Workbench, dataset_id: int) -> Rules:
    """Raises NotFound."""
    store.get(wb, dataset_id)
    with wb.db.read() as connection:
        return rules_of(connection, dataset_id)


def _items(table: pa.Table, kept: bool) -> list[Found]:
    return [
        Found(
            each["row_id"],
            each["kind"],
            each["severity"],
            each["where"],
            each["message"],
            json.loads(each["fields"]),
            each["group"],
            kept,
        )
        for each in table.to_pylist()
    ]


# --- the parts ------------------------------------------------------------------


def state_of(connection: sa.Connection, version: Version) -> State:
    kept = connection.execute(
        sa.select(text_kept.c.row_hash, text_kept.c.kind).where(text_kept.c.dataset_id == version.dataset_id)
    )
    found: sa.Select[Any] = sa.select(sa.literal_column("found ->> 'findings'")).select_from(
        training_dataset_versions
    )
    return State(
        rules=rules_of(connection, version.dataset_id),
        kept=frozenset((row.row_hash, row.kind) for row in kept),
        broken=sum(broken_uploads(connection, version).values()),
        found=connection.execute(found.where(_V.id == version.id)).scalar_one_or_none(),
        line=newest_line(connection, version.dataset_id),
    )


def newest_line(connection: sa.Connection, dataset_id: int) -> int | None:
    """Id of the newest line of a dataset's log. Under `core.datasets.decisions.lock` no other is on its way."""
    column = dataset_quality_logs.c
    query = sa.select(sa.func.max(column.id)).where(column.dataset_id == dataset_id)
    # Read to its end: DuckDB registers nothing on a connection that has a result open.
    found: int | None = connection.execute(query).scalar_one()
    return found


def rules_of(connection: sa.Connection, dataset_id: int) -> Rules:
    column = training_datasets.c
    query = sa.select(column.rules).where(column.id == dataset_id, column.deleted_at.is_(None))
    row = connection.execute(query).one_or_none()
    if row is None:
        raise gone(dataset_id)
    return Rules.model_validate(row.rules or {})


def broken_uploads(connection: sa.Connection, version: Version) -> dict[int, int]:
    """Broken rows by the version whose upload had them, up to this version, that nobody said to leave out."""
    total = sa.cast(sa.literal_column("source ->> 'broken_total'"), sa.BigInteger).label("total")
    query = sa.select(_V.id, total).where(
        _V.dataset_id == version.dataset_id, _V.number <= version.number, total > 0
    )
    left_out = sa.select(text_kept.c.row_hash).where(
        text_kept.c.dataset_id == version.dataset_id, text_kept.c.kind == BROKEN
    )
    marks = set(connection.execute(left_out).scalars())
    return {row.id: int(row.total) for row in connection.execute(query) if mark(row.id) not in marks}


def mark(version_id: int) -> str:
    """Stands in `text_kept` where other kinds have the content's hash."""
    return f"version {version_id}"


def counts_of(found: Mapping[str, Any], rules: Rules) -> tuple[Counts, bool]:
    """The numbers of a check, and whether it was one by other rules or checks than today's."""
    counts = Counts(**found["counts"])
    stale = found["rules"] != rules.of_findings() or found["checks"] != CHECKS
    return replace(counts, unchecked=counts.rows if stale else 0), stale


def _rows_by_kind(table: pa.Table, kept: frozenset[tuple[str, str]]) -> tuple[dict[str, int], dict[str, int]]:
    summary = {"rows": 0, "pairs": 0, "learnt": True, "told": 0, "dealt": True}
    counted = tally(table, summary, kept)
    return counted.open, counted.kept


def of_kind(wb: Workbench, version: Version, kind: str | None, kept: bool) -> pa.Table:
    """Findings of one kind or all that hold for the version: open ones, or those called fine."""
    if kind is not None:
        known(kind)
    table = _divided(wb, version, kept)[1]
    return table if kind is None else table.filter(pc.equal(table["kind"], pa.scalar(kind)))


def open_findings(wb: Workbench, version: Version) -> tuple[Basis, pa.Table]:
    """What holds for the version, and of it what nobody called fine. Raises Conflict, NotFound."""
    return _divided(wb, version, False)


def _divided(wb: Workbench, version: Version, kept: bool) -> tuple[Basis, pa.Table]:
    basis = basis_of(wb, version)
    if basis is None:
        raise Conflict("This version was not checked yet; press “Check now” first.")
    with wb.db.read() as connection:
        fine = state_of(connection, version).kept
    table = basis.findings
    if not fine:
        return basis, table.slice(0, 0) if kept else table
    columns = (table[name].to_pylist() for name in ("kind", "hash", "row_id"))
    said = [
        ((decided(kind, digest, row), kind) in fine) == kept
        for kind, digest, row in zip(*columns, strict=True)
    ]
    return basis, table.filter(pa.array(said, pa.bool_()))


def row_ids(findings: pa.Table) -> list[int]:
    return [int(row_id) for row_id in findings["row_id"].to_numpy()]


def known(kind: str) -> None:
    if kind not in KINDS:
        raise InvalidInput("There is no finding “{kind}”.", kind=kind[:50])
