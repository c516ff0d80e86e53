"""Stored. How far the images of one dataset version can be trusted: everything known of it, gathered once.

A version is a training snapshot, or the theme as it is now; core.quality.trust_words says it in words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from core import agreement, images, label_checks, snapshots, themes
from core.db.tables import (
    dataset_quality_logs,
    finetuning_jobs,
    image_clusters,
    image_features,
    image_findings,
    label_votes,
    train_data,
    users,
)
from core.db.tables import snapshots as snapshot_rows
from core.db.tables import themes as theme_rows
from core.errors import NotFound
from core.image_filter import SPLITS
from core.images import AUDIT_BELOW
from core.label_checks import Rate
from core.quality import batches, check_jobs, decisions, findings, frozen, gate
from core.quality.batches import Comparison
from core.quality.gate import Counts, Gate
from core.workbench import Workbench

_image, _found = train_data.c, image_findings.c


@dataclass(frozen=True)
class Agreed:
    """Images of the version that two people or more labelled without seeing each other's label."""

    same: Rate
    """`wrong` counts those on which they differ."""
    chance: float | None
    alpha: float | None
    """Krippendorff's."""


@dataclass(frozen=True)
class Override:
    """A training in spite of a failed gate."""

    at: datetime
    person: str
    run: int | None
    score: int | None
    reason: str


@dataclass(frozen=True)
class Trust:
    theme_id: int
    theme: str
    snapshot_id: int | None
    """None: the theme as it is now."""
    hash: str
    """Of the version, see core.snapshots."""
    frozen_at: datetime | None
    made_at: datetime
    by_label: dict[str, dict[str, int]]
    """{label: {split: images}}."""
    outside: int | None
    """Live images without a label or a split, which no training sees; None of a snapshot."""
    agreed: Agreed
    audited: Rate
    """Labels looked at again by somebody who did not see them, of the audit slice."""
    corrected: int
    """… of the wrong ones those that this version has right."""
    slice_size: int
    """Images of the version that are in the audit slice."""
    doubted: int
    """Labels that models which did not see the image doubt, and nobody decided on yet."""
    precision: Rate
    """Of doubts that somebody decided on: `wrong` counts the labels that were wrong indeed."""
    check: check_jobs.State
    counts: Counts
    gate: Gate
    ungrouped: int
    """Images that say no group."""
    overrides: tuple[Override, ...]
    drift: Comparison
    test_images: int
    test_hash: str

    @property
    def images(self) -> int:
        return sum(sum(each.values()) for each in self.by_label.values())


def gather(wb: Workbench, theme_id: int, snapshot_id: int | None = None) -> Trust:
    """Of a snapshot of the theme, or of the theme as it is now. Raises NotFound."""
    theme = themes.get(wb, theme_id)
    made_at = datetime.now(UTC)
    frozen_at: datetime | None = None
    outside: int | None = None
    if snapshot_id is None:
        digest, table = snapshots.current(wb, theme_id)
        outside = images.statistics(wb, theme_id).total - table.num_rows
    else:
        snapshot = snapshots.get(wb, snapshot_id)
        if snapshot.theme_id != theme_id:
            raise NotFound("There is no snapshot {id} in this theme.", id=snapshot_id)
        digest, table = snapshot.hash, snapshots.read(wb, snapshot)
    columns: dict[str, list[Any]] = table.to_pydict()
    ids, split, names = columns["image_id"], columns["split"], columns["label"]
    label_of: dict[int, int] = dict(zip(ids, columns["label_id"], strict=True))
    split_of: dict[int, str] = dict(zip(ids, split, strict=True))
    by_label: dict[str, dict[str, int]] = {}
    for (label, of), n in sorted(Counter(zip(names, split, strict=True)).items()):
        by_label.setdefault(label, dict.fromkeys(SPLITS, 0))[of] = n
    standing, rules = findings.standing(wb, theme_id), findings.rules(wb, theme_id)
    counts, judged = standing.counts, standing.gate
    with wb.db.read() as connection:
        if snapshot_id is not None:
            frozen_at = connection.execute(
                sa.select(snapshot_rows.c.created_at).where(snapshot_rows.c.id == snapshot_id)
            ).scalar_one()
            counts = _counts_of(connection, theme_id, standing.counts, label_of, split_of, by_label)
            judged = gate.judge(counts, rules)
        doubted = connection.execute(
            sa.select(_found.image_id, _found.label_id).where(
                _found.theme_id == theme_id, _found.kind == "mislabelled", _found.kept_at.is_(None)
            )
        ).all()
        grouped = set(
            connection.execute(
                sa.select(_image.id).where(_image.theme_id == theme_id, _image.group_name.is_not(None))
            ).scalars()
        )
        overrides = _overrides(connection, theme_id, snapshot_id)
        agreed = _agreed(connection, theme_id, label_of.keys())
    checks = [each for each in label_checks.newest(wb, theme_id) if each[0] in label_of]
    wrong = [each for each in checks if each[1] != each[2]]
    told = decisions.precision(wb, theme_id)
    test = [
        (sha, name) for sha, name, of in zip(columns["sha256"], names, split, strict=True) if of == "test"
    ]
    return Trust(
        theme_id=theme_id,
        theme=theme.name,
        snapshot_id=snapshot_id,
        hash=digest,
        frozen_at=frozen_at,
        made_at=made_at,
        by_label=by_label,
        outside=outside,
        agreed=agreed,
        audited=label_checks.interval(len(checks), len(wrong)),
        corrected=sum(label_of[image_id] == answer for image_id, _label, answer in wrong),
        slice_size=sum(sha < AUDIT_BELOW for sha in columns["sha256"]),
        doubted=sum(label_of.get(image_id) == label_id for image_id, label_id in doubted),
        precision=label_checks.interval(told.decided, told.wrong),
        check=check_jobs.state(wb, theme_id),
        counts=counts,
        gate=judged,
        ungrouped=len(label_of.keys() - grouped),
        overrides=overrides,
        drift=batches.compare(wb, theme_id)
        if snapshot_id is None
        else _grown(wb, theme_id, snapshot_id, table),
        test_images=len(test),
        test_hash=frozen.content_hash(test),
    )


def _counts_of(
    connection: sa.Connection,
    theme_id: int,
    now: Counts,
    label_of: dict[int, int],
    split_of: dict[int, str],
    by_label: dict[str, dict[str, int]],
) -> Counts:
    """What the gate counts, for the images of a snapshot with the labels and splits they have there."""
    bonds = connection.execute(
        sa.select(_image.id, _image.group_name, image_clusters.c.cluster_id)
        .select_from(train_data)
        .outerjoin(image_clusters, image_clusters.c.image_id == _image.id)
        .where(
            _image.theme_id == theme_id,
            sa.or_(_image.group_name.is_not(None), image_clusters.c.cluster_id.is_not(None)),
        )
    ).all()
    kept: dict[str, set[int]] = {"twin": set(), "conflict": set()}
    marks = sa.select(_found.image_id, _found.kind).where(
        _found.theme_id == theme_id, _found.kind.in_(kept), _found.kept_at.is_not(None)
    )
    for image_id, kind in connection.execute(marks):
        kept[kind].add(image_id)
    clusters: dict[int, set[int]] = {}
    groups: dict[str, set[int]] = {}
    for image_id, group, cluster in bonds:
        if image_id not in label_of:
            continue
        if group is not None:
            groups.setdefault(group, set()).add(image_id)
        if cluster is not None:
            clusters.setdefault(cluster, set()).add(image_id)
    leaks: set[int] = set()
    for together in (*clusters.values(), *groups.values()):
        if len({split_of[each] for each in together}) > 1:
            leaks |= together
    conflicts, copies = 0, 0
    for together in clusters.values():
        if len({label_of[each] for each in together}) > 1:
            conflicts += len(together - kept["conflict"])
        left = len(together - kept["twin"])
        if len(together) > 1:
            copies += left - (left == len(together))
    unreadable = set(
        connection.execute(
            sa.select(_found.image_id).where(
                _found.theme_id == theme_id, _found.kind == "unreadable", _found.kept_at.is_(None)
            )
        ).scalars()
    )
    until = connection.execute(
        sa.select(theme_rows.c.compared_until).where(theme_rows.c.id == theme_id)
    ).scalar()
    blank = set(
        connection.execute(
            sa.select(_image.id)
            .select_from(train_data)
            .outerjoin(image_features, image_features.c.image_id == _image.id)
            .where(_image.theme_id == theme_id, image_features.c.contrast.is_(None))
        ).scalars()
    )
    fewest = min(by_label, key=lambda label: (sum(by_label[label].values()), label), default="")
    return replace(
        now,
        images=len(label_of),
        unreadable=len(unreadable & label_of.keys()),
        leaks=len(leaks),
        conflicts=conflicts,
        copies=copies,
        fewest=sum(by_label[fewest].values()) if fewest else 0,
        fewest_label=fewest,
        unchecked=sum(each in blank - unreadable or each > (until or 0) for each in label_of),
        test_gone=0,  # a snapshot's test set stays what it was
        test_relabelled=0,
        test_added=0,
    )


def _agreed(connection: sa.Connection, theme_id: int, of: Iterable[int]) -> Agreed:
    vote = label_votes.c
    chosen = set(of)
    votes: dict[int, dict[int, int]] = {}
    query = sa.select(vote.image_id, vote.user_id, vote.label_id).where(vote.theme_id == theme_id)
    for image_id, user_id, label_id in connection.execute(query):
        if image_id in chosen:
            votes.setdefault(image_id, {})[user_id] = label_id
    double = [given for given in votes.values() if len(given) > 1]
    differ = sum(len(set(given.values())) > 1 for given in double)
    return Agreed(
        label_checks.interval(len(double), differ), agreement.chance(votes), agreement.krippendorff(votes)
    )


def _overrides(connection: sa.Connection, theme_id: int, snapshot_id: int | None) -> tuple[Override, ...]:
    """Of the runs that learnt from the snapshot; of all where none is given. Newest first."""
    entry, job = dataset_quality_logs.c, finetuning_jobs.c
    query = (
        sa.select(entry.at, users.c.name, entry.score, entry.detail)
        .select_from(dataset_quality_logs)
        .outerjoin(users, users.c.id == entry.user_id)
        .where(entry.theme_id == theme_id, entry.action == "override")
        .order_by(entry.id.desc())
    )
    learnt: dict[int, Any] = dict(
        connection.execute(sa.select(job.id, job.snapshot_id).where(job.theme_id == theme_id)).tuples().all()
    )
    found = [
        Override(at, name or "", detail.get("run"), score, str(detail.get("reason", "")))
        for at, name, score, detail in connection.execute(query)
    ]
    return tuple(each for each in found if snapshot_id is None or learnt.get(each.run or 0) == snapshot_id)


def _grown(wb: Workbench, theme_id: int, snapshot_id: int, table: pa.Table) -> Comparison:
    """What came into a snapshot against the one before it."""
    row = snapshot_rows.c
    query = (
        sa.select(row.id, row.created_at)
        .where(row.theme_id == theme_id, row.id < snapshot_id)
        .order_by(row.id.desc())
        .limit(1)
    )
    with wb.db.read() as connection:
        before = connection.execute(query).one_or_none()
    if before is None:
        return Comparison(None, None, 0, 0, None, "first")
    earlier = snapshots.read(wb, snapshots.get(wb, before.id))
    labelled: dict[int, int] = {}
    for version in (table, earlier):
        columns: dict[str, list[Any]] = version.select(["image_id", "label_id"]).to_pydict()
        labelled |= zip(columns["image_id"], columns["label_id"], strict=True)
    reference = earlier["image_id"].to_numpy()
    came = np.setdiff1d(table["image_id"].to_numpy(), reference)
    return batches.against(wb, theme_id, (before.id, before.created_at), reference, came, labelled)
