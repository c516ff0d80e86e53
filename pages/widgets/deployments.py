"""How a deployment is shown: its state in words, and why it is not up."""

from __future__ import annotations

import streamlit as st

from core.i18n import gettext as _
from core.serving import FAILED, UP, Deployment
from pages.widgets import frame

COLORS = {"starting": "blue", "up": "green", "restarting": "orange", "failed": "red", "down": "gray"}


def state(deployment: Deployment) -> str:
    """The state as a coloured Markdown badge."""
    words = {
        "starting": _("starting"),
        "up": _("ready"),
        "restarting": _("restarting"),
        "failed": _("cannot start"),
        "down": _("stopped"),
    }
    return (
        f":{COLORS.get(deployment.status, 'gray')}-badge[{words.get(deployment.status, deployment.status)}]"
    )


def trouble(deployment: Deployment) -> None:
    """Say why it is not up, with the end of the server's log."""
    if deployment.status == FAILED:
        st.error(_("The model server does not start. It is tried again; an administrator can read why:"))
        st.code(deployment.detail or "", language=None, wrap_lines=True)
    elif deployment.status != UP:
        st.caption(_("A model server takes about twenty seconds to start."))


def answering(deployment: Deployment) -> None:
    """Say how many of its servers answer, where some do and some do not."""
    up = len((deployment.url or "").split())
    if deployment.status == UP and up < deployment.replicas:
        st.caption(
            _("{n} of {total} servers answer; the others start.").format(n=up, total=deployment.replicas)
        )


def title(deployment: Deployment) -> str:
    version = deployment.version
    return _("{theme}, version {n}").format(theme=frame.escape(version.theme_name), n=version.version)
