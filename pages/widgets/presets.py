"""Ready-made settings, each with what it would change, before it is taken."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st
from pydantic import BaseModel

from core import params
from core.errors import VeritrainError
from core.i18n import gettext as _
from core.params import Auguments, Params, Preset
from pages.widgets import frame


def draw(
    images: int, now: Params, auguments: Auguments, *, disabled: bool, take: Callable[..., None], open: bool
) -> None:
    """The presets for so many training images; `take` is called with the two files of the chosen one."""
    with st.expander(_("Ready-made settings"), expanded=open):
        if not images:
            st.caption(
                _(
                    "They depend on how many images there are to learn from: label some images, then split them."
                )
            )
            return
        st.caption(
            _(
                "Fitted to the {n:,} images of this theme that a model can learn from. Taking one fills in the "
                "form; nothing is saved until you press Save."
            ).format(n=images)
        )
        for column, preset in zip(st.columns(3), params.presets(images), strict=True):
            with column.container(border=True, height="stretch"):
                _one(preset, now, auguments, disabled, take)


def _one(
    preset: Preset, now: Params, auguments: Auguments, disabled: bool, take: Callable[..., None]
) -> None:
    st.markdown(f"**{frame.escape(_(preset.title))}**")
    st.markdown(frame.escape(_(preset.text)))
    st.caption(frame.escape(preset.because(_)))
    try:
        applied: tuple[BaseModel, ...] = preset.applied(now, auguments)
    except VeritrainError as error:
        frame.refuse(error)
        return
    found = params.changes((now, auguments), applied)
    if found:
        st.markdown(_("It would change:") + "\n" + frame.bullets(change.text(_) for change in found))
    else:
        st.markdown(_(":green-badge[these are your settings]"))
    st.space("stretch")
    if st.button(
        _("Take these"),
        key=f"preset-{preset.name}",
        disabled=disabled or not found,
        help=_("Fills in the form; you can still change it before you save."),
    ):
        take(*applied)
