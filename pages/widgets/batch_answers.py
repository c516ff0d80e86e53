"""What came out of a batch: counts by label, the answers as pictures to correct, files without an answer."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
import streamlit as st

from core import auth, corrections, prediction_answers, themes
from core.i18n import gettext as _
from core.i18n import ngettext
from core.labels import Label
from core.prediction_batches import Batch
from core.workbench import Workbench
from pages.widgets import answer_gallery, charts, frame

MOST_LABELS = 40
"""Bars of the chart; of more labels the most frequent."""
PAGE = 24
"""Answers drawn as pictures at once."""


def draw(wb: Workbench, me: auth.User, batch: Batch, result: dict[str, Any]) -> None:
    if result["n"]:
        st.markdown(
            f"**{_('Answers by label')}**",
            help=_("How many images got each label, and how sure the model was of them on average."),
        )
        st.plotly_chart(_bars(result["by_label"]), key=f"labels-{batch.id}", config=charts.CONFIG)
        _pictures(wb, me, batch, result["n"])
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


def _pictures(wb: Workbench, me: auth.User, batch: Batch, n: int) -> None:
    orders = {
        "unsure": _("least sure first"),
        "sure": _("surest first"),
        "name": _("by name"),
    }
    order = st.selectbox(
        _("Order"),
        orders,
        format_func=orders.__getitem__,
        key=f"batch-order-{batch.id}",
        help=_("Where a model is unsure it is wrong most often: look at these answers first."),
    )
    labels = themes.get(wb, batch.version.theme_id).labels if me.may(auth.LABELER) else ()
    shown = answer_gallery.Answers(f"batch-{batch.id}", labels)

    def correct(right: dict[str, Label]) -> corrections.Corrected:
        return corrections.of_batch(wb, me, batch.id, {int(row): label.id for row, label in right.items()})

    shown.send(correct)
    first = answer_gallery.place(f"{shown.scope}-{order}", n, PAGE)
    with frame.refusals():
        found = prediction_answers.page(wb, batch.id, order, first, PAGE)
        shown.gallery([_shown(batch, each) for each in found])


def _shown(batch: Batch, answer: prediction_answers.Answer) -> answer_gallery.Shown:
    return answer_gallery.Shown(
        str(answer.row),
        answer.file,
        answer.label,
        answer.confidence,
        answer.probabilities,
        f"/api/prediction-batches/{batch.id}/pictures/{answer.row}",
    )
