"""What is being computed, what waits for a worker, and in what order it goes on."""

from __future__ import annotations

import streamlit as st

from core import auth, run_control, runs, waiting
from core.errors import VeritrainError
from core.i18n import gettext as _
from core.waiting import Entry, Overview
from pages.widgets import frame
from pages.widgets.runs import badge, when

LIVE_SECONDS = 2.0

wb, me = frame.open_page(
    title=_("Queue"),
    crumbs=[frame.home()],
    help=_("Trainings and checks of everybody: who computes now, and who is next."),
)
may_move = me.may(auth.ADMIN)


def kind_text(kind: str) -> str:
    return {
        "vision": _("Training"),
        "trial": _("Trial of a tuning"),
        "preflight": _("Pre-flight"),
        "suggest": _("Suggestions"),
        "predict": _("Predictions"),
        "check": _("Check of images"),
        "text-check": _("Check of texts"),
        "text-split": _("Split of texts"),
    }.get(kind, kind)


def queue_text(name: str) -> str:
    return {"train": _("Trainings"), "light": _("Checks")}[name]


def links(entry: Entry) -> None:
    """To what it is about."""
    if entry.kind in (runs.KIND, runs.TRIAL):
        frame.link(_("Run {n}").format(n=entry.id), "run.py", {"run": entry.id})
    elif entry.kind == "check":
        frame.link(_("Quality"), "quality.py", {"theme": entry.theme_id})
    elif entry.kind == "predict":
        frame.link(_("Predict"), "predict.py", {"theme": entry.theme_id, "view": "many"})
    elif entry.kind == "preflight":
        frame.link(_("Train"), "training.py", {"theme": entry.theme_id})
    elif entry.dataset_id is not None:
        frame.link(_("Text dataset"), "dataset.py", {"dataset": entry.dataset_id})
    elif entry.theme_id is not None:
        frame.link(_("Theme"), "theme.py", {"theme": entry.theme_id})


def draw(entry: Entry, last: int) -> None:
    with st.container(
        border=True, horizontal=True, vertical_alignment="center", key=f"job-{entry.id}", gap="small"
    ):
        st.markdown(f":gray-badge[{entry.place}]" if entry.place else badge(entry.status), width="content")
        st.markdown(
            f"**{kind_text(entry.kind)}** · {frame.escape(frame.shorten(entry.about, 40))}", width="stretch"
        )
        if entry.place is None:
            st.progress(entry.fraction, width=120)
        st.caption(
            _("by {who}, {when}").format(who=frame.escape(entry.created_by), when=when(entry.created_at))
        )
        if entry.expected is not None:
            text = _("starts about {when}") if entry.place else _("ends about {when}")
            st.caption(text.format(when=f"{entry.expected:%H:%M} UTC"))
        links(entry)
        if entry.place is not None and may_move:
            moves: tuple[tuple[waiting.Move, str, str, bool], ...] = (
                ("first", ":material/vertical_align_top:", _("Let it be next"), entry.place > 1),
                ("earlier", ":material/arrow_upward:", _("One place earlier"), entry.place > 1),
                ("later", ":material/arrow_downward:", _("One place later"), entry.place < last),
            )
            for to, icon, text, can in moves:
                if st.button("", icon=icon, key=f"{to}-{entry.id}", help=text, disabled=not can):
                    with frame.refusals():
                        waiting.move(wb, me, entry.id, to)
                        st.rerun()
        may_cancel = entry.place is not None and entry.kind == runs.KIND and me.may(auth.TRAINER)
        if may_cancel and st.button(
            "",
            icon=":material/close:",
            key=f"cancel-{entry.id}",
            help=_("Takes it off the queue; it can be resumed later."),
        ):
            with frame.refusals():
                run_control.stop(wb, me, entry.id)
                st.rerun()


def workers(found: Overview) -> None:
    st.subheader(_("Workers"), anchor=False)
    if not found.workers:
        st.warning(_("No worker is there, so nothing goes on. They are started again by themselves."))
        return
    st.dataframe(
        [
            {
                _("Worker"): each.name,
                _("Machine"): each.host,
                _("Takes"): ", ".join(queue_text(name) for name in each.queues),
                _("Computes on"): each.device or _("the processor"),
                _("Has"): _("job {n}").format(n=each.run_id) if each.run_id is not None else _("nothing"),
            }
            for each in found.workers
        ],
        hide_index=True,
        width="stretch",
        key="workers",
    )


@frame.fragment(run_every=LIVE_SECONDS)
def live() -> None:
    try:
        found = waiting.overview(wb)
    except VeritrainError as error:
        frame.refuse(error)
        return
    going = [entry for entry in found.entries if entry.place is None]
    st.subheader(_("Running"), anchor=False)
    if not going:
        st.caption(_("Nothing is being computed."))
    for entry in going:
        draw(entry, 0)
    for name in ("train", "light"):
        queued = [entry for entry in found.entries if entry.place is not None and entry.queue == name]
        if not queued and name == "light":
            continue
        st.subheader(_("Waiting: {queue}").format(queue=queue_text(name)), anchor=False)
        if not queued:
            st.caption(_("No training waits; one that is started begins at once."))
        for entry in queued:
            draw(entry, len(queued))
    workers(found)


live()
