"""What a finished run's answers say: how sure the marks are, where it errs, on what kinds of images, what would help."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from core import auth, explanations, images
from core.errors import VeritrainError
from core.evaluations import report, words
from core.evaluations.report import Report
from core.i18n import gettext as _
from core.i18n import ngettext
from core.quality import picks
from core.runs import Run
from core.themes import Theme
from core.workbench import Workbench
from pages.widgets import charts, frame
from pages.widgets.pictures import drawn, thumbnails

REMEMBERED = 3_600
"""Seconds; what a finished run answered does not change."""
SHOWN = 12
MOST_MISTAKES = 8


@st.cache_data(ttl=REMEMBERED, max_entries=64, show_spinner=False)
def of_run(_wb: Workbench, _database: str, run_id: int, split: str) -> Report:
    return report.of_run(_wb, run_id, split)


def advice(wb: Workbench, me: auth.User, theme: Theme, found: Report) -> None:
    """What would help next."""
    if not found.advice:
        return
    with st.container(border=True, key="advice"):
        st.markdown(
            f"**{_('What would help next')}**",
            help=_("From the answers to the test images; the first line is about most of them."),
        )
        for number, each in enumerate(found.advice):
            left, right = st.columns([5, 1], vertical_alignment="center")
            left.markdown(f"{number + 1}. {frame.escape(words.advice(each))}")
            with right.container(key=f"advice-{each.kind}"):
                if each.kind in ("more-epochs", "by-heart", "overconfident"):
                    frame.link(_("To the parameters"), "parameters.py", {"theme": theme.id})
                elif each.kind in ("few-images", "few-tests"):
                    frame.link(_("To the images"), "theme.py", {"theme": theme.id, "state": "unlabelled"})
                elif each.kind == "mistaken":
                    pair = (each.fields["true"], each.fields["said"])
                    _open(wb, me, theme, report.images_of(found, *pair))
                elif len(each.rows):
                    _open(wb, me, theme, found.answers.ids[each.rows].tolist())


def errs(wb: Workbench, me: auth.User, theme: Theme, run: Run, found: Report | None, split: str) -> None:
    """The confusion matrix; a cell that is clicked shows its images."""
    result: dict[str, Any] = run.result or {}
    cell = charts.confusion(result["labels"], result["confusion"][split], f"confusion-{split}")
    if found is None:
        return
    if cell is None:
        if found.mistakes:
            st.caption(_("Click a field to see the images behind it. The most frequent mistakes:"))
        for number, (true, said, n) in enumerate(found.mistakes[:MOST_MISTAKES]):
            with st.container(horizontal=True, vertical_alignment="center", key=f"mistake-{number}"):
                st.markdown(frame.escape(_called(n, true, said)), width="stretch")
                _open(wb, me, theme, report.images_of(found, true, said))
        return
    true, said = cell
    ids = report.images_of(found, true, said)
    with st.container(horizontal=True, vertical_alignment="center", key="cell"):
        st.markdown(f"**{frame.escape(_called(len(ids), true, said))}**", width="stretch")
        _open(wb, me, theme, ids)
    shown = images.rows(wb, theme.id, ids[:SHOWN])
    thumbnails(shown)
    if st.toggle(
        _("Show where the model looked"),
        key=f"gradcam-{split}-{true}-{said}",
        help=_("Grad-CAM: warm colours lie where the picture spoke most for what the model said."),
    ):
        looked(wb, run, [image.id for image in shown])


def looked(wb: Workbench, run: Run, ids: Sequence[int]) -> None:
    """The images with the evidence for the model's answer painted over them."""
    try:
        found = explanations.ask(wb, run.id, ids)
    except VeritrainError as error:
        frame.refuse(error)
        return
    figures = [
        (
            each.png,
            _("{said} {share:.0%}").format(said=frame.shorten(each.label, 14), share=each.confidence),
        )
        for each in found
        if each.png is not None
    ]
    drawn(figures)


def _called(n: int, true: str, said: str) -> str:
    text = ngettext(
        "{n} image of “{true}” was called “{said}”", "{n} images of “{true}” were called “{said}”", n
    )
    return text.format(n=n, true=true, said=said)


def sureness(found: Report) -> None:
    """Calibration: a diagram, and what it means in a sentence."""
    sure = found.calibration
    if sure.overconfidence > 0.02:
        text = _("The model is **surer than it is right**, by {by} on average.")
    elif sure.overconfidence < -0.02:
        text = _("The model is **more often right than it is sure**, by {by} on average.")
    else:
        text = _("The model is about **as often right as it is sure**.")
    st.markdown(text.format(by=words.share(abs(sure.overconfidence))))
    left, right = st.columns([3, 1])
    with right:
        st.metric(
            _("Calibration error"),
            words.share(sure.ece),
            help=_(
                "Expected calibration error (Guo et al. 2017): how far confidence and share of right answers "
                "lie apart, averaged over {n} images. 0 is best."
            ).format(n=f"{len(found.answers.ids):,}"),
        )
        st.metric(
            _("Brier score"),
            f"{sure.brier:.3f}",
            help=_("Mean squared error of all probabilities (Brier 1950): 0 is best, 2 worst."),
        )
    with left:
        st.plotly_chart(_reliability(found), key="reliability", config=charts.CONFIG)


def _reliability(found: Report) -> go.Figure:
    bins = found.calibration.bins
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", name=_("as sure as right"), line={"color": "#9ca3af", "dash": "dot"}
    )
    figure.add_scatter(
        x=[each.confidence for each in bins],
        y=[each.right.value for each in bins],
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [each.right.high - each.right.value for each in bins],
            "arrayminus": [each.right.value - each.right.low for each in bins],
            "thickness": 1,
        },
        customdata=[each.n for each in bins],
        mode="lines+markers",
        name=_("this model"),
        line={"color": charts.COLORS[0], "width": 2},
        hovertemplate=_("%{customdata} images: %{x:.0%} sure, %{y:.0%} right") + "<extra></extra>",
    )
    figure.update_layout(**{**charts.LAYOUT, "hovermode": "closest"})
    figure.update_xaxes(title=_("how sure the model is"), range=[0, 1.02], tickformat=".0%")
    figure.update_yaxes(title=_("how often it is right"), range=[0, 1.02], tickformat=".0%")
    return figure


def kinds(wb: Workbench, me: auth.User, theme: Theme, found: Report) -> None:
    """Kinds of images on which it does worse or better, each with a way to see them."""
    if not found.slices:
        st.caption(
            _("There are too few test images to look at kinds of them: each kind needs at least 20 images.")
        )
        return
    differing = [each for each in found.slices if each.differs]
    if differing:
        text = ngettext(
            "One kind of images differs from the others by more than chance.",
            "{n} kinds of images differ from the others by more than chance.",
            len(differing),
        )
        st.markdown(text.format(n=len(differing)))
    else:
        st.markdown(_("No kind of images differs from the others by more than chance."))
    event: Any = st.dataframe(
        [
            {
                _("What"): words.feature(each.feature),
                _("Kind"): words.kind(each),
                _("Images"): each.n,
                _("Right answers"): each.right.value,
                _("Interval (95 %)"): words.span(each.right),
                _("All others"): each.others,
                _("Chance (p)"): words.chance(each.p),
            }
            for each in found.slices
        ],
        hide_index=True,
        width="stretch",
        on_select="rerun",
        selection_mode="single-row",
        key=f"slices-{found.split}",
        column_config={
            _("Right answers"): st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1),
            _("All others"): st.column_config.NumberColumn(format="percent"),
            _("Chance (p)"): st.column_config.TextColumn(
                help=_(
                    "How often chance alone would set this kind apart so far (Fisher's exact test, "
                    "corrected for the number of kinds by Holm)."
                )
            ),
        },
    )
    chosen: Sequence[int] = event.selection.rows
    if not chosen:
        st.caption(_("Mark a row at its left edge to see the images that were missed."))
        return
    each = found.slices[chosen[0]]
    missed = found.answers.ids[each.rows[~found.answers.right[each.rows]]].tolist()
    with st.container(horizontal=True, vertical_alignment="center", key="slice"):
        text = ngettext(
            "{n} image of this kind was missed.", "{n} images of this kind were missed.", len(missed)
        )
        st.markdown(f"**{text.format(n=len(missed))}**", width="stretch")
        _open(wb, me, theme, missed)
    thumbnails(images.rows(wb, theme.id, missed[:SHOWN]))


def _open(wb: Workbench, me: auth.User, theme: Theme, ids: Sequence[int]) -> None:
    """A link to the grid with these images."""
    if not ids:
        return
    with frame.refusals():
        picked = picks.pick(wb, me, theme.id, ids[: picks.MOST])
        frame.link(_("Open in the grid"), "theme.py", {"theme": theme.id, "picked": picked})
