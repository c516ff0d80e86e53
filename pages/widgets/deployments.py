"""How a deployment is shown: its state in words, why it is not up, its servers and their logs."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core import auth, model_servers
from core.i18n import gettext as _
from core.i18n import ngettext
from core.model_servers import Server
from core.passport.names import minute
from core.serving import FAILED, UP, Deployment
from core.workbench import Workbench
from pages.widgets import frame, versions

LOG_HEIGHT = 320
"""Pixels."""
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


def trouble(me: auth.User, deployment: Deployment) -> None:
    """Say why it is not up; whoever may read its log sees the end of that."""
    if deployment.status == FAILED and me.may(auth.TRAINER):
        st.error(_("The model server does not start. It is tried again. What it wrote before it ended:"))
        st.code(deployment.detail or "", language=None, wrap_lines=True)
    elif deployment.status == FAILED:
        st.error(
            _(
                "The model server does not start. It is tried again; a trainer or an administrator can read why."
            )
        )
    elif deployment.status != UP:
        st.caption(_("A model server takes about twenty seconds to start."))


def answering(deployment: Deployment) -> None:
    """Say how many of its servers answer, where some do and some do not."""
    up = len((deployment.url or "").split())
    if deployment.status == UP and up < deployment.replicas:
        st.caption(
            _("{n} of {total} servers answer; the others start.").format(n=up, total=deployment.replicas)
        )


def servers(found: Sequence[Server]) -> None:
    """Since when each is up, and how often it had to be started again."""
    said = [_server(each) for each in found]
    if len(found) > 1:
        said = [
            _("Server {n}: {state}").format(n=n, state=text or _("not up yet"))
            for n, text in enumerate(said, 1)
        ]
    if any(said):
        st.caption("  \n".join(said))


def _server(server: Server) -> str:
    parts = [_("up since {when}").format(when=minute(server.up_since))] if server.up_since else []
    if server.restarts:
        text = ngettext("restarted {n} time", "restarted {n} times", server.restarts)
        parts.append(text.format(n=f"{server.restarts:,}"))
    if server.ended_at:
        parts.append(_("last ended {when}").format(when=minute(server.ended_at)))
    return " · ".join(parts)


def log(wb: Workbench, me: auth.User, deployment: Deployment) -> None:
    """The end of a server's log, drawn anew with what is around it; for those who may read it."""
    if not me.may(auth.TRAINER):
        return
    with st.expander(_("Log"), key=f"log-{deployment.id}", on_change="rerun") as unfolded:
        if unfolded.open:
            with frame.refusals():
                _lines(wb, me, deployment)


def _lines(wb: Workbench, me: auth.User, deployment: Deployment) -> None:
    """Raises NotFound where the log is not on this machine."""
    number = 1
    with st.container(horizontal=True):
        if deployment.replicas > 1:
            number = st.selectbox(
                _("Server"),
                range(1, deployment.replicas + 1),
                key=f"log-server-{deployment.id}",
                help=_("Each writes a log of its own."),
            )
        wanted = st.text_input(
            _("Search"),
            key=f"log-search-{deployment.id}",
            help=_("Only lines with these letters are shown."),
        )
    lines = model_servers.log(wb, me, deployment.id, number)
    found = [line for line in lines if wanted.casefold() in line.casefold()]
    if found:
        with st.container(height=LOG_HEIGHT, autoscroll=True, border=False):
            st.code("\n".join(found), language=None, wrap_lines=True)
    else:
        st.caption(_("No line has these letters.") if wanted else _("Nothing was written yet."))
    text = _("{shown} of the last {n} lines, the newest at the end; read again every few seconds.")
    st.caption(text.format(shown=len(found), n=len(lines)))


def name(deployment: Deployment) -> str:
    """As it is, for lists to choose from."""
    version = deployment.version
    return _("{theme}, version {n}").format(theme=version.called, n=version.version)


def title(deployment: Deployment) -> str:
    """The same in Markdown."""
    return frame.escape(name(deployment))


def by_stage(found: Sequence[Deployment]) -> list[Deployment]:
    """Those in production first and the archived ones last, the newest first of each."""
    return sorted(found, key=lambda each: (versions.RANKS[each.version.stage], -each.id))
