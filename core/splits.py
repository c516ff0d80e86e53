"""Stored. Deals labelled images to train, valid and test; what was dealt once stays where it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import sqlalchemy as sa

from core import audit, auth, themes
from core.db.tables import image_clusters, labels, snapshots, train_data
from core.errors import InvalidInput
from core.images import SPLITS
from core.quality import frozen, intake
from core.quality.twins import bonds_of
from core.shares import shares_of, shuffled
from core.workbench import Workbench

RATIOS = (0.70, 0.15, 0.15)
SEED = 42
TOLERANCE = 1e-6
MAX_SEED = 2**31 - 1


@dataclass(frozen=True)
class SplitReport:
    ratios: tuple[float, float, float]
    seed: int
    dealt: dict[str, int]
    """Images that got a split now."""
    kept: int
    """Labelled images that had one before and kept it."""
    unlabelled: int
    """Images without a label, which wait until they have one."""
    torn: int = 0
    """Images left out because what belongs with them lies in two splits already: a finding to repair."""
    held: int = 0
    """Images left out because they belong with images of the frozen test set, which takes no more."""


def split(
    wb: Workbench,
    actor: auth.User,
    theme_id: int,
    *,
    ratios: Sequence[float] = RATIOS,
    seed: int = SEED,
) -> SplitReport:
    """Give every labelled image without a split one of train, valid and test.

    Label by label, so that over all dealings the ratios are approached; a label with three
    images or more gets one into each split that has a share, as far as its new images allow.
    The same images, ratios and seed give the same split in any installation. An image keeps
    its split; only where uploaded folders brought no valid at all is it taken from train, once,
    before the first training. Images of one group, and images that look nearly the same, fall into
    one split, that of those which have one. Once the test set is frozen nothing is dealt to it.
    Raises InvalidInput, NotFound, NotAllowed.
    """
    auth.require(actor, auth.TRAINER)
    shares = check_ratios(ratios)
    if not 0 <= seed <= MAX_SEED:
        raise InvalidInput(
            "The seed is {seed}; set it to a whole number from 0 to {high}.", seed=seed, high=MAX_SEED
        )
    intake.catch_up(wb, theme_id)
    column = train_data.c
    query = (
        sa.select(
            column.id,
            column.sha256,
            column.split,
            labels.c.name,
            column.group_name,
            image_clusters.c.cluster_id,
        )
        .select_from(train_data)
        .outerjoin(labels, labels.c.id == column.label_id)
        .outerjoin(image_clusters, image_clusters.c.image_id == column.id)
        .where(column.theme_id == theme_id, column.deleted_at.is_(None))
    )

    def work(connection: sa.Connection) -> SplitReport:
        themes.lock(connection, theme_id)
        closed = frozen.is_frozen(connection, theme_id)
        open_shares = _without_test(shares) if closed else shares
        have: dict[str, dict[str, int]] = {}
        fresh: dict[str, list[tuple[str, int]]] = {}
        groups: dict[int, _Group] = {}
        alone: dict[str, list[tuple[str, int]]] = {}
        kept = unlabelled = 0
        rows = connection.execute(query).all()
        bonds = bonds_of([(row.id, row.group_name, row.cluster_id) for row in rows])
        for image_id, sha256, old, label, _, _ in rows:
            group = bonds.get(image_id)
            if group is not None and old is not None and label is not None:
                of = groups.setdefault(group, _Group())
                of.splits.add(old)
                of.dealt.append((sha256, image_id, label))
            if label is None:
                unlabelled += 1
                if group is not None and old is not None:
                    groups.setdefault(group, _Group()).waits = True
            elif old is None and group is not None:
                groups.setdefault(group, _Group()).members.append((sha256, image_id, label))
            elif old is None:
                fresh.setdefault(label, []).append((sha256, image_id))
            else:
                kept += 1
                if closed and old == "test":
                    continue  # the others share what it leaves
                counts = have.setdefault(label, {})
                counts[old] = counts.get(old, 0) + 1
                if old == "train" and group is None:
                    alone.setdefault(label, []).append((sha256, image_id))
        whole, torn, held = [], [], []
        for each in groups.values():
            if len(each.splits) > 1:
                torn += each.ids
            elif closed and each.splits == {"test"}:
                held += each.ids
            else:
                whole.append(each)
        intake.leave_out(connection, torn + held)
        dealt = _deal_groups(whole, have, open_shares, seed)
        for label, images in fresh.items():
            plan = shares_of(len(images), have.get(label, {}), open_shares, f"{seed}:{label}")
            order = iter(sorted(images, key=lambda image: shuffled(seed, image[0])))
            for name in SPLITS:
                dealt[name] += [next(order)[1] for _ in range(plan[name])]
        if (
            not fresh
            and not any(dealt.values())
            and shares[1]
            and not any(counts.get("valid") for counts in have.values())
        ):
            together = [each.dealt for each in groups.values() if each.splits == {"train"} and not each.waits]
            dealt["valid"] = _valid_from_train(connection, theme_id, together, alone, shares, seed)
            kept -= len(dealt["valid"])
        now = datetime.now(UTC)
        for name, ids in dealt.items():
            if ids:
                connection.execute(SET_SPLIT, {"split": name, "now": now, "ids": ids})
        counts = {name: len(ids) for name, ids in dealt.items()}
        report = SplitReport(shares, seed, counts, kept, unlabelled, len(torn), len(held))
        if any(report.dealt.values()):
            audit.record(
                connection,
                actor,
                "theme.split",
                f"theme {theme_id}",
                {"ratios": list(shares), "seed": seed, "dealt": report.dealt},
            )
        return report

    return wb.db.write(work)


@dataclass
class _Group:
    """Images that belong together: views of one thing, frames of one film, copies."""

    splits: set[str] = field(default_factory=set)
    """Of those that were dealt before."""
    members: list[tuple[str, int, str]] = field(default_factory=list)
    """(hash, id, label) of those that were not."""
    dealt: list[tuple[str, int, str]] = field(default_factory=list)
    """And of those that were."""
    waits: bool = False
    """Whether one that was dealt has no label yet, so that it cannot go where the others go."""

    @property
    def ids(self) -> list[int]:
        return [image_id for _, image_id, _ in self.members]


def _deal_groups(
    groups: list[_Group], have: dict[str, dict[str, int]], ratios: Sequence[float], seed: int
) -> dict[str, list[int]]:
    """Ids by split, each group whole, where its commonest label lacks most; `have` is counted up."""
    dealt: dict[str, list[int]] = {name: [] for name in SPLITS}
    waiting = [group for group in groups if group.members]
    # Large groups first: small ones then even out what these left.
    waiting.sort(key=lambda group: (-len(group.members), shuffled(seed, min(group.members)[0])))
    totals = {label: sum(counts.values()) for label, counts in have.items()}
    for group in waiting:
        for _, _, label in group.members:
            totals[label] = totals.get(label, 0) + 1
    for group in waiting:
        labels = [label for _, _, label in group.members]
        label = min(set(labels), key=lambda each: (-labels.count(each), each))
        counts = have.get(label, {})
        split = next(iter(group.splits), None) or max(
            (name for name, ratio in zip(SPLITS, ratios, strict=True) if ratio > 0),
            key=lambda name: ratios[SPLITS.index(name)] * totals[label] - counts.get(name, 0),
        )
        dealt[split] += group.ids
        for each in labels:
            of = have.setdefault(each, {})
            of[split] = of.get(split, 0) + 1
    return dealt


def _without_test(shares: tuple[float, float, float]) -> tuple[float, float, float]:
    both = shares[0] + shares[1]
    return shares[0] / both, shares[1] / both, 0.0


def _valid_from_train(
    connection: sa.Connection,
    theme_id: int,
    together: Sequence[list[tuple[str, int, str]]],
    alone: Mapping[str, list[tuple[str, int]]],
    shares: tuple[float, float, float],
    seed: int,
) -> list[int]:
    """Images to move from train to valid where an upload brought train and test folders only, each group whole.

    `together`: groups of train, by (hash, id, label); `alone`: its other images by label. None once data of the
    theme was frozen: a model may have learnt from them.
    """
    frozen = sa.select(snapshots.c.id).where(snapshots.c.theme_id == theme_id).limit(1)
    if connection.execute(frozen).first():
        return []
    open_shares = _without_test(shares)
    have: dict[str, dict[str, int]] = {}
    moved = _deal_groups([_Group(members=members) for members in together], have, open_shares, seed)["valid"]
    for label, images in alone.items():
        plan = shares_of(len(images), have.get(label, {}), open_shares, f"{seed}:{label}")
        order = sorted(images, key=lambda image: shuffled(seed, image[0]))
        moved += [image_id for _, image_id in order[: plan["valid"]]]
    return moved


def check_ratios(ratios: Sequence[float]) -> tuple[float, float, float]:
    """Three shares that add up to 1. Raises InvalidInput with their actual sum."""
    if len(ratios) != 3:
        raise InvalidInput("Give three shares, for train, valid and test; there are {n}.", n=len(ratios))
    if not all(0 <= ratio <= 1 for ratio in ratios):
        raise InvalidInput("Each share of the split lies between 0 and 1; one does not.")
    total = sum(ratios)
    if abs(total - 1) > TOLERANCE:
        raise InvalidInput(
            "The shares of train, valid and test add up to {total}, not to 1; change one of them.",
            total=f"{total:.6g}",
        )
    if ratios[0] == 0:
        raise InvalidInput("The share of train is 0, so there would be nothing to learn from; raise it.")
    return ratios[0], ratios[1], ratios[2]


SET_SPLIT = sa.text(
    "UPDATE train_data SET split = :split, updated_at = :now"
    " WHERE id IN (SELECT unnest(CAST(:ids AS BIGINT[])))"
)
