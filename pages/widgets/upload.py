"""Adding images: drop files, folders or archives; they go straight to /api, with progress and a list of refusals."""

from __future__ import annotations

from dataclasses import dataclass

from core import auth, themes
from core.i18n import gettext as _
from pages.widgets import component

_UPLOAD = component.load("upload")


@dataclass(frozen=True)
class Uploaded:
    added: int
    clean: bool
    """Nothing more is to be said than how many images came."""


def draw(theme: themes.Theme, user: auth.User) -> Uploaded | None:
    """Draw the drop zone; what came in the run after an upload brought new images, else None."""
    result = _UPLOAD(
        key=f"upload-{theme.id}",
        data={
            "theme": theme.id,
            "may_create_labels": user.may(auth.TRAINER),
            "text": {
                "drop": _("Drop images, a folder, or a zip or tar of them here"),
                "choose": _("Choose files"),
                "folder": _("Choose a folder"),
                "labels": _("Folder names are labels"),
                "labels_help": _(
                    "An image in “cat/001.jpg” gets the label “cat”; a label that is missing is added."
                ),
                "splits": _("Folders train, valid and test are splits"),
                "splits_help": _("An image below a folder “test” is put into the test split."),
                "sending": _("Sending: {done} of {total}"),
                "working": _("Reading the images …"),
                "done": _("{added} images added."),
                "duplicates": _("{n} were there already and were left out."),
                "refused": _("{n} files were refused:"),
                "more": _("… and {n} more."),
                "new_labels": _("New labels: {names}."),
                "failed": _(
                    "The upload stopped: {reason} What was added before is kept; send the rest again."
                ),
                "no_connection": _("no connection to Veritrain."),
                "cancel": _("Stop"),
                "stopped": _("Stopped. What was added before is kept."),
                "close": _("Close"),
            },
        },
        on_done_change=lambda: None,
    )
    return Uploaded(**result.done) if result.done else None
