"""What counts as a finding, and what the gate asks for: a theme's own numbers."""

from __future__ import annotations

import plotly.graph_objects as go
import streamlit as st

from core import auth
from core.i18n import gettext as _
from core.i18n import ngettext
from core.quality import findings, kinds
from core.quality.kinds import KINDS, MEASURED
from core.themes import Theme
from core.workbench import Workbench
from pages.widgets import charts, frame


def thresholds(wb: Workbench, me: auth.User, theme: Theme) -> None:
    """Every measure as a histogram with its threshold; more or fewer findings by moving it."""
    rules = findings.rules(wb, theme.id)
    kind_name = st.selectbox(
        _("Finding"),
        [kind.name for kind in MEASURED],
        format_func=kinds.title,
        key="threshold-kind",
        help=_("What is found by a number measured in each image."),
    )
    kind = KINDS[kind_name]
    threshold = kind.threshold
    assert threshold is not None
    now = float(getattr(rules, threshold.rule))
    value = st.slider(
        _("Threshold"),
        float(threshold.low),
        float(threshold.high),
        min(max(now, threshold.low), threshold.high),
        key=f"threshold-{kind_name}-{now}",
        disabled=not me.may(auth.TRAINER),
        help=kinds.meaning(kind_name),
    )
    bins = findings.histogram(wb, theme.id, kind_name)
    width = (threshold.high - threshold.low) / findings.BINS
    hit = [(edge + width / 2 > value) == threshold.above for edge, _n in bins]
    figure = go.Figure(
        go.Bar(
            x=[edge + width / 2 for edge, _n in bins],
            y=[n for _edge, n in bins],
            width=width,
            marker={"color": ["#d97706" if each else "#0f766e" for each in hit]},
            hovertemplate="%{x:.3g}: %{y}<extra></extra>",
        )
    )
    figure.add_vline(x=value, line={"dash": "dot"})
    figure.update_layout(**{**charts.LAYOUT, "height": 220}, uirevision=kind_name, bargap=0)
    figure.update_yaxes(title=_("images"), type="linear")
    st.plotly_chart(figure, key=f"histogram-{kind_name}", config=charts.CONFIG)
    with st.container(horizontal=True, vertical_alignment="center", key="threshold-actions"):
        count = sum(n for (_edge, n), each in zip(bins, hit, strict=True) if each)
        about = ngettext("About one image would be found.", "About {n} images would be found.", count)
        st.markdown(about.format(n=f"{count:,}"), width="content")
        if me.may(auth.TRAINER) and st.button(
            _("Use this threshold"), key="save-threshold", disabled=value == now, help=_("For this theme.")
        ):
            with frame.refusals():
                findings.set_rules(wb, me, theme.id, {threshold.rule: value})
                st.rerun()


def gate(wb: Workbench, me: auth.User, theme: Theme) -> None:
    """What the gate asks for, for this theme."""
    rules = findings.rules(wb, theme.id)
    with st.form("gate-rules", border=False):
        left, right = st.columns(2)
        least = left.number_input(
            _("Labelled images of every label, at least"),
            0,
            1_000_000,
            rules.least_per_label,
            help=_("With fewer a model cannot learn a label, and nobody can say how well it did."),
        )
        copies = right.number_input(
            _("Copies, at most (%)"),
            0.0,
            100.0,
            rules.most_twins * 100,
            help=_("Share of the images that look nearly like another one."),
        )
        conflicts = left.number_input(
            _("Look-alikes with different labels, at most"),
            0,
            1_000_000,
            rules.most_conflicts,
            help=_("Images; at least one of each group is labelled wrong."),
        )
        likeness = right.slider(
            _("Look-alikes are alike by at least (%)"),
            90.0,
            100.0,
            rules.twin_likeness * 100,
            step=0.5,
            help=_("Lower finds more look-alikes, and more pairs that are none."),
        )
        if st.form_submit_button(_("Save"), disabled=not me.may(auth.TRAINER)):
            with frame.refusals():
                findings.set_rules(
                    wb,
                    me,
                    theme.id,
                    {
                        "least_per_label": int(least),
                        "most_twins": copies / 100,
                        "most_conflicts": int(conflicts),
                        "twin_likeness": likeness / 100,
                    },
                )
                st.rerun()
