"""A theme's parameters: forms drawn from the models, the same as YAML, ready-made settings, and their history."""

from __future__ import annotations

import streamlit as st
from pydantic import BaseModel

from core import auth, images, params, workbench
from core.errors import VeritrainError
from core.i18n import gettext as _
from core.params import Auguments, Params
from pages.widgets import draft as drafts
from pages.widgets import frame, parameter_history, presets, preview, steps, two_views

theme = frame.theme_from_url(workbench.current())
wb, me = frame.open_page(
    title=_("Parameters"),
    crumbs=frame.of_theme(theme),
    help=_("How the model is trained. The defaults do well for a first try; change one thing at a time."),
)
may_edit = me.may(auth.TRAINER)
steps.draw(wb, me, theme, "parameters")
with frame.refusals(end=True):
    saved = params.files(wb.settings, theme.id)
draft = drafts.of(theme.id, saved)
default_params, default_auguments = params.load_defaults()
FILES = ((Params, default_params, "params.yaml"), (Auguments, default_auguments, "auguments.yaml"))
FOLDED = frozenset({"data", "early_stopping", "preprocessing", "augmentation"})


def again(note: str) -> None:
    """Draw everything anew from what is saved, with a word about what was done."""
    drafts.fresh(theme.id, params.files(wb.settings, theme.id))
    st.toast(note)
    st.rerun()


def take(*models: BaseModel) -> None:
    """Fill in whole files without saving them."""
    draft.put(*models)
    st.toast(_("Filled in. Look at it, then press Save."))
    st.rerun()


def save() -> None:
    with messages, frame.refusals():
        params.save_texts(wb.settings, theme.id, me.name, draft.texts, base=draft.base.version)
        again(_("Saved. The next training uses these parameters."))


def save_defaults() -> None:
    with messages, frame.refusals():
        params.save(wb.settings, theme.id, me.name, default_params, default_auguments)
        again(_("The defaults are saved."))


def put_on_top() -> None:
    """My changes since the version I saw, on the one that somebody else saved meanwhile."""
    with messages, frame.refusals():
        found = [
            params.merged(draft.base.model(model), saved.model(model), params.parse_yaml(text, model))
            for model, text in draft.texts.items()
        ]
        lost = [change for _model, replaced in found for change in replaced]
        draft.base = saved
        draft.put(*(model for model, _replaced in found))
        note = _("Your changes now stand on the newer version. Look at them, then press Save.")
        if lost:
            note += " " + _("Set by both, yours is taken: {changes}").format(
                changes="; ".join(change.text(_) for change in lost)
            )
        st.toast(frame.escape(note), duration="long")
        st.rerun()


def tell_of_newer() -> None:
    newest = params.history(wb.settings, theme.id, limit=1)[0]
    try:
        found = [c.text(_) for c in params.changes(draft.base.models(), saved.models())]
    except VeritrainError:
        found = newest.sentences(_)
    st.warning(
        _("{who} saved a newer version while you were changing this one:").format(
            who=frame.escape(newest.author)
        )
        + "\n"
        + frame.bullets(found or newest.sentences(_))
    )
    if st.button(
        _("Put my changes on top of it"),
        key="put-on-top",
        disabled=problem is not None,
        help=_("Keeps what you changed and takes over what you did not; nothing is saved yet."),
    ):
        put_on_top()


messages = st.container()
bar = st.container(horizontal=True, vertical_alignment="center", key="save-bar")
form_tab, yaml_tab, changes_tab = st.tabs([_("Form"), "YAML", _("Changes")])
with form_tab:
    if not may_edit:
        st.info(_("You can look at the parameters; changing them needs the role “trainer”."))
    offered = st.container()
    problems = {
        file: two_views.as_form(
            draft, model, default, key=f"p{theme.id}-{file}", disabled=not may_edit, folded=FOLDED
        )
        for model, default, file in FILES
    }
    now = {type(model): model for model in draft.models()}
    preview.draw(wb, theme, now.get(Params), now.get(Auguments))
    if may_edit and len(now) == len(FILES):
        counts = images.statistics(wb, theme.id)
        to_learn = sum(split.get("train", 0) for split in counts.by_label_split.values())
        with offered:
            untouched = all(saved.texts[model] == params.shipped(model) for model in drafts.MODELS)
            chosen, augmented = now[Params], now[Auguments]
            assert isinstance(chosen, Params) and isinstance(augmented, Auguments)
            presets.draw(to_learn, chosen, augmented, disabled=False, take=take, open=untouched)
with yaml_tab, st.container(key="yaml-texts"):
    for model, _default, file in FILES:
        two_views.as_text(
            draft,
            model,
            key=f"y{theme.id}-{file}",
            disabled=not may_edit,
            height=420,
            help=_("The same parameters as text, with comments; a mistake is named with its line."),
        )
with changes_tab:
    parameter_history.draw(wb, me, theme, draft, again)
problem = next((error for error in problems.values() if error is not None), None)
changed = draft.changed or problem is not None
newer = draft.base.texts != saved.texts
if may_edit:
    broken = next((file for model, _default, file in FILES if draft.problem(model)), None)
    with messages:
        if newer:
            tell_of_newer()
        if broken is not None:
            st.error(
                _(
                    "The text of {file} has a mistake: correct it in the YAML view, or undo your changes."
                ).format(file=broken)
            )
        elif problem is not None:
            frame.refuse(problem)
    with bar:
        ready = changed and problem is None and not newer
        pressed = st.button(_("Save"), type="primary", key="save", disabled=not ready)
        if changed and st.button(_("Undo changes"), key="undo", help=_("Back to what is saved.")):
            again(_("Back to what is saved."))
        to_defaults = st.button(_("Reset to defaults"), key="reset", help=_("Saves the shipped defaults."))
        if problem is not None:
            st.markdown(_(":red-badge[has a mistake]"), width="content")
        elif changed:
            st.markdown(_(":orange-badge[not saved yet]"), width="content")
        else:
            frame.link(_("Go on to training"), "training.py", {"theme": theme.id})
    if pressed:
        save()
    if to_defaults:
        save_defaults()
