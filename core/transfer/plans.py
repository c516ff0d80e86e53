"""Stored. What an import would do to a theme, found out without doing it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from core import auth, themes
from core.archives import Refusal
from core.errors import InvalidInput
from core.labels import MAX_LABELS, labels_of
from core.transfer.formats import Conflict, Options, Reading, Row, read
from core.transfer.sources import Source, open_source, shown
from core.workbench import Workbench

ASKED = 20_000
"""Hashes looked up by one query."""


@dataclass(frozen=True)
class Plan:
    """What an import would do. `images` = `new` + `known`; problems are not among them."""

    format: str
    images: int
    new: int
    known: int
    """Images whose bytes the theme has already, or that come twice in the source."""
    labelled: int
    """Images that would get a label, known ones without one included."""
    labels: dict[str, int]
    """How many images of the source carry each label."""
    new_labels: list[str]
    """Labels that the theme lacks; without `create_labels` their images come without a label."""
    splits: dict[str, int]
    groups: int
    relabels: int
    """Known images with another label than the source's; theirs stays, and each is a conflict."""
    conflicts: list[Conflict]
    """The first LISTED."""
    conflicts_total: int
    problems: list[Refusal]
    """The first LISTED of what would not be imported."""
    problems_total: int


@dataclass(slots=True)
class Known:
    """An image that the theme has."""

    label_id: int | None
    split: str | None
    import_id: int | None


@dataclass
class Prepared:
    """A source read and compared with a theme: one row for each image, by hash."""

    source: Source
    reading: Reading
    rows: dict[str, Row]
    doubles: int
    """Files whose bytes the source has twice."""
    known: dict[str, Known]
    """Of the rows, those the theme has."""
    elsewhere: dict[str, int]
    """Of the others, those that another theme has, and the id of an image there."""


def plan(
    wb: Workbench, actor: auth.User, theme_id: int, source: Path, options: Options, name: str = ""
) -> Plan:
    """The dry run of `start`: reads the source and writes nothing.

    Images are looked at, not decoded: one that is damaged inside shows when it is imported.
    Raises NotFound, NotAllowed, InvalidInput.
    """
    permit(wb, actor, theme_id, options)
    done = prepare(wb, theme_id, source, options, name)
    reading = done.reading
    with wb.db.read() as connection:
        live = labels_of(connection, theme_id)
    by_name = {label.name.casefold(): label for label in live}
    counts = Counter(row.label for row in done.rows.values() if row.label)
    labels: dict[str, int] = {}
    spelled: dict[str, str] = {}
    for label, n in counts.items():
        folded = label.casefold()
        spelling = spelled.setdefault(folded, by_name[folded].name if folded in by_name else label)
        labels[spelling] = labels.get(spelling, 0) + n
    new_labels = [label for label in labels if label.casefold() not in by_name]
    lost = new_labels[max(0, MAX_LABELS - len(live)) :] if options.create_labels else new_labels
    for label in lost:
        reading.conflict(
            InvalidInput(
                "The theme has no label “{name}”; its {n} images come without one, or add the label first.",
                name=shown(label),
                n=labels[label],
            )
        )
    without = {label.casefold() for label in lost}
    names = {label.id: label.name for label in live}
    relabels = labelled = 0
    for sha256, row in done.rows.items():
        if row.label is None:
            continue
        have = done.known.get(sha256)
        if have is None or have.label_id is None:
            labelled += row.label.casefold() not in without
        elif names.get(have.label_id, "").casefold() != row.label.casefold():
            relabels += 1
            reading.conflict(
                InvalidInput(
                    "“{name}” keeps its label “{old}”; the source says “{new}”.",
                    name=shown(row.name or sha256),
                    old=names.get(have.label_id, ""),
                    new=row.label,
                )
            )
    splits = Counter(row.split for row in done.rows.values() if row.split)
    return Plan(
        format=reading.format,
        images=len(done.rows) + done.doubles,
        new=len(done.rows) - len(done.known),
        known=len(done.known) + done.doubles,
        labelled=labelled,
        labels=labels,
        new_labels=new_labels,
        splits=dict(splits),
        groups=len({row.group for row in done.rows.values() if row.group}),
        relabels=relabels,
        conflicts=reading.conflicts,
        conflicts_total=reading.conflicts_total,
        problems=reading.problems,
        problems_total=reading.problems_total,
    )


def permit(wb: Workbench, actor: auth.User, theme_id: int, options: Options) -> None:
    """Raises NotAllowed, NotFound."""
    auth.require(actor, auth.TRAINER if options.create_labels else auth.LABELER)
    themes.get(wb, theme_id)


def prepare(wb: Workbench, theme_id: int, path: Path, options: Options, name: str) -> Prepared:
    """Read the source, hash its images and look them up. Raises InvalidInput."""
    source = open_source(path, name, wb.settings)
    reading = read(source, options)
    source.examine(row.file for row in reading.rows if row.file is not None)
    rows: dict[str, Row] = {}
    doubles = 0
    torn: set[str] = set()
    for row in reading.rows:
        if row.file is not None:
            if row.file.problem is not None:
                reading.refuse(row.name, row.file.problem)
                continue
            if row.sha256 and row.sha256 != row.file.sha256:
                error = InvalidInput(
                    "“{name}” is not the file its sha256 belongs to; correct one of them.", name=row.name
                )
                reading.refuse(row.name, error)
                continue
            row.sha256 = row.file.sha256
        first = rows.setdefault(row.sha256, row)
        if first is not row:
            doubles += 1
            _merge(reading, first, row, torn)
    known, elsewhere = _look_up(wb, theme_id, list(rows))
    for sha256 in [s for s, row in rows.items() if row.file is None]:
        if sha256 not in known and sha256 not in elsewhere:
            row = rows.pop(sha256)
            error = InvalidInput(
                "“{name}”: no stored image has this SHA-256; put the file into the source.",
                name=row.name or sha256,
            )
            reading.refuse(row.name or sha256, error)
    return Prepared(source, reading, rows, doubles, known, elsewhere)


def _merge(reading: Reading, first: Row, again: Row, torn: set[str]) -> None:
    """Take from a second mention of the same bytes what the first lacks; what differs is left out."""
    first.group = first.group or again.group
    for what in ("label", "split"):
        one, other = getattr(first, what), getattr(again, what)
        place = f"{what} {first.sha256}"
        if place in torn or other is None:
            continue
        if one is None:
            setattr(first, what, other)
        elif one.casefold() != other.casefold():
            torn.add(place)
            setattr(first, what, None)
            reading.conflict(
                InvalidInput(
                    "“{name}” is the same image as “{first}”, which has another {what}; it comes without one.",
                    name=shown(again.name or again.sha256),
                    first=first.name or first.sha256,
                    what=what,
                )
            )


def _look_up(wb: Workbench, theme_id: int, hashes: list[str]) -> tuple[dict[str, Known], dict[str, int]]:
    known: dict[str, Known] = {}
    elsewhere: dict[str, int] = {}
    with wb.db.read() as connection:
        for at in range(0, len(hashes), ASKED):
            asked = {"hashes": hashes[at : at + ASKED], "theme": theme_id}
            for image_id, sha256, its_theme, *rest in connection.execute(_LIVE, asked).all():
                if its_theme == theme_id:
                    known[sha256] = Known(*rest)
                else:
                    elsewhere[sha256] = image_id
    for sha256 in known:
        elsewhere.pop(sha256, None)
    return known, elsewhere


_LIVE = sa.text(
    "SELECT id, sha256, theme_id, label_id, split, import_id FROM train_data WHERE deleted_at IS NULL"
    " AND sha256 IN (SELECT unnest(CAST(:hashes AS VARCHAR[])))"
)
