"""Pure. How versions of text datasets are spoken of."""

from __future__ import annotations

from core.datasets.rows import Version
from core.i18n import gettext as _


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
