"""Stored. How versions of text datasets, and the reasons to train on them all the same, are spoken of."""

from __future__ import annotations

from core.datasets.permits import Override
from core.datasets.rows import Version
from core.i18n import gettext as _
from core.quality.texts import gate


def made_by(version: Version) -> str:
    """What made a version, in words."""
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
    }[version.change.get("fix") or version.change["kind"]]


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
