"""Take a version that was trained elsewhere over from MLflow."""

from __future__ import annotations

import streamlit as st

from core import auth, outside, themes
from core.errors import VeritrainError
from core.i18n import gettext as _
from core.workbench import Workbench
from pages.widgets import frame


def button(wb: Workbench, me: auth.User, theme: themes.Theme) -> None:
    """For whoever may register versions."""
    if me.may(auth.TRAINER) and st.button(
        _("Add a model from MLflow"),
        key="add-outside",
        help=_("A version that was trained elsewhere, for texts, user ids or rows of a table."),
    ):
        _add(wb, me, theme)


@frame.dialog(_("Add a model from MLflow"))
def _add(wb: Workbench, me: auth.User, theme: themes.Theme) -> None:
    try:
        found = outside.offered(wb, theme.id)
    except VeritrainError as error:
        frame.refuse(error)
        return
    if not found:
        st.info(
            _(
                "MLflow has no version that is not here yet. Log a model there with a signature and register it; then "
                "it can be chosen here."
            )
        )
        return
    uri = st.selectbox(
        _("Version in MLflow"), found, key="outside-uri", help=_("Those that are not here yet, newest first.")
    )
    st.caption(
        _(
            "All of its files are hashed. Once it is deployed its code runs in a model server of yours: take only what "
            "you trust."
        )
    )
    if st.button(_("Add"), type="primary", key="yes-outside"):
        with frame.refusals(), st.spinner(_("Its files are being read …")):
            outside.register(wb, me, theme.id, uri)
            st.rerun()
