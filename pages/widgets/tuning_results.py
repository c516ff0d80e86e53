"""What a tuning has found: its trials, and Optuna's charts of them."""

from __future__ import annotations

from typing import Any

import optuna.visualization as charts
import plotly.graph_objects as go
import streamlit as st
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from core.i18n import gettext as _
from core.tuning import search, tunings
from core.tuning.tunings import Tuning
from core.workbench import Workbench
from pages.widgets import search_space
from pages.widgets.charts import CONFIG

ENOUGH = 2
"""Finished trials from which charts say something."""
HEIGHT = 360


def states() -> dict[TrialState, str]:
    return {
        TrialState.RUNNING: _("running"),
        TrialState.WAITING: _("waiting"),
        TrialState.COMPLETE: _("finished"),
        TrialState.PRUNED: _("given up"),
        TrialState.FAIL: _("failed"),
    }


def metric_text(metric: str) -> str:
    return {
        "valid_loss": _("Validation loss"),
        "valid_accuracy": _("Validation accuracy"),
        "valid_macro_f1": _("Validation macro F1"),
    }[metric]


def draw(wb: Workbench, tuning: Tuning, key: str) -> None:
    study = search.study(wb.settings.optuna_url, tuning.spec)
    every = study.get_trials(deepcopy=False)
    done = [trial for trial in every if trial.state == TrialState.COMPLETE]
    _table(wb, tuning, every)
    if len(done) < ENOUGH:
        st.caption(_("Charts appear as soon as two trials have finished."))
        return
    _charts(study, tuning, done, key)


def _table(wb: Workbench, tuning: Tuning, every: list[FrozenTrial]) -> None:
    named = states()
    best = (tuning.result or {}).get("best", {}).get("number")
    names = list(tuning.search.search)
    running = {run.id: run for run in tunings.trials(wb, tuning.id)}
    rows: list[dict[str, Any]] = []
    for trial in reversed(every):
        run = running.get(trial.user_attrs.get(search.RUN, -1))
        values = list(trial.intermediate_values.values())
        rows.append(
            {
                "run": f"/run?run={trial.user_attrs[search.RUN]}" if search.RUN in trial.user_attrs else None,
                _("State"): _("earlier run")
                if trial.user_attrs.get("earlier")
                else ("★ " if trial.number == best else "") + named[trial.state],
                metric_text(tuning.spec.metric): trial.value
                if trial.value is not None
                else search.best(tuning.spec.metric, values),
                **{search_space.title(name): trial.params.get(name) for name in names},
                _("Progress"): float((run.progress or {}).get("fraction", 0.0)) if run else None,
                _("Why"): trial.user_attrs.get(search.REASON, ""),
            }
        )
    if not any(row[_("Why")] for row in rows):
        rows = [{name: value for name, value in row.items() if name != _("Why")} for row in rows]
    if not tuning.active:
        rows = [{name: value for name, value in row.items() if name != _("Progress")} for row in rows]
    st.dataframe(
        rows,
        hide_index=True,
        width="stretch",
        height=min(36 * len(rows) + 40, 400),
        key=f"trials-{tuning.id}",
        column_config={
            "run": st.column_config.LinkColumn(
                _("Run"), display_text=r"run=(\d+)", help=_("Opens the run."), width="small"
            ),
            metric_text(tuning.spec.metric): st.column_config.NumberColumn(
                format="%.4f", help=_("The best epoch's so far.")
            ),
            _("Progress"): st.column_config.ProgressColumn(min_value=0.0, max_value=1.0, format="percent"),
        },
    )


def _charts(study: Study, tuning: Tuning, done: list[FrozenTrial], key: str) -> None:
    titles = {
        "history": _("History"),
        "importance": _("What matters"),
        "parallel": _("Together"),
        "slice": _("One by one"),
        "contour": _("Two at a time"),
    }
    shown = (
        st.segmented_control(
            _("Charts"),
            list(titles),
            default="history",
            format_func=titles.__getitem__,
            key=f"{key}-chart",
            help=_("Of the finished trials: how they came along, and which values were good."),
        )
        or "history"
    )
    varied = [
        name for name in tuning.search.search if len({str(trial.params.get(name)) for trial in done}) > 1
    ]
    figure = _figure(study, tuning, shown, varied, key)
    if figure is None:
        st.caption(_("The finished trials do not differ enough yet for this chart."))
        return
    figure.update_layout(
        title=None, margin={"l": 60, "r": 20, "t": 20, "b": 60}, height=HEIGHT, uirevision=shown
    )
    st.plotly_chart(figure, key=f"{key}-{shown}", config=CONFIG)


def _figure(study: Study, tuning: Tuning, shown: str, varied: list[str], key: str) -> go.Figure | None:
    name = metric_text(tuning.spec.metric)
    if shown == "history":
        return charts.plot_optimization_history(study, target_name=name)
    if not varied:
        return None
    if shown == "importance":
        try:
            return charts.plot_param_importances(study, params=varied, target_name=name)
        except (RuntimeError, ValueError):  # all values are the same
            return None
    if shown == "parallel":
        return charts.plot_parallel_coordinate(study, params=varied, target_name=name)
    if shown == "slice":
        return charts.plot_slice(study, params=varied, target_name=name)
    if len(varied) < 2:
        return None
    pair = varied[:2]
    if len(varied) > 2:
        pair = st.multiselect(
            _("Which two"),
            varied,
            default=pair,
            max_selections=2,
            format_func=search_space.title,
            key=f"{key}-pair",
            help=_("The value of the metric over two parameters."),
        )
    return charts.plot_contour(study, params=pair, target_name=name) if len(pair) == 2 else None
