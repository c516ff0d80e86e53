"""What versions a person looks for: the address keeps it, so that it can be sent to others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import streamlit as st

from core import themes, version_lists
from core.errors import VeritrainError
from core.i18n import gettext as _
from core.ledger import STAGES
from core.passport.names import stage as stage_name
from core.signatures import KINDS, ROWS, TEXT, USERS, VISION
from core.version_lists import Filter
from core.workbench import Workbench
from pages.widgets import frame

NAMES = ("q", "stage", "model", "kind", "tags", "match", "metric", "minimum")
CURSORS = ("before", "after")
HIDDEN = ("model", "kind", "tags", "metric")
"""Those behind the button, which says how many of them ask something."""
ROUND = "find-round"
"""Where the session keeps how often all was cleared: a field of another round begins empty."""


def draw(wb: Workbench, theme: themes.Theme | None) -> Filter:
    """The controls; a filter that the address has wrong is left out with a word about it."""
    stages = {stage: stage_name(stage) for stage in STAGES}
    with st.container(horizontal=True, vertical_alignment="bottom", key="find-versions"):
        text = st.text_input(
            _("Search"),
            st.query_params.get("q", ""),
            key=_key("q"),
            width=260,
            help=_("In names, version numbers and descriptions."),
        )
        with st.container(width=180):
            stage = _one("stage", stages, _("Stage"))
        hidden = sum(name in st.query_params for name in HIDDEN)
        label = _("More filters") + (f" ({hidden})" if hidden else "")
        with st.popover(label, key="more-filters", help=_("Tags, metrics and more.")):
            model = None if theme else _model(wb)
            kind = _one("kind", {kind: _kind(kind) for kind in KINDS}, _("Kind"))
            tags = st.multiselect(
                _("Tags"),
                known := version_lists.tags(wb, theme.id if theme else None),
                [tag for tag in st.query_params.get("tags", "").split(",") if tag in known],
                key=_key("tags"),
                placeholder=_("Any"),
                help=_("Tags are given to a version by its menu."),
            )
            match = _match(tags)
            metric, minimum = _minimum()
    _keep("q", text.strip())
    _keep("tags", ",".join(tags))
    try:
        return Filter(
            theme.id if theme else None, model, stage, kind, tuple(tags), match, text, metric, minimum
        )
    except VeritrainError as error:
        frame.refuse(error)
        return Filter(theme.id if theme else None)


def clear() -> None:
    """Ask for all versions again."""
    for name in (*NAMES, *CURSORS):
        st.query_params.pop(name, None)
    st.session_state[ROUND] = st.session_state.get(ROUND, 0) + 1


def _kind(kind: str) -> str:
    return {VISION: _("Images"), TEXT: _("Texts"), USERS: _("User ids"), ROWS: _("Rows")}[kind]


def _model(wb: Workbench) -> str | None:
    found = version_lists.named(wb)
    return _one("model", {each.name: each.called for each in found}, _("Theme"))


def _match(tags: Sequence[str]) -> Literal["any", "all"]:
    words = {"any": _("any of them"), "all": _("all of them")}
    now = st.query_params.get("match")
    chosen = st.radio(
        _("It has"),
        list(words),
        index=1 if now == "all" else 0,
        format_func=words.__getitem__,
        horizontal=True,
        key=_key("match"),
        disabled=len(tags) < 2,
        help=_("How many of the chosen tags a version must have."),
    )
    every: Literal["any", "all"] = "all" if chosen == "all" else "any"
    _keep("match", every if every == "all" else "")
    return every


def _minimum() -> tuple[str | None, float | None]:
    titles = {
        "test.accuracy": _("Right answers, test images"),
        "test.macro_f1": _("Macro F1, test images"),
        "valid.accuracy": _("Right answers, validation images"),
        "valid.macro_f1": _("Macro F1, validation images"),
    }
    metric = _one("metric", titles, _("Metric"))
    if metric is None:
        _keep("minimum", "")
        return None, None
    try:
        now = min(max(float(st.query_params.get("minimum", "0")), 0.0), 1.0)
    except ValueError:
        now = 0.0
    minimum = st.number_input(
        _("At least (%)"),
        0.0,
        100.0,
        round(100 * now, 4) if now == now else 0.0,
        1.0,
        key=_key("minimum"),
        format="%g",
        help=_("Versions with less are left out."),
    )
    share = round(minimum / 100, 6)
    _keep("minimum", f"{share:g}")
    return metric, share


def _one(name: str, options: dict[str, str], label: str) -> str | None:
    """One of `options` or any; kept in the address under `name`."""
    values = list(options)
    now = st.query_params.get(name)
    chosen: str | None = st.selectbox(
        label,
        values,
        values.index(now) if now in values else None,
        format_func=options.__getitem__,
        key=_key(name),
        placeholder=_("Any"),
    )
    _keep(name, chosen or "")
    return chosen


def _key(name: str) -> str:
    return f"find-{name}-{st.session_state.get(ROUND, 0)}"


def _keep(name: str, value: str) -> None:
    """Another question begins at its first page."""
    if value == st.query_params.get(name, ""):
        return
    if value:
        st.query_params[name] = value
    else:
        st.query_params.pop(name, None)
    for cursor in CURSORS:
        st.query_params.pop(cursor, None)
