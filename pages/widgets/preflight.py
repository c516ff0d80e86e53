"""The pre-flight on the Train screen: what would be trained is tried on a few images first."""

from __future__ import annotations

import streamlit as st

from core import auth, preflight, preflight_jobs, preflight_words, runs
from core.i18n import gettext as _
from core.preflight import Standing
from core.preflight_lines import BAD, OK
from core.themes import Theme
from core.workbench import Workbench
from pages.widgets import frame

MARKS = {OK: ":green[:material/check_circle:]", BAD: ":red[:material/error:]"}
WATCH_SECONDS = 1.0


def wants(theme: Theme, busy: bool) -> bool:
    """Whether a training shall be tried first; a person may turn it off.

    While every worker is busy it would wait behind the other trainings, so it is left out.
    """
    if busy:
        st.caption(
            _("Other trainings are under way: this one takes its place in the queue without a pre-flight.")
        )
        return False
    return st.toggle(
        _("Pre-flight first"),
        value=True,
        key=f"preflight-{theme.id}",
        help=_(
            "Tries a few steps on a few images before the training takes its place in the queue: does it run, "
            "does it fit in memory, how long will it take? Takes less than a minute."
        ),
    )


def draw(wb: Workbench, me: auth.User, theme: Theme, found: Standing, override: str) -> None:
    """What the newest pre-flight said; while one goes, the page follows it and then starts the training."""
    if found.state == "going":
        _watch(wb, me, theme, override)
        return
    if _leaves(theme) or found.state == "none":
        return
    badge = {
        "green": f":green-badge[{_('ready')}]",
        "red": f":red-badge[{_('would fail')}]",
        "stale": f":gray-badge[{_('of earlier parameters or images')}]",
        "failed": f":orange-badge[{_('did not end')}]",
    }[found.state]
    with st.container(border=True, key="preflight"):
        took = (found.figures or {}).get("seconds")
        said = _("took {n} s").format(n=round(took)) if took else ""
        st.markdown(f"{badge} **{_('Pre-flight')}** :small[{said}]")
        if found.state == "failed":
            st.caption(frame.escape(_(found.error) if found.error else _("It was stopped; try again.")))
        for line in found.lines:
            mark = MARKS.get(line.state, ":orange[:material/warning:]")
            st.markdown(f"{mark} {frame.escape(preflight_words.text(line))}")
        if found.bad:
            frame.link(_("Change the parameters"), "parameters.py", {"theme": theme.id})


def begin(wb: Workbench, me: auth.User, theme: Theme) -> None:
    """Start the pre-flight; the training follows by itself while this screen is open."""
    with frame.refusals():
        st.session_state[_key(theme)] = preflight_jobs.start(wb, me, theme.id)
        st.rerun()


@frame.fragment(run_every=WATCH_SECONDS)
def _watch(wb: Workbench, me: auth.User, theme: Theme, override: str) -> None:
    found = preflight.standing(wb, theme.id)
    if found.state == "going":
        with st.container(border=True, key="preflight"):
            text = _("Pre-flight: trying a few steps on a few images …")
            if found.fraction == 0:
                text = _("Pre-flight: waiting for a worker …")
            st.progress(found.fraction, text=text)
            if st.button(_("Stop"), key="stop-preflight", help=_("Nothing is trained then.")):
                with frame.refusals():
                    preflight_jobs.cancel(wb, me, theme.id)
        return
    if found.state == "green" and st.session_state.pop(_key(theme), None) == found.run_id:
        with frame.refusals():
            started = runs.start(wb, me, theme.id, override=override)
            st.session_state[_started_key(theme)] = started.id
    if not _leaves(theme):
        st.rerun()


def _leaves(theme: Theme) -> bool:
    """Whether the training has begun after its pre-flight; then the browser is sent to it."""
    run_id = st.session_state.get(_started_key(theme))
    if run_id:
        frame.load(f"/run?run={run_id}")
    return bool(run_id)


def _key(theme: Theme) -> str:
    return f"preflight-of-{theme.id}"


def _started_key(theme: Theme) -> str:
    return f"started-after-preflight-{theme.id}"
