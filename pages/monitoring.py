"""What deployed models are asked and answer over time, and whether that is still like their training."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
import streamlit as st

from core import serving, themes, workbench
from core.i18n import gettext as _
from core.monitoring import report, words
from core.monitoring.report import Report
from core.quality import drift_words
from core.serving import Deployment
from pages.widgets import alert_rules, deployments, frame, watch_charts
from pages.widgets.charts import CONFIG
from pages.widgets.runs import percent

LIVE_SECONDS = {"1h": 10.0}
"""How often a time range is drawn anew; the longer ones less often."""
SELDOM_SECONDS = 60.0
ALL = 0

theme: themes.Theme | None = None
if "theme" in st.query_params:
    theme = frame.theme_from_url(workbench.current())
query: dict[str, Any] = {"theme": theme.id} if theme else {}
wb, me = frame.open_page(
    title=_("Monitoring"),
    crumbs=[*(frame.of_theme(theme) if theme else [frame.home()]), (_("Models"), "models.py", query)],
    help=_(
        "Counted by the minute and shown a few seconds later; older than a week, only the hours are kept."
    ),
)


def choose(found: list[Deployment]) -> list[Deployment]:
    """One deployment, or all; the address keeps it."""
    by_id = {each.id: each for each in found}
    wanted = frame.number_from_url("deployment") or ALL
    options = [ALL, *by_id]
    chosen = st.selectbox(
        _("Deployment"),
        options,
        options.index(wanted) if wanted in options else 0,
        format_func=lambda i: name_of(by_id[i]) if i else _("All together"),
        key="deployment",
        help=_("Drift is shown for one deployment, since each version learnt from its own images."),
        width=420,
    )
    if chosen != wanted:
        if chosen == ALL:
            st.query_params.pop("deployment", None)
        else:
            st.query_params["deployment"] = str(chosen)
    return [by_id[chosen]] if chosen else found


def name_of(deployment: Deployment) -> str:
    version = deployment.version
    theme_name = frame.shorten(version.called, 60)
    name = _("{theme}, version {n}").format(theme=theme_name, n=version.version) + f" · {deployment.id}"
    return name if deployment.desired == serving.UP else _("{name} (stopped)").format(name=name)


def figures(found: Report) -> None:
    total = found.total
    shown = [
        (_("Requests"), f"{total.requests:,}", None),
        (_("Failed"), percent(total.error_rate), _("Answers with status 500 and above; the fault is ours.")),
        ("p50", seconds(total.percentile(0.5)), _("Half of all requests were answered within this time.")),
        ("p95", seconds(total.percentile(0.95)), _("19 of 20 requests were answered within this time.")),
        ("p99", seconds(total.percentile(0.99)), _("99 of 100 requests were answered within this time.")),
        (_("Confidence"), percent(total.mean_confidence), _("Mean over all images that were answered.")),
    ]
    with st.container(horizontal=True, gap="medium", key="figures"):
        for label, value, help in shown:
            st.metric(label, value, help=help, width="content")


def seconds(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value * 1_000:,.0f} ms" if value < 1 else f"{value:,.1f} s"


def chart(figure: go.Figure, key: str) -> None:
    st.plotly_chart(figure, key=key, config=CONFIG)


def drift(found: Report) -> None:
    st.subheader(
        _("Like the training?"),
        anchor=False,
        help=_(
            "Of the images that were asked about, two a second at most are looked at and compared with those of the "
            "training."
        ),
    )
    if found.drift is None:
        st.caption(
            _("Choose one deployment to compare what it is asked with the images that it learnt from.")
        )
        return
    with st.container(border=True, key="drift"):
        moved = bool(found.drift.drifted)
        if found.drift.features:
            st.markdown(
                f":{'red' if moved else 'green'}-badge[{_('different') if moved else _('alike')}] "
                + frame.escape(words.sentence(found.drift))
            )
        else:
            st.caption(words.sentence(found.drift))
        for each in found.drift.features:
            color = {"much": "red", "some": "orange", "same": "gray"}[each.level]
            st.markdown(
                f":{color}-badge[{drift_words.level(each)}] **{drift_words.title(each.name)}**: "
                + frame.escape(words.line(each))
            )
        st.caption(
            _("{asked} images of {images} looked at; {learnt} images of the training.").format(
                asked=f"{found.total.measured:,}",
                images=f"{found.total.images:,}",
                learnt=f"{found.reference:,}",
            )
        )


def live(chosen: list[Deployment], which: str) -> None:
    with frame.refusals(end=True):
        found = report.of(wb, chosen, which)
    if not found.total.requests:
        st.info(_("Nobody has asked this model in this time. Choose a longer one, or try it under Predict."))
        return
    figures(found)
    left, right = st.columns(2)
    with left:
        chart(watch_charts.requests(found), "requests")
        chart(watch_charts.answers(found), "answers")
    with right:
        chart(watch_charts.response_times(found), "response-times")
        chart(watch_charts.confidence_over_time(found), "confidence-over-time")
    chart(watch_charts.confidence(found), "confidence")
    drift(found)


available = report.watched(wb, theme.id if theme else None)
if not available:
    st.info(_("No model was deployed yet, so there is nothing to watch."))
    frame.link(_("Go to the models"), "models.py", query)
else:
    with st.container(horizontal=True, vertical_alignment="bottom", key="which"):
        wanted = choose(available)
        span = frame.choice(
            "range",
            {"1h": _("1 hour"), "24h": _("24 hours"), "7d": _("7 days"), "30d": _("30 days")},
            _("Time range"),
            default="24h",
            help=_("Up to now."),
        )
    if len(wanted) == 1:
        st.markdown(f"**{deployments.title(wanted[0])}** {deployments.state(wanted[0])}")
    which = span or "24h"
    frame.fragment(run_every=LIVE_SECONDS.get(which, SELDOM_SECONDS))(live)(wanted, which)
    alert_rules.draw(wb, me, wanted, theme.id if theme else None)
