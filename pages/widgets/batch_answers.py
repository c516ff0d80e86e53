"""What came out of a batch: counts by label, the least sure answers as pictures, files without an answer."""

from __future__ import annotations

from html import escape
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from core.i18n import gettext as _
from core.i18n import ngettext
from core.prediction_batches import Batch
from pages.widgets import charts, frame

MOST_LABELS = 40
"""Bars of the chart; of more labels the most frequent."""
SIDE = 96
"""Pixels of a picture."""


def draw(batch: Batch, result: dict[str, Any]) -> None:
    if result["n"]:
        st.markdown(
            f"**{_('Answers by label')}**",
            help=_("How many images got each label, and how sure the model was of them on average."),
        )
        st.plotly_chart(_bars(result["by_label"]), key=f"labels-{batch.id}", config=charts.CONFIG)
        st.markdown(
            f"**{_('The least sure answers')}**",
            help=_("Look at these first: where a model is unsure it is wrong most often."),
        )
        _gallery(batch, result["unsure"])
    if result["errors"]:
        said = ngettext(
            "**{n} file has no answer:**", "**{n} files have no answer:**", result["errors"]
        ).format(n=f"{result['errors']:,}")
        st.markdown(said)
        lines = [_why(each) for each in result["failed"]]
        st.markdown(frame.bullets(lines))
        more = result["errors"] - len(lines)
        if more > 0:
            st.caption(_("… and {n} more.").format(n=f"{more:,}"))


def _why(failed: dict[str, Any]) -> str:
    """The sentence, with the file's name before it where it does not have it itself."""
    error: str = failed["error"]
    said = _(error)
    return said if failed["file"] in said else f"{frame.shorten(failed['file'], 80)}: {said}"


def _bars(by_label: list[dict[str, Any]]) -> go.Figure:
    shown = sorted(by_label, key=lambda each: -each["n"])[:MOST_LABELS]
    places = list(range(len(shown)))  # by number: two long names may be short for the same
    figure = go.Figure(
        go.Bar(
            x=[each["n"] for each in shown],
            y=places,
            orientation="h",
            marker={"color": charts.COLORS[0]},
            text=[_bar(each) for each in shown],
            textposition="auto",
            customdata=[[each["label"], each["confidence"] or 0.0] for each in shown],
            hovertemplate=_("%{customdata[0]}: %{x} images, on average %{customdata[1]:.1%} sure")
            + "<extra></extra>",
        )
    )
    figure.update_layout(
        margin={"l": 110, "r": 12, "t": 8, "b": 40},
        height=max(160, 26 * len(shown) + 60),
        uirevision="labels",
    )
    figure.update_xaxes(title=_("images"))
    figure.update_yaxes(
        tickvals=places,
        ticktext=[frame.shorten(each["label"], 18) for each in shown],
        autorange="reversed",
        showgrid=False,
    )
    return figure


def _bar(each: dict[str, Any]) -> str:
    """How many, and how sure on average."""
    sure = "" if each["confidence"] is None else f" · {each['confidence'] * 100:.0f} %"
    return f"{each['n']:,}{sure}"


_FIGURE = (
    '<figure style="margin:0;width:{side}px"><img src="/api/prediction-batches/{batch}/pictures/{row}" alt="{name}" '
    'title="{name}" loading="lazy" style="width:{side}px;height:{side}px;object-fit:contain;border-radius:4px">'
    '<figcaption style="font-size:.8rem;line-height:1.3;overflow-wrap:anywhere">{caption}</figcaption></figure>'
)


def _gallery(batch: Batch, unsure: list[dict[str, Any]]) -> None:
    figures = (
        _FIGURE.format(
            side=SIDE,
            batch=batch.id,
            row=each["row"],
            name=escape(each["file"]),
            caption=escape(_caption(each)),
        )
        for each in unsure
    )
    st.html(f'<div style="display:flex;flex-wrap:wrap;gap:12px">{"".join(figures)}</div>')


def _caption(each: dict[str, Any]) -> str:
    said = f"{frame.shorten(each['label'], 18)} · {each['confidence'] * 100:.0f} %"
    if each["next"] is None:
        return said
    return said + " · " + _("or {label}").format(label=frame.shorten(each["next"], 18))
