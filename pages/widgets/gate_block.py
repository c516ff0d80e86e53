"""What a failed dataset gate says before a training, and the reason with which an administrator goes on."""

from __future__ import annotations

import streamlit as st

from core import auth
from core.i18n import gettext as _
from core.quality import findings, gate
from core.themes import Theme
from core.workbench import Workbench
from pages.widgets import frame


def draw(wb: Workbench, me: auth.User, theme: Theme) -> tuple[bool, str]:
    """Whether a training may start, and the reason that was written, if one had to be."""
    standing = findings.standing(wb, theme.id)
    if standing.gate.passed:
        return True, ""
    override = ""
    with st.container(border=True, key="gate-failed"):
        with st.container(horizontal=True, vertical_alignment="center", key="gate-failed-head"):
            st.markdown(f":red-badge[{_('FAIL')}] " + _("**The dataset gate fails.**"), width="stretch")
            frame.link(_("See what to repair"), "quality.py", {"theme": theme.id})
        st.markdown(
            "\n".join(
                f"- {gate.title(line)}: {frame.escape(gate.said(line, standing.counts))}"
                for line in standing.gate.failed
            )
        )
        if me.may(auth.ADMIN):
            override = st.text_input(
                _("Train all the same, because …"),
                max_chars=findings.MAX_REASON,
                key="override",
                help=_("Your reason stays in the log of checks, with your name."),
            )
        else:
            st.caption(_("Only an administrator can start a training in spite of this, with a reason."))
    return bool(override.strip()), override
