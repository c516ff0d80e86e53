"""One's own account: language, password, and bearer tokens for scripts."""

from __future__ import annotations

import streamlit as st

from core import auth, i18n
from core.i18n import gettext as _
from pages.widgets import frame

wb, me = frame.open_page(title=_("Your account"), crumbs=[frame.home()])

with st.container(border=True):
    st.subheader(_("Language"), anchor=False)
    languages = list(i18n.LANGUAGES)
    chosen = st.segmented_control(
        _("Language of the screens"),
        languages,
        default=i18n.language(),
        format_func=lambda code: i18n.LANGUAGES[code],
        key="language",
        help=_("Only your screens change."),
    )
    if chosen and chosen != (i18n.language()):
        auth.set_language(wb, me, chosen)
        st.rerun()

with st.container(border=True):
    st.subheader(_("Password"), anchor=False)
    with st.form("password", border=False, clear_on_submit=True):
        current = st.text_input(
            _("Current password"),
            type="password",
            autocomplete="current-password",
            help=_("The one you signed in with."),
        )
        new = st.text_input(
            _("New password"), type="password", autocomplete="new-password", help=_("At least 10 characters.")
        )
        again = st.text_input(
            _("New password, once more"),
            type="password",
            autocomplete="new-password",
            help=_("To catch slips."),
        )
        if st.form_submit_button(_("Change the password")):
            if new != again:
                st.error(_("The two passwords are not the same; type them again."))
            else:
                with frame.refusals():
                    auth.set_password(wb, me, me.id, new, current)
                    st.success(
                        _("Your password is changed. Every session of yours has ended: sign in again.")
                    )

with st.container(border=True):
    st.subheader(_("Tokens for scripts"), anchor=False)
    st.caption(_("A token lets a script act as you through the REST interface. Treat it like a password."))
    with st.form("token", border=False, clear_on_submit=True):
        name = st.text_input(_("What is it for?"), max_chars=64, help=_("A name that tells you later."))
        if st.form_submit_button(_("Make a token")):
            with frame.refusals():
                issued = auth.issue_token(wb, me, name)
                st.success(_("Copy it now; it is not shown again."))
                st.code(issued, language=None)
    for token in auth.list_tokens(wb, me):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(
                _("**{name}** – until {day}").format(
                    name=frame.escape(token.name), day=token.expires_at.strftime("%Y-%m-%d")
                )
            )
            if st.button(_("End"), key=f"end-{token.key}", help=_("Scripts that use it stop working.")):
                auth.revoke_token(wb, me, token.key)
                st.rerun()
