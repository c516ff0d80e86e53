"""Stored. What is wrong with a theme's images: counted, decided on, and judged by the gate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from core import audit, auth, storable, themes
from core.db.tables import (
    dataset_quality_logs,
    image_features,
    image_findings,
    labels,
    train_data,
    users,
)
from core.db.tables import themes as theme_rows
from core.errors import Conflict, InvalidInput
from core.quality import conditions, frozen, gate, groups, intake
from core.quality.gate import Counts, Gate
from core.quality.kinds import KINDS, MEASURED
from core.quality.rules import Rules, changed
from core.workbench import Workbench

BINS = 40
MAX_REASON = 2_000
LOGGED = 50


@dataclass(frozen=True)
class Standing:
    """Where a theme's data stands: open findings by kind, and the gate."""

    counts: Counts
    gate: Gate
    findings: dict[str, int]
    kept: dict[str, int]
    """What people called fine as it is, by kind."""


@dataclass(frozen=True)
class Entry:
    """One line of the log of checks and decisions."""

    at: datetime
    person: str | None
    action: str
    score: int | None
    passed: bool | None
    detail: dict[str, Any]


def standing(wb: Workbench, theme_id: int) -> Standing:
    """Open findings and the gate as of now. Raises NotFound."""
    theme = themes.get(wb, theme_id)
    with wb.db.read() as connection:
        return _standing(connection, theme)


def rules(wb: Workbench, theme_id: int) -> Rules:
    """Raises NotFound."""
    themes.get(wb, theme_id)
    with wb.db.read() as connection:
        return intake.rules_of(connection, theme_id)


def set_rules(wb: Workbench, actor: auth.User, theme_id: int, values: Mapping[str, Any]) -> Rules:
    """Change thresholds; what they find is found anew. Raises InvalidInput, NotFound, NotAllowed."""
    auth.require(actor, auth.TRAINER)
    theme = themes.get(wb, theme_id)
    keys: groups.Keys = []
    if "group_pattern" in values:
        # Read outside the transaction, so that nobody's label waits; what came meanwhile is read in it.
        with wb.db.read() as connection:
            pattern = changed(intake.rules_of(connection, theme_id), dict(values)).group_pattern
            keys = groups.read(connection, theme_id, pattern)

    def work(connection: sa.Connection) -> Rules:
        themes.lock(connection, theme_id)
        old = intake.rules_of(connection, theme_id)
        new = changed(old, dict(values))
        if new == old:
            return new
        connection.execute(
            theme_rows.update().where(theme_rows.c.id == theme_id).values(quality=new.model_dump())
        )
        before, after = old.model_dump(), new.model_dump()
        differs = {name: [before[name], after[name]] for name in after if before[name] != after[name]}
        if differs.keys() & {"twin_radius", "twin_likeness"}:
            intake.forget(connection, theme_id)
        if differs.keys() & {kind.threshold.rule for kind in MEASURED if kind.threshold}:
            intake.apply_thresholds(connection, theme_id, new)
        if "group_pattern" in differs:
            since = max((image_id for image_id, _key in keys), default=0)
            groups.write(connection, keys + groups.read(connection, theme_id, new.group_pattern, since=since))
        if differs.keys() & {"grey_below", "grey_most", "blank_below"}:
            intake.apply_grey(connection, theme_id, new)
        note(connection, theme, actor.id, "rules", {"changed": differs})
        audit.record(connection, actor, "quality.rules", f"theme {theme_id}", {"changed": differs})
        return new

    saved = wb.db.write(work)
    intake.catch_up(wb, theme_id)
    return saved


def histogram(wb: Workbench, theme_id: int, kind: str) -> list[tuple[float, int]]:
    """(lower edge, images) of the measure behind a kind, in BINS bins over its slider; the ends hold what lies beyond.

    Raises InvalidInput for a kind that no measure decides.
    """
    threshold = KINDS[kind].threshold if kind in KINDS else None
    if threshold is None:
        raise InvalidInput("No measure decides on the finding “{kind}”.", kind=kind[:50])
    width = (threshold.high - threshold.low) / BINS
    value: sa.ColumnElement[Any]
    column = train_data.c
    if threshold.measure == "side":
        value = sa.func.least(column.width, column.height)
    elif threshold.measure == "aspect":
        value = sa.cast(sa.func.greatest(column.width, column.height), sa.Double) / sa.func.least(
            column.width, column.height
        )
    else:
        value = image_features.c[threshold.measure]
    place = sa.func.least(
        BINS - 1, sa.func.greatest(0, sa.cast(sa.func.floor((value - threshold.low) / width), sa.Integer))
    )
    query = (
        sa.select(place, sa.func.count())
        .select_from(train_data)
        .join(image_features, image_features.c.image_id == column.id)
        .where(conditions.live(theme_id), value.is_not(None))
        .group_by(place)
    )
    with wb.db.read() as connection:
        counted = {int(row[0]): int(row[1]) for row in connection.execute(query)}
    return [(threshold.low + index * width, counted.get(index, 0)) for index in range(BINS)]


def check_override(actor: auth.User, reason: str) -> None:
    """Whether this person may train in spite of a failed gate, for this reason.

    Raises Conflict without a reason, InvalidInput for one that is too long, NotAllowed for all but administrators.
    """
    if not reason.strip():
        raise Conflict(
            "The dataset gate fails. Repair what it names under “Quality”, or have an administrator say why "
            "the training shall start all the same."
        )
    auth.require(actor, auth.ADMIN)
    if len(reason) > MAX_REASON:
        raise InvalidInput("The reason has at most {limit} characters.", limit=MAX_REASON)
    storable.check("reason", reason)


def entries(wb: Workbench, theme_id: int, limit: int = LOGGED) -> list[Entry]:
    """The log of checks, fixes and decisions, newest first."""
    column = dataset_quality_logs.c
    query = (
        sa.select(column.at, users.c.name, column.action, column.score, column.passed, column.detail)
        .select_from(dataset_quality_logs)
        .outerjoin(users, users.c.id == column.user_id)
        .where(column.theme_id == theme_id)
        .order_by(column.id.desc())
        .limit(limit)
    )
    with wb.db.read() as connection:
        return [Entry(*row) for row in connection.execute(query)]


def note(
    connection: sa.Connection,
    theme: themes.Theme,
    user_id: int | None,
    action: str,
    detail: Mapping[str, Any],
) -> Standing:
    """Write a line of the log, with the gate as it is after the act. Within the act's own transaction."""
    found = _standing(connection, theme)
    connection.execute(
        dataset_quality_logs.insert().values(
            theme_id=theme.id,
            at=datetime.now(UTC),
            user_id=user_id,
            action=action,
            score=found.gate.score,
            passed=found.gate.passed,
            detail={**detail, "findings": found.findings, "counts": asdict(found.counts)},
        )
    )
    return found


def _standing(connection: sa.Connection, theme: themes.Theme) -> Standing:
    theme_id = theme.id
    rules = intake.rules_of(connection, theme_id)
    column, found = train_data.c, image_findings.c
    live = conditions.live(theme_id)
    number = {
        kind: int(
            connection.execute(
                sa.select(sa.func.count())
                .select_from(train_data)
                .where(live, conditions.finding(kind, theme_id))
            ).scalar_one()
        )
        for kind in conditions.COMPARED
    }
    rows = connection.execute(
        sa.select(
            found.kind,
            sa.func.count(sa.case((conditions.is_open(), 1))),
            sa.func.count(sa.case((found.kept_at.is_not(None), 1))),
        )
        .select_from(image_findings)
        .join(train_data, column.id == found.image_id)
        .where(found.theme_id == theme_id, column.deleted_at.is_(None))
        .group_by(found.kind)
    ).all()
    number |= {kind: int(n) for kind, n, _ in rows if kind not in conditions.COMPARED}
    kept = {kind: int(n) for kind, _, n in rows if n}
    per_label: dict[int, int] = dict(
        connection.execute(
            sa.select(labels.c.id, sa.func.count(column.id))
            .select_from(labels)
            .outerjoin(train_data, sa.and_(column.label_id == labels.c.id, column.deleted_at.is_(None)))
            .where(labels.c.theme_id == theme_id, labels.c.deleted_at.is_(None))
            .group_by(labels.c.id)
        )
        .tuples()
        .all()
    )
    names = {label.id: label.name for label in theme.labels}
    fewest = min(per_label, key=lambda label_id: (per_label[label_id], label_id), default=None)
    later = column.id > sa.func.coalesce(
        sa.select(theme_rows.c.compared_until).where(theme_rows.c.id == theme_id).scalar_subquery(), 0
    )
    total, unchecked = connection.execute(
        sa.select(
            sa.func.count(),
            sa.func.count(
                sa.case((sa.or_(sa.and_(image_features.c.contrast.is_(None), ~_unreadable()), later), 1))
            ),
        )
        .select_from(train_data)
        .outerjoin(image_features, image_features.c.image_id == column.id)
        .where(live)
    ).one()
    strayed = frozen.drifted(connection, theme_id)
    counts = Counts(
        images=int(total),
        unreadable=number.get("unreadable", 0),
        leaks=number["leak"],
        conflicts=_conflicts(connection, theme_id) if number.get("contradicted") else number["conflict"],
        copies=_copies(connection, theme_id),
        fewest=per_label[fewest] if fewest is not None else 0,
        fewest_label=names.get(fewest, "") if fewest is not None else "",
        unchecked=int(unchecked),
        frozen=strayed is not None,
        test_gone=strayed.gone if strayed else 0,
        test_relabelled=strayed.relabelled if strayed else 0,
        test_added=strayed.added if strayed else 0,
    )
    findings = {kind: number.get(kind, 0) for kind in KINDS}
    return Standing(counts, gate.judge(counts, rules), findings, kept)


def _unreadable() -> sa.ColumnElement[bool]:
    found = image_findings.c
    return sa.exists().where(found.image_id == train_data.c.id, found.kind == "unreadable")


def _conflicts(connection: sa.Connection, theme_id: int) -> int:
    either = sa.or_(*(conditions.finding(kind, theme_id) for kind in ("conflict", "contradicted")))
    query = sa.select(sa.func.count()).select_from(train_data).where(conditions.live(theme_id), either)
    return int(connection.execute(query).scalar_one())


def _copies(connection: sa.Connection, theme_id: int) -> int:
    """Images beyond the first of each cluster, those left out that somebody said to keep."""
    return int(connection.execute(_COPIES, {"theme": theme_id}).scalar() or 0)


_COPIES = sa.text(
    "SELECT sum(open - CASE WHEN open = n THEN 1 ELSE 0 END) FROM ("
    " SELECT count(*) AS n, count(*) FILTER (WHERE f.kept_at IS NULL) AS open FROM image_clusters c"
    " JOIN train_data t ON t.id = c.image_id AND t.deleted_at IS NULL"
    " LEFT JOIN image_findings f ON f.image_id = c.image_id AND f.kind = 'twin'"
    " WHERE c.theme_id = :theme GROUP BY c.cluster_id HAVING count(*) > 1) AS each"
)
