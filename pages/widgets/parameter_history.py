"""Who changed a theme's parameters or rules, what differs between two states, and the way back to an earlier one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st
from pydantic import BaseModel

from core import auth, params, runs, themes
from core.errors import VeritrainError
from core.i18n import gettext as _
from core.i18n import ngettext
from core.params import Version
from core.runs import Run
from core.workbench import Workbench
from pages.widgets import frame
from pages.widgets.draft import Draft
from pages.widgets.runs import when

SENTENCES = 6
"""Changes of one version that are shown at once; Compare shows them all."""
RUNS = 100


def draw(
    wb: Workbench, me: auth.User, theme: themes.Theme, draft: Draft, done: Callable[[str], None]
) -> None:
    """Compare, then the versions, newest first. `done` is called with a word after a restore."""
    found = runs.history(wb, theme.id, limit=RUNS)

    def compare(versions: Sequence[Version]) -> None:
        _compare(wb, theme, draft, versions, found)

    def restore(version: str) -> None:
        params.restore(wb.settings, theme.id, me.name, version)
        done(_("Restored. The next training uses these parameters."))

    versions(wb, theme, draft, restore if me.may(auth.TRAINER) else None, compare)


def versions(
    wb: Workbench,
    theme: themes.Theme,
    draft: Draft,
    restore: Callable[[str], None] | None,
    before: Callable[[Sequence[Version]], None] | None = None,
) -> None:
    """The versions of the draft's family of files, newest first, below what `before` draws of them.

    `restore` is called with the version that a person wants back; None: who looks may not.
    """
    shown_key = f"versions-{theme.id}"
    shown = st.session_state.get(shown_key, params.PAGE)
    try:
        found = params.history(wb.settings, theme.id, limit=shown + 1, of=draft.base.family)
    except VeritrainError as error:
        frame.refuse(error)
        return
    if before is not None:
        before(found[:shown])
    st.subheader(_("All changes"), anchor=False)
    if not found:
        st.caption(_("Nothing has been changed yet: the shipped defaults are used."))
    for number, version in enumerate(found[:shown]):
        _version(wb, theme, draft, version, None if number == 0 else restore, newest=number == 0)
    if len(found) > shown and st.button(_("Show older"), key="older-versions"):
        st.session_state[shown_key] = shown + params.PAGE
        st.rerun()


def _compare(
    wb: Workbench, theme: themes.Theme, draft: Draft, versions: Sequence[Version], found: Sequence[Run]
) -> None:
    options = {"now": _("What is saved now")}
    if draft.changed:
        options["draft"] = _("What you are changing")
    options["defaults"] = _("The shipped defaults")
    options |= {v.id: f"{when(v.at)} · {_author(v)}" for v in versions[1:]}
    options |= {
        f"run-{run.id}": _("Run {n}, {when}").format(n=run.id, when=when(run.created_at)) for run in found
    }
    st.subheader(_("Compare"), anchor=False)
    left, right = st.columns(2)
    words = list(options)
    first = left.selectbox(
        _("From"),
        words,
        index=words.index("defaults"),
        format_func=lambda name: options.get(name, name),
        key=f"compare-from-{theme.id}",
        help=_("An earlier version, the parameters of a run, or the shipped defaults."),
    )
    second = right.selectbox(
        _("To"),
        words,
        format_func=lambda name: options.get(name, name),
        key=f"compare-to-{theme.id}",
        help=_("What it is compared with."),
    )
    with frame.refusals():
        before, now = (_state(wb, theme, draft, name, found) for name in (first, second))
        differing = params.changes(before, now)
        st.markdown(
            ngettext("**{n} setting differs:**", "**{n} settings differ:**", len(differing)).format(
                n=len(differing)
            )
            + "\n"
            + frame.bullets(change.text(_) for change in differing)
            if differing
            else _("No setting differs.")
        )


def _state(
    wb: Workbench, theme: themes.Theme, draft: Draft, name: str, found: Sequence[Run]
) -> Sequence[BaseModel]:
    if name == "draft":
        return draft.models()
    if name == "now":
        return params.files(wb.settings, theme.id).models()
    if name == "defaults":
        return *params.load_defaults(), params.load_search()
    for run in found:
        if name == f"run-{run.id}":
            return runs.parameters(run)
    return params.files_at(wb.settings, theme.id, name).models()


def _version(
    wb: Workbench,
    theme: themes.Theme,
    draft: Draft,
    version: Version,
    restore: Callable[[str], None] | None,
    *,
    newest: bool,
) -> None:
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{frame.escape(_author(version))}**", width="content")
            st.caption(when(version.at), width="content")
            if newest:
                st.markdown(_(":green-badge[in use]"), width="content")
            st.space("stretch")
            if restore is not None and st.button(
                _("Restore"),
                key=f"restore-{version.id}",
                help=_("Makes this version the newest again, after you have seen what that changes."),
            ):
                _ask_restore(wb, theme, draft, version, restore)
        st.markdown(_sentences(version.sentences(_)))


def _restore_dialog(
    wb: Workbench,
    theme: themes.Theme,
    draft: Draft,
    version: Version,
    restore: Callable[[str], None],
) -> None:
    family = draft.base.family
    with frame.refusals():
        differing = params.changes(
            params.files(wb.settings, theme.id, family).models(),
            params.files_at(wb.settings, theme.id, version.id, family).models(),
        )
        st.markdown(
            _("This would change:") + "\n" + frame.bullets(change.text(_) for change in differing)
            if differing
            else _("No setting differs; only comments in the text may.")
        )
    st.caption(_("Nothing of the history is lost: restoring is a change of its own."))
    if draft.changed:
        st.warning(_("What you have changed and not saved will be gone."))
    if st.button(_("Yes, restore it"), type="primary", key="yes-restore"):
        with frame.refusals():
            restore(version.id)


def _ask_restore(*arguments: object) -> None:
    frame.dialog(_("Restore this version?"))(_restore_dialog)(*arguments)


def _author(version: Version) -> str:
    return _(version.author) if version.author == params.BY_HAND else version.author


def _sentences(found: Sequence[str]) -> str:
    text = frame.bullets(found[:SENTENCES])
    left = len(found) - SENTENCES
    if left > 0:
        text += "\n- " + ngettext("and {n} more", "and {n} more", left).format(n=left)
    return text
