"""Real answers that users were not content with: to read, to take along, to label."""

from __future__ import annotations

import streamlit as st

from core import auth
from core.ab import lost
from core.ab.trials import Trial
from core.errors import VeritrainError
from core.i18n import gettext as _
from core.workbench import Workbench
from pages.widgets import frame

SENT = "sent-to-labelling"


def draw(wb: Workbench, me: auth.User, trial: Trial) -> None:
    variant = st.segmented_control(
        _("Answers rated 1 or 2 of"),
        trial.plan.names,
        default=trial.plan.names[-1],
        required=True,
        key="lost",
        help=_("Real answers, newest first."),
    )
    rows = lost.conversations(wb, trial.id, variant) if variant else []
    if not rows or not variant:
        st.caption(_("None: nobody rated an answer of this variant 1 or 2."))
        return
    st.dataframe(
        [
            {
                _("When"): row["at"][:16].replace("T", " "),
                _("Asked"): row["query"],
                _("Answered"): row["response"],
                _("Stars"): row["rating"],
                _("Feedback"): row["feedback"],
                _("Image kept"): row["image"],
            }
            for row in rows
        ],
        hide_index=True,
        key="conversations",
    )
    with st.container(horizontal=True, gap="small", key="lost-actions"):
        labelled = any(row["image"] for row in rows) and me.may(auth.TRAINER)
        if labelled and st.button(
            _("Send these images to labelling"),
            key="to-labelling",
            help=_(
                "Adds them to the theme without a label and flags each with a note that says where it comes "
                "from. Images that are there already stay as they are."
            ),
        ):
            _send(wb, me, trial, variant)
        for format in ("csv", "jsonl"):
            st.link_button(
                _("Download as {format}").format(format=format.upper()),
                f"/api/v1/admin/ab-tests/{trial.id}/lost/{variant}?format={format}&limit={lost.MOST}",
            )
    if not any(row["image"] for row in rows):
        st.caption(
            _(
                "There is nothing to label here: images are kept for answers that go through Veritrain; a program "
                "that logs its own answers sends texts only."
            )
        )
    _told(trial, variant)


def _send(wb: Workbench, me: auth.User, trial: Trial, variant: str) -> None:
    try:
        sent = lost.to_labelling(wb, me, trial.id, variant)
    except VeritrainError as error:
        frame.refuse(error)
        return
    text = _(
        "{n} images are in the theme now, flagged and waiting for a label; {known} were there already."
    ).format(n=f"{sent.added:,}", known=f"{sent.known:,}")
    if sent.without:
        text += " " + _("{n} answers have no image.").format(n=f"{sent.without:,}")
    if sent.refused:
        text += " " + _("{n} images were not accepted.").format(n=f"{sent.refused:,}")
    # The screen draws itself again every few seconds; what was done must stay readable.
    st.session_state[SENT] = (trial.id, variant, text)


def _told(trial: Trial, variant: str) -> None:
    kept = st.session_state.get(SENT)
    if kept and kept[:2] == (trial.id, variant):
        st.success(frame.escape(kept[2]))
        frame.link(_("Label them"), "theme.py", {"theme": trial.theme_id, "flagged": "yes"})
