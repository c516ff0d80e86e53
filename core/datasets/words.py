"""Stored. How versions of text datasets, and the reasons to train on them all the same, are spoken of."""

from __future__ import annotations

from core.datasets.findings import Standing
from core.datasets.permits import Override
from core.datasets.rows import Version
from core.i18n import gettext as _
from core.quality.texts import gate


def made_by(version: Version) -> str:
    """What made a version, in words; a kind that no release of ours knows is named as it is."""
    what = str(version.change.get("fix") or version.change["kind"])
    return {
        "upload": _("taken in"),
        "append": _("rows added"),
        "split": _("split"),
        "edit": _("a row corrected"),
        "remove": _("rows removed"),
        "copies": _("copies removed"),
        "mask": _("personal data masked"),
        "clean": _("characters repaired"),
        "leaks": _("leaks removed"),
    }.get(what, what)


def went_on(standing: Standing) -> str:
    """What is said where not all pairs were judged together, see core.quality.texts.paired."""
    return _(
        "{n} pairs were judged together; {since} came or went after that. New ones were judged by what was learnt "
        "then, the others keep what was said of them."
    ).format(n=f"{standing.together:,}", since=f"{standing.since:,}")


def allowed(given: Override) -> str:
    """Who allowed a training in spite of FAIL and why, and what of that counts no longer."""
    said = _("{person} allowed a training in spite of FAIL: “{reason}”").format(
        person=given.person or "–", reason=given.reason
    )
    if given.stands:
        return said
    if given.further:
        names = _(", ").join(gate.title(line) for line in given.further)
        why = _(
            "That no longer counts, for these lines of the gate fail now and did not then: {names}."
        ).format(names=names)
    else:
        why = _("That no longer counts, for a check has found something else since.")
    return f"{said} {why}"
