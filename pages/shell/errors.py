"""What a person sees when a screen breaks: one sentence and a number; the trace goes to the log."""

from __future__ import annotations

import logging

import streamlit as st

from core import logs
from core.errors import VeritrainError
from core.i18n import gettext as _

log = logging.getLogger(__name__)


def report(error: Exception) -> bool:
    """Show `error` as one banner. Refusals show their sentence, everything else a number for the log."""
    if isinstance(error, VeritrainError):
        st.error(error.text(_))
        return True
    with logs.request(
        logs.request_id()
    ) as number:  # a screen is drawn in a thread of its own, without a request
        log.error("screen error [%s]", number, exc_info=error)
    st.error(
        _(
            "This screen could not be drawn. Reload it; if that does not help, tell your administrator the number {id}."
        ).format(id=number)
    )
    return True
