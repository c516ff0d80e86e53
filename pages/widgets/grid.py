"""The image grid: a custom component that talks to /api itself, so that a key press needs no rerun."""

from __future__ import annotations

from core import auth, images, themes
from core.i18n import gettext as _
from core.images import Statistics
from pages.widgets import component

_GRID = component.load("grid")


def draw(theme: themes.Theme, user: auth.User, counts: Statistics, stamp: int) -> None:
    """Draw the theme's images with filters, palette and counts.

    `stamp` changes when images came or went outside the grid (an upload, a split); it then reloads.
    """
    _GRID(
        key=f"grid-{theme.id}",
        data={
            "theme": theme.id,
            "stamp": stamp,
            "labels": [{"id": label.id, "name": label.name, "color": label.color} for label in theme.labels],
            "counts": counts_for_grid(counts),
            "me": user.name,
            "may_label": user.may(auth.LABELER),
            "text": texts(),
        },
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


def texts() -> dict[str, str]:
    """Every sentence the component shows, in the reader's language."""
    return {
        "all": _("All"),
        "labelled": _("Labelled"),
        "unlabelled": _("Unlabelled"),
        "train": _("train"),
        "valid": _("valid"),
        "test": _("test"),
        "none": _("no split"),
        "any_label": _("Any label"),
        "any_split": _("Any split"),
        "filter_label": _("Filter by label"),
        "filter_split": _("Filter by split"),
        "filter_state": _("Filter by state"),
        "images": _("Images"),
        "palette": _("Labels: click, or press the key, to label the selected images"),
        "no_labels": _("This theme has no labels yet. Add some under “Labels” above."),
        "clear": _("No label"),
        "delete": _("Delete"),
        "delete_ask": _("Delete {n} selected images? Models already trained on them keep their record."),
        "yes_delete": _("Yes, delete"),
        "cancel": _("Cancel"),
        "selected": _("{n} selected"),
        "hint": _(
            "Click to select, Ctrl or Shift for more, Ctrl-A for all shown. Keys 1–9 label, U takes the label away, "
            "Enter shows an image large."
        ),
        "hint_view": _("Click an image to select it; Enter shows it large."),
        "saving": _("Saving …"),
        "saved": _("Saved"),
        "offline": _("No connection: {n} labels wait, they are sent when it is back"),
        "refused": _("Not saved: {reason}"),
        "loading": _("Loading …"),
        "empty": _("No images yet. Drop some on “Add images” above."),
        "empty_filter": _("No image fits these filters."),
        "unlabelled_badge": _("unlabelled"),
        "close": _("Close"),
        "previous": _("Previous"),
        "next": _("Next"),
        "file": _("File"),
        "label": _("Label"),
        "split": _("Split"),
        "size": _("Size"),
        "uploaded": _("Uploaded"),
        "labelled_by": _("Labelled"),
        "by": _("{when} by {who}"),
        "shown": _("{n} shown"),
        "load_failed": _(
            "The images could not be loaded. Check the connection; it is tried again by itself."
        ),
    }
