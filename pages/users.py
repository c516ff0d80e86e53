"""People: who may come in and what they may do. For administrators."""

from __future__ import annotations

import streamlit as st

from core import auth
from core.i18n import gettext as _
from pages.widgets import frame

wb, me = frame.open_page(role=auth.ADMIN, title=_("People"), crumbs=[frame.home()])

ROLES = {
    auth.VIEWER: _("Viewer – sees everything, may predict"),
    auth.LABELER: _("Labeler – also uploads and labels images"),
    auth.TRAINER: _("Trainer – also makes themes, trains and deploys"),
    auth.ADMIN: _("Administrator – also manages people"),
}


@frame.dialog(_("Add a person"))
def add() -> None:
    with st.form("add-person", border=False):
        name = st.text_input(_("Name"), max_chars=auth.MAX_NAME, help=_("What this person types to sign in."))
        password = st.text_input(
            _("First password"),
            type="password",
            help=_("At least 10 characters; they can change it under “Your account”."),
        )
        role = st.selectbox(
            _("Role"), list(ROLES), index=1, format_func=lambda r: ROLES[r], help=_("What they may do.")
        )
        if st.form_submit_button(_("Add"), type="primary"):
            with frame.refusals():
                auth.create_user(wb, me, name, password, role)
                st.rerun()


@frame.dialog(_("Change a person"))
def change(user: auth.User) -> None:
    st.markdown(f"**{frame.escape(user.name)}**")
    with st.form("change-person", border=False):
        role = st.selectbox(
            _("Role"),
            list(ROLES),
            index=list(ROLES).index(user.role),
            format_func=lambda r: ROLES[r],
            help=_("What they may do."),
        )
        active = st.toggle(
            _("May sign in"), value=user.active, help=_("Off ends all their sessions at once.")
        )
        password = st.text_input(
            _("New password"), type="password", help=_("Leave it empty to keep the old one.")
        )
        if st.form_submit_button(_("Save"), type="primary"):
            with frame.refusals():
                if role != user.role:
                    auth.set_role(wb, me, user.id, role)
                if active != user.active:
                    auth.set_active(wb, me, user.id, active)
                if password:
                    if user.id == me.id:
                        st.error(_("Change your own password under “Your account”."))
                        st.stop()
                    auth.set_password(wb, me, user.id, password)
                st.rerun()


with st.container(horizontal=True, vertical_alignment="center"):
    if st.button(_("Add a person"), type="primary", key="add-person-button"):
        add()
    frame.link(_("Webhooks"), "webhooks.py", help=_("Programs that are told when something happens."))
for person in auth.list_users(wb):
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        with st.container(width="stretch"):
            st.markdown(f"**{frame.escape(person.name)}**" + (_(" (you)") if person.id == me.id else ""))
            st.caption(ROLES[person.role] if person.active else _("May not sign in"))
        if st.button(_("Change"), key=f"change-{person.id}"):
            change(person)
