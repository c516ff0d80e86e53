"""The image grid: a custom component that talks to /api itself, so that a key press needs no rerun."""

from __future__ import annotations

from core import auth, images, themes
from core.images import Statistics
from core.quality import decisions, kinds
from pages.widgets import component, steps
from pages.widgets.grid.texts import texts

_PARTS = ("outbox", "rows", "tiles", "filters", "palette", "large", "suggestions", "acts")
_GRID = component.load("grid/grid", *(f"grid/{part}" for part in _PARTS))


def draw(
    theme: themes.Theme,
    user: auth.User,
    counts: Statistics,
    stamp: int,
    *,
    people: list[auth.User],
    imports: list[dict[str, object]],
    has_model: bool,
    day: str = "",
) -> None:
    """Draw the theme's images with filters, palette and counts.

    `stamp` changes when images came or went outside the grid (an upload, a split); it then
    loads again. `people` and `imports` ({id, name}) are what the filters offer; `has_model`
    says whether a trained version could suggest labels. With a `day` (the filter `at`) the
    past is shown and nothing can be changed.
    """
    _GRID(
        key=f"grid-{theme.id}{day}",
        data={
            "theme": theme.id,
            "stamp": stamp,
            "labels": [{"id": label.id, "name": label.name, "color": label.color} for label in theme.labels],
            "counts": counts_for_grid(counts),
            "me": {"id": user.id, "name": user.name},
            "people": [{"id": person.id, "name": person.name} for person in people],
            "imports": imports,
            "findings": [{"id": name, "name": kinds.title(name)} for name in kinds.KINDS],
            "of_labels": kinds.OF_LABELS,
            "may_call_fine": [name for name in kinds.KINDS if decisions.may_decide(user, name)],
            "has_model": has_model,
            "may_label": user.may(auth.LABELER) and not day,
            "enough": steps.ENOUGH,
            "text": texts(),
        },
        on_stage_change=lambda: None,  # the run itself draws the next step anew
    )


def counts_for_grid(counts: Statistics) -> dict[str, object]:
    """The counts in the shape of the REST answer, which the grid takes over after each change."""
    return {
        "total": counts.total,
        "labelled": counts.labelled,
        "unlabelled": counts.unlabelled,
        "by_label": {str(label): n for label, n in counts.by_label.items()},
        "by_split": {split or "none": counts.by_split.get(split, 0) for split in (*images.SPLITS, None)},
    }
