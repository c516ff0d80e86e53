"""Stored. One-click fixes: look-alikes on one side of the split or with one label, copies removed.

All are shown before they are done.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from core import audit, auth, labelling, themes
from core.db.tables import image_clusters, image_features, image_findings, train_data
from core.errors import InvalidInput
from core.image_filter import SPLITS
from core.images import DELETE
from core.quality import conditions, frozen
from core.quality.findings import note
from core.quality.intake import leave_out
from core.quality.twins import bonds_of
from core.splits import SET_SPLIT
from core.workbench import Workbench

AS_SHARP = 1.5
"""Factor of the measure that blurring or enlarging a picture leaves behind; brightness, contrast and JPEG's artefacts,
which are no merit of a copy, make less of a difference."""
REMOVABLE = ("unreadable", "blank", "small")
"""Kinds of findings whose images teach nothing, so that they are removed all at once."""
_image = train_data.c
HOME = ("test", "valid", "train")
"""Where a torn group goes: the test set never loses an image, so marks stay comparable.

Once it is frozen it takes none either: what belongs with its images is left out of every split.
"""


@dataclass(frozen=True)
class Move:
    image_id: int
    old: str
    new: str | None
    """None: left out of every split."""


@dataclass(frozen=True)
class Copies:
    """One cluster of look-alikes: the image that stays, and those that would go."""

    best: int
    rest: tuple[int, ...]


@dataclass(frozen=True)
class Group:
    """One cluster of look-alikes with different labels."""

    images: dict[int, int]
    """The label of each that is labelled, by image id."""
    labels: tuple[int, ...]
    """That they have, the most frequent first."""
    likelier: int | None
    """The label that most of them have once doubted ones count for what the check takes them for; None for a tie."""


def moves(wb: Workbench, theme_id: int) -> list[Move]:
    """What `one_side` would move, by image id. Raises NotFound."""
    themes.get(wb, theme_id)
    with wb.db.read() as connection:
        return _moves(connection, theme_id)


def one_side(wb: Workbench, actor: auth.User, theme_id: int) -> list[Move]:
    """Move look-alikes and groups that lie in several splits into one: test where one is there, else valid.

    With a frozen test set nothing moves into test: its look-alikes are left out, and what came to test
    later goes to the side of its look-alikes.

    The only way in which an image changes its split; what moved is in the audit log.
    Raises NotFound, NotAllowed.
    """
    auth.require(actor, auth.TRAINER)
    theme = themes.get(wb, theme_id)

    def work(connection: sa.Connection) -> list[Move]:
        themes.lock(connection, theme_id)
        found = _moves(connection, theme_id)
        for split in (*SPLITS, None):
            ids = [move.image_id for move in found if move.new == split]
            if ids:
                connection.execute(SET_SPLIT, {"split": split, "ids": ids, "now": datetime.now(UTC)})
        if found:
            leave_out(connection, [move.image_id for move in found if move.new is None])
            counts = Counter(f"{move.old} → {move.new or 'none'}" for move in found)
            note(connection, theme, actor.id, "fix", {"kind": "leak", "images": len(found), "moved": counts})
            detail = {"moves": [[move.image_id, move.old, move.new] for move in found]}
            audit.record(connection, actor, "quality.one_side", f"theme {theme_id}", detail)
        return found

    return wb.db.write(work)


def copies(wb: Workbench, theme_id: int) -> list[Copies]:
    """Clusters of look-alikes that nobody said to keep, each with its best image. Raises NotFound.

    Best is what was labelled and dealt before what was not, then the largest, then the sharpest; of those that are
    as sharp (AS_SHARP) the one that came first. Images of the frozen test set never go.
    """
    themes.get(wb, theme_id)
    with wb.db.read() as connection:
        return _copies(connection, theme_id)


def keep_best(
    wb: Workbench, actor: auth.User, theme_id: int, clusters: Sequence[int] | None = None
) -> list[int]:
    """Remove the copies of each cluster but the best; with `clusters` only of those whose best is named.

    Returns the ids of the removed images, whose rows stay as tombstones. Clusters whose images
    have different labels are left alone: somebody must look first. Raises NotFound, NotAllowed.
    """
    auth.require(actor, auth.TRAINER)
    theme = themes.get(wb, theme_id)

    def work(connection: sa.Connection) -> list[int]:
        themes.lock(connection, theme_id)
        chosen = _copies(connection, theme_id)
        if clusters is not None:
            wanted = set(clusters)
            chosen = [each for each in chosen if each.best in wanted]
        ids = sorted(image_id for each in chosen for image_id in each.rest)
        if ids:
            connection.execute(DELETE, {"ids": ids, "now": datetime.now(UTC)})
            note(connection, theme, actor.id, "fix", {"kind": "twin", "images": len(ids)})
            audit.record(
                connection, actor, "image.delete", f"theme {theme_id}", {"images": ids, "copies": True}
            )
        return ids

    return wb.db.write(work)


def removable(wb: Workbench, theme_id: int, kind: str) -> list[int]:
    """Ids of the images that `remove` would take, ascending."""
    with wb.db.read() as connection:
        return _removable(connection, theme_id, kind)


def _removable(connection: sa.Connection, theme_id: int, kind: str) -> list[int]:
    found = sa.select(_image.id).where(conditions.live(theme_id), conditions.finding(kind, theme_id))
    return sorted(set(connection.execute(found).scalars()) - frozen.members(connection, theme_id))


def remove(wb: Workbench, actor: auth.User, theme_id: int, kind: str) -> list[int]:
    """Remove the images with a finding of REMOVABLE; returns their ids, whose rows stay as tombstones.

    Images of the frozen test set stay. Raises InvalidInput for another kind, NotFound, NotAllowed.
    """
    auth.require(actor, auth.LABELER)
    if kind not in REMOVABLE:
        raise InvalidInput("Images with the finding “{kind}” are not removed all at once.", kind=kind[:50])
    theme = themes.get(wb, theme_id)

    def work(connection: sa.Connection) -> list[int]:
        themes.lock(connection, theme_id)
        ids = _removable(connection, theme_id, kind)
        if ids:
            connection.execute(DELETE, {"ids": ids, "now": datetime.now(UTC)})
            note(connection, theme, actor.id, "fix", {"kind": kind, "images": len(ids)})
            detail = {"images": ids, "finding": kind}
            audit.record(connection, actor, "image.delete", f"theme {theme_id}", detail)
        return ids

    return wb.db.write(work)


def groups(wb: Workbench, theme_id: int) -> list[Group]:
    """Look-alikes with different labels that nobody called fine, those with a likelier label first. Raises NotFound."""
    themes.get(wb, theme_id)
    with wb.db.read() as connection:
        return _groups(connection, theme_id)


def one_label(wb: Workbench, actor: auth.User, theme_id: int, chosen: Mapping[int, int] | None = None) -> int:
    """Give each group of look-alikes one label: the likelier one, or those in `chosen` alone (image id → label id).

    An image of the frozen test set keeps its label, and so does a group that has no likelier one. An image in `chosen`
    stands for its whole group. Returns how many images changed. Raises InvalidInput, NotFound, NotAllowed.
    """
    auth.require(actor, auth.LABELER)
    theme = themes.get(wb, theme_id)

    def work(connection: sa.Connection) -> int:
        themes.lock(connection, theme_id)
        fixed = frozen.members(connection, theme_id)
        wanted: dict[int, int] = {}
        for group in _groups(connection, theme_id):
            label = group.likelier
            if chosen is not None:
                label = next((chosen[image_id] for image_id in group.images if image_id in chosen), None)
            if label is not None:
                wanted |= {image_id: label for image_id in group.images if image_id not in fixed}
        changed = labelling.relabel(connection, actor, theme_id, wanted, "settled")
        if changed:
            note(connection, theme, actor.id, "fix", {"kind": "conflict", "images": changed})
        return changed

    return wb.db.write(work)


def _groups(connection: sa.Connection, theme_id: int) -> list[Group]:
    doubt = image_findings.c
    query = (
        sa.select(image_clusters.c.cluster_id, _image.id, _image.label_id, doubt.guess_id)
        .select_from(train_data)
        .join(image_clusters, image_clusters.c.image_id == _image.id)
        .outerjoin(
            image_findings,
            sa.and_(
                doubt.image_id == _image.id,
                doubt.kind == "mislabelled",
                conditions.is_open(),
            ),
        )
        .where(
            conditions.live(theme_id), conditions.finding("conflict", theme_id), _image.label_id.is_not(None)
        )
        .order_by(image_clusters.c.cluster_id, _image.id)
    )
    by_cluster: dict[int, list[Any]] = {}
    for row in connection.execute(query):
        by_cluster.setdefault(row.cluster_id, []).append(row)
    fixed = frozen.members(connection, theme_id)
    found = []
    for rows in by_cluster.values():
        labels = Counter(row.label_id for row in rows)
        if len(labels) < 2:
            continue  # the others were called fine
        kept = {row.label_id for row in rows if row.id in fixed}
        votes = Counter(
            row.guess_id if row.guess_id in labels else row.label_id for row in rows
        ).most_common()
        likelier = votes[0][0] if len(votes) == 1 or votes[0][1] > votes[1][1] else None
        if kept:  # what is frozen is not relabelled
            likelier = kept.pop() if len(kept) == 1 else None
        own = {row.id: row.label_id for row in rows}
        found.append(Group(own, tuple(label for label, _n in labels.most_common()), likelier))
    return sorted(found, key=lambda group: (group.likelier is None, min(group.images)))


def _moves(connection: sa.Connection, theme_id: int) -> list[Move]:
    # An image without a split moves nowhere, but what it belongs with may lie on two sides.
    query = (
        sa.select(_image.id, _image.split, _image.group_name, image_clusters.c.cluster_id)
        .select_from(train_data)
        .outerjoin(image_clusters, image_clusters.c.image_id == _image.id)
        .where(
            conditions.live(theme_id),
            _image.label_id.is_not(None),
            sa.or_(_image.group_name.is_not(None), image_clusters.c.cluster_id.is_not(None)),
        )
    )
    rows = connection.execute(query).all()
    bonds = bonds_of([(row.id, row.group_name, row.cluster_id) for row in rows])
    dealt = [row for row in rows if row.id in bonds and row.split is not None]
    fixed = frozen.members(connection, theme_id)
    closed = frozen.is_frozen(connection, theme_id)
    splits: dict[int, set[str]] = {}
    for row in dealt:
        if closed and row.split == "test" and row.id not in fixed:
            continue  # it came after the test set was frozen, and follows the others
        splits.setdefault(bonds[row.id], set()).add(row.split)
    found = []
    for row in dealt:
        home = next((split for split in HOME if split in splits.get(bonds[row.id], ())), row.split)
        if row.split != home:
            found.append(Move(row.id, row.split, None if closed and home == "test" else home))
    return sorted(found, key=lambda move: move.image_id)


def _copies(connection: sa.Connection, theme_id: int) -> list[Copies]:
    query = (
        sa.select(
            image_clusters.c.cluster_id,
            _image.id,
            _image.label_id,
            _image.split,
            (_image.width * _image.height).label("pixels"),
            image_features.c.sharpness,
        )
        .select_from(train_data)
        .join(image_clusters, image_clusters.c.image_id == _image.id)
        .outerjoin(image_features, image_features.c.image_id == _image.id)
        .where(conditions.live(theme_id), conditions.finding("twin", theme_id))
        .order_by(image_clusters.c.cluster_id, _image.id)
    )
    by_cluster: dict[int, list[Any]] = {}
    for row in connection.execute(query):
        by_cluster.setdefault(row.cluster_id, []).append(row)
    fixed = frozen.members(connection, theme_id)
    found = []
    for rows in by_cluster.values():
        if len(rows) < 2 or len({row.label_id for row in rows if row.label_id is not None}) > 1:
            continue
        best = _best(rows)
        rest = tuple(row.id for row in rows if row.id != best.id and row.id not in fixed)
        if rest:
            found.append(Copies(best.id, rest))
    return found


def _best(rows: Sequence[Any]) -> Any:
    def rank(row: Any) -> tuple[bool, int, int]:
        return row.label_id is not None, HOME[::-1].index(row.split) if row.split else -1, row.pixels

    top = max(map(rank, rows))
    rows = [row for row in rows if rank(row) == top]
    sharpest = max(row.sharpness or 0.0 for row in rows)
    return min((row for row in rows if (row.sharpness or 0.0) * AS_SHARP >= sharpest), key=lambda row: row.id)
