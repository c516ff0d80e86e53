"""Charts of what a deployment was asked over time: requests, response times, answers, confidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

import plotly.graph_objects as go

from core.i18n import gettext as _
from core.monitoring.counts import CONFIDENCES, Counts
from core.monitoring.report import Report
from pages.widgets.charts import COLORS, LAYOUT

GREY, RED, AMBER = "#94a3b8", "#dc2626", "#d97706"
NAMED = len(COLORS)
"""Labels with a colour of their own; the rest are drawn together."""
PERCENTILES = (0.5, 0.95, 0.99)


def times(report: Report) -> list[datetime]:
    """When each point of a chart begins, those without a request too."""
    count = round((report.until - report.since).total_seconds() / report.step)
    return [report.since + timedelta(seconds=report.step * place) for place in range(count)]


def requests(report: Report) -> go.Figure:
    """How many came in each step, by how they ended."""
    moments = times(report)
    found = [report.points.get(moment, Counts()) for moment in moments]
    parts = (
        (_("answered"), COLORS[0], [each.requests - each.errors - each.refused for each in found]),
        (_("refused"), AMBER, [each.refused for each in found]),
        (_("failed"), RED, [each.errors for each in found]),
    )
    figure = go.Figure()
    for name, color, values in parts:
        if name == parts[0][0] or any(values):
            figure.add_bar(x=moments, y=values, name=name, marker={"color": color, "line": {"width": 0}})
    return _laid_out(figure, _("Requests"), barmode="stack", bargap=0.05)


def response_times(report: Report) -> go.Figure:
    """Percentiles of each step, in milliseconds."""
    figure = go.Figure()
    moments = times(report)
    for share, color in zip(PERCENTILES, COLORS, strict=False):
        values = [
            None if moment not in report.points else milliseconds(report.points[moment].percentile(share))
            for moment in moments
        ]
        figure.add_scatter(
            x=moments,
            y=values,
            name=f"p{share * 100:.0f}",
            mode="lines+markers" if sum(value is not None for value in values) < 40 else "lines",
            line={"color": color, "width": 2},
            hovertemplate="%{y:.3s} ms",
        )
    figure.update_yaxes(rangemode="tozero")
    return _laid_out(figure, _("Response time in ms"))


def answers(report: Report) -> go.Figure:
    """The share of each label among the answers of each step; seldom ones together."""
    common = [name for name, _n in report.total.classes.most_common(NAMED)]
    figure = go.Figure()
    moments = [moment for moment in times(report) if moment in report.points]
    found = [report.points[moment].classes for moment in moments]
    for name, color in zip(common, COLORS, strict=False):
        _share(figure, moments, found, [name], _short(name), color)
    rest = [name for name in report.total.classes if name not in common]
    if rest:
        _share(figure, moments, found, rest, _("{n} others").format(n=len(rest)), GREY)
    figure.update_yaxes(tickformat=".0%", range=[0, 1])
    figure.update_xaxes(range=[report.since, report.until])
    return _laid_out(figure, _("Answers"), barmode="stack", bargap=0.05)


def confidence(report: Report) -> go.Figure:
    """How many answers were given with which confidence."""
    width = 1 / CONFIDENCES
    figure = go.Figure()
    figure.add_bar(
        x=[(place + 0.5) * width for place in range(CONFIDENCES)],
        y=[report.total.confidence[place] for place in range(CONFIDENCES)],
        width=width * 0.95,
        marker={"color": COLORS[0]},
        hovertemplate="%{y}",
        showlegend=False,
    )
    figure.update_xaxes(tickformat=".0%", range=[0, 1])
    return _laid_out(figure, _("Confidence of the answers"))


def confidence_over_time(report: Report) -> go.Figure:
    moments = times(report)
    figure = go.Figure()
    figure.add_scatter(
        x=moments,
        y=[report.points[moment].mean_confidence if moment in report.points else None for moment in moments],
        mode="lines+markers" if len(report.points) < 40 else "lines",
        line={"color": COLORS[0], "width": 2},
        hovertemplate="%{y:.1%}",
        showlegend=False,
    )
    figure.update_yaxes(tickformat=".0%", range=[0, 1])
    return _laid_out(figure, _("Mean confidence"))


def milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1_000


def _share(
    figure: go.Figure,
    moments: Sequence[datetime],
    found: Sequence[Counter[str]],
    names: Sequence[str],
    title: str,
    color: str,
) -> None:
    figure.add_bar(
        x=moments,
        y=[sum(each[name] for name in names) / max(each.total(), 1) for each in found],
        name=title,
        marker={"color": color, "line": {"width": 0}},
        hovertemplate="%{y:.1%}",
    )


def _short(name: str) -> str:
    # Plotly reads a little HTML in names.
    short = name if len(name) <= 18 else f"{name[:17]}…"
    return short.replace("&", "&amp;").replace("<", "&lt;")


def _laid_out(figure: go.Figure, title: str, **more: object) -> go.Figure:
    figure.update_layout(
        **(LAYOUT | {"margin": {"l": 48, "r": 12, "t": 64, "b": 32}}),
        title={"text": title, "font": {"size": 15}, "y": 0.97, "yanchor": "top"},
        uirevision=title,
        **more,
    )
    return figure
