"""A theme's promotion rules: what the gate asks of a version, as a form and as YAML, and their history."""

from __future__ import annotations

import streamlit as st

from core import auth, params, workbench
from core.gate import policy
from core.i18n import gettext as _
from core.params import GATE, GatePolicy
from pages.widgets import draft as drafts
from pages.widgets import frame, parameter_history, two_views

theme = frame.theme_from_url(workbench.current())
wb, me = frame.open_page(
    title=_("Promotion rules"),
    crumbs=[*frame.of_theme(theme), (_("Models"), "models.py", {"theme": theme.id})],
    help=_("What a version must show before it goes to production. Each rule is one line of the gate."),
)
may_edit = me.may(auth.ADMIN)
with frame.refusals(end=True):
    saved = params.files(wb.settings, theme.id, GATE)
draft = drafts.of(theme.id, saved, GATE)


def again(note: str) -> None:
    """Draw everything anew from what is saved, with a word about what was done."""
    drafts.fresh(theme.id, params.files(wb.settings, theme.id, GATE), GATE)
    st.toast(note)
    st.rerun()


def save() -> None:
    with messages, frame.refusals():
        policy.save(wb, me, theme.id, draft.texts[GatePolicy], base=draft.base.version)
        again(_("Saved. The next promotion goes by these rules."))


def restore(version: str) -> None:
    policy.restore(wb, me, theme.id, version)
    again(_("Restored. The next promotion goes by these rules."))


messages = st.container()
bar = st.container(horizontal=True, vertical_alignment="center", key="save-bar")
form_tab, yaml_tab, changes_tab = st.tabs([_("Form"), "YAML", _("Changes")])
with form_tab:
    if not may_edit:
        st.info(_("You can look at the rules; changing them needs the role “administrator”."))
    problem = two_views.as_form(draft, GatePolicy, GatePolicy(), key=f"g{theme.id}", disabled=not may_edit)
with yaml_tab:
    two_views.as_text(
        draft,
        GatePolicy,
        key=f"gy{theme.id}",
        disabled=not may_edit,
        height=480,
        help=_("The same rules as text, with comments; a mistake is named with its line."),
    )
with changes_tab:
    parameter_history.versions(wb, theme, draft, restore if may_edit else None)
newer = draft.base.texts != saved.texts
if may_edit:
    with messages:
        if newer:
            st.warning(
                _("Somebody saved newer rules while you were changing these. Undo your changes to see them.")
            )
        if draft.problem(GatePolicy) is not None:
            st.error(
                _(
                    "The text of {file} has a mistake: correct it in the YAML view, or undo your changes."
                ).format(file="gate.yaml")
            )
        elif problem is not None:
            frame.refuse(problem)
    with bar:
        changed = draft.changed or problem is not None
        ready = changed and problem is None and not newer
        pressed = st.button(_("Save"), type="primary", key="save", disabled=not ready)
        if changed and st.button(_("Undo changes"), key="undo", help=_("Back to what is saved.")):
            again(_("Back to what is saved."))
        if problem is not None:
            st.markdown(_(":red-badge[has a mistake]"), width="content")
        elif changed:
            st.markdown(_(":orange-badge[not saved yet]"), width="content")
    if pressed:
        save()
