"""What the gates of images and of texts draw alike: the verdict with its lines, and the score over time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

import plotly.graph_objects as go
import streamlit as st

from core.i18n import gettext as _
from core.quality.gate import Gate, Line
from core.quality.kinds import HINT, NOTABLE, SEVERE
from pages.widgets import charts, frame


def finding(severity: str, title: str, n: int) -> None:
    """The head of a finding: how bad, what, how many."""
    colours = {SEVERE: "red", NOTABLE: "orange", HINT: "gray"}
    words = {SEVERE: _("severe"), NOTABLE: _("notable"), HINT: _("hint")}
    st.markdown(f":{colours[severity]}-badge[{words[severity]}] **{title}** · {n:,}", width="stretch")


def draw(
    gate: Gate | None,
    sentence: str,
    *,
    title: Callable[[Line], str],
    said: Callable[[Line], str],
    advice: Callable[[Line], str],
) -> None:
    """PASS or FAIL with `sentence`, the score, and each line with what to do; None: nothing is known yet."""
    if gate is None:
        colour, word = "gray", _("not checked")
    else:
        colour, word = ("green", _("PASS")) if gate.passed else ("red", _("FAIL"))
    with st.container(border=True, key="gate"):
        with st.container(horizontal=True, vertical_alignment="center", key="gate-head"):
            st.markdown(f"### :{colour}-badge[{word}]", width="content")
            st.markdown(sentence, width="stretch")
            if gate is not None:
                st.metric(
                    _("Score"), f"{gate.score}", help=_("Weighted over all lines, 0 to 100."), width="content"
                )
        for line in gate.lines if gate is not None else ():
            mark = ":material/check_circle:" if line.passed else ":material/cancel:"
            text = (
                f":{'green' if line.passed else 'red'}[{mark}] **{title(line)}** · {frame.escape(said(line))}"
            )
            if not line.passed:
                text += f"  \n{advice(line)}"
            st.markdown(text)


def trend(points: Iterable[tuple[datetime, int, str]]) -> None:
    """Scores over time, each with what is said of it; nothing where there are fewer than two."""
    known = list(points)
    if len(known) < 2:
        return
    figure = go.Figure(
        go.Scatter(
            x=[at for at, _score, _text in known],
            y=[score for _at, score, _text in known],
            text=[text for _at, _score, text in known],
            mode="lines+markers",
            line={"color": charts.COLORS[0], "shape": "hv"},
        )
    )
    figure.update_layout(**{**charts.LAYOUT, "height": 180}, uirevision="score")
    figure.update_yaxes(range=[0, 104], title=_("score"))
    st.plotly_chart(figure, key="score-trend", config=charts.CONFIG)
