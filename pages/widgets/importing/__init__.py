"""Importing labelled data: source, dry run, start, progress, and what was imported before."""

from __future__ import annotations

from core import auth, themes, transfer
from core.i18n import gettext as _
from core.settings import Settings
from pages.widgets import component

_IMPORTING = component.load("importing/importing")


def draw(theme: themes.Theme, user: auth.User, settings: Settings) -> bool:
    """Draw it; True in the run after an import brought something."""
    result = _IMPORTING(
        key=f"importing-{theme.id}",
        data={
            "theme": theme.id,
            "may_create": user.may(auth.TRAINER),
            "formats": list(transfer.FORMATS),
            "roots": [str(root) for root in settings.import_roots],
            "text": _texts(),
        },
        on_done_change=lambda: None,
    )
    return bool(result.done)


def _texts() -> dict[str, str]:
    return {
        "choose": _("Choose a file"),
        "choose_help": _("A zip or tar of images, or a list of them as CSV, Parquet or JSON."),
        "or_folder": _("or a folder on the server:"),
        "folder": _("Folder on the server"),
        "folder_example": "/data/…",
        "look": _("Look at it"),
        "look_help": _("Shows what would be imported; nothing is changed yet."),
        "format": _("Format"),
        "format_help": _("Left alone, it is found out from the files."),
        "detect": _("Find out"),
        "format_folders": _("Folders named like labels"),
        "format_manifest": _("List (CSV or Parquet)"),
        "format_coco": "COCO",
        "format_labelstudio": "Label Studio",
        "format_imagefolder": "Hugging Face imagefolder",
        "take_labels": _("Take labels"),
        "take_labels_help": _("Images get the label the source says, where they have none yet."),
        "create_labels": _("Add labels that are missing"),
        "create_labels_help": _("Trainers only: labels the theme lacks are added to it."),
        "take_splits": _("Take splits"),
        "take_splits_help": _("Images go to train, valid or test as the source says."),
        "sending": _("Sending “{name}” and looking at it …"),
        "looking": _("Looking at it …"),
        "failed": _("Something went wrong; try again."),
        "no_connection": _("No connection; try again in a moment."),
        "plan": _("What would be imported"),
        "plan_images": _("{format}: {images} images, {new} of them new; {known} the theme has already."),
        "plan_labelled": _("{n} images would get one of {labels} labels."),
        "plan_new_labels": _("New labels: {names}."),
        "plan_lacking": _("The theme lacks these labels, so their images come without one: {names}."),
        "plan_splits": _("Splits: {splits}."),
        "conflicts": _("{n} conflicts"),
        "problems": _("{n} cannot be imported"),
        "more": _("… and {n} more."),
        "nothing": _("There is nothing new in it: an import would change nothing."),
        "cancel": _("Cancel"),
        "start": _("Import now"),
        "progress": _("Progress of the import"),
        "eta": _("· about {time} left"),
        "counts": _("{added} added, {labelled} labelled, {known} there already, {refused} refused"),
        "stop": _("Stop"),
        "stop_help": _("What was imported stays; you can go on later."),
        "resume": _("Go on"),
        "resume_help": _("Imports the rest; nothing comes twice."),
        "past": _("Imports so far"),
        "status_running": _("running"),
        "status_done": _("done"),
        "status_stopped": _("stopped"),
        "status_failed": _("failed"),
    }
