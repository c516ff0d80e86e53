"""What a manager reads first: the verdict, why, what being wrong costs, how long still."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import streamlit as st

from core.ab import trials, verdict
from core.i18n import gettext as _
from pages.widgets import frame

_LOOKS = {
    verdict.BETTER: (":material/check_circle:", st.success),
    verdict.WORSE: (":material/block:", st.error),
    verdict.SAME: (":material/equal:", st.info),
    verdict.UNCLEAR: (":material/hourglass_top:", st.info),
    verdict.BROKEN: (":material/warning:", st.warning),
}


def draw(found: Mapping[str, Any]) -> None:
    """The verdict of the whole test, how far it is, and how it ended."""
    judged, test = found["verdict"], found["test"]
    icon, box = _LOOKS[judged["kind"]]
    lines = [f"#### {frame.escape(judged['sentence'])}", frame.escape(judged["reason"])]
    if judged["cost_of_being_wrong"]:
        lines.append(frame.escape(judged["cost_of_being_wrong"]))
    if test["status"] == trials.RUNNING:
        lines.append(f"{_('**How long still:**')} {frame.escape(judged['how_long_still'])}")
    box("\n\n".join(lines), icon=icon)
    if test["outcome"]:
        _ended(test)
    _facts(found)


def of_comparison(each: Mapping[str, Any]) -> None:
    """One variant's own verdict, where the test has several."""
    judged = each["verdict"]
    icon, box = _LOOKS[judged["kind"]]
    box(f"**{frame.escape(judged['sentence'])}** {frame.escape(judged['reason'])}", icon=icon)


def _ended(test: Mapping[str, Any]) -> None:
    outcome = test["outcome"]
    day, reason = str(test["ended_at"])[:10], frame.escape(outcome["reason"])
    text = _("Ended on {day}: {reason}").format(day=day, reason=reason)
    if outcome.get("winner"):
        text = f"**{_('Winner: {name}').format(name=outcome['winner'])}.** {text}"
    if not outcome.get("by"):
        text += " " + _("(stopped by itself, to protect the users)")
    st.markdown(text)


def _facts(found: Mapping[str, Any]) -> None:
    test = found["test"]
    users = sum(arm["users"] for arm in found["variants"])
    answers = sum(arm["interactions"] for arm in found["variants"])
    rated = sum(arm["users_who_rated"] for arm in found["variants"])
    with st.container(horizontal=True, gap="large", key="facts"):
        st.metric(
            _("Users"),
            f"{users:,}",
            width="content",
            help=_("Of about {n} planned; the interval is narrowest there.").format(
                n=f"{test['planned_users']:,}"
            ),
        )
        st.metric(
            _("Who rated"), f"{rated:,}", width="content", help=_("Users who rated at least one answer.")
        )
        st.metric(
            _("Answers"),
            f"{answers:,}",
            width="content",
            help=_("Several of one user count once in the verdict."),
        )
        if test["status"] == trials.RUNNING:
            end = datetime.fromisoformat(test["planned_end"])
            st.metric(
                _("Days until the planned end"),
                max(0, (end - datetime.now(UTC)).days),
                width="content",
                help=_("Planned for {day}.").format(day=f"{end:%Y-%m-%d}"),
            )
