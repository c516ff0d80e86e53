"""Where a theme stands on its way: Label → Split → Train → Use, with the next thing to do."""

from __future__ import annotations

import streamlit as st

from core import images, registry, runs, serving, themes
from core.i18n import gettext as _
from core.workbench import Workbench
from pages.widgets import frame

SCREENS = (
    ("label", "theme.py"),
    ("parameters", "parameters.py"),
    ("training", "training.py"),
    ("history", "history.py"),
    ("models", "models.py"),
    ("predict", "predict.py"),
)
ALIASES = {"train": "training"}


def draw(wb: Workbench, theme: themes.Theme, active: str) -> None:
    """The theme's screens as a row of links, and one sentence that says what to do next.

    `active` is one of label, parameters, train, history, models, predict.
    """
    titles = {
        "label": _("Images"),
        "parameters": _("Parameters"),
        "training": _("Train"),
        "history": _("History"),
        "models": _("Models"),
        "predict": _("Predict"),
    }
    active = ALIASES.get(active, active)
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key="theme-screens"):
        for name, file in SCREENS:
            if name == active:
                st.markdown(f"**{titles[name]}**")
            else:
                frame.link(titles[name], file, {"theme": theme.id})
    number, text, file = next_step(wb, theme)
    if file and file != dict(SCREENS)[active]:
        with st.container(horizontal=True, gap="small", vertical_alignment="center", key="next-step"):
            st.markdown(_("**Step {n} of 5:** {text}").format(n=number, text=text))
            frame.link(_("Go there"), file, {"theme": theme.id})
    else:
        with st.container(key="next-step"):
            st.markdown(_("**Step {n} of 5:** {text}").format(n=number, text=text))


def next_step(wb: Workbench, theme: themes.Theme) -> tuple[int, str, str]:
    """(number, what to do, file of the screen where it is done)."""
    counts = images.statistics(wb, theme.id)
    if not counts.total:
        return 1, _("upload images."), "theme.py"
    if len(theme.labels) < 2:
        return 2, _("add at least two labels."), "theme.py"
    if sum(1 for n in counts.by_label.values() if n) < 2:
        return 2, _("label images of at least two labels."), "theme.py"
    if not all(counts.by_split.get(split) for split in images.SPLITS):
        return 3, _("press Split to set images aside for validation and test."), "theme.py"
    if not registry.versions(wb, theme.id):
        if any(run.active for run in runs.history(wb, theme.id, limit=5)):
            return 4, _("a training is under way; watch it."), "training.py"
        return 4, _("press Train."), "training.py"
    if not serving.deployments(wb, theme.id):
        return 5, _("deploy the model, so that it can be used."), "models.py"
    return 5, _("the model is in use: drop images on Predict."), "predict.py"
