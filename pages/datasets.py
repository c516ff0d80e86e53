"""All text datasets: take a file in, find one, delete and restore."""

from __future__ import annotations

from pathlib import PurePath

import streamlit as st

from core import auth
from core.datasets import names, store, uploads
from core.datasets.store import Dataset
from core.i18n import gettext as _
from core.i18n import ngettext
from pages.widgets import frame, text_upload
from pages.widgets.runs import when

PAGE = 20

wb, me = frame.open_page(
    title=_("Texts"),
    help=_(
        "A text dataset holds what a language model learns from: instructions, conversations or translations."
    ),
)
may_edit, may_delete = me.may(auth.LABELER), me.may(auth.TRAINER)
STATUS = {
    store.PASSED: f":green-badge[{_('PASS')}]",
    store.FAILED: f":red-badge[{_('FAIL')}]",
    store.UNCHECKED: f":gray-badge[{_('not checked')}]",
}


@frame.fragment()
def take_in() -> None:
    """A file becomes a dataset."""
    chosen = text_upload.choose(wb, key="new-texts")
    if chosen is None:
        return
    # A file's own name is a good first name: without folders and the two possible endings.
    proposal = PurePath(chosen.file.name).name.removesuffix(".gz").rsplit(".", 1)[0][: names.MAX_NAME]
    with st.container(horizontal=True, vertical_alignment="bottom", key="name-texts"):
        name = st.text_input(
            _("Name"),
            proposal,
            max_chars=names.MAX_NAME,
            key=f"name-{chosen.file.file_id}",
            help=_("What the dataset is called here."),
        )
        pressed = st.button(
            _("Take the file in"),
            type="primary",
            key="take-in",
            help=_("Rows that cannot be read are listed."),
        )
    if pressed:
        with frame.refusals(), st.spinner(_("Reading the rows …")):
            chosen.file.seek(0)
            made = uploads.create(wb, me, name, chosen.file, chosen.file.name, chosen.columns)
            text_upload.check(wb, me, made.id)
            frame.go("dataset.py", dataset=made.id)


@frame.dialog(_("Delete dataset"))
def delete(found: Dataset) -> None:
    st.markdown(
        _("“{name}” leaves the list. Nothing of it is lost: it can be restored.").format(
            name=frame.escape(found.name)
        )
    )
    if st.button(_("Delete"), type="primary", key="yes-delete"):
        with frame.refusals():
            store.delete(wb, me, found.id)
            st.rerun()


def card(found: Dataset) -> None:
    version = found.newest
    with (
        st.container(border=True, key=f"dataset-{found.id}"),
        st.container(horizontal=True, vertical_alignment="center", key=f"line-{found.id}"),
    ):
        st.markdown(STATUS[version.status], width="content")
        if found.deleted_at:
            st.markdown(frame.escape(found.name), width="content")
        else:
            frame.link(frame.escape(found.name), "dataset.py", {"dataset": found.id})
        st.space("stretch")
        rows = ngettext("one row", "{n} rows", version.row_count).format(n=f"{version.row_count:,}")
        shape = text_upload.shapes()[found.shape]
        number = _("version {n}").format(n=version.number)
        st.caption(f"{shape} · {rows} · {number} · {when(found.updated_at)}", width="content")
        if not may_delete:
            return
        if found.deleted_at:
            if st.button(_("Restore"), key=f"restore-{found.id}", help=_("Back on the list, as it was.")):
                with frame.refusals():
                    store.restore(wb, me, found.id)
                    st.rerun()
        elif st.button(_("Delete"), key=f"delete-{found.id}", type="tertiary", help=_("It can be restored.")):
            delete(found)


def listed() -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", key="find-texts"):
        word = st.text_input(
            _("Search"), key="q", bind="query-params", help=_("In names and descriptions."), width=260
        )
        status = frame.choice(
            "status",
            {store.PASSED: _("PASS"), store.FAILED: _("FAIL"), store.UNCHECKED: _("not checked")},
            _("Quality"),
            help=_("What the check of the newest version said."),
        )
        deleted = st.toggle(_("Deleted ones"), key="deleted", bind="query-params", help=_("To restore them."))
    page = 1
    total = store.listed(wb, page_size=1, status=status, search=word, deleted=deleted).total
    if not total:
        st.caption(_("Nothing fits.") if word or status or deleted else _("No text dataset yet."))
        return
    below = st.container()
    if total > PAGE:
        page = st.pagination(-(-total // PAGE), key="page", bind="query-params")
    with below:
        for each in store.listed(
            wb, page=page, page_size=PAGE, status=status, search=word, deleted=deleted
        ).items:
            card(each)


first = not store.listed(wb, page_size=1).total
if may_edit:
    if first:
        st.markdown(
            _(
                "Drop a file with one example a row: a question and its answer, a conversation, or a sentence and "
                "its translation. You see what is in it before anything is kept."
            )
        )
        take_in()
    else:
        with st.expander(_("Take in a file of texts")):
            take_in()
elif first:
    st.info(_("There is no text dataset yet. Ask someone with the role “labeler” to bring one."))
if not first or store.listed(wb, page_size=1, deleted=True).total:
    listed()
