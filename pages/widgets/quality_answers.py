"""What people answer to findings: which of two labels is right, and what was called fine and may be taken back."""

from __future__ import annotations

import streamlit as st

from core import auth, images
from core.i18n import gettext as _
from core.i18n import ngettext
from core.quality import decisions, kinds
from core.themes import Theme
from core.workbench import Workbench
from pages.widgets import frame
from pages.widgets.pictures import thumbnails
from pages.widgets.runs import when


def doubted(wb: Workbench, me: auth.User, theme: Theme, kind: str, shown: list[images.Image]) -> None:
    """The most suspicious labels, each with one press for either answer."""
    words = {
        "contradicted": _("Labelled {label}, a copy came as {guess}"),
        "mislabelled": _("Labelled {label}, likelier {guess}"),
    }[kind]
    take = {"contradicted": _("Take the copy's"), "mislabelled": _("Take the likelier")}[kind]
    names = {label.id: label.name for label in theme.labels}
    columns = st.columns(3)
    for place, image in enumerate(shown):
        guess = image.likelier.get(kind)
        with columns[place % 3], st.container(border=True, key=f"{kind}-{image.id}"):
            thumbnails([image], {image.id: ""}, side=96)
            st.caption(
                words.format(
                    label=f"**{frame.escape(frame.shorten(names.get(image.label_id or 0, '–'), 24))}**",
                    guess=f"**{frame.escape(frame.shorten(names.get(guess or 0, '–'), 24))}**",
                )
            )
            if not me.may(auth.LABELER):
                continue
            with st.container(horizontal=True, gap="small", key=f"answers-{kind}-{image.id}"):
                if guess in names and st.button(
                    take, key=f"take-{kind}-{image.id}", help=_("The image gets this label.")
                ):
                    with frame.refusals():
                        images.label(wb, me, theme.id, [(image.id, guess)], source="settled")
                        st.rerun()
                if st.button(
                    _("It is right"),
                    key=f"right-{kind}-{image.id}",
                    help=_("The label stays, the doubt goes."),
                ):
                    with frame.refusals():
                        decisions.decide(wb, me, theme.id, kind, [image.id])
                        st.rerun()
    told = decisions.precision(wb, theme.id)
    if kind == "mislabelled" and told.decided:
        st.caption(
            _("Of {n} doubts that somebody decided on, {wrong} labels were wrong indeed.").format(
                n=told.decided, wrong=told.wrong
            )
        )


def called_fine(wb: Workbench, me: auth.User, theme: Theme) -> None:
    """What people waved through, press by press, each to be taken back."""
    for each in decisions.decisions(wb, theme.id):
        name = f"{each.kind}-{each.at.timestamp():.6f}".replace(".", "-")  # others decide meanwhile
        with st.container(horizontal=True, vertical_alignment="center", key=f"decision-{name}"):
            said = _("{finding} · {n} · {who}, {when}").format(
                finding=f"**{kinds.title(each.kind)}**",
                n=ngettext("{n} image", "{n} images", each.images).format(n=f"{each.images:,}"),
                who=frame.escape(each.person or "–"),
                when=when(each.at),
            )
            st.markdown(said, width="stretch")
            if decisions.may_decide(me, each.kind) and st.button(
                _("Take back"), key=f"take-back-{name}", help=_("They are findings again.")
            ):
                with frame.refusals():
                    decisions.take_back(wb, me, theme.id, each)
                    st.rerun()
