"""The home screen: all themes as cards; create, edit and delete them."""

from __future__ import annotations

import streamlit as st

from core import auth, demo, themes
from core.i18n import gettext as _
from core.i18n import ngettext
from core.themes import ThemeCard
from pages.widgets import frame
from pages.widgets.runs import status_text

wb, me = frame.open_page(
    title=_("Themes"),
    help=_("A theme is one question you want a model to answer about images, with its labels and images."),
)
may_edit = me.may(auth.TRAINER)


def split_names(text: str) -> list[str]:
    """Label names as people type them: one a line, or with commas between."""
    return [name.strip() for line in text.splitlines() for name in line.split(",") if name.strip()]


@frame.dialog(_("New theme"), on_dismiss=lambda: st.query_params.clear())
def create() -> None:
    with st.form("create-theme", border=False):
        name = st.text_input(
            _("Name"),
            max_chars=themes.MAX_NAME,
            placeholder=_("Screws"),
            help=_("What it is about, in a word or two."),
        )
        description = st.text_area(
            _("Description"),
            height=80,
            help=_("What is shown, and where the images come from. May stay empty."),
        )
        labels = st.text_area(
            _("Labels"),
            height=120,
            placeholder=_("good\nscratched\nbent"),
            help=_(
                "The answers a model may give: one a line, or with commas between. You can add more later."
            ),
        )
        if st.form_submit_button(_("Create"), type="primary"):
            with frame.refusals():
                theme = themes.create(wb, me, name=name, description=description, labels=split_names(labels))
                frame.go("theme.py", theme=theme.id)


@frame.dialog(_("Edit theme"))
def edit(theme: themes.Theme) -> None:
    with st.form("edit-theme", border=False):
        name = st.text_input(
            _("Name"), theme.name, max_chars=themes.MAX_NAME, help=_("What it is about, in a word or two.")
        )
        description = st.text_area(
            _("Description"), theme.description, help=_("What is shown, and where the images come from.")
        )
        if st.form_submit_button(_("Save"), type="primary"):
            with frame.refusals():
                themes.update(wb, me, theme.id, name=name, description=description)
                st.rerun()


@frame.dialog(_("Delete theme"))
def delete(theme: themes.Theme) -> None:
    goes = themes.what_goes(wb, theme.id)
    st.markdown(
        _(
            "This takes **{images} images, {labels} labels, {runs} runs and {models} model versions** "
            "off every screen."
        ).format(**goes)
    )
    with st.form("delete-theme", border=False):
        typed = st.text_input(
            _("Type the theme's name to confirm"),
            placeholder=theme.name,
            help=_("So that nothing is deleted by a slip of the hand."),
        )
        if st.form_submit_button(_("Delete for good"), type="primary"):
            with frame.refusals():
                themes.delete(wb, me, theme.id, confirm_name=typed)
                st.rerun()


def card(found: ThemeCard) -> None:
    theme = found.theme
    with st.container(border=True, height="stretch", key=f"card-{theme.id}"):
        frame.link(frame.escape(theme.name), "theme.py", {"theme": theme.id})
        st.caption(frame.escape(frame.shorten(theme.description, 140)) or _("No description."))
        if found.images:
            share = found.labelled / found.images
            st.progress(share, text=_("{n} of {total} labelled").format(n=found.labelled, total=found.images))
        else:
            st.caption(_("No images yet."))
        with st.container(horizontal=True, vertical_alignment="center"):
            if found.last_run:
                frame.link(
                    _("Last run: {status}").format(status=status_text(found.last_run.status)),
                    "run.py",
                    {"run": found.last_run.id},
                )
            else:
                st.caption(_("Not trained yet."), width="stretch")
            if may_edit:
                chosen = st.menu_button(
                    _("More"),
                    [_("Edit"), _("Delete")],
                    type="tertiary",
                    key=f"more-{theme.id}",
                    help=_("Change the name or description, or delete the theme."),
                )
                if chosen == _("Edit"):
                    edit(theme)
                elif chosen == _("Delete"):
                    delete(theme)


def empty() -> None:
    st.markdown(
        _("A theme holds images, their labels and the models trained on them. Start in one of two ways:")
    )
    left, right = st.columns(2)
    with left.container(border=True, height="stretch"):
        st.subheader(_("Your own images"), anchor=False)
        st.markdown(_("Name what you want to tell apart, then drop images on it."))
        if st.button(_("Create your first theme"), type="primary", key="first-theme"):
            create()
    with right.container(border=True, height="stretch"):
        st.subheader(_("A ready example"), anchor=False)
        st.markdown(_("1,797 scans of handwritten digits, ten labels, 300 images left for you to label."))
        if st.button(_("Try with the demo digits"), key="demo"):
            with frame.refusals(), st.spinner(_("Loading the digits …")):
                theme = demo.load(wb, me)
                frame.go("theme.py", theme=theme.id)


every = themes.cards(wb)
if not every:
    if may_edit:
        empty()
    else:
        st.info(_("There is no theme yet. Ask someone with the role “trainer” to create one."))
else:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        word = st.text_input(
            _("Search"),
            key="search",
            placeholder=_("Name or description"),
            label_visibility="collapsed",
            help=_("Shows the themes whose name or description contains this."),
        )
        if may_edit and st.button(_("New theme"), type="primary", key="new-theme"):
            create()
    shown = themes.cards(wb, word) if word else every
    st.caption(
        ngettext("{n} theme", "{n} themes", len(shown)).format(n=len(shown))
        if shown
        else _("No theme contains “{word}”.").format(word=frame.escape(word))
    )
    for begin in range(0, len(shown), 3):
        for column, found in zip(st.columns(3), shown[begin : begin + 3], strict=False):
            with column:
                card(found)
if "create" in st.query_params and may_edit:
    create()
