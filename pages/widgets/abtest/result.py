"""The figures behind the verdict: the comparison, the variants, the segments, and whether they may be believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from core.ab import figures, words
from core.i18n import gettext as _
from pages.widgets import charts, frame

Plain = Mapping[str, Any]


def comparison(found: Plain, each: Plain) -> None:
    """The course of the difference, the stars, and every figure with what it means."""
    left, right = st.columns([3, 2], gap="large")
    with left:
        _course(found["test"], each)
    with right:
        _stars(found, "stars", _("Users by their mean stars"))
    if found["overall"]:
        st.caption(frame.escape(figures.overall(found["overall"])))
    table(figures.rows(each, found["test"]))


def variants(found: Plain) -> None:
    """Counts, means and spreads; times and stars as they are spread."""
    _plain_table(*figures.variants(found))
    if not found["comparisons"]:
        return
    head, rows = figures.latencies(found)
    left, right = st.columns([3, 2], gap="large")
    with left:
        if rows:
            st.markdown(f"**{_('Response times')}**")
            _plain_table(head, rows)
            st.caption(_("Of 100 answers, so many took less than this."))
    with right:
        _stars(found, "ratings", _("Answers by their stars"))


def segments(each: Plain) -> None:
    """The difference in each segment as a forest plot."""
    rows = each["segments"]
    if not rows:
        st.caption(
            _(
                "Segments appear here when the plan names some and both variants have 100 users with an answer in one."
            )
        )
        return
    # Plotly reads tags in the words of a chart.
    names = [escape(frame.shorten(figures.segment(row), 60)) for row in rows]
    figure = go.Figure()
    figure.add_vline(x=0, line={"color": "gray", "width": 1})
    figure.add_scatter(
        x=[row["est"] for row in rows], y=list(range(len(rows))), mode="markers",
        marker={"color": charts.COLORS[0], "size": 9},
        customdata=[[name, figures.chance(row["p"])] for name, row in zip(names, rows, strict=True)],
        hovertemplate="%{customdata[0]}<br>%{x:.3g} · p = %{customdata[1]}<extra></extra>",
        error_x={
            "type": "data", "symmetric": False,
            "array": [row["high"] - row["est"] for row in rows],
            "arrayminus": [row["est"] - row["low"] for row in rows],
        },
    )  # fmt: skip
    figure.update_layout(
        **{**charts.LAYOUT, "height": 110 + 30 * len(rows), "hovermode": "closest"}, uirevision="segments"
    )
    figure.update_yaxes(
        autorange="reversed",
        tickmode="array",
        tickvals=list(range(len(rows))),
        ticktext=names,
        automargin=True,
    )
    figure.update_xaxes(title=_("difference of {b} from A").format(b=each["variant"]))
    st.plotly_chart(figure, key=f"segments-{each['variant']}", config=charts.CONFIG)
    st.caption(
        _("Hints for the next test, not verdicts: with many segments one stands out by chance.")
        + " "
        + _("Their chances are corrected for the number of segments (Benjamini–Hochberg).")
    )


def health(found: Plain) -> None:
    st.markdown(f"**{_('Can the numbers be believed?')}**")
    table(figures.health(found["health"]))


def table(rows: Sequence[figures.Row]) -> None:
    """Figures with their meaning beside them; long sentences wrap instead of hiding."""
    head = [_("Figure"), _("Value"), _("What it means")]
    _markdown(head, [[row.label, f"**{frame.escape(row.value)}**", row.meaning] for row in rows], marked=1)


def _plain_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    _markdown(head, rows)


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]], marked: int = -1) -> None:
    """A table in Markdown; the column `marked` is escaped already."""

    def line(cells: Sequence[str]) -> str:
        texts = [
            cell if i == marked else frame.escape(" ".join(cell.split())) for i, cell in enumerate(cells)
        ]
        return "| " + " | ".join(texts) + " |"

    st.markdown("\n".join([line([*head]), "|" + "---|" * len(head), *(line(row) for row in rows)]))


def _course(test: Plain, each: Plain) -> None:
    """The difference over the days with its always-valid interval, and the lines that decide."""
    days, minimum = each["days"], test["smallest_difference_that_matters"]
    st.markdown(f"**{_('Difference of {b} from A').format(b=each['variant'])}**")
    if not days:
        st.caption(_("The interval appears when each variant has 100 users with an answer."))
        return
    x = [day["day"] for day in days]
    figure = go.Figure()
    figure.add_hrect(y0=-minimum, y1=minimum, fillcolor="gray", opacity=0.12, line_width=0)
    figure.add_hline(y=0, line={"color": "gray", "width": 1})
    figure.add_scatter(
        x=x, y=[day["est"] for day in days], mode="lines+markers", name=_("difference"),
        line={"color": charts.COLORS[0], "width": 2},
        error_y={
            "type": "data", "symmetric": False,
            "array": [day["high"] - day["est"] for day in days],
            "arrayminus": [day["est"] - day["low"] for day in days],
        },
    )  # fmt: skip
    figure.update_layout(**charts.LAYOUT, showlegend=False, uirevision="course")
    figure.update_xaxes(type="category", nticks=12)
    figure.update_yaxes(title=words.metric_name(test["metric"]), automargin=True)
    st.plotly_chart(figure, key=f"course-{each['variant']}", config=charts.CONFIG)
    st.caption(
        _(
            "Bars hold what fits the data at any look. All above or below zero: proven. All in the grey band: the same."
        )
    )


def _stars(found: Plain, what: str, title: str) -> None:
    """Shares of 1 … 5 stars, beside each other by variant."""
    if not any(sum(arm.get(what) or []) for arm in found["variants"]):
        return
    figure = go.Figure()
    for index, arm in enumerate(found["variants"]):
        total = sum(arm[what]) or 1
        figure.add_bar(
            x=["1", "2", "3", "4", "5"],
            y=[n / total for n in arm[what]],
            name=arm["name"],
            marker={"color": charts.COLORS[index % len(charts.COLORS)]},
            customdata=arm[what],
            hovertemplate="%{customdata}<extra></extra>",
        )
    figure.update_layout(**charts.LAYOUT, barmode="group", uirevision=what)
    figure.update_xaxes(title=_("stars"), type="category")
    figure.update_yaxes(tickformat=".0%")
    st.markdown(f"**{title}**")
    st.plotly_chart(figure, key=what, config=charts.CONFIG)
