"""The map: every picture a point, look-alikes beside each other; what is circled opens in the grid."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
import streamlit as st

from core import auth, images
from core.i18n import gettext as _
from core.i18n import ngettext
from core.quality import picks
from core.themes import Theme
from core.workbench import Workbench
from pages.widgets import charts, frame
from pages.widgets.pictures import thumbnails

SHOWN = 16
"""Pictures shown of what was circled."""
TOOLS = ["lasso2d", "select2d", "zoom2d", "pan2d", "resetScale2d"]
NOBODY = "#9ca3af"
"""Points without a label."""


def draw(wb: Workbench, me: auth.User, theme: Theme) -> None:
    found = picks.points(wb, theme.id)
    if found is None:
        st.caption(_("No map yet: “Check now” draws it."))
        return
    st.markdown(
        _(
            "Each point is a picture; pictures that look alike lie near each other. A point in the midst of "
            "another colour may be labelled wrong, a point far out may not belong here. Circle points to open them."
        )
    )
    figure = go.Figure()
    known = [(label.id, label.name, label.color) for label in theme.labels]
    for label_id, name, color in [*known, (None, _("No label"), NOBODY)]:
        rows = [row for row, label in enumerate(found.labels) if label == label_id]
        if rows:
            figure.add_scattergl(
                x=[found.x[row] for row in rows],
                y=[found.y[row] for row in rows],
                customdata=[found.ids[row] for row in rows],
                mode="markers",
                name=frame.shorten(name, 30),
                marker={"color": color, "size": 6, "opacity": 0.75},
                hovertemplate="%{fullData.name}<extra></extra>",
            )
    layout = {
        **charts.LAYOUT,
        "height": 460,
        "dragmode": "lasso",
        "hovermode": "closest",
        "uirevision": "map",
    }
    # The tools stand at the right, where the legend lies elsewhere.
    figure.update_layout(layout)
    figure.update_layout(legend={"itemsizing": "constant", "x": 0, "xanchor": "left"})
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False, scaleanchor="x")
    chosen: Any = st.plotly_chart(
        figure,
        key="map",
        config={"displaylogo": False, "displayModeBar": True, "modeBarButtons": [TOOLS]},
        on_select="rerun",
        selection_mode=("lasso", "box"),
    )
    _picked(wb, me, theme, [int(point["customdata"]) for point in chosen.selection.points])


def _picked(wb: Workbench, me: auth.User, theme: Theme, ids: list[int]) -> None:
    if not ids:
        return
    with st.container(horizontal=True, vertical_alignment="center", key="map-picked"):
        st.markdown(
            f"**{ngettext('One picture circled.', '{n} pictures circled.', len(ids)).format(n=f'{len(ids):,}')}**",
            width="content",
        )
        with frame.refusals():
            picked = picks.pick(wb, me, theme.id, ids)
            frame.link(_("Open in the grid"), "theme.py", {"theme": theme.id, "picked": picked})
    thumbnails(images.rows(wb, theme.id, ids[:SHOWN]))
