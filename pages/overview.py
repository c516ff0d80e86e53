"""Where a theme's labelling stands, what more labels should bring, and how many labels are wrong."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from core import auth, images, label_checks, learning_curve, overview, workbench
from core.i18n import gettext as _
from pages.widgets import charts, frame, steps
from pages.widgets.pictures import thumbnails

theme = frame.theme_from_url(workbench.current())
wb, me = frame.open_page(title=theme.name, crumbs=[frame.home()], help=theme.description or None)
steps.draw(wb, me, theme, "overview")
counts = images.statistics(wb, theme.id)
names = {label.id: label.name for label in theme.labels}
MORE = 200
"""Labels that the forecast is about."""
RARE = 0.3
"""A label with less than this share of the average is called rare."""
MANY_LABELS = 12
BAR_LABELS = 40


def percent(share: float) -> str:
    return f"{share * 100:.0f} %"


def standing() -> None:
    st.subheader(_("Labels"), anchor=False)
    if not counts.total:
        st.caption(_("No images yet. Add some, then label them."))
        frame.link(_("To the images"), "theme.py", {"theme": theme.id})
        return
    st.progress(
        counts.labelled / counts.total,
        text=_("{labelled} of {total} images are labelled, {left} to go.").format(
            labelled=f"{counts.labelled:,}", total=f"{counts.total:,}", left=f"{counts.unlabelled:,}"
        ),
    )
    seconds = overview.seconds_per_label(wb, theme.id)
    if seconds is not None and counts.unlabelled:
        minutes = seconds * counts.unlabelled / 60
        rest = (
            _("{n} hours").format(n=round(minutes / 60))
            if minutes > 90
            else _("{n} minutes").format(n=max(1, round(minutes)))
        )
        st.caption(
            _("A label takes {seconds} s; one person needs about {time} for the rest.").format(
                seconds=f"{seconds:.1f}", time=rest
            )
        )
    shown = sorted(theme.labels, key=lambda label: -counts.by_label.get(label.id, 0))[:BAR_LABELS]
    numbers = [counts.by_label.get(label.id, 0) for label in shown]
    figure = go.Figure(
        go.Bar(
            x=numbers,
            y=[label.name[:30] for label in shown],
            orientation="h",
            marker={"color": [label.color for label in shown]},
            text=numbers,
            textposition="auto",
            hovertemplate="%{y}: %{x}<extra></extra>",
        )
    )
    figure.update_layout(
        margin={"l": 8, "r": 8, "t": 8, "b": 24},
        height=60 + 26 * len(shown),
        yaxis={"autorange": "reversed", "type": "category", "dtick": 1},
    )
    st.plotly_chart(figure, key="label-counts", config=charts.CONFIG)
    mean = counts.labelled / max(1, len(theme.labels))
    rare = [label.name for label in theme.labels if counts.by_label.get(label.id, 0) < RARE * mean]
    if rare and counts.labelled:
        st.info(
            _("Few images have these labels, so a model learns them badly: {names}.").format(
                names=", ".join(frame.escape(name) for name in rare[:10]) + (" …" if len(rare) > 10 else "")
            )
        )


def curve() -> None:
    st.subheader(_("What more labels bring"), anchor=False)
    points = overview.curve_points(wb, theme.id)
    if not points:
        st.caption(_("Train a model first: each training adds a point here."))
        frame.link(_("To the training"), "training.py", {"theme": theme.id})
        return
    fitted = learning_curve.fit(points)
    if fitted is None:
        st.markdown(
            _(
                "Train again with more labels, at least {n} times with different numbers of them, to see how "
                "much labels help. So far: {points}."
            ).format(
                n=learning_curve.NEEDED,
                points="; ".join(
                    _("{labels} labels: {accuracy}").format(
                        labels=f"{point.labels:,}", accuracy=percent(point.accuracy)
                    )
                    for point in points
                ),
            )
        )
    else:
        st.markdown(sentence(learning_curve.forecast(fitted, counts.labelled, MORE)))
    figure = go.Figure()
    if fitted is not None:
        low = min(point.labels for point in points)
        high = max(counts.labelled + MORE, int(1.3 * max(point.labels for point in points)))
        x = np.linspace(low, high, 80)
        bottom, top = fitted.band(x)
        figure.add_scatter(x=x, y=top, mode="lines", line={"width": 0}, showlegend=False, hoverinfo="skip")
        figure.add_scatter(
            x=x, y=bottom, mode="lines", line={"width": 0}, fill="tonexty", fillcolor="rgba(15,118,110,.18)",
            name=_("likely range"), hoverinfo="skip",
        )  # fmt: skip
        figure.add_scatter(x=x, y=fitted.at(x), mode="lines", name=_("expected"), line={"color": "#0f766e"})
        figure.add_vline(x=counts.labelled, line={"dash": "dot", "width": 1}, annotation_text=_("now"))
    spread = [1.96 * float(np.sqrt(p.accuracy * (1 - p.accuracy) / max(p.n, 1))) for p in points]
    figure.add_scatter(
        x=[point.labels for point in points],
        y=[point.accuracy for point in points],
        error_y={"type": "data", "array": spread, "thickness": 1},
        mode="markers",
        name=_("trainings"),
        marker={"color": "#d97706", "size": 9},
    )
    figure.update_layout(**charts.LAYOUT, uirevision="curve")
    figure.update_xaxes(title=_("labelled images"))
    figure.update_yaxes(title=_("right on validation images"), tickformat=".0%")
    st.plotly_chart(figure, key="learning-curve", config=charts.CONFIG)
    st.caption(_("Each dot is one training; other parameters than the number of labels move it, too."))


def sentence(found: learning_curve.Forecast) -> str:
    if found.hardly:
        return _("**{more} more labels should hardly change the accuracy** (now about {now}).").format(
            more=MORE, now=percent(found.now)
        )
    return _(
        "**{more} more labels should raise the accuracy from about {now} to {then}** "
        "(likely between {low} and {high})."
    ).format(
        more=MORE,
        now=percent(found.now),
        then=percent(found.then),
        low=percent(found.low),
        high=percent(found.high),
    )


def pace() -> None:
    found = overview.pace(wb, theme.id)
    if not found:
        return
    st.subheader(_("Pace"), anchor=False)
    figure = go.Figure()
    for person in dict.fromkeys(each.person for each in found):
        mine = [each for each in found if each.person == person]
        figure.add_bar(x=[each.day for each in mine], y=[each.labels for each in mine], name=person[:30])
    figure.update_layout(**{**charts.LAYOUT, "height": 220}, barmode="stack")
    figure.update_xaxes(tickformat="%d %b", dtick=86_400_000)
    figure.update_yaxes(title=_("labels a day"))
    st.plotly_chart(figure, key="pace", config=charts.CONFIG)


@frame.fragment()
def checks() -> None:
    st.subheader(_("Are the labels right?"), anchor=False)
    found = label_checks.rate(wb, theme.id)
    if found.n:
        st.markdown(
            _(
                "Of {n} labels looked at again {wrong} were wrong: between **{low} and {high}** of all labels "
                "are likely wrong."
            ).format(n=found.n, wrong=found.wrong, low=percent(found.low), high=percent(found.high))
        )
    else:
        st.caption(
            _("One image in 32, chosen by chance, is looked at again by somebody who does not see its label.")
        )
    if not me.may(auth.LABELER):
        return
    waiting = label_checks.to_check(wb, me, theme.id, 50)
    if waiting:
        one_check(waiting)
    elif counts.labelled:
        st.caption(_("Nothing for you to check: you have looked at all of them."))
    doubts = label_checks.doubts(wb, theme.id)
    if doubts:
        st.markdown(_("**{n} labels to correct**").format(n=len(doubts)))
    for doubt in doubts[:8]:
        with st.container(horizontal=True, vertical_alignment="center", key=f"doubt-{doubt.image.id}"):
            thumbnails([doubt.image], {doubt.image.id: ""}, side=72)
            st.markdown(
                _("Labelled {label}, a check says {answer}").format(
                    label=f"**{frame.escape(names.get(doubt.label_id, '–'))}**",
                    answer=f"**{frame.escape(names.get(doubt.answer_id, '–'))}**",
                )
            )
            if st.button(
                _("Take the check's"),
                key=f"take-{doubt.image.id}",
                help=_("The image gets the label that the check gave."),
            ):
                with frame.refusals():
                    images.label(wb, me, theme.id, [(doubt.image.id, doubt.answer_id)], source="settled")
                    st.rerun(scope="fragment")


def one_check(waiting: list[int]) -> None:
    image_id = waiting[0]
    st.caption(_("What is this? {n} to check.").format(n=len(waiting) if len(waiting) < 50 else "50+"))
    picture, answers = st.columns([1, 1])
    picture.html(
        f'<img src="/api/images/{image_id}/file" alt="" style="width:100%;max-height:240px;object-fit:contain">'
    )
    with answers:
        if len(theme.labels) <= MANY_LABELS:
            with st.container(horizontal=True, gap="small", key="check-answers"):
                for label in theme.labels:
                    if st.button(frame.escape(label.name), key=f"check-{image_id}-{label.id}"):
                        said(image_id, label.id)
        else:
            chosen = st.selectbox(
                _("Label"), list(names), format_func=lambda i: names[i], key=f"check-{image_id}"
            )
            if st.button(_("Next"), key=f"check-next-{image_id}"):
                said(image_id, chosen)


def said(image_id: int, label_id: int) -> None:
    with frame.refusals():
        label_checks.answer(wb, me, theme.id, [(image_id, label_id)])
        st.rerun(scope="fragment")


left, right = st.columns(2, gap="large")
with left:
    standing()
    pace()
with right:
    curve()
    checks()
