"""Pure. Events and states of notices in words."""

from __future__ import annotations

from core.i18n import gettext as _
from core.notices import outbox


def event(name: str) -> str:
    return {
        outbox.VERSION_REGISTERED: _("A version is registered"),
        outbox.STAGE_CHANGED: _("A version changes its stage"),
        outbox.DEPLOYMENT_UP: _("A deployment is ready"),
        outbox.DEPLOYMENT_FAILED: _("A deployment cannot start"),
        outbox.ALERT_FIRING: _("An alert begins"),
        outbox.ALERT_RESOLVED: _("An alert ends"),
        outbox.RUN_FINISHED: _("A run ends well"),
        outbox.RUN_FAILED: _("A run fails"),
        outbox.TEST: _("Test"),
    }[name]


def status(name: str) -> str:
    return {
        outbox.WAITING: _("waiting"),
        outbox.DELIVERED: _("delivered"),
        outbox.FAILED: _("given up"),
    }[name]
