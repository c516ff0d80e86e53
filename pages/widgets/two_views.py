"""One file of a draft as a form and as text: what is changed in one view shows in the other."""

from __future__ import annotations

import streamlit as st
from pydantic import BaseModel

from core import params
from core.errors import VeritrainError
from pages.widgets import form, frame
from pages.widgets.draft import Draft


def as_form(
    draft: Draft,
    model: type[BaseModel],
    default: BaseModel,
    *,
    key: str,
    disabled: bool,
    folded: frozenset[str] = frozenset(),
) -> VeritrainError | None:
    """Draw the file's inputs and take over what was changed; returns what is wrong with it."""
    broken = draft.problem(model)
    entered = form.draw(
        draft.seed(model, default),
        default,
        key=f"{key}-{draft.form_round}",
        disabled=disabled or broken is not None,
        folded=folded,
    )
    if broken is not None or disabled:
        return broken
    try:
        new = params.check(params.with_values(model, entered), model)
    except VeritrainError as error:
        return error
    if new != params.parse_yaml(draft.texts[model], model):
        draft.from_form(new)
    return None


def as_text(
    draft: Draft, model: type[BaseModel], *, key: str, disabled: bool, height: int, help: str
) -> None:
    """Draw the file's YAML, and what is wrong with it."""
    key = f"{key}-{draft.text_round}"
    st.text_area(
        params.FILES[model],
        draft.texts[model],
        height=height,
        key=key,
        disabled=disabled,
        help=help,
        on_change=lambda: draft.from_text(model, st.session_state[key]),
    )
    if problem := draft.problem(model):
        frame.refuse(problem)
