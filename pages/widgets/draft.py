"""What a person is writing on a screen of parameters or rules: the form and the text are two views of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import streamlit as st
from pydantic import BaseModel

from core import params
from core.errors import VeritrainError
from core.params import Auguments, Params

Texts = dict[type[BaseModel], str]
MODELS: params.Family = (Params, Auguments)
"""The files that the screen of parameters shows."""


@dataclass
class Draft:
    """Not saved yet, or the same as what is saved."""

    base: params.Files
    """The saved version it was made from."""
    texts: Texts
    """Of the files that the screen shows."""
    seeds: dict[type[BaseModel], BaseModel] = field(default_factory=dict)
    """What the inputs of the form start with."""
    form_round: int = 0
    """Part of the inputs' keys: a new number makes them anew, from `seeds`."""
    text_round: int = 0

    @property
    def changed(self) -> bool:
        return any(text != self.base.texts[model] for model, text in self.texts.items())

    def problem(self, model: type[BaseModel]) -> VeritrainError | None:
        """What is wrong with the text."""
        try:
            params.parse_yaml(self.texts[model], model)
        except VeritrainError as error:
            return error
        return None

    def models(self) -> list[BaseModel]:
        """The parameters in the texts, without those that cannot be read."""
        return [
            params.parse_yaml(text, model) for model, text in self.texts.items() if not self.problem(model)
        ]

    def put(self, *models: BaseModel) -> None:
        """Set whole files, both in the form and in the text."""
        for model in models:
            try:
                self.texts[type(model)] = params.to_yaml(model, self.texts[type(model)])
            except VeritrainError:  # the text is broken; what is put there replaces it
                self.texts[type(model)] = params.to_yaml(model)
        self.show_in_text()
        self.show_in_form()

    def from_form(self, model: BaseModel) -> None:
        """The form was changed: the text follows, comments included."""
        self.texts[type(model)] = params.to_yaml(model, self.texts[type(model)])
        self.show_in_text()

    def from_text(self, model: type[BaseModel], text: str) -> None:
        """The text was changed: the form follows, unless the text has a mistake."""
        self.texts[model] = text
        if not self.problem(model):
            self.show_in_form()

    def show_in_text(self) -> None:
        self.text_round += 1

    def show_in_form(self) -> None:
        self.form_round += 1
        self.seeds = {}

    def seed(self, model: type[BaseModel], otherwise: BaseModel) -> BaseModel:
        """What the form shows at first; `otherwise` where the text cannot be read."""
        if model not in self.seeds:
            broken = self.problem(model)
            self.seeds[model] = otherwise if broken else params.parse_yaml(self.texts[model], model)
        return self.seeds[model]


def of(theme_id: int, saved: params.Files, shown: params.Family = MODELS) -> Draft:
    """The draft of this browser tab; one without changes follows what others save."""
    found: Draft | None = st.session_state.get(_key(theme_id, shown))
    if found is None or (not found.changed and found.base.texts != saved.texts):
        found = fresh(theme_id, saved, shown)
    elif found.base.texts == saved.texts:
        found.base = saved
    return found


def fresh(theme_id: int, saved: params.Files, shown: params.Family = MODELS) -> Draft:
    """Forget what was written; the inputs show what is saved."""
    key = _key(theme_id, shown)
    old: Draft | None = st.session_state.get(key)
    made = Draft(saved, {model: saved.texts[model] for model in shown})
    if old is not None:
        made.form_round, made.text_round = old.form_round + 1, old.text_round + 1
    st.session_state[key] = made
    return made


def _key(theme_id: int, shown: params.Family) -> str:
    return f"draft-{params.FILES[shown[0]]}-{theme_id}"
