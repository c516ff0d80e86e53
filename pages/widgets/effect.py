"""What the fixes before a run changed: its mark beside that of the run before, on the same test images."""

from __future__ import annotations

import streamlit as st

from core.i18n import gettext as _
from core.quality import effect_words, with_without
from core.quality.with_without import Effect
from core.runs import Run
from core.workbench import Workbench
from pages.widgets import frame

REMEMBERED = 3_600
"""Seconds; what two finished runs answered does not change, and reading it for a million images takes a while."""
BADGE = {"better": "green", "worse": "red", "unsure": "gray"}


def draw(wb: Workbench, run: Run) -> None:
    """Nothing for a theme's first finished run."""
    found = _of_run(wb, wb.settings.database_url, run.id)
    if found.previous_id is None:
        return
    words = {"better": _("better"), "worse": _("worse"), "unsure": _("cannot be told yet")}
    with st.container(border=True, key="effect"):
        if found.paired is None:
            st.markdown(f"**{frame.escape(effect_words.before(found))}**")
            st.caption(effect_words.why_not(found))
        else:
            verdict = effect_words.verdict(found.paired)
            st.markdown(
                f":{BADGE[verdict]}-badge[{words[verdict]}] **{frame.escape(effect_words.before(found))}**",
                help=_("Both models answered the same images; the newer labels count for both."),
            )
            st.markdown(frame.escape(effect_words.mark(found, found.paired)))
            st.caption(
                frame.escape(effect_words.judged(found.paired))
                + "  \n"
                + frame.escape(
                    _("{gained} images are right only now, {lost} were right only before.").format(
                        gained=found.paired.only_after, lost=found.paired.only_before
                    )
                )
            )
        if text := effect_words.not_alone(found):
            st.caption(f":orange[:material/warning:] {frame.escape(text)}")
        frame.link(_("To run {n}").format(n=found.previous_id), "run.py", {"run": found.previous_id})


@st.cache_data(ttl=REMEMBERED, max_entries=64, show_spinner=False)
def _of_run(_wb: Workbench, _database: str, run_id: int) -> Effect:
    return with_without.of_run(_wb, run_id)
