"""Stored. What people decided on findings: called fine, taken back, and how often a doubt was right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from core import audit, auth, themes
from core.db.tables import image_findings, train_data, users
from core.errors import InvalidInput
from core.quality import conditions
from core.quality.findings import LOGGED, note
from core.quality.kinds import KINDS
from core.workbench import Workbench

FIXED_BY_REPAIR = ("leak", "unreadable")
"""Kinds that nobody can call fine: a mark would be untrue, or a training would fail."""
GATED = ("conflict", "twin")
"""Kinds that the gate counts and no single picture answers: a trainer decides on them."""


@dataclass(frozen=True)
class Decision:
    """Images that somebody called fine with one press, and that are so still."""

    kind: str
    at: datetime
    person: str | None
    images: int


@dataclass(frozen=True)
class Precision:
    """Of the label doubts that somebody decided on: how many labels were wrong indeed."""

    decided: int
    wrong: int


def may_decide(user: auth.User, kind: str) -> bool:
    """Whether this person may call a finding of the kind fine, or take that back."""
    return kind not in FIXED_BY_REPAIR and user.may(auth.TRAINER if kind in GATED else auth.LABELER)


def decide(
    wb: Workbench, actor: auth.User, theme_id: int, kind: str, ids: Sequence[int], *, keep: bool = True
) -> list[int]:
    """Say that images are fine as they are, or take that back; returns the ids of those that changed.

    Raises InvalidInput for a kind that nobody can call fine, NotFound, NotAllowed.
    """
    if kind not in KINDS:
        raise InvalidInput("There is no finding “{kind}”.", kind=kind[:50])
    if kind in FIXED_BY_REPAIR:
        raise InvalidInput("This finding cannot be called fine, for a model would suffer; repair it.")
    auth.require(actor, auth.TRAINER if kind in GATED else auth.LABELER)
    theme = themes.get(wb, theme_id)
    wanted = sorted(set(ids))

    def work(connection: sa.Connection) -> list[int]:
        themes.lock(connection, theme_id)
        found = image_findings.c
        bound = {"theme": theme_id, "kind": kind, "ids": wanted, "by": actor.id, "now": datetime.now(UTC)}
        if keep:
            chosen = sa.select(train_data.c.id).where(
                conditions.live(theme_id), conditions.finding(kind, theme_id), train_data.c.id.in_(_given())
            )
            changed_images = list(connection.execute(chosen, {"ids": wanted}).scalars())
            bound["ids"] = changed_images
            connection.execute(_KEEP, bound)
            connection.execute(_KEEP_NEW, bound)
        else:
            of = (found.theme_id == theme_id, found.kind == kind, found.image_id.in_(_given()))
            kept = sa.select(found.image_id).where(*of, found.kept_at.is_not(None))
            changed_images = list(connection.execute(kept, {"ids": wanted}).scalars())
            # Twins and conflicts are found by comparing; their rows say nothing but “kept”.
            if kind in conditions.COMPARED:
                connection.execute(image_findings.delete().where(*of), {"ids": wanted})
            else:
                back = image_findings.update().where(*of).values(kept_by=None, kept_at=None)
                connection.execute(back, {"ids": wanted})
        if changed_images:
            action = "keep" if keep else "reopen"
            note(connection, theme, actor.id, action, {"kind": kind, "images": len(changed_images)})
            detail = {"kind": kind, "images": changed_images[:1_000], "keep": keep}
            audit.record(connection, actor, "quality.decide", f"theme {theme_id}", detail)
        return changed_images

    return wb.db.write(work) if wanted else []


def decisions(wb: Workbench, theme_id: int, limit: int = LOGGED) -> list[Decision]:
    """What people called fine, newest first."""
    found = image_findings.c
    query = (
        sa.select(found.kind, found.kept_at, users.c.name, sa.func.count())
        .select_from(image_findings)
        .join(train_data, train_data.c.id == found.image_id)
        .outerjoin(users, users.c.id == found.kept_by)
        .where(found.theme_id == theme_id, found.kept_at.is_not(None), train_data.c.deleted_at.is_(None))
        .group_by(found.kind, found.kept_at, users.c.name)
        .order_by(found.kept_at.desc(), found.kind)
        .limit(limit)
    )
    with wb.db.read() as connection:
        return [Decision(*row) for row in connection.execute(query)]


def take_back(wb: Workbench, actor: auth.User, theme_id: int, decision: Decision) -> list[int]:
    """Open again what was called fine with one press; returns the ids of these images. Raises as `decide` does."""
    found = image_findings.c
    query = sa.select(found.image_id).where(
        found.theme_id == theme_id, found.kind == decision.kind, found.kept_at == decision.at
    )
    with wb.db.read() as connection:
        ids = list(connection.execute(query).scalars())
    return decide(wb, actor, theme_id, decision.kind, ids, keep=False)


def precision(wb: Workbench, theme_id: int) -> Precision:
    """How often a doubt was right, from what people decided: another label taken, or this one kept."""
    found = image_findings.c
    other = train_data.c.label_id != found.label_id
    query = (
        sa.select(sa.func.count(), sa.func.count(sa.case((other, 1))))
        .select_from(image_findings)
        .join(train_data, train_data.c.id == found.image_id)
        .where(
            found.theme_id == theme_id,
            found.kind == "mislabelled",
            train_data.c.deleted_at.is_(None),
            train_data.c.label_id.is_not(None),
            sa.or_(found.kept_at.is_not(None), other),
        )
    )
    with wb.db.read() as connection:
        decided, wrong = connection.execute(query).one()
    return Precision(int(decided), int(wrong))


def _given() -> sa.TextClause:
    """The bound ids as a subquery: any number of them, where IN would name each."""
    return sa.text("SELECT unnest(CAST(:ids AS BIGINT[]))")


_KEEP = sa.text(
    "UPDATE image_findings SET kept_by = :by, kept_at = CAST(:now AS TIMESTAMPTZ) WHERE kind = :kind"
    " AND image_id IN (SELECT unnest(CAST(:ids AS BIGINT[])))"
)
_KEEP_NEW = sa.text(
    'INSERT INTO image_findings (image_id, kind, theme_id, label_id, "at", kept_by, kept_at)'
    " SELECT t.id, CAST(:kind AS VARCHAR), t.theme_id, t.label_id, CAST(:now AS TIMESTAMPTZ), CAST(:by AS BIGINT),"
    " CAST(:now AS TIMESTAMPTZ) FROM train_data t WHERE t.id IN (SELECT unnest(CAST(:ids AS BIGINT[])))"
    " AND NOT EXISTS (SELECT 1 FROM image_findings o WHERE o.image_id = t.id AND o.kind = CAST(:kind AS VARCHAR))"
)
