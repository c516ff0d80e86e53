"""A chart that is drawn on while it is looked at: new points come into the one that is there, with the zoom that it has.

Streamlit's own chart is another one with every new point, which forgets what a person zoomed to.
"""

from __future__ import annotations

import plotly
import plotly.graph_objects as go

from pages.widgets import component

_CHART = component.load("live_chart", isolated=False)  # Plotly puts its styles into the page


def draw(figure: go.Figure, key: str, title: str) -> None:
    """Draw `figure` in the page's colours; as long as its `uirevision` stays, so does what a person zoomed to.

    `title` is what a screen reader says.
    """
    figure.update_layout(template="none")
    _CHART(
        key=key,
        data={
            "figure": figure.to_json(),
            "library": f"/api/plotly.js?v={plotly.__version__}",
            "title": title,
        },
    )
