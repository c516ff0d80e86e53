"""Putting a version into production: the gate's lines with their evidence, approvals, and the reason."""

from __future__ import annotations

import streamlit as st

from core import auth, gate, production, stages
from core.errors import VeritrainError
from core.gate import Approval, Line
from core.i18n import gettext as _
from core.ledger import ARCHIVED, PRODUCTION, STAGING
from core.registry import Version
from core.workbench import Workbench
from pages.widgets import frame
from pages.widgets.runs import when

ICONS = {gate.GREEN: ":green[:material/check_circle:]", gate.RED: ":red[:material/cancel:]"}


def why(key: str, label: str, help: str) -> str:
    """A reason that goes to the ledger."""
    return st.text_area(label, max_chars=stages.MAX_REASON, height=70, key=key, help=help)


def written(wb: Workbench, me: auth.User, found: Version, to: str, red: bool) -> None:
    """The reason, an administrator's word where the gate is red, and the press that does it."""
    reason = why("stage-reason", _("Why"), _("It stays in the ledger for ever."))
    override = None
    if red and me.may(auth.ADMIN):
        override = why(
            "stage-override",
            _("Why although the gate is red"),
            _("Only administrators may do this; the red lines stay in the ledger with your reason."),
        )
    if st.button(
        {STAGING: _("Back to staging"), PRODUCTION: _("Promote"), ARCHIVED: _("Archive")}[to],
        type="primary",
        key="yes-stage",
        disabled=red and not me.may(auth.ADMIN),
    ):
        try:
            production.promote(wb, me, found.id, to, reason, override=override)
        except VeritrainError as error:
            frame.refuse(error)
        else:
            st.rerun()


def ask(wb: Workbench, me: auth.User, version: Version, title: str) -> None:
    """The window in which a version, called `title` there, is promoted or approved."""
    frame.dialog(_("Put a version into production"))(_draw)(wb, me, version, title)


def _draw(wb: Workbench, me: auth.User, version: Version, title: str) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{title}**", width="stretch")
        frame.link(_("Promotion rules"), "rules.py", {"theme": version.theme_id})
    try:
        with st.spinner(_("The gate looks at it …")):
            lines = gate.look(wb, version.id, me)
    except VeritrainError as error:
        frame.refuse(error)
        return
    for number, line in enumerate(lines):
        _line(line, number)
    if not lines:
        st.info(_("The promotion rules of this theme ask for nothing."))
    _approvals(wb, me, version)
    red = any(line.state == gate.RED for line in lines)
    if red and not me.may(auth.ADMIN):
        st.info(
            _("While a line is red, only an administrator can promote this version, with a written reason.")
        )
    if production.served(wb, version.model_id):
        st.caption(
            _(
                "What is in production now is archived. This version is served where that one is, which goes on "
                "answering until the new server is up."
            )
        )
    elif any("champion" in line.fields for line in lines):
        st.caption(_("What is in production now is archived. Nothing is deployed or stopped by this."))
    else:
        st.caption(_("Nothing is deployed or stopped by this."))
    written(wb, me, version, PRODUCTION, red)


def _line(line: Line, number: int) -> None:
    icon = ICONS.get(line.state, ":gray[:material/help:]")
    with st.container(key=f"gate-line-{number}", gap="small"):
        st.markdown(f"{icon} {frame.escape(line.text(_))}")
        if line.code == gate.APPROVAL:  # its address is this window
            st.caption(_("The approvals are below the lines; whoever else may promote gives one there, too."))
        elif line.address is not None:
            frame.link(_evidence(line.address.file), line.address.file, line.address.query)


def _evidence(file: str) -> str:
    """What a link to a line's evidence says."""
    return {
        "run.py": _("See its run"),
        "compare.py": _("See both runs side by side"),
        "abtest.py": _("See the A/B test"),
        "ab.py": _("Go to the A/B tests"),
        "passport.py": _("See its benchmarks in the passport"),
        "quality.py": _("See the quality of the images"),
    }[file]


def _approvals(wb: Workbench, me: auth.User, version: Version) -> None:
    found = gate.approvals_of(wb, version.id)
    with st.expander(_("Approvals ({n})").format(n=len(found)), expanded=bool(found), key="approvals"):
        for each in found:
            st.markdown(_said(each))
        if any(each.user_id == me.id for each in found):
            return
        note = st.text_area(
            _("What you looked at"),
            max_chars=gate.MAX_NOTE,
            height=70,
            key="approval-note",
            help=_("Your approval says that somebody else may promote this version; it stays for ever."),
        )
        if st.button(_("Approve"), key="approve"):
            with frame.refusals():
                gate.approve(wb, me, version.id, note)
                st.rerun(scope="fragment")


def _said(approval: Approval) -> str:
    head = _("{who}, {when}").format(who=frame.escape(approval.user_name), when=when(approval.at))
    return f"{head}  \n{frame.escape(frame.shorten(approval.note, 300))}"
