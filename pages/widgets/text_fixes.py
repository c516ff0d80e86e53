"""The fixes of text datasets: what each would change, and the way to do it."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core import auth
from core.datasets import repair
from core.datasets.store import Dataset, Version
from core.errors import Conflict, VeritrainError
from core.i18n import gettext as _
from core.i18n import ngettext
from core.quality.texts.kinds import CLEAN, COPIES, LEAKS, MASK, REMOVE
from core.workbench import Workbench
from pages.widgets import frame, text_upload

TEXT = 160
"""Characters of a text that are shown."""


def title(fix: str) -> str:
    return {
        REMOVE: _("Remove the rows"),
        COPIES: _("Keep one of each"),
        MASK: _("Mask all personal data"),
        CLEAN: _("Repair the characters"),
        LEAKS: _("Remove what leaks"),
    }[fix]


def ask(
    wb: Workbench,
    me: auth.User,
    dataset: Dataset,
    version: Version,
    fix: str,
    kind: str,
    ids: Sequence[int] | None = None,
) -> None:
    """Show what a fix would change in this version (`ids`: in these rows only), and do it when told to."""
    # The title is made here, for it is in the reader's language.
    frame.dialog(_("What would change"), width="large")(_ask)(wb, me, dataset, version, fix, kind, ids)


def _ask(
    wb: Workbench,
    me: auth.User,
    dataset: Dataset,
    version: Version,
    fix: str,
    kind: str,
    ids: Sequence[int] | None,
) -> None:
    best = repair.FIRST
    if fix == COPIES:
        best = st.segmented_control(
            _("Of each group stays"),
            list(repair.BEST),
            default=repair.FIRST,
            required=True,
            format_func={repair.FIRST: _("the first"), repair.LONGEST: _("the longest")}.__getitem__,
            key="best-of-group",
            help=_("Where one of them is in test or validation, that one stays."),
        )
    if fix in (COPIES, MASK):  # equal and nearly equal ones form the same groups; who masks, masks all of it
        kind = ""
    try:
        shown = repair.preview(wb, dataset.id, fix, kind or None, ids=ids, best=best)
        if shown.version.id != version.id:
            raise Conflict(
                "Somebody made a newer version meanwhile; look at what was found in it, then decide."
            )
    except VeritrainError as error:
        frame.refuse(error)
        return
    touched = shown.removed + shown.changed
    if not touched:
        st.success(_("Nothing is left to do here."))
        return
    parts = []
    if shown.removed:
        parts.append(ngettext("One row goes.", "{n} rows go.", shown.removed).format(n=f"{shown.removed:,}"))
    if shown.changed:
        parts.append(
            ngettext("One row changes.", "{n} rows change.", shown.changed).format(n=f"{shown.changed:,}")
        )
    parts.append(_("It becomes a new version; the old one stays as it is."))
    st.markdown(" ".join(parts))
    if shown.left:
        st.caption(
            ngettext(
                "One row cannot be repaired this way; correct it by hand.",
                "{n} rows cannot be repaired this way; correct them by hand.",
                shown.left,
            ).format(n=f"{shown.left:,}")
        )
    for example in shown.examples:
        with st.container(border=True, key=f"fix-example-{example.row_id}"):
            _before_after(dataset, example)
    if st.button(title(fix), type="primary", key="yes-fix"):
        with frame.refusals(), st.spinner(_("Writing the new version …")):
            repair.apply(wb, me, dataset.id, fix, kind or None, ids=ids, best=best, parent=version.id)
            text_upload.check(wb, me, dataset.id)
            st.rerun()


def _before_after(dataset: Dataset, example: repair.Example) -> None:
    st.caption(_("Row {n}").format(n=example.row_id))
    for name, before in example.before.items():
        after = example.after.get(name, "") if example.after is not None else ""
        if example.after is not None and after == before:
            continue
        st.caption(text_upload.title(name, dataset.shape))
        st.text(frame.shorten(before, TEXT))
        if example.after is not None:
            st.text(f"→ {frame.shorten(after, TEXT)}")
