"""Stored. Freezing a theme's test set: by hand, or when its first training starts."""

from __future__ import annotations

import sqlalchemy as sa

from core import audit, auth, storable, themes
from core.errors import Conflict, InvalidInput
from core.quality import findings, frozen
from core.quality.frozen import FrozenTest
from core.workbench import Workbench


def freeze(wb: Workbench, actor: auth.User, theme_id: int, reason: str = "") -> FrozenTest:
    """Freeze the test set as it is now. Once one is frozen a reason is needed; it stays in the log.

    Raises Conflict without one, InvalidInput for a reason that is too long or where no image is in test,
    NotFound, NotAllowed.
    """
    auth.require(actor, auth.TRAINER)
    theme = themes.get(wb, theme_id)
    reason = reason.strip()
    if len(reason) > findings.MAX_REASON:
        raise InvalidInput("The reason has at most {limit} characters.", limit=findings.MAX_REASON)
    storable.check("reason", reason)

    def work(connection: sa.Connection) -> None:
        themes.lock(connection, theme_id)
        if frozen.is_frozen(connection, theme_id) and not reason:
            raise Conflict(
                "The test set is frozen already. Say why it shall be frozen anew: marks of models before "
                "and after cannot be compared then."
            )
        if not _freeze(connection, theme, actor, reason):
            raise InvalidInput(
                "No labelled image of the theme “{name}” is in test; press Split on its page first.",
                name=theme.name,
            )

    wb.db.write(work)
    made = frozen.get(wb, theme_id)
    assert made is not None
    return made


def freeze_first(connection: sa.Connection, theme: themes.Theme, actor: auth.User) -> None:
    """Freeze the test set where it is not frozen yet. Within the transaction that starts a training."""
    themes.lock(connection, theme.id)
    if not frozen.is_frozen(connection, theme.id):
        _freeze(connection, theme, actor, "")


def _freeze(connection: sa.Connection, theme: themes.Theme, actor: auth.User, reason: str) -> bool:
    saved = frozen.write(connection, theme.id, actor.id, reason)
    if saved is None:
        return False
    detail = {name: saved[name] for name in ("hash", "images", "reason")}
    findings.note(connection, theme, actor.id, "freeze", detail)
    audit.record(connection, actor, "quality.freeze", f"theme {theme.id}", detail)
    return True
