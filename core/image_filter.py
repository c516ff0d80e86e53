"""Stored. Which of a theme's images are meant, and in which order: one description for the grid, the URL and REST."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import sqlalchemy as sa

from core.db.tables import image_picks, label_history, train_data
from core.errors import InvalidInput
from core.quality import conditions
from core.quality.kinds import KINDS

SPLITS = ("train", "valid", "test")
STATES = ("all", "labelled", "unlabelled")
SORTS = ("newest", "oldest", "name", "uncertain", "teach", "sweep", "suspicious", "similar", "finding")
MAX_ID = 2**63 - 1
MAX_NAME = 200
"""Characters of a file name that are searched for."""


@dataclass(frozen=True)
class Filter:
    """What a field leaves out does not restrict; all given fields hold together."""

    state: str = "all"
    label: int | None = None
    split: str | None = None
    """train, valid, test, or `none` for images that were not dealt yet."""
    by: int | None = None
    """Id of the person who gave the label."""
    flagged: bool | None = None
    suggested: int | None = None
    """Label that the newest model suggests."""
    confidence_from: float | None = None
    confidence_to: float | None = None
    """Bounds of the suggestion's confidence, 0–1, both included."""
    import_id: int | None = None
    since: date | None = None
    until: date | None = None
    """First and last day (UTC) on which an image was added."""
    at: date | None = None
    """The theme as it was at the end of this day (UTC): its images and labels then; all else is of now."""
    name: str | None = None
    """Part of the file name, in any case."""
    finding: str | None = None
    """Kind of an open quality finding, see core.quality.kinds."""
    picked: str | None = None
    """Hash of a selection made elsewhere, see core.quality.picks."""
    sort: str = "newest"
    like: int | None = None
    """The image that `sort="similar"` compares with."""

    def where(self, theme_id: int) -> list[sa.ColumnElement[bool]]:
        """Conditions on `train_data`: live images of the theme that fit."""
        column = train_data.c
        found: list[sa.ColumnElement[bool]] = [column.theme_id == theme_id, live(self.moment)]
        found += self._labels_now() if self.moment is None else self._labels_then(theme_id, self.moment)
        if self.split is not None:
            found.append(column.split.is_(None) if self.split == "none" else column.split == self.split)
        if self.flagged is not None:
            found.append(column.flag_note.is_not(None) if self.flagged else column.flag_note.is_(None))
        if self.suggested is not None:
            found.append(column.suggested_label_id == self.suggested)
        if self.confidence_from is not None:
            found.append(column.suggested_confidence >= self.confidence_from)
        if self.confidence_to is not None:
            found.append(column.suggested_confidence <= self.confidence_to)
        if self.import_id is not None:
            found.append(column.import_id == self.import_id)
        if self.since is not None:
            found.append(column.created_at >= _midnight(self.since))
        if self.until is not None:
            found.append(column.created_at < _midnight(self.until + timedelta(days=1)))
        if self.name:
            # A position is found in a third of the time that LIKE takes, on both backends.
            found.append(sa.func.strpos(sa.func.lower(column.file_name), self.name.lower()) > 0)
        if self.finding is not None:
            found.append(conditions.finding(self.finding, theme_id))
        if self.picked is not None:
            chosen = sa.select(image_picks.c.image_id).where(image_picks.c.hash == self.picked)
            found.append(column.id.in_(chosen))
        return found

    @property
    def moment(self) -> datetime | None:
        """The end of `at`, itself excluded."""
        return None if self.at is None else _midnight(self.at + timedelta(days=1))

    def _labels_now(self) -> list[sa.ColumnElement[bool]]:
        column = train_data.c
        found: list[sa.ColumnElement[bool]] = []
        if self.state == "labelled":
            found.append(column.label_id.is_not(None))
        elif self.state == "unlabelled":
            found.append(column.label_id.is_(None))
        if self.label is not None:
            found.append(column.label_id == self.label)
        if self.by is not None:
            found.append(column.labeled_by == self.by)
        return found

    def _labels_then(self, theme_id: int, moment: datetime) -> list[sa.ColumnElement[bool]]:
        then = labels_at(theme_id, moment).subquery()
        labelled = sa.select(then.c.image_id).where(then.c.to_label_id.is_not(None))
        found: list[sa.ColumnElement[bool]] = []
        if self.state == "labelled":
            found.append(train_data.c.id.in_(labelled))
        elif self.state == "unlabelled":
            found.append(train_data.c.id.not_in(labelled))
        if self.label is not None:
            found.append(train_data.c.id.in_(labelled.where(then.c.to_label_id == self.label)))
        if self.by is not None:
            found.append(train_data.c.id.in_(labelled.where(then.c.user_id == self.by)))
        return found

    def order(self) -> list[sa.ColumnElement[Any]]:
        """Order of the images, the same at each call. `similar` is ordered by core.similar instead."""
        column = train_data.c
        newest = column.id.desc()
        match self.sort:
            case "oldest":
                return [column.id]
            case "name":
                return [column.file_name, column.id]
            case "uncertain":
                return [column.suggested_margin.asc().nulls_last(), newest]
            case "teach":
                return [column.teach_rank.asc().nulls_last(), newest]
            case "sweep":
                return [column.sweep_rank.asc().nulls_last(), newest]
            case "finding" if self.finding is not None:
                return [*conditions.order(self.finding), newest]
            case "suspicious":
                # First what the model would call differently, the surest contradiction on top;
                # then what it agrees with, the least sure on top; then what it did not see.
                contradicts = sa.case(
                    (column.suggested_label_id.is_(None), 2),
                    (column.suggested_label_id != column.label_id, 0),
                    else_=1,
                )
                doubt = sa.case(
                    (column.suggested_label_id != column.label_id, -column.suggested_confidence),
                    else_=column.suggested_confidence,
                )
                return [contradicts, doubt.asc().nulls_last(), newest]
        return [newest]

    @property
    def narrows(self) -> bool:
        """True where some image may be left out."""
        return any(
            getattr(self, field.name) != field.default
            for field in fields(self)
            if field.name not in ("sort", "like")
        )


def live(moment: datetime | None = None) -> sa.ColumnElement[bool]:
    """Images that the theme has now, or had just before a moment."""
    column = train_data.c
    if moment is None:
        return column.deleted_at.is_(None)
    return sa.and_(
        column.created_at < moment, sa.or_(column.deleted_at.is_(None), column.deleted_at >= moment)
    )


def labels_at(theme_id: int, moment: datetime) -> sa.Select[Any]:
    """The newest entry of each image's history before a moment: image_id, to_label_id, user_id, at."""
    entry = label_history.c
    number = sa.func.row_number().over(partition_by=entry.image_id, order_by=entry.id.desc()).label("n")
    newest = (
        sa.select(entry.image_id, entry.to_label_id, entry.user_id, entry.at, number)
        .where(entry.theme_id == theme_id, entry.at < moment)
        .subquery()
    )
    return sa.select(newest.c.image_id, newest.c.to_label_id, newest.c.user_id, newest.c.at).where(
        newest.c.n == 1
    )


def from_query(query: Mapping[str, str]) -> Filter:
    """A filter from the query of a URL; names it does not know are left to others.

    Raises InvalidInput naming the value that says nothing.
    """
    return Filter(
        state=_one_of(query, "state", STATES) or "all",
        label=_whole(query, "label"),
        split=_one_of(query, "split", (*SPLITS, "none")),
        by=_whole(query, "by"),
        flagged={"yes": True, "no": False, None: None}[_one_of(query, "flagged", ("yes", "no"))],
        suggested=_whole(query, "suggested"),
        confidence_from=_share(query, "confidence_from"),
        confidence_to=_share(query, "confidence_to"),
        import_id=_whole(query, "import"),
        since=_day(query, "since"),
        until=_day(query, "until"),
        at=_day(query, "at"),
        name=query.get("name", "").strip()[:MAX_NAME] or None,
        finding=_one_of(query, "finding", tuple(KINDS)),
        picked=_hash(query, "picked"),
        sort=_one_of(query, "sort", SORTS) or "newest",
        like=_whole(query, "like"),
    )


def _one_of(query: Mapping[str, str], name: str, allowed: tuple[str, ...]) -> str | None:
    value = query.get(name) or None
    if value is not None and value not in allowed:
        raise InvalidInput(
            "The filter {name} is “{value}”; it can be one of: {all}.",
            name=name,
            value=value[:50],
            all=", ".join(allowed),
        )
    return value


def _whole(query: Mapping[str, str], name: str) -> int | None:
    value = query.get(name) or None
    if value is None:
        return None
    if not value.isascii() or not value.isdigit() or not 1 <= int(value) <= MAX_ID:
        raise InvalidInput(
            "The filter {name} is “{value}”; it must be a number.", name=name, value=value[:50]
        )
    return int(value)


def _hash(query: Mapping[str, str], name: str) -> str | None:
    value = query.get(name) or None
    if value is not None and not re.fullmatch("[0-9a-f]{32}", value):
        raise InvalidInput(
            "The filter {name} is “{value}”; open the images from the map again.", name=name, value=value[:50]
        )
    return value


def _share(query: Mapping[str, str], name: str) -> float | None:
    value = query.get(name) or None
    if value is None:
        return None
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise InvalidInput(
            "The filter {name} is “{value}”; it must lie between 0 and 1.", name=name, value=value[:50]
        )
    return number


def _day(query: Mapping[str, str], name: str) -> date | None:
    value = query.get(name) or None
    if value is None:
        return None
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise InvalidInput(
            "The filter {name} is “{value}”; write a day like 2026-11-20.", name=name, value=value[:50]
        ) from None


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
