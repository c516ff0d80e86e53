"""What is compared of versions beside their runs: what they are, benchmarks, response times, kinds of images."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
import streamlit as st

from core.evaluations import words
from core.i18n import gettext as _
from core.passport.names import stage as stage_name
from core.registry import Version
from core.settings import MIB
from core.versions_compared import Versions
from pages.widgets import charts, frame

ROUND = 3
"""From so many benchmarks on a radar has an area."""


def name(version: Version) -> str:
    return _("Version {n}").format(n=version.version) + f" ({version.semver})"


def facts(found: Versions) -> None:
    """A row a version."""
    rows = []
    for version in found.versions:
        latency = found.latency.get(version.id)
        rows.append(
            {
                _("Version"): name(version),
                _("Stage"): stage_name(version.stage),
                _("Run"): f"/run?run={version.run_id}",
                _("Architecture"): version.architecture,
                _("Size (MB)"): None if version.size is None else version.size / MIB,
                _("Time for one image"): _milliseconds(found.alone.get(version.id)),
                _("Half of the answers within"): _milliseconds(latency.p50 if latency else None),
                _("95 of 100 answers within"): _milliseconds(latency.p95 if latency else None),
                _("Tags"): list(version.tags),
                _("Description"): version.description,
            }
        )
    measured = st.column_config.TextColumn(
        help=_("In the newest A/B test in which users got its answers; – where there was none.")
    )
    st.dataframe(
        rows,
        hide_index=True,
        width="stretch",
        key="versions",
        column_config={
            _("Run"): st.column_config.LinkColumn(display_text=r"run=(\d+)", width="small"),
            _("Size (MB)"): st.column_config.NumberColumn(format="%.1f"),
            _("Time for one image"): st.column_config.TextColumn(
                help=_("From its file to the answer, measured after the training where it ran.")
            ),
            _("Half of the answers within"): measured,
            _("95 of 100 answers within"): measured,
        },
    )


def _milliseconds(time: float | None) -> str:
    return "–" if time is None else f"{time:,.3g} ms" if time < 100 else f"{time:,.0f} ms"


def benchmarks(found: Versions) -> None:
    """The newest scores: a radar where there are enough of them for one, and a table."""
    if not found.benchmarks:
        st.caption(_("No benchmark is noted for any of these versions; note one in a version's menu."))
        return
    if len(found.benchmarks) >= ROUND:
        st.plotly_chart(_radar(found), key="radar", config=charts.CONFIG)
    st.dataframe(
        [
            {
                _("Benchmark"): benchmark,
                **{name(version): scores.get(version.id) for version in found.versions},
            }
            for benchmark, scores in found.benchmarks.items()
        ],
        hide_index=True,
        width="stretch",
        key="benchmarks",
        placeholder="–",
        column_config={
            name(version): st.column_config.NumberColumn(format="%.3f") for version in found.versions
        },
    )


def _radar(found: Versions) -> go.Figure:
    axes = list(found.benchmarks)
    places = list(range(len(axes)))  # by number: two long names may be short for the same
    figure = go.Figure()
    for number, version in enumerate(found.versions):
        marks = [found.benchmarks[axis].get(version.id) for axis in axes]
        figure.add_scatterpolar(
            r=[*marks, marks[0]],
            theta=[360 / len(axes) * place for place in (*places, 0)],
            name=name(version),
            mode="lines+markers",
            line={
                "color": charts.COLORS[number % len(charts.COLORS)],
                "dash": "solid" if number < len(charts.COLORS) else "dot",
                "width": 2,
            },
            customdata=[*axes, axes[0]],
            hovertemplate="%{customdata}: %{r:.3f}",
        )
    figure.update_layout(
        height=420,
        margin={"l": 60, "r": 60, "t": 24, "b": 24},
        legend={"orientation": "h", "y": -0.08},
        polar={
            "radialaxis": {"range": [0, 1], "tickvals": [0.25, 0.5, 0.75, 1]},
            "angularaxis": {
                "tickvals": [360 / len(axes) * place for place in places],
                "ticktext": [frame.shorten(axis, 18) for axis in axes],
                "rotation": 90,
                "direction": "clockwise",
            },
        },
    )
    return figure


def kinds(found: Versions) -> None:
    """The share of right answers on each kind of images, where the versions differ most first."""
    rows: list[dict[str, Any]] = [
        {
            _("What"): words.feature(feature),
            _("Kind"): words.kind(next(iter(of.values()))),
            **{
                name(version): of[version.id].right.value if version.id in of else None
                for version in found.versions
            },
        }
        for (feature, _kind), of in found.kinds.items()
    ]
    if not rows:
        st.caption(_("No version kept its answers to single images, or there are too few test images."))
        return
    st.caption(_("Right answers of each version on its own test images; where they differ most comes first."))
    st.dataframe(
        rows,
        hide_index=True,
        width="stretch",
        key="by-kind",
        placeholder="–",
        column_config={
            name(version): st.column_config.NumberColumn(format="percent") for version in found.versions
        },
    )
