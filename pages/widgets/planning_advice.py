"""What the planner and the rehearsal say of a plan, in words a person can act on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from core.ab import planner, words
from core.ab.plan import Plan, read
from core.ab.planner import Advice, Past
from core.errors import VeritrainError
from core.i18n import gettext as _
from pages.widgets import charts, frame

RATED = ("rating", "satisfied")
"""Metrics that only users who rate have."""


def draw(given: Mapping[str, Any], before: Past) -> Advice | None:
    """How many users and days it takes; None where what was entered so far allows no answer."""
    if not _can_plan(given):
        st.info(_("How many users it takes stands here once what is marked is put right."))
        return None
    seen = planner.seen(before, given["primary"])
    exclusion = given["exclusion"]
    share = given["coverage"] * (1 - given["holdout"]) * (exclusion["part"] if exclusion else 1)
    pace = before.users_a_day * share if before.users_a_day else None
    try:
        advice = planner.advise(seen, given["minimum"], given["weights"], given["alpha"], pace)
    except VeritrainError as error:
        frame.refuse(error)
        return None
    lines = [
        _(
            "To find a difference of {minimum} in 80 of 100 such tests you need about **{users}**, all variants together."
        ).format(
            minimum=words.amount(given["primary"], given["minimum"]),
            users=counted(given["primary"], advice.users),
        )
    ]
    if seen.own and seen.answering < 0.995:
        text = (
            _("Here {n} of 100 users rated, so about **{people} users** must take part.")
            if given["primary"] in RATED
            else _("Here {n} of 100 users had such a value, so about **{people} users** must take part.")
        )
        lines.append(text.format(n=f"{seen.answering * 100:.0f}", people=f"{advice.people:,}"))
    if advice.days is not None:
        lines.append(_("At the pace so far that takes **{days} days**.").format(days=advice.days))
    if seen.own:
        lines.append(
            _("This is from the {n} users of this theme's own earlier tests.").format(n=f"{before.users:,}")
        )
    else:
        lines.append(_("This is from usual values; too little was logged here yet."))
    trap = _(
        "“30 samples are enough” is a trap: 30 users a variant miss everything below {trap}, and a win seen "
        "there is mostly luck."
    ).format(trap=words.amount(given["primary"], advice.trap))
    st.info(f"{' '.join(lines)}\n\n{trap}")
    return advice


def chart(given: Mapping[str, Any], before: Past, users: int, *, key: str) -> None:
    """Which difference so many users find, around the number that is planned."""
    if not _can_plan(given) or users < 1:
        return
    metric = given["primary"]
    seen = planner.seen(before, metric)
    found = planner.smallest(seen, users, given["weights"], given["alpha"])
    st.caption(
        _(
            "{users} find a difference of {found} in 80 of 100 tests; a smaller one they would rather miss."
        ).format(users=counted(metric, users), found=words.amount(metric, found))
    )
    with st.expander(_("What other numbers of users would find")):
        x = np.geomspace(max(60, users / 20), users * 5, 60)
        y = [planner.smallest(seen, n, given["weights"], given["alpha"]) for n in x]
        scale = 100 if metric in ("satisfied", "error_rate") else 1
        ticks = [n * 10**power for power in range(1, 10) for n in (1, 3) if x[0] <= n * 10**power <= x[-1]]
        figure = go.Figure()
        figure.add_scatter(
            x=x, y=[value * scale for value in y], mode="lines", line={"color": charts.COLORS[0], "width": 2},
            hovertemplate=_("%{x:,.0f} users find %{y:.3g}") + "<extra></extra>",
        )  # fmt: skip
        figure.add_scatter(
            x=[users], y=[found * scale], mode="markers", marker={"color": charts.COLORS[1], "size": 10},
            hovertemplate=_("planned") + "<extra></extra>",
        )  # fmt: skip
        figure.add_hline(y=given["minimum"] * scale, line={"dash": "dot", "width": 1, "color": "gray"})
        figure.update_layout(
            **{**charts.LAYOUT, "height": 240, "hovermode": "closest"}, showlegend=False, uirevision=key
        )
        figure.update_xaxes(
            title=_("users who are counted"), type="log", tickvals=ticks, ticktext=[f"{n:,}" for n in ticks]
        )
        figure.update_yaxes(title=_("smallest difference found"), rangemode="tozero")
        st.plotly_chart(figure, key=key, config=charts.CONFIG)
        st.caption(_("The dot is your plan, the dotted line the difference that matters to you."))


def rehearse(plan: Plan, before: Past, *, key: str) -> None:
    """The button, the progress and the answer, which stands until the plan changes.

    It runs here, in this tab's own thread: it takes a second or two of numpy in short steps that let
    others in between, less than a job would wait for a worker.
    """
    from core.ab import rehearsal

    now = plan.plain()
    if st.button(
        _("Rehearse this plan"),
        icon=":material/replay:",
        key=f"{key}-rehearse",
        help=_(
            "Plays the test 1,000 times on past users, with and without a difference, and counts the verdicts."
        ),
    ):
        bar = st.progress(0.0, text=_("Rehearsing …"))
        with frame.refusals():
            for done, answer in rehearsal.rehearsing(plan, before):
                bar.progress(done, text=_("Rehearsing …"))
                st.session_state[f"{key}-rehearsed"] = (now, answer)
        bar.empty()
    of, found = st.session_state.get(f"{key}-rehearsed", (None, None))
    if found is None:
        return
    if of != now:
        st.caption(_("The plan has changed since it was rehearsed; rehearse it again."))
        return
    st.markdown("\n".join(f"- {line}" for line in said(plan, found)))


def said(plan: Plan, found: Any) -> list[str]:
    """A rehearsal in one sentence each."""
    from core.ab.rehearsal import SAME, STOPPED

    low, high = found.interval(found.false_winners)
    lines = [
        _(
            "In {n} rehearsals **without any difference** this rule called a winner **{false} times** (that is {low} "
            "to {high} of 100 tests; {alpha} are allowed), and {same} times said that all are practically the same."
        ).format(
            n=f"{found.replays:,}",
            false=f"{found.false_winners:,}",
            low=f"{low * 100:.1f}",
            high=f"{high * 100:.1f}",
            alpha=f"{plan.alpha * 100:g}",
            same=f"{found.equal.ends[SAME]:,}",
        )
    ]
    difference = words.amount(plan.primary, plan.minimum)
    if found.different.users is None:
        lines.append(
            _("With B better by {difference} it **never found B**. Plan more users.").format(
                difference=difference
            )
        )
    else:
        lines.append(
            _(
                "With **B better by {difference}** it found B **{found} times**, after a median of {users} and "
                "{days} days."
            ).format(
                difference=difference,
                found=f"{found.found:,}",
                users=counted(plan.primary, found.different.users),
                days=found.different.days,
            )
        )
    if plan.guardrails:
        lines.append(
            _(
                "A limit on what must not get worse stopped {n} of the rehearsals without any difference."
            ).format(n=f"{found.equal.ends[STOPPED]:,}")
        )
    if not found.own:
        lines.append(_("The users were made up from usual values, for too little was logged here yet."))
    return lines


def counted(metric: str, n: int) -> str:
    """So many users, of the kind that the metric counts."""
    if metric in RATED:
        return _("{n} users who rate").format(n=f"{n:,}")
    return _("{n} users").format(n=f"{n:,}")


def _can_plan(given: Mapping[str, Any]) -> bool:
    """Whether what the planner asks is right already; other fields may still be wrong."""
    try:
        read({**given, "planned_users": 2_000, "days": 14, "segments": [], "coverage": 1.0, "guardrails": []})
    except VeritrainError:
        return False
    return True
