"""Stored. Where a variant lost: answers that got one star or two, to read, to take along, and to label.

Images asked through Veritrain can go back into the theme, unlabelled and flagged, so that the next model
learns what this one got wrong. Where programs log texts only there is nothing to label; they can be downloaded.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from core import auth, cells, images
from core.ab import interactions, queries, trials
from core.ab.plain import plain
from core.ab.trials import Trial
from core.db.tables import train_data
from core.errors import InvalidInput, NotFound
from core.i18n import gettext as _
from core.labelling import MAX_NOTE, Action, act
from core.workbench import Workbench

Plain = dict[str, Any]

MOST = 1_000
"""Conversations that go to labelling, or into a file, at once; the newest ones."""
EXAMPLES = 5
MAX_SHOWN = 500
"""Characters of a text in the report."""
COLUMNS = (
    "at",
    "variant",
    "unit",
    "key",
    "query",
    "response",
    "rating",
    "feedback",
    "response_time_ms",
    "status",
)


@dataclass(frozen=True)
class Sent:
    """What became of the images of lost conversations."""

    added: int
    known: int
    """Were in the theme already, or came twice; left as they are."""
    without: int
    """Conversations that have no image."""
    refused: int = 0
    """Images that the theme does not take."""


def conversations(wb: Workbench, test_id: int, variant: str, limit: int = 50) -> list[Plain]:
    """Answers of a variant that were rated 1 or 2, newest first; `image` says whether its image was kept.

    Raises NotFound for a test or variant that is not there.
    """
    trial, index = _variant(wb, test_id, variant)
    rows = interactions.logged(wb, test_id, limit=limit, lost_by=index)
    return [
        {name: plain(row[name]) for name in COLUMNS if name != "variant"}
        | {"variant": variant, "image": queries.has(wb, trial.id, row["key"])}
        for row in rows
        if not row["forced"]
    ]


def examples(wb: Workbench, trial: Trial, index: int) -> list[Plain]:
    """A few of them for the report, long texts cut."""
    rows = interactions.logged(wb, trial.id, limit=EXAMPLES, lost_by=index)
    return [
        {
            "at": row["at"],
            "rating": row["rating"],
            "query": _cut(row["query"]),
            "response": _cut(row["response"]),
            "feedback": _cut(row["feedback"]),
        }
        for row in rows
        if not row["forced"]
    ]


def as_csv(rows: Sequence[Plain]) -> str:
    """Conversations as a table; a cell that begins like a formula is kept from running in a spreadsheet."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for row in rows:
        values = [row[name] for name in COLUMNS]
        writer.writerow([cells.escaped(each) if isinstance(each, str) else each for each in values])
    return out.getvalue()


def as_jsonl(rows: Sequence[Plain]) -> str:
    """Conversations, one JSON object a line."""
    return "".join(
        json.dumps({name: row[name] for name in COLUMNS}, ensure_ascii=False) + "\n" for row in rows
    )


def to_labelling(wb: Workbench, actor: auth.User, test_id: int, variant: str) -> Sent:
    """Add the images of a variant's lost conversations to the test's theme, unlabelled, each flagged with a note
    that says where it comes from; those the theme has already are left as they are.

    Raises NotFound, NotAllowed below a trainer, InvalidInput where none of the conversations has an image.
    """
    auth.require(actor, auth.TRAINER)
    trial, index = _variant(wb, test_id, variant)
    rows = [row for row in interactions.logged(wb, test_id, limit=MOST, lost_by=index) if not row["forced"]]
    kept = {row["key"] for row in rows if queries.has(wb, trial.id, row["key"])}
    if not kept:
        raise InvalidInput(
            "None of these conversations has an image: programs that log their own answers send texts only. "
            "Download the conversations instead."
        )
    notes: dict[str, str] = {}

    def asked() -> Iterator[tuple[str, bytes]]:
        for row in rows:
            data = queries.image(wb, trial.id, row["key"]) if row["key"] in kept else None
            if data is not None:
                notes.setdefault(hashlib.sha256(data).hexdigest(), _note(trial, variant, row))
                yield row["query"] or row["key"], data

    before = _last_image(wb, trial.theme_id)
    report = images.add(wb, actor, trial.theme_id, asked(), source="api")
    fresh = _added_since(wb, trial.theme_id, list(notes), before)
    flags = [(image_id, notes[sha]) for image_id, sha in fresh]
    act(wb, actor, trial.theme_id, [Action(uuid4().hex, notes=flags)])
    return Sent(report.added, report.duplicates, len(rows) - len(kept), report.refused_total)


def _last_image(wb: Workbench, theme_id: int) -> int:
    with wb.db.read() as connection:
        query = sa.select(sa.func.max(train_data.c.id)).where(train_data.c.theme_id == theme_id)
        return connection.execute(query).scalar() or 0


def _added_since(wb: Workbench, theme_id: int, hashes: list[str], last: int) -> list[tuple[int, str]]:
    """(id, hash) of the theme's images with these hashes that are newer than `last`."""
    column = train_data.c
    query = sa.select(column.id, column.sha256).where(
        column.theme_id == theme_id,
        column.deleted_at.is_(None),
        column.id > last,
        column.sha256.in_(hashes),
    )
    with wb.db.read() as connection:
        return [(int(image_id), sha) for image_id, sha in connection.execute(query)]


def _note(trial: Trial, variant: str, row: Plain) -> str:
    text = _(
        "From the A/B test “{name}” ({id}): {variant} answered “{answer}” and got {stars} of 5 stars."
    ).format(
        name=trial.name, id=trial.id, variant=variant, answer=row["response"] or "–", stars=row["rating"]
    )
    return text if len(text) <= MAX_NOTE else f"{text[: MAX_NOTE - 1]}…"


def _variant(wb: Workbench, test_id: int, variant: str) -> tuple[Trial, int]:
    trial = trials.get(wb, test_id)
    if variant not in trial.plan.names:
        raise NotFound("“{name}” is not a variant of this test.", name=variant)
    return trial, trial.plan.names.index(variant)


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 1]}…"
