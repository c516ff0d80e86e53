"""A run's curves: loss and accuracy first, everything else that was measured on demand, other runs beside it."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from core import run_reports, runs
from core.i18n import gettext as _
from core.workbench import Workbench
from pages.widgets import charts, live_chart
from pages.widgets.charts import Series

SMOOTHEST = 0.95
BESIDE = 9
"""Runs that are drawn beside one."""


def titles() -> dict[str, str]:
    """What is measured of a training, in the order in which it is offered."""
    return {
        "valid_loss": _("Validation loss"),
        "valid_accuracy": _("Validation accuracy"),
        "valid_macro_f1": _("Validation macro F1"),
        "train_loss": _("Training loss"),
        "train_accuracy": _("Training accuracy"),
        "learning_rate": _("Learning rate"),
        "images_per_second": _("Images a second"),
        "system/cpu_utilization_percentage": _("Processor (share of all cores, %)"),
        "system/process_memory_megabytes": _("Memory of the run (MB)"),
        "system/gpu_utilization_percentage": _("GPU (%)"),
        "system/gpu_memory_usage_megabytes": _("GPU memory (MB)"),
    }


def of_run(wb: Workbench, run: runs.Run, key: str) -> None:
    """Two charts that keep their zoom while they update, and a row of switches above them."""
    metrics = run_reports.metrics(wb, run.id)
    if not metrics:
        return
    known = titles()
    pairs = {
        "learning": _("Loss and accuracy"),
        "f1": _("Macro F1 and learning rate"),
        "machine": _("Speed and machine"),
    }
    with st.container(horizontal=True, vertical_alignment="bottom", key=f"{key}-switches"):
        shown = (
            st.segmented_control(
                _("Curves"),
                list(pairs),
                default="learning",
                format_func=pairs.__getitem__,
                key=f"{key}-what",
                help=_("Drag in a chart to zoom; the zoom stays while the run goes on."),
            )
            or "learning"
        )
        smooth, log, beside = _options(wb, run, key)
    others = {_("Run {n}").format(n=number): run_reports.metrics(wb, number) for number in beside}
    if shown == "learning":
        names = {"train": _("training"), "valid": _("validation")}
        left = _together(metrics, names, "loss", others)
        right = _together(metrics, names, "accuracy", others)
        drawn = [(_("Loss (lower is better)"), left), (_("Accuracy (higher is better)"), right)]
    else:
        wanted = ["valid_macro_f1", "learning_rate"]
        if shown == "machine":
            wanted = [name for name in known if name == "images_per_second" or name.startswith("system/")]
        drawn = [(known[name], _alone(metrics, name, others)) for name in wanted if name in metrics]
    for place in range(0, len(drawn), 2):
        for column, (title, series) in zip(st.columns(2), drawn[place : place + 2], strict=False):
            smoothed = {name: charts.smoothed(points, smooth) for name, points in series.items()}
            figure = charts.lines(
                title, smoothed, percent=title == drawn[-1][0] and shown == "learning", log=log
            )
            with column:
                live_chart.draw(figure, f"{key}-{shown}-{title}", title)


def _options(wb: Workbench, run: runs.Run, key: str) -> tuple[float, bool, list[int]]:
    """Smoothing (0–0.95), whether the axis is logarithmic, the runs that are drawn beside this one."""
    with st.popover(_("Display"), icon=":material/tune:", key=f"{key}-display"):
        smooth = st.slider(
            _("Smoothing"),
            0.0,
            SMOOTHEST,
            0.0,
            0.05,
            key=f"{key}-smooth",
            help=_("Takes the zigzag out of the curves."),
        )
        log = st.toggle(
            _("Log axis"), key=f"{key}-log", help=_("Shows small values as far apart as large ones.")
        )
        others = [other.id for other in runs.history(wb, run.theme_id, limit=50) if other.id != run.id]
        beside = st.multiselect(
            _("Runs beside it"),
            others,
            format_func=lambda number: _("Run {n}").format(n=number),
            max_selections=BESIDE,
            key=f"{key}-beside",
            help=_("Draws the validation curves of other runs into the same charts."),
        )
    return smooth, log, beside


def _together(
    metrics: Mapping[str, Series],
    names: Mapping[str, str],
    what: str,
    others: Mapping[str, Mapping[str, Series]],
) -> dict[str, Series]:
    own = {
        text: metrics[f"{split}_{what}"] for split, text in names.items() if metrics.get(f"{split}_{what}")
    }
    return own | {name: of[f"valid_{what}"] for name, of in others.items() if of.get(f"valid_{what}")}


def _alone(
    metrics: Mapping[str, Series], metric: str, others: Mapping[str, Mapping[str, Series]]
) -> dict[str, Series]:
    return {_("this run"): metrics[metric]} | {
        name: of[metric] for name, of in others.items() if of.get(metric)
    }
