"""The judge's screen: a custom component that talks to /api itself, so that a key press needs no rerun."""

from __future__ import annotations

from core import auth
from core.ab.duels import Duel
from core.ab.judging import Progress
from core.i18n import gettext as _
from pages.widgets import component

_DUEL = component.load("duel/duel", "duel/acts")


def draw(duel: Duel, user: auth.User, progress: Progress) -> bool:
    """Draw what this person is to judge next; True in the run after they asked for the results."""
    result = _DUEL(
        key=f"duel-{duel.id}-{user.id}",
        data={
            "duel": duel.id,
            "me": user.id,
            "progress": {"judged": progress.judged, "total": progress.total, "last": progress.last},
            "text": _texts(),
        },
        on_results_change=lambda: None,
    )
    return bool(result.results)


def _texts() -> dict[str, str]:
    return {
        "judging": _("Two answers: choose the better one"),
        "progress": _("How much you have judged"),
        "count": _("{n} of {total} judged"),
        "left": _("Left"),
        "right": _("Right"),
        "choose": _("This is better"),
        "tie": _("Neither is better"),
        "tie_key": _("Space"),
        "tie_help": _("Both are equally good or equally bad (space or 0)."),
        "undo": _("Undo"),
        "undo_key": "Ctrl-Z",
        "undo_help": _("Take your last choice back (Ctrl-Z)."),
        "sure": _("How sure"),
        "sure_help": _("Show how sure each model is. Better judge without: it could lead you."),
        "sure_of": _("Confidence {n} %"),
        "hint": _(
            "← or 1: left is better. → or 2: right is better. Space or 0: neither. ↑ ↓ scroll. "
            "Which model stands where changes by chance."
        ),
        "picture": _("The picture both models looked at"),
        "picture_gone": _("The picture is not there any more."),
        "empty_answer": _("(empty answer)"),
        "loading": _("Loading …"),
        "no_connection": _("No connection; trying again …"),
        "saving": _("Saving …"),
        "saved": _("Saved"),
        "undone": _("Taken back"),
        "offline": _("No connection: {n} wait, they are sent when it is back"),
        "signed_out": _(
            "You are signed out: {n} wait. Sign in again in another tab, then they are sent by themselves."
        ),
        "refused": _("Not saved: {reason}"),
        "finished": _("You have judged everything. Thank you!"),
        "finished_more": _("You can still undo. Once you look at the results, your choices stand."),
        "results": _("See the results"),
        "closed": _("This duel is closed."),
        "looked": _("You have seen the results, so there is nothing more for you to judge here."),
        "nothing": _("There is nothing to judge."),
    }
