"""Where a theme stands on its way: Label → Split → Train → Use, with the next thing to do."""

from __future__ import annotations

import streamlit as st

from core import auth, images, registry, runs, serving, themes
from core.addresses import SCREENS as ALL_SCREENS
from core.i18n import gettext as _
from core.quality import findings
from core.workbench import Workbench
from pages.widgets import frame

SCREENS = (
    ("overview", "overview.py"),
    ("label", "theme.py"),
    ("quality", "quality.py"),
    ("parameters", "parameters.py"),
    ("tuning", "tuning.py"),
    ("training", "training.py"),
    ("history", "history.py"),
    ("models", "models.py"),
    ("predict", "predict.py"),
    ("ab", "ab.py"),
    ("team", "team.py"),
    ("transfer", "transfer.py"),
)
ALIASES = {"train": "training"}
ENOUGH = 10
"""Images of each of two labels from which a first training is worth its time."""


def draw(wb: Workbench, me: auth.User, theme: themes.Theme, active: str) -> int:
    """The theme's screens that the person may open as a row of links, and one sentence that says what to do next.

    Returns the number of that step.

    `active` is one of overview, label, quality, parameters, tuning, train, history, models, predict, ab, team, transfer.
    """
    titles = {
        "overview": _("Overview"),
        "label": _("Images"),
        "quality": _("Quality"),
        "parameters": _("Parameters"),
        "tuning": _("Tune"),
        "training": _("Train"),
        "history": _("History"),
        "models": _("Models"),
        "predict": _("Predict"),
        "ab": _("A/B tests"),
        "team": _("Team"),
        "transfer": _("Import & export"),
    }
    active = ALIASES.get(active, active)
    open_to_me = {screen.file for screen in ALL_SCREENS if me.may(screen.role)}
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key="theme-screens"):
        for name, file in SCREENS:
            if name == active:
                st.markdown(f"**{titles[name]}**")
            elif file in open_to_me:
                frame.link(titles[name], file, {"theme": theme.id})
        st.space("stretch")
        number, text, file = next_step(wb, theme)
        with st.container(
            horizontal=True, gap="small", vertical_alignment="center", width="content", key="next-step"
        ):
            st.markdown(_("**Step {n} of 5:** {text}").format(n=number, text=text), width="content")
            if file and file != dict(SCREENS)[active]:
                frame.link(_("Go there"), file, {"theme": theme.id})
    return number


def next_step(wb: Workbench, theme: themes.Theme) -> tuple[int, str, str]:
    """(number, what to do, file of the screen where it is done)."""
    counts = images.statistics(wb, theme.id)
    if not counts.total:
        return 1, _("upload images."), "theme.py"
    if len(theme.labels) < 2:
        return 2, _("add at least two labels."), "theme.py"
    most = sorted(counts.by_label.values(), reverse=True)[:2]
    dealt = all(counts.by_split.get(split) for split in images.SPLITS)
    if len(most) < 2 or (most[1] < ENOUGH and counts.unlabelled and not dealt):
        return 2, _("label images, at least {n} of each label.").format(n=ENOUGH), "theme.py"
    if not dealt:
        return 3, _("press Split to set images aside for validation and test."), "theme.py"
    if registry.newest(wb, theme.id) is None:
        if any(run.active for run in runs.history(wb, theme.id, limit=5)):
            return 4, _("a training is under way; watch it."), "training.py"
        if not findings.standing(wb, theme.id).gate.passed:
            return 4, _("repair what the quality gate names."), "quality.py"
        return 4, _("press Train."), "training.py"
    if not serving.deployments(wb, theme.id):
        return 5, _("deploy the model, so that it can be used."), "models.py"
    return 5, _("the model is in use: drop images on Predict."), "predict.py"
