"""A theme's parameters: forms drawn from the models, or the same as YAML."""

from __future__ import annotations

import streamlit as st
from pydantic import BaseModel

from core import auth, params, workbench
from core.errors import VeritrainError
from core.i18n import gettext as _
from core.params import Auguments, Params
from pages.widgets import form, frame, steps

theme = frame.theme_from_url(workbench.current())
wb, me = frame.open_page(
    title=_("Parameters"),
    crumbs=frame.of_theme(theme),
    help=_("How the model is trained. The defaults do well for a first try; change one thing at a time."),
)
may_edit = me.may(auth.TRAINER)
steps.draw(wb, me, theme, "parameters")
default_params, default_auguments = params.load_defaults()
damaged: VeritrainError | None = None
try:
    saved_params, saved_auguments = params.saved(wb.settings, theme.id)
except VeritrainError as error:
    damaged = error
    saved_params, saved_auguments = default_params, default_auguments

# A new number gives the inputs new keys: after a save or a reset they show what is stored.
ROUND = f"round-{theme.id}"
key = f"p{theme.id}-{st.session_state.get(ROUND, 0)}"


def again(note: str) -> None:
    """Draw the inputs anew from what is stored, with a word about what was done."""
    st.session_state[ROUND] = st.session_state.get(ROUND, 0) + 1
    st.toast(note)
    st.rerun()


def collected(values: form.Values, model: type[BaseModel]) -> BaseModel:
    return params.check(params.with_values(model, values), model)


if damaged is not None:
    frame.refuse(damaged)
form_tab, yaml_tab = st.tabs([_("Form"), "YAML"])
with form_tab:
    if not may_edit:
        st.info(_("You can look at the parameters; changing them needs the role “trainer”."))
    entered_params = form.draw(
        saved_params,
        default_params,
        key=f"{key}-params",
        disabled=not may_edit,
        folded=frozenset({"data", "early_stopping"}),
    )
    entered_auguments = form.draw(
        saved_auguments,
        default_auguments,
        key=f"{key}-auguments",
        disabled=not may_edit,
        folded=frozenset({"preprocessing", "augmentation"}),
    )
    if may_edit:
        try:
            new_params = collected(entered_params, Params)
            new_auguments = collected(entered_auguments, Auguments)
            problem = None
        except VeritrainError as error:
            problem = error
        changed = problem is not None or (new_params, new_auguments) != (saved_params, saved_auguments)
        with st.container(horizontal=True, vertical_alignment="center", key="save-bar"):
            if st.button(_("Save"), type="primary", key="save", disabled=not changed or problem is not None):
                assert isinstance(new_params, Params) and isinstance(new_auguments, Auguments)
                params.save(wb.settings, theme.id, new_params, new_auguments)
                again(_("Saved. The next training uses these parameters."))
            if changed and st.button(_("Undo changes"), key="undo", help=_("Back to what is saved.")):
                again(_("Back to what is saved."))
            if st.button(_("Reset to defaults"), key="reset", help=_("Saves the shipped defaults.")):
                params.save(wb.settings, theme.id, default_params, default_auguments)
                again(_("The defaults are saved."))
            if changed and problem is None:
                st.markdown(_(":orange-badge[not saved yet]"))
        if problem is not None:
            frame.refuse(problem)
        elif not changed:
            frame.link(_("Go on to training"), "training.py", {"theme": theme.id})
with yaml_tab:
    for model, file in ((Params, "params.yaml"), (Auguments, "auguments.yaml")):
        text = st.text_area(
            file,
            params.saved_text(wb.settings, theme.id, model),
            height=360,
            key=f"{key}-{file}",
            disabled=not may_edit,
            help=_("The same parameters as text, with comments; a mistake is named with its line."),
        )
        if may_edit and st.button(_("Save {file}").format(file=file), key=f"save-{file}"):
            with frame.refusals():
                params.save_text(wb.settings, theme.id, text, model)
                again(_("Saved. The next training uses these parameters."))
