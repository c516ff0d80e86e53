"""Stored. Fixes of text datasets: shown before they are done, and each done as a new version."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from core import auth, storable
from core.datasets import decisions, findings, store, vault
from core.datasets.findings import Basis
from core.datasets.rows import rewritten
from core.datasets.store import Version
from core.errors import Conflict, InvalidInput, NotFound
from core.quality.texts import language, masking
from core.quality.texts.kinds import COPIES, FIXES, KINDS, LEAKS, MASK, REMOVE
from core.quality.texts.masking import Vault
from core.texts import rowfile, rowpages
from core.texts.records import Record, Turn, field_name
from core.texts.rowfile import DataRow, rows_of
from core.texts.tables import Limits
from core.workbench import Workbench

EXAMPLES = 5
FIRST, LONGEST = BEST = ("first", "longest")
"""Which row of a group of copies stays, among those of the split that is tested last."""
_RANK = {"test": 0, "valid": 1, "train": 2, None: 3}


@dataclass(frozen=True)
class Example:
    """One row before and after; personal data is veiled in both."""

    row_id: int
    before: dict[str, str]
    """Text by field."""
    after: dict[str, str] | None
    """None where the row goes."""


@dataclass(frozen=True)
class Preview:
    version: Version
    """Give its id to `apply`, so that nothing else is changed than what was shown."""
    removed: int
    changed: int
    left: int
    """Rows with the finding that this fix cannot change; edit them by hand."""
    examples: list[Example]


@dataclass(frozen=True)
class Group:
    """Rows that say the same, by row id."""

    rows: tuple[int, ...]
    best: int


@dataclass
class _Plan:
    removed: Collection[int] = ()
    changed: dict[int, DataRow] = field(default_factory=dict)
    vault: Vault = field(default_factory=dict)
    left: int = 0


def preview(
    wb: Workbench,
    dataset_id: int,
    fix: str,
    kind: str | None = None,
    *,
    ids: Sequence[int] | None = None,
    best: str = FIRST,
) -> Preview:
    """What `apply` would do to the newest version. Raises InvalidInput, NotFound, Conflict."""
    version = store.get(wb, dataset_id).newest
    plan = _plan(wb, version, fix, kind, ids, best)
    shown = sorted([*plan.removed, *plan.changed])[:EXAMPLES]
    examples = [
        Example(
            row.row_id,
            _veiled(row.record),
            None if row.row_id in plan.removed else _veiled(plan.changed[row.row_id].record),
        )
        for row in store.page(wb, version, ids=shown, limit=EXAMPLES).rows
    ]
    return Preview(version, len(plan.removed), len(plan.changed), plan.left, examples)


def apply(
    wb: Workbench,
    actor: auth.User,
    dataset_id: int,
    fix: str,
    kind: str | None = None,
    *,
    ids: Sequence[int] | None = None,
    best: str = FIRST,
    parent: int | None = None,
) -> Version:
    """Repair all rows with the finding, or those with these ids, in a new version; the old one stays as it is.

    `fix` is one of core.quality.texts.kinds.FIXES:
    remove — the rows with a finding of `kind` go;
    copies — of each group one row stays: of test before valid before train, then the `best` one;
    mask — personal data (of `kind`, else of any) becomes tokens that an administrator can turn back;
    clean — garbled, control and invisible characters are repaired;
    leaks — rows that are learnt from and repeat what is tested go.
    Where nothing is to be done the newest version is returned. Raises InvalidInput for a fix or kind that
    does not exist, Conflict where the version was not checked or `parent` is not the newest, NotFound, NotAllowed.
    """
    auth.require(actor, auth.LABELER)
    version = store.get(wb, dataset_id).newest
    plan = _plan(wb, version, fix, kind, ids, best)
    if plan.vault:  # before the rows that need it
        vault.put(wb, dataset_id, plan.vault)
    detail = {"fix": fix, "finding": kind, "rows": len(plan.removed) + len(plan.changed)}
    return _add(wb, actor, version, plan, {"kind": "fix", **detail}, parent)


def edit(
    wb: Workbench,
    actor: auth.User,
    dataset_id: int,
    row_id: int,
    texts: Mapping[str, str],
    *,
    parent: int | None = None,
) -> Version:
    """Write texts of one row anew, by field as core.texts.records names them, in a new version.

    Raises InvalidInput for a field that the row has not or a text that is too long, NotFound, Conflict, NotAllowed.
    """
    auth.require(actor, auth.LABELER)
    version = store.get(wb, dataset_id).newest
    found = store.page(wb, version, ids=[row_id], limit=1).rows
    if not found:
        raise NotFound("There is no row {row} in version {number}.", row=row_id, number=version.number)
    changed = found[0].with_record(_edited(found[0].record, texts))
    detail = {"kind": "edit", "row": row_id}
    return _add(wb, actor, version, _Plan(changed={row_id: changed}), detail, parent)


def groups(wb: Workbench, version: Version, *, best: str = FIRST) -> list[Group]:
    """Groups of copies that nobody called fine, by their first row. Raises InvalidInput, Conflict, NotFound."""
    if best not in BEST:
        raise InvalidInput("“{best}” is not one of: {all}.", best=best[:50], all=", ".join(BEST))
    basis, table = _open(wb, version, [kind.name for kind in KINDS.values() if kind.fix == COPIES])
    of_group: dict[int, set[int]] = {}
    for row_id, group in zip(findings.row_ids(table), table["group"].to_pylist(), strict=True):
        of_group.setdefault(int(group or 0), set()).add(row_id)
    still = _unchanged(wb, basis.version, version, of_group)
    members = {group: rows | ({group} & still) for group, rows in of_group.items()}
    wanted = {row_id for rows in members.values() for row_id in rows}
    facts = _facts(rowpages.of_ids(wb.files.local_path(version.path), wanted))
    longest = best == LONGEST

    def order(row_id: int) -> tuple[int, int, int]:
        split, length = facts[row_id]
        return _RANK[split], -length if longest else 0, row_id

    return [
        Group(tuple(sorted(rows)), min(rows, key=order))
        for _, rows in sorted(members.items())
        if len(rows) > 1
    ]


# --- the parts ------------------------------------------------------------------


def _plan(
    wb: Workbench, version: Version, fix: str, kind: str | None, ids: Sequence[int] | None, best: str
) -> _Plan:
    if fix not in FIXES:
        raise InvalidInput("The fix “{fix}” is not one of: {all}.", fix=fix[:50], all=", ".join(FIXES))
    if kind is not None:
        findings.known(kind)
        if fix != REMOVE and KINDS[kind].fix != fix:
            raise InvalidInput(
                "The fix “{fix}” does not repair the finding “{kind}”; choose another.", fix=fix, kind=kind
            )
    elif fix == REMOVE:
        raise InvalidInput("Say which finding the rows have that shall be removed.")
    if fix == LEAKS or kind == "leakage":
        kind = "leakage"
        if version.found is None:
            raise Conflict(
                "The rows have changed since the check, so leaks may be others; check again first."
            )
    wanted = None if ids is None else set(ids)
    if fix == COPIES:
        chosen = [
            (set(group.rows) - {group.best}) & (wanted if wanted is not None else set(group.rows))
            for group in groups(wb, version, best=best)
        ]
        return _Plan(removed=set().union(*chosen))
    _, table = _open(wb, version, [kind] if kind else [k.name for k in KINDS.values() if k.fix == fix])
    by_row: dict[int, set[str]] = {}
    for row_id, name in zip(findings.row_ids(table), table["kind"].to_pylist(), strict=True):
        if wanted is None or row_id in wanted:
            by_row.setdefault(row_id, set()).add(str(name))
    if fix in (REMOVE, LEAKS):
        return _Plan(removed=set(by_row))
    rows = rowpages.of_ids(wb.files.local_path(version.path), by_row)
    plan = _Plan()
    masker = vault.masker(wb) if fix == MASK and by_row else None
    for row in rows_of(rows):
        if masker is not None:
            record, found = masker.mask(row.record, by_row[row.row_id])
            plan.vault |= found
        else:
            record = masking.mapped(row.record, language.repaired)
        if record != row.record:
            plan.changed[row.row_id] = row.with_record(record)
    plan.left = len(by_row) - len(plan.changed)
    return plan


def _add(
    wb: Workbench,
    actor: auth.User,
    version: Version,
    plan: _Plan,
    change: dict[str, Any],
    parent: int | None,
) -> Version:
    """The version that the plan makes. What was planned on another version than the newest is refused there."""
    changed = rowfile.table([plan.changed[row_id] for row_id in sorted(plan.changed)])
    ready = rewritten(wb, version, plan.removed, changed)
    if ready.hash == version.hash and parent in (None, version.id):
        return version
    counts = {"added": 0, "removed": len(plan.removed), "changed": len(plan.changed), "resplit": 0}

    def also(connection: sa.Connection, made: Version) -> None:
        detail = {name: value for name, value in change.items() if name != "kind"}
        decisions.note(connection, made, actor.id, change["kind"], detail, None)

    return store.adopt(
        wb,
        actor,
        version.dataset_id,
        ready,
        change | counts,
        parent=version.id if parent is None else parent,
        also=also,
    )


def _open(wb: Workbench, version: Version, kinds: Sequence[str]) -> tuple[Basis, pa.Table]:
    """What holds for the version, and its findings of these kinds that nobody called fine."""
    basis, table = findings.open_findings(wb, version)
    return basis, table.filter(pc.is_in(table["kind"], pa.array(list(kinds))))


def _unchanged(wb: Workbench, old: Version, new: Version, ids: Collection[int]) -> set[int]:
    """Those of the rows that say the same in both versions."""
    if old.id == new.id:
        return set(ids)
    before, after = (_hashes(store.table(wb, version, ("row_id", "hash")), ids) for version in (old, new))
    return {row_id for row_id, digest in after.items() if before.get(row_id) == digest}


def _hashes(rows: pa.Table, ids: Collection[int]) -> dict[int, str]:
    rows = rows.filter(pc.is_in(rows["row_id"], pa.array(sorted(ids), pa.int64())))
    return dict(zip(findings.row_ids(rows), map(str, rows["hash"].to_pylist()), strict=True))


def _facts(rows: pa.Table) -> dict[int, tuple[str | None, int]]:
    """Split and characters of rows."""
    return {row.row_id: (row.split, len(row.record.whole())) for row in rows_of(rows)}


def _edited(record: Record, texts: Mapping[str, str]) -> Record:
    names = [field_name(record, number) for number in range(len(record.turns))]
    for name, text in texts.items():
        if name not in (*names, "input", "system"):
            raise InvalidInput(
                "This row has no text “{field}”; its texts are: {all}.",
                field=name[:50],
                all=", ".join((*names, "input", "system")),
            )
        storable.check(name, text)
        if len(text) > Limits.cell:
            raise InvalidInput(
                "“{field}” has {n} characters and at most {limit} are accepted; shorten it.",
                field=name,
                n=len(text),
                limit=Limits.cell,
            )
    turns = tuple(
        Turn(turn.role, texts.get(name, turn.content)) for name, turn in zip(names, record.turns, strict=True)
    )
    context, system = texts.get("input", record.context), texts.get("system", record.system)
    return replace(record, turns=turns, context=context, system=system)


def _veiled(record: Record) -> dict[str, str]:
    return {name: masking.veiled(text) for name, text in record.texts()}
