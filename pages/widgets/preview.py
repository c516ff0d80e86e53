"""What a training would see: the theme's own images under the parameters on the screen, saved or not."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

import streamlit as st
from pydantic import BaseModel

from core import previews, themes
from core.errors import VeritrainError
from core.i18n import gettext as _
from core.params import Auguments, Params
from core.workbench import Workbench
from pages.widgets import frame

_GRID = (
    '<div style="display:grid;grid-template-columns:repeat(3,minmax(0,1fr));gap:6px;max-width:{width}px">'
    "{inner}</div>"
)
_PICTURE = (
    '<img src="data:image/png;base64,{data}" alt="{alt}" title="{alt}" '
    'style="width:100%;aspect-ratio:1;object-fit:contain;image-rendering:pixelated;border-radius:4px">'
)
WIDTH = 420
"""Pixels of three pictures beside each other at most."""


def draw(wb: Workbench, theme: themes.Theme, params: BaseModel | None, auguments: BaseModel | None) -> None:
    """Closed until somebody opens it: nothing is asked of the worker before."""
    with st.expander(_("Preview on your own images"), key=f"preview-{theme.id}", on_change="rerun") as opened:
        if not opened.open:
            return
        if not isinstance(params, Params) or not isinstance(auguments, Auguments):
            st.caption(_("The parameters have a mistake: correct it, and the preview follows."))
            return
        _pictures(wb, theme, params, auguments)


@frame.fragment()
def _pictures(wb: Workbench, theme: themes.Theme, params: Params, auguments: Auguments) -> None:
    dice_key = f"preview-dice-{theme.id}"
    dice: int = st.session_state.get(dice_key, 0)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(
            _("Follows what is set above, saved or not. Only training images are changed by chance."),
            width="stretch",
        )
        if st.button(
            _("New dice"),
            key=f"preview-roll-{theme.id}",
            help=_("Throws the dice again: the same images with other random changes."),
        ):
            dice += 1
            st.session_state[dice_key] = dice
    try:
        found = _asked(wb, theme, params, auguments, dice)
    except VeritrainError as error:
        frame.refuse(error)
        return
    if found is None:
        st.info(
            _("This theme has no images yet. Add some, and they are shown here as a training would see them.")
        )
        return
    left, right = st.columns(2)
    with left:
        st.markdown(f"**{_('As training would see them')}**")
        _grid(found.augmented, _("{name}, with random changes"))
    with right:
        st.markdown(f"**{_('Before preprocessing')}**")
        _grid(found.before, _("{name}, before"))
        st.markdown(f"**{_('After preprocessing')}**")
        _grid(found.after, _("{name}, after"))


def _asked(
    wb: Workbench, theme: themes.Theme, params: Params, auguments: Auguments, dice: int
) -> previews.Preview | None:
    """Asked once for the same question; where the worker did not answer, again at the next drawing."""
    key = f"preview-answer-{theme.id}"
    question = (params, auguments, dice)
    kept = st.session_state.get(key)
    if kept is None or kept[0] != question or kept[1] is None:
        kept = (question, previews.ask(wb, theme.id, params, auguments, dice))
        st.session_state[key] = kept
    found: previews.Preview | None = kept[1]
    return found


def _grid(pictures: Sequence[previews.Picture], caption: str) -> None:
    inner = "".join(
        _PICTURE.format(
            data=base64.b64encode(picture.png).decode("ascii"),
            alt=escape(caption.format(name=picture.file_name)),
        )
        for picture in pictures
    )
    st.html(_GRID.format(width=WIDTH, inner=inner))
