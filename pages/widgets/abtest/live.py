"""The test as it runs: how much comes in, how fast, how often it fails, and what is alarming."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from core.ab import monitoring
from core.i18n import gettext as _
from core.workbench import Workbench
from pages.widgets import charts, frame

Plain = Mapping[str, Any]


def draw(wb: Workbench, test_id: int) -> None:
    per = st.segmented_control(
        _("Points of the charts"),
        ["hour", "day"],
        default="hour",
        required=True,
        format_func={"hour": _("by hour"), "day": _("by day")}.__getitem__,
        key="per",
        help=_("By hour the last two days, by day the last three months; universal time."),
    )
    found = monitoring.now(wb, test_id, "day" if per == "day" else "hour", share=True)
    for alarm in found["alarms"]:
        st.error(frame.escape(alarm), icon=":material/notifications_active:")
    if not found["alarms"]:
        st.caption(_("No alarm."))
    if not found["series"]:
        st.caption(_("Nothing came in lately."))
        return
    shown = "error_rate" in found["series"][0]
    left, right = st.columns(2, gap="large")
    with left:
        _chart(found, "answers", _("Answers"), bars=True)
    if not shown:
        with right:
            st.caption(_("Rates are hidden: the test is broken, and whoever sees them would compare."))
        return
    with right:
        _chart(found, "error_rate", _("Share of answers that failed"), percent=True)
    with left:
        _chart(found, "response_time_p95", _("Response time that 95 of 100 stay below, ms"))
    with right:
        _chart(found, "rating", _("Mean of the stars"))


def _chart(found: Plain, what: str, title: str, *, bars: bool = False, percent: bool = False) -> None:
    """One chart of a value by time, a line or bar a variant."""
    figure = go.Figure()
    for index, name in enumerate(found["users"]):
        points = [point for point in found["series"] if point["variant"] == name and point[what] is not None]
        x, y = [point["at"] for point in points], [point[what] for point in points]
        color = charts.COLORS[index % len(charts.COLORS)]
        if bars:
            figure.add_bar(x=x, y=y, name=name, marker={"color": color})
        else:
            figure.add_scatter(
                x=x,
                y=y,
                name=name,
                mode="lines+markers",
                line={"color": color, "width": 2},
                connectgaps=False,
            )
    figure.update_layout(**{**charts.LAYOUT, "height": 240}, barmode="stack", uirevision=what)
    figure.update_layout(title={"text": title, "font": {"size": 14}})
    figure.update_yaxes(tickformat=".1%" if percent else None, rangemode="tozero")
    st.plotly_chart(figure, key=f"live-{what}", config=charts.CONFIG)
