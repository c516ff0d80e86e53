"""Charts: learning curves that keep their zoom while they update, and the confusion matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from core.i18n import gettext as _

Series = Sequence[tuple[int, float, float]]
"""(step, epoch, value)"""

COLORS = ("#0f766e", "#d97706", "#4f46e5", "#be185d", "#0284c7", "#65a30d")
HEIGHT = 300
LAYOUT = {
    "margin": {"l": 48, "r": 12, "t": 36, "b": 40},
    "height": HEIGHT,
    "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 1, "xanchor": "right"},
    "hovermode": "x unified",
}


def lines(title: str, series: Mapping[str, Series], *, percent: bool = False, log: bool = False) -> go.Figure:
    """One chart of several series over epochs. Series with a point or two are drawn with markers."""
    figure = go.Figure()
    for number, (name, points) in enumerate(series.items()):
        figure.add_scatter(
            x=[epoch for _step, epoch, _value in points],
            y=[value for _step, _epoch, value in points],
            name=name,
            mode="lines+markers" if len(points) < 40 else "lines",
            line={"color": COLORS[number % len(COLORS)], "width": 2},
        )
    figure.update_layout(**LAYOUT, title={"text": title, "font": {"size": 15}}, uirevision=title)
    figure.update_xaxes(title=_("epoch"))
    figure.update_yaxes(
        type="log" if log else "linear",
        rangemode="normal" if log else "tozero",
        tickformat=".0%" if percent else None,
    )
    return figure


def smoothed(points: Series, weight: float) -> Series:
    """Exponential moving average with bias correction (Kingma & Ba 2015, section 3); weight 0 changes nothing."""
    out, running, left = [], 0.0, 1.0
    for step, epoch, value in points:
        running = weight * running + (1 - weight) * value
        left *= weight
        out.append((step, epoch, running / (1 - left)))
    return out


def confusion(labels: Sequence[str], matrix: Sequence[Sequence[int]], key: str) -> tuple[str, str] | None:
    """Rows are the true labels, columns what the model said; the diagonal is right.

    Gives the (true, said) labels of the field that a person clicked.
    """
    short = [label if len(label) <= 18 else f"{label[:17]}…" for label in labels]
    totals = [max(sum(row), 1) for row in matrix]
    places = list(range(len(labels)))  # by number: two long names may be short for the same
    # Opaque, so that Plotly chooses a number colour that can be read on it.
    empty = "#16211f" if st.context.theme.type == "dark" else "#f1f6f5"
    figure = go.Figure(
        go.Heatmap(
            z=[[n / total for n in row] for row, total in zip(matrix, totals, strict=True)],
            x=places,
            y=places,
            text=[[str(n) if n else "" for n in row] for row in matrix],
            texttemplate="%{text}",
            hoverinfo="skip",
            colorscale=[[0, empty], [1, "#0f766e"]],
            zmin=0,
            zmax=1,
            showscale=False,
        )
    )
    # A heat map's fields cannot be clicked in Streamlit; points that are not seen lie on them and can.
    fields = [(i, j) for i, row in enumerate(matrix) for j, n in enumerate(row) if n]
    figure.add_scatter(
        x=[j for _i, j in fields],
        y=[i for i, _j in fields],
        customdata=[[labels[i], labels[j], matrix[i][j]] for i, j in fields],
        mode="markers",
        marker={"symbol": "square", "size": 26, "opacity": 0},
        hovertemplate=_("%{customdata[2]} images of “%{customdata[0]}” were called “%{customdata[1]}”")
        + "<extra></extra>",
        showlegend=False,
    )
    figure.update_layout(
        margin={"l": 90, "r": 12, "t": 12, "b": 60},
        height=max(320, min(36 * len(labels) + 100, 900)),
        hovermode="closest",
        clickmode="event+select",
        dragmode=False,
    )
    named = {"tickvals": places, "ticktext": short, "showgrid": False, "zeroline": False}
    figure.update_xaxes(title=_("the model said"), side="bottom", **named)
    figure.update_yaxes(title=_("true label"), autorange="reversed", **named)
    event: Any = st.plotly_chart(
        figure, key=key, config=CONFIG, on_select="rerun", selection_mode=("points",)
    )
    chosen = [point["customdata"] for point in event.selection.points if "customdata" in point]
    return (str(chosen[0][0]), str(chosen[0][1])) if chosen else None


CONFIG = {"displaylogo": False, "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"]}
