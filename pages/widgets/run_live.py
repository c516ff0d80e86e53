"""A run while it goes: where it is, what each epoch found, what it says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from core import images, run_reports, runs
from core.events import Status
from core.i18n import gettext as _
from core.quality import picks
from core.runs import Run
from core.workbench import Workbench
from pages.widgets import frame, live_chart
from pages.widgets.pictures import thumbnails
from pages.widgets.runs import duration, phase_text

TAIL = 200
"""Lines of the log that are shown at once."""
MOST_LABELS = 40
"""Rows of the map of F1; of more labels the worst."""


def progress(wb: Workbench, run: Run) -> None:
    now = run.progress or {}
    if run.status in (Status.QUEUED, Status.LOST):
        place = runs.queue_place(wb, run.id)
        if run.status == Status.LOST:
            st.warning(
                _("The worker fell silent. The run goes on from its last checkpoint on the next free worker.")
            )
        if place is None:
            st.info(_("A worker is about to take this run."))
        elif place == 1:
            st.info(_("Next in the queue: it starts as soon as a worker is free."))
        else:
            st.info(_("Place {n} in the queue.").format(n=place))
    text = phase_text(now["phase"]) if now else _("waiting for a worker")
    if run.status == Status.RUNNING and not now:
        text = _("the worker is getting ready")
    st.progress(float(now.get("fraction", 0.0)), text=text)
    columns = st.columns(3)
    columns[0].metric(
        _("Epoch"),
        _("{n} of {all}").format(n=now.get("epoch", 0), all=now.get("epochs") or "–"),
        help=_("One epoch is one look at every training image."),
    )
    columns[1].metric(
        _("Time left"), duration(now.get("eta_s")), help=_("Estimated from the steps done so far.")
    )
    columns[2].metric(
        _("Step"),
        _("{n} of {all}").format(n=now.get("step", 0), all=now.get("steps") or "–"),
        help=_("One step learns from one batch of images."),
    )


def validations(wb: Workbench, run: Run, key: str) -> None:
    """F1 of each label by epoch, and the images that the newest epoch was most wrong about."""
    found = run_reports.validations(wb, run.id)
    if not found:
        return
    left, right = st.columns(2)
    with left:
        st.markdown(
            f"**{_('F1 of each label')}**",
            help=_("Precision and recall in one number, on the validation images; dark is good."),
        )
        live_chart.draw(_f1_map(run.spec.labels, found), f"{key}-f1", _("F1 of each label"))
    with right:
        newest = found[-1]
        st.markdown(
            "**{text}**".format(text=_("Worst images of epoch {n}").format(n=newest["epoch"])),
            help=_(
                "The validation images whose label the model finds least likely; a wrong label often shows here."
            ),
        )
        rows = images.rows(wb, run.theme_id, [each["image"] for each in newest["worst"]])
        said = {each["image"]: each for each in newest["worst"]}
        captions = {
            image.id: _("{true} → {said} {share:.0%}").format(
                true=frame.shorten(run.spec.labels[said[image.id]["target"]], 14),
                said=frame.shorten(run.spec.labels[said[image.id]["predicted"]], 14),
                share=said[image.id]["confidence"],
            )
            for image in rows
        }
        thumbnails(rows, captions)
        st.caption(_("True label → what the model said, and how sure it was."))


def open_worst(wb: Workbench, me: Any, run: Run) -> None:
    """The worst images of the last epoch in the grid, to look at their labels."""
    found = run_reports.validations(wb, run.id)
    if found and found[-1]["worst"]:
        with frame.refusals():
            ids = [each["image"] for each in found[-1]["worst"]]
            picked = picks.pick(wb, me, run.theme_id, ids)
            frame.link(_("Open these in the grid"), "theme.py", {"theme": run.theme_id, "picked": picked})


def _f1_map(labels: Sequence[str], found: Sequence[dict[str, Any]]) -> go.Figure:
    newest = found[-1]["f1"]
    order = sorted(range(len(labels)), key=lambda place: newest[place])[:MOST_LABELS]
    short = [frame.shorten(labels[place], 18) for place in order]
    empty = "#16211f" if st.context.theme.type == "dark" else "#f1f6f5"
    figure = go.Figure(
        go.Heatmap(
            z=[[each["f1"][place] for each in found] for place in order],
            x=[each["epoch"] for each in found],
            y=list(range(len(order))),
            customdata=[[labels[place]] * len(found) for place in order],
            hovertemplate=_("%{customdata}: F1 %{z:.3f} in epoch %{x}") + "<extra></extra>",
            colorscale=[[0, empty], [1, "#0f766e"]],
            zmin=0,
            zmax=1,
            showscale=False,
        )
    )
    figure.update_layout(
        margin={"l": 110, "r": 12, "t": 8, "b": 40},
        height=max(200, min(24 * len(order) + 60, 640)),
        uirevision="f1",
    )
    figure.update_xaxes(title=_("epoch"), dtick=max(len(found) // 10, 1))
    figure.update_yaxes(tickvals=list(range(len(order))), ticktext=short, autorange="reversed")
    return figure


def log(wb: Workbench, run: Run) -> None:
    """The end of the log, newest first; a search looks through all of it."""
    with st.expander(_("Log"), expanded=run.active or run.status == Status.FAILED):
        wanted = st.text_input(
            _("Search the log"),
            key=f"log-search-{run.id}",
            placeholder=_("a word, an image's number …"),
            help=_("Shows the lines that contain this, of the whole log."),
        ).strip()
        lines = run_reports.logs(wb, run.id, tail=TAIL, search=wanted)
        if lines:
            text = "\n".join(f"{line.at:%H:%M:%S}  {line.message}" for line in reversed(lines))
            st.code(text, language=None, height=220, wrap_lines=True)
        elif wanted:
            st.caption(_("No line contains “{text}”.").format(text=frame.escape(wanted)))
        else:
            st.caption(_("Nothing has been logged yet."))
