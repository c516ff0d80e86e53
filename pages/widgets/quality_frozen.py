"""The frozen test set: its hash, what changed in it, and freezing it anew."""

from __future__ import annotations

import streamlit as st

from core import auth
from core.i18n import gettext as _
from core.i18n import ngettext
from core.quality import freezing, frozen
from core.quality.findings import MAX_REASON
from core.themes import Theme
from core.workbench import Workbench
from pages.widgets import frame
from pages.widgets.runs import when


def draw(wb: Workbench, me: auth.User, theme: Theme) -> None:
    found = frozen.get(wb, theme.id)
    may_edit = me.may(auth.TRAINER)
    if found is None:
        st.markdown(
            _(
                "Marks of two models can only be compared on the same pictures. The first training freezes the test "
                "images and their labels; from then on no new image is dealt to test."
            )
        )
        if may_edit and st.button(
            _("Freeze the test set now"), key="freeze", help=_("As the first training would.")
        ):
            with frame.refusals():
                freezing.freeze(wb, me, theme.id)
                st.rerun()
        return
    text = ngettext(
        "**One image**, frozen {when} by {who}.", "**{n} images**, frozen {when} by {who}.", found.images
    )
    st.markdown(
        text.format(n=f"{found.images:,}", when=when(found.at), who=frame.escape(found.by or _("Veritrain")))
    )
    if found.reason:
        st.caption(_("Frozen anew because: {reason}").format(reason=frame.escape(found.reason)))
    st.caption(_("Fingerprint of its images and labels (SHA-256); the same set has the same one anywhere."))
    st.code(found.hash, language=None, wrap_lines=True)
    _changes(frozen.changes(wb, theme.id))
    if may_edit:
        _anew(wb, me, theme)


def _changes(changes: list[frozen.Changed]) -> None:
    if not changes:
        st.markdown(f":green[:material/check_circle:] {_('Nothing was changed in it.')}")
        return
    words = {
        "gone": _("deleted or unlabelled"),
        "relabelled": _("relabelled"),
        "added": _("added"),
    }
    st.markdown(f":red[:material/cancel:] {_('These images make it another set than the frozen one:')}")
    st.dataframe(
        [{_("Image"): each.file_name, _("What"): words[each.how]} for each in changes],
        hide_index=True,
        key="test-changes",
    )
    if len(changes) == frozen.NAMED:
        st.caption(_("The first {n} are listed.").format(n=frozen.NAMED))


def _anew(wb: Workbench, me: auth.User, theme: Theme) -> None:
    with st.form("freeze-anew", border=False):
        reason = st.text_area(
            _("Why freeze it anew?"),
            max_chars=MAX_REASON,
            height=68,
            key="freeze-reason",
            help=_("Marks from before and after cannot be compared then; the log keeps who did it and why."),
        )
        if st.form_submit_button(_("Freeze anew")):
            with frame.refusals():
                freezing.freeze(wb, me, theme.id, reason)
                st.rerun()
