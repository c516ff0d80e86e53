"""Stored. The rows of a theme's labels: reading, adding, and what a name may be.

People's acts on labels are in `core.themes`; this is what themes and images share.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Literal

import sqlalchemy as sa

from core.db.engine import bulk_insert, next_ids
from core.db.tables import labels
from core.errors import InvalidInput

MAX_LABEL_NAME = 100
MAX_LABELS = 1_000
"""Labels of one theme; a model with more outputs is another kind of problem."""

PALETTE = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#332288",
    "#882255", "#44AA99", "#999933", "#AA4499", "#117733", "#DDCC77", "#88CCEE", "#661100",
)  # fmt: skip
"""Colours for labels, told apart by colour-blind people too (Okabe and Ito's, then Tol's muted ones)."""

_NO_COLORS: Mapping[str, str] = {}
_COLOR = re.compile(r"#[0-9A-Fa-f]{6}")
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True)
class Label:
    id: int
    name: str
    position: int
    """Order on screen, in keys and of a model's outputs; from 0, gaps where labels were deleted."""
    color: str
    """`#RRGGBB`."""


def label_name(name: str) -> str:
    """A label's name as it is kept. Raises InvalidInput."""
    name = normal(name)
    match name_problem(name, MAX_LABEL_NAME):
        case "empty":
            raise InvalidInput("A label's name is empty; type at least one character.")
        case "long":
            raise InvalidInput(
                "The label's name has {n} characters; use at most {limit}.", n=len(name), limit=MAX_LABEL_NAME
            )
        case "control":
            raise InvalidInput("The label's name has a control character or line break in it; remove it.")
    return name


def label_names(names: Iterable[str]) -> list[str]:
    """Names as they are kept, in the order given. Raises InvalidInput, also where one comes twice."""
    kept: dict[str, str] = {}
    for raw in names:
        name = label_name(raw)
        if name.casefold() in kept:
            raise InvalidInput("The label “{name}” is listed twice; keep it once.", name=name)
        kept[name.casefold()] = name
    if len(kept) > MAX_LABELS:
        raise InvalidInput(
            "A theme can have {limit} labels; this list has {n}.", limit=MAX_LABELS, n=len(kept)
        )
    return list(kept.values())


def label_color(color: str) -> str:
    """A colour as it is kept. Raises InvalidInput."""
    if not _COLOR.fullmatch(color):
        raise InvalidInput("“{color}” is not a colour; write it like #0072B2.", color=color[:20])
    return color.upper()


def normal(text: str) -> str:
    """One way of writing each character, and no space around."""
    return unicodedata.normalize("NFC", text).strip()


def name_problem(name: str, limit: int) -> Literal["empty", "long", "control"] | None:
    """What keeps `name` from being a name; HTML is no problem, it is shown as it is written."""
    if not name:
        return "empty"
    if len(name) > limit:
        return "long"
    if any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or c in _BIDI for c in name):
        return "control"
    return None


def labels_of(connection: sa.Connection, theme_id: int) -> tuple[Label, ...]:
    """Live labels by position."""
    return tuple(labels_by_theme(connection, [theme_id]).get(theme_id, ()))


def labels_by_theme(connection: sa.Connection, theme_ids: Sequence[int]) -> dict[int, list[Label]]:
    """Live labels by position, for several themes in one query."""
    found: dict[int, list[Label]] = {}
    query = (
        sa.select(labels)
        .where(labels.c.theme_id.in_(theme_ids), labels.c.deleted_at.is_(None))
        .order_by(labels.c.position, labels.c.id)
    )
    for row in connection.execute(query):
        found.setdefault(row.theme_id, []).append(Label(row.id, row.name, row.position, row.color))
    return found


def create_missing_labels(
    connection: sa.Connection, theme_id: int, names: Iterable[str], colors: Mapping[str, str] = _NO_COLORS
) -> list[Label]:
    """Add the labels that the theme lacks (names already checked), as far as MAX_LABELS allows.

    `colors` says the colour of some names. Returns all live labels. The theme must be locked.
    """
    live = list(labels_of(connection, theme_id))
    have = {label.name.casefold() for label in live}
    missing = []
    for name in names:
        if name.casefold() not in have:
            have.add(name.casefold())
            missing.append(name)
    missing = missing[: max(0, MAX_LABELS - len(live))]
    start = next_position(connection, theme_id)
    return live + insert_labels(connection, theme_id, missing, start=start, colors=colors)


def insert_labels(
    connection: sa.Connection,
    theme_id: int,
    names: Sequence[str],
    *,
    start: int,
    colors: Mapping[str, str] = _NO_COLORS,
) -> list[Label]:
    """Rows for checked names at positions from `start`; `colors` says the colour of some of them."""
    if not names:
        return []
    ids = next_ids(connection, "labels_id_seq", len(names))
    made = [
        Label(label_id, name, position, colors.get(name, PALETTE[position % len(PALETTE)]))
        for position, (label_id, name) in enumerate(zip(ids, names, strict=True), start)
    ]
    now = datetime.now(UTC)
    bulk_insert(
        connection, labels, [{**asdict(label), "theme_id": theme_id, "created_at": now} for label in made]
    )
    return made


def next_position(connection: sa.Connection, theme_id: int) -> int:
    """After every label that the theme has or had, so that no two ever share a place."""
    highest = connection.execute(
        sa.select(sa.func.max(labels.c.position)).where(labels.c.theme_id == theme_id)
    ).scalar_one()
    return 0 if highest is None else int(highest) + 1
