"""What came of a duel: the preference in one sentence, agreement, the live test, who judged, and every item."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from core import auth
from core.ab import duel_results, duel_words
from core.ab.duels import Duel
from core.errors import VeritrainError
from core.i18n import gettext as _
from core.workbench import Workbench
from pages.widgets import charts, frame

LISTED = 500
"""Items drawn in the table; REST has all."""


def draw(wb: Workbench, me: auth.User, of: Duel) -> None:
    """Draw the results, or say why this person must not see them yet."""
    try:
        made = duel_results.make(wb, me, of.id)
    except VeritrainError as error:
        st.info(frame.escape(error.text(_)), icon=":material/visibility_off:")
        return
    preferred = made["preference"]
    text = f"#### {frame.escape(made['sentence'])}\n\n{frame.escape(made['reason'])}"
    if preferred and preferred["winner"]:
        st.success(text, icon=":material/check_circle:")
    else:
        st.info(text, icon=":material/balance:")
    live = made["live_test"]
    if live:
        say = {duel_words.CONFLICT: st.warning, duel_words.AGREE: st.success}.get(live["state"], st.info)
        icon = {
            duel_words.CONFLICT: ":material/warning:",
            duel_words.AGREE: ":material/handshake:",
        }.get(live["state"], ":material/hourglass_top:")
        say(frame.escape(live["sentence"]), icon=icon)
    if not preferred:
        return
    left, right = st.columns([3, 2], gap="large")
    with left:
        _interval(preferred, of.variant)
    with right:
        st.markdown(f"**{_('How far judges agree')}**")
        st.markdown(frame.escape(made["agreement"]["sentence"]))
        st.caption(_("κ and α: 1 is full agreement, 0 is what chance gives."))
    _judges(made["judges"], of.variant)
    _items(made["items"], of.variant)


def _interval(preferred: Mapping[str, Any], b: str) -> None:
    """The share with what fits the data, on a line from A to B."""
    st.markdown(f"**{_('Of 100 duels {b} wins').format(b=b)}**")
    win, low, high = (100 * preferred[name] for name in ("win", "low", "high"))
    figure = go.Figure()
    figure.add_vline(x=50, line={"color": "gray", "width": 1, "dash": "dash"})
    figure.add_scatter(
        x=[win], y=[""], mode="markers", marker={"color": charts.COLORS[0], "size": 12},
        error_x={"type": "data", "symmetric": False, "array": [high - win], "arrayminus": [win - low], "thickness": 3},
        hovertemplate="%{x:.0f}<extra></extra>",
    )  # fmt: skip
    room = {"height": 90, "margin": {"l": 24, "r": 24, "t": 8, "b": 32}}
    figure.update_layout(**{**charts.LAYOUT, **room}, showlegend=False, uirevision="interval")
    figure.update_xaxes(range=[-2, 102], tickvals=[0, 25, 50, 75, 100])
    figure.update_yaxes(showticklabels=False)
    st.plotly_chart(figure, key="interval", config=charts.CONFIG)
    if preferred["elo"] is not None:
        st.caption(
            _(
                "As in chess: {b} leads by {n} Elo points ({low} to {high}); 100 more win 64 of 100. "
                "The bar holds what fits the data; left of the dashed line A is better."
            ).format(
                b=b,
                n=_points(preferred["elo"]),
                low=_points(preferred["elo_low"]),
                high=_points(preferred["elo_high"]),
            )
        )
    else:
        name, least = (b, preferred["elo_low"]) if preferred["win"] == 1 else ("A", -preferred["elo_high"])
        st.caption(
            _(
                "{name} has won every duel so far, so only a lower bound can be given: {n} Elo points, as in chess."
            ).format(name=name, n=_points(least))
        )


def _points(elo: float | None) -> str:
    return "–" if elo is None else f"{elo:+.0f}"


def _judges(found: list[dict[str, Any]], b: str) -> None:
    st.markdown(f"**{_('Who judged')}**")
    st.dataframe(
        [
            {
                _("Person"): each["name"],
                _("Judged"): each["judged"],
                _("Preferred A"): each["a"],
                _("Neither"): each["tie"],
                _("Preferred {b}").format(b=b): each["b"],
                _("Chose the left side"): _("{n} of {all}").format(n=each["left"], all=each["a"] + each["b"]),
                _("Seconds an item"): None if each["seconds"] is None else round(each["seconds"], 1),
            }
            for each in found
        ],
        hide_index=True,
        key="judges",
        placeholder="–",
    )


def _items(found: list[dict[str, Any]], b: str) -> None:
    """Every item with both answers and how it was judged."""
    st.markdown(f"**{_('The items')}**")
    kinds = {
        "all": _("All"),
        "a": _("A preferred"),
        "b": _("{b} preferred").format(b=b),
        "split": _("Judges differ"),
        "same": _("Same answer"),
    }
    kind = st.segmented_control(
        _("Show"),
        list(kinds),
        default="all",
        format_func=kinds.__getitem__,
        label_visibility="collapsed",
        key="items-kind",
        help=_("Which items."),
    )
    shown = [each for each in found if kind in (None, "all") or _kind(each) == kind]
    if not shown:
        st.caption(_("None."))
        return
    pictures = any(each["thumb"] for each in shown)
    st.dataframe(
        [
            {
                _("Item"): each["number"],
                _("Question"): each["thumb"] if pictures else each["query"],
                "A": each["answer_a"],
                b: each["answer_b"],
                _("For A"): None if each["same"] else each["a"],
                _("Neither"): None if each["same"] else each["tie"],
                _("For {b}").format(b=b): None if each["same"] else each["b"],
            }
            for each in shown[:LISTED]
        ],
        hide_index=True,
        key="items",
        placeholder="–",
        row_height=64 if pictures else None,
        column_config={_("Question"): st.column_config.ImageColumn(_("Question"))} if pictures else None,
    )
    if len(shown) > LISTED:
        st.caption(_("{n} more are in the REST answer.").format(n=len(shown) - LISTED))


def _kind(item: Mapping[str, Any]) -> str | None:
    if item["same"]:
        return "same"
    if sum(item[name] > 0 for name in ("a", "tie", "b")) > 1:
        return "split"
    return "a" if item["a"] else "b" if item["b"] else None
