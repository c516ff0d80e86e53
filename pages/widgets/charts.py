"""Charts: learning curves that keep their zoom while they update, and the confusion matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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


def lines(title: str, series: Mapping[str, Series], *, percent: bool = False) -> go.Figure:
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
    figure.update_yaxes(rangemode="tozero", tickformat=".0%" if percent else None)
    return figure


def curves(metrics: Mapping[str, Series], key: str) -> None:
    """Loss and accuracy of one run, side by side."""
    names = {"train": _("training"), "valid": _("validation")}

    def pick(what: str) -> dict[str, Series]:
        return {
            text: metrics[f"{split}_{what}"]
            for split, text in names.items()
            if metrics.get(f"{split}_{what}")
        }

    left, right = st.columns(2)
    with left:
        st.plotly_chart(lines(_("Loss (lower is better)"), pick("loss")), key=f"{key}-loss", config=CONFIG)
    with right:
        st.plotly_chart(
            lines(_("Accuracy (higher is better)"), pick("accuracy"), percent=True),
            key=f"{key}-accuracy",
            config=CONFIG,
        )


def confusion(labels: Sequence[str], matrix: Sequence[Sequence[int]], key: str) -> None:
    """Rows are the true labels, columns what the model said; the diagonal is right."""
    short = [label if len(label) <= 18 else f"{label[:17]}…" for label in labels]
    totals = [max(sum(row), 1) for row in matrix]
    # Opaque, so that Plotly chooses a number colour that can be read on it.
    empty = "#16211f" if st.context.theme.type == "dark" else "#f1f6f5"
    figure = go.Figure(
        go.Heatmap(
            z=[[n / total for n in row] for row, total in zip(matrix, totals, strict=True)],
            x=short,
            y=short,
            text=[[str(n) if n else "" for n in row] for row in matrix],
            texttemplate="%{text}",
            customdata=[
                [[true, said, n] for said, n in zip(labels, row, strict=True)]
                for true, row in zip(labels, matrix, strict=True)
            ],
            hovertemplate=_("%{customdata[2]} images of “%{customdata[0]}” were called “%{customdata[1]}”")
            + "<extra></extra>",
            colorscale=[[0, empty], [1, "#0f766e"]],
            zmin=0,
            zmax=1,
            showscale=False,
        )
    )
    figure.update_layout(
        margin={"l": 90, "r": 12, "t": 12, "b": 60}, height=max(320, min(36 * len(labels) + 100, 900))
    )
    figure.update_xaxes(title=_("the model said"), type="category", side="bottom", showgrid=False)
    figure.update_yaxes(title=_("true label"), type="category", autorange="reversed", showgrid=False)
    st.plotly_chart(figure, key=key, config=CONFIG)


CONFIG = {"displaylogo": False, "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"]}
