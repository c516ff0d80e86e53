"""A place to drop files, folders or archives on; they go straight to /api, with progress and a list of refusals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from core import auth, themes
from core.i18n import gettext as _
from core.i18n import ngettext
from pages.widgets import component

_UPLOAD = component.load("upload")


@dataclass(frozen=True)
class Question:
    """Asked where files lie in several folders, whose `{n}` and `{names}` it may say, and two answers."""

    question: str
    yes: str
    no: str


@dataclass(frozen=True)
class Option:
    """Something that a person may choose for the files."""

    name: str
    text: str
    help: str
    sends: tuple[str, ...]
    """Names that the address gets as `name=true` where it is chosen."""
    asks: Question | None = None
    """For whoever has not chosen it."""


@dataclass(frozen=True)
class Made:
    """What takes the files is made when the first come: by a POST of `body` to `address`, which answers with an id."""

    address: str
    body: Mapping[str, Any]
    files: str
    """Where the files then go, with `{id}`."""


@dataclass(frozen=True)
class Uploaded:
    added: int
    clean: bool
    """Nothing more is to be said than how many images came."""
    made: int | None
    """Id of what was made to take them."""


def draw(theme: themes.Theme, user: auth.User) -> Uploaded | None:
    """For images of a theme; what came in the run after an upload brought new ones, else None."""
    missing = ("create_labels",) if user.may(auth.TRAINER) else ()
    return zone(
        f"upload-{theme.id}",
        f"/api/theme/{theme.id}/images/upload/",
        settle=f"/quality?theme={theme.id}",
        options=[
            Option(
                "byLabel",
                _("Folder names are labels"),
                _("An image in “cat/001.jpg” gets the label “cat”; a label that is missing is added."),
                ("label_from_folder", *missing),
                Question(
                    _("These images lie in {n} folders ({names}). Are the folders’ names their labels?"),
                    _("Yes, label them so"),
                    _("No, only add the images"),
                ),
            ),
            Option(
                "bySplit",
                _("Folders train, valid and test are splits"),
                _("An image below a folder “test” is put into the test split."),
                ("split_from_folder",),
            ),
        ],
    )


def zone(
    key: str, to: str | Made, *, options: Sequence[Option] = (), settle: str | None = None
) -> Uploaded | None:
    """Draw the place to drop files on; they are posted to `to`. What came in the run after an upload, else None.

    `settle`: where it is decided which label a picture has that came with two.
    """
    result = _UPLOAD(
        key=key,
        data={
            "place": key,
            "address": to if isinstance(to, str) else None,
            "made": None if isinstance(to, str) else vars(to),
            "options": [asdict(option) for option in options],
            "settle": settle,
            "text": {
                "drop": _("Drop images, a folder, or a zip or tar of them here"),
                "choose": _("Choose files"),
                "folder": _("Choose a folder"),
                "sending": _("Sending: {done} of {total}"),
                "working": _("Reading the images …"),
                "done": _forms(lambda n: ngettext("{n} image added.", "{n} images added.", n)),
                "duplicates": _forms(
                    lambda n: ngettext(
                        "{n} was there already and was left out.",
                        "{n} were there already and were left out.",
                        n,
                    )
                ),
                "late": _forms(
                    lambda n: ngettext(
                        "{n} of them had no label and got the name of its folder.",
                        "{n} of them had no label and got the names of their folders.",
                        n,
                    )
                ),
                "contradicted": _forms(
                    lambda n: ngettext(
                        "{n} of them lay in the folder of another label than the image has here, which it keeps for "
                        "now. One of the two is wrong:",
                        "{n} of them lay in the folders of other labels than the images have here, which they keep "
                        "for now. One of the two is wrong each time:",
                        n,
                    )
                ),
                "settle": _("Settle which label is right"),
                "refused": _forms(lambda n: ngettext("{n} file was refused:", "{n} files were refused:", n)),
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


def _forms(words: Callable[[int], str]) -> list[str]:
    """A sentence for one and for many."""
    return [words(1), words(2)]
