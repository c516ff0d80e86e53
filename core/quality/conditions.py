"""Pure. Findings as conditions on `train_data`, so that grid, counts and gate mean the same images."""

from __future__ import annotations

import sqlalchemy as sa

from core.db.tables import image_clusters, image_findings, train_data
from core.quality.kinds import OF_LABELS

COMPARED = ("leak", "conflict", "twin")
"""Kinds found by comparing images with each other as they are now; only decisions about them are stored."""

# Its own name, so that a query over the findings may use these conditions too.
_found = image_findings.alias("noted").c
_image, _cluster = train_data.c, image_clusters.c


def finding(kind: str, theme_id: int) -> sa.ColumnElement[bool]:
    """Live images of the theme with an open finding of the kind (see core.quality.kinds)."""
    if kind == "leak":
        return _leak(theme_id)
    if kind == "conflict":
        return sa.and_(_in_clusters(theme_id, labels=2), _not_kept("conflict"))
    if kind == "twin":
        return sa.and_(_in_clusters(theme_id), _not_kept("twin"))
    found = sa.select(_found.image_id).where(
        _found.theme_id == theme_id, _found.kind == kind, _found.kept_at.is_(None)
    )
    if kind == "left_out":  # until it is dealt
        return sa.and_(_image.split.is_(None), _image.label_id.is_not(None), _image.id.in_(found))
    if kind in OF_LABELS:  # a doubt is about the label of its time
        return sa.exists(found.where(_found.image_id == _image.id, _found.label_id == _image.label_id))
    return _image.id.in_(found)


def is_open() -> sa.ColumnElement[bool]:
    """Of a query that joins image_findings with train_data: rows that are stored and not decided on."""
    found = image_findings.c
    about_this_label = sa.or_(found.kind.not_in(OF_LABELS), found.label_id == _image.label_id)
    waits = sa.and_(_image.split.is_(None), _image.label_id.is_not(None))
    return sa.and_(found.kept_at.is_(None), about_this_label, sa.or_(found.kind != "left_out", waits))


def live(theme_id: int) -> sa.ColumnElement[bool]:
    """The theme's images that are not deleted."""
    return sa.and_(_image.theme_id == theme_id, _image.deleted_at.is_(None))


def order(kind: str) -> list[sa.ColumnElement[object]]:
    """The worst first; look-alikes beside each other."""
    if kind in COMPARED:
        cluster = sa.select(_cluster.cluster_id).where(_cluster.image_id == _image.id).scalar_subquery()
        return [cluster.asc().nulls_last(), _image.group_name.asc().nulls_last()]
    score = sa.select(_found.score).where(_found.image_id == _image.id, _found.kind == kind).scalar_subquery()
    return [score.asc().nulls_last()]


def clusters(theme_id: int) -> sa.Subquery:
    """Clusters of at least two live images: `cluster_id`, `n`, and how many `splits` and `labels` they have."""
    learns = sa.and_(_image.split.is_not(None), _image.label_id.is_not(None))
    return (
        sa.select(
            _cluster.cluster_id,
            sa.func.count().label("n"),
            sa.func.count(sa.distinct(sa.case((learns, _image.split)))).label("splits"),
            sa.func.count(sa.distinct(_image.label_id)).label("labels"),
        )
        .join(train_data, _image.id == _cluster.image_id)
        .where(_cluster.theme_id == theme_id, _image.deleted_at.is_(None))
        .group_by(_cluster.cluster_id)
        .having(sa.func.count() > 1)
        .subquery()
    )


def split_groups(theme_id: int) -> sa.Select[tuple[str | None]]:
    """Names of groups whose images lie in more than one split."""
    return (
        sa.select(_image.group_name)
        .where(
            _image.theme_id == theme_id,
            _image.deleted_at.is_(None),
            _image.group_name.is_not(None),
            _image.split.is_not(None),
            _image.label_id.is_not(None),
        )
        .group_by(_image.group_name)
        .having(sa.func.count(sa.distinct(_image.split)) > 1)
        .correlate(None)
    )


def _leak(theme_id: int) -> sa.ColumnElement[bool]:
    return sa.and_(
        _image.split.is_not(None),
        _image.label_id.is_not(None),
        sa.or_(_in_clusters(theme_id, splits=2), _image.group_name.in_(split_groups(theme_id))),
    )


def _in_clusters(theme_id: int, *, splits: int = 0, labels: int = 0) -> sa.ColumnElement[bool]:
    found = clusters(theme_id)
    return _image.id.in_(
        sa.select(_cluster.image_id)
        .join(found, found.c.cluster_id == _cluster.cluster_id)
        .where(found.c.splits >= splits, found.c.labels >= labels)
        .correlate(None)
    )


def _not_kept(kind: str) -> sa.ColumnElement[bool]:
    """Nobody said that the image is fine as it is."""
    kept = sa.select(_found.image_id).where(
        _found.image_id == _image.id, _found.kind == kind, _found.kept_at.is_not(None)
    )
    return ~sa.exists(kept)
