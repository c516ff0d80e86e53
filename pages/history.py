"""Past runs in a table; two or more of them side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st
from st_aggrid import AgGrid, GridOptionsBuilder

from core import runs, themes, workbench
from core.i18n import gettext as _
from core.runs import Run
from pages.widgets import charts, frame, steps
from pages.widgets.runs import accuracy, percent, status_text, took, when

COMPARED = 6

theme: themes.Theme | None = None
if "theme" in st.query_params:
    theme = frame.theme_from_url(workbench.current())
wb, me = frame.open_page(
    title=_("History"),
    crumbs=frame.of_theme(theme) if theme else [frame.home()],
    help=_(
        "Test and valid are the share of right answers. Click a heading to sort; select runs to compare them."
    ),
)
if theme:
    steps.draw(wb, me, theme, "history")


def table(found: Sequence[Run]) -> pd.DataFrame:
    """The runs as rows, with words for people."""
    return pd.DataFrame(
        [
            {
                "id": run.id,
                "theme": run.theme_name,
                "status": status_text(run.status),
                "test": None if accuracy(run) is None else round(100 * (accuracy(run) or 0), 2),
                "valid": None
                if accuracy(run, "valid") is None
                else round(100 * (accuracy(run, "valid") or 0), 2),
                "architecture": run.spec.params["model"]["architecture"],
                "images": sum(sum(of.values()) for of in run.snapshot_counts.values()),
                "started": when(run.created_at),
                "took": took(run),
                "person": run.created_by,
            }
            for run in found
        ]
    )


def chosen_of(found: Sequence[Run]) -> list[Run]:
    frame_of_runs = table(found)
    builder = GridOptionsBuilder.from_dataframe(frame_of_runs)
    builder.configure_default_column(filter=True, sortable=True, resizable=True)
    builder.configure_selection("multiple", use_checkbox=True, header_checkbox=False)
    builder.configure_pagination(paginationAutoPageSize=False, paginationPageSize=20)
    for name, title, width in (
        ("id", _("Run"), 100),
        ("theme", _("Theme"), 180),
        ("status", _("Status"), 130),
        ("test", _("Test (%)"), 120),
        ("valid", _("Valid (%)"), 120),
        ("architecture", _("Architecture"), 150),
        ("images", _("Images"), 100),
        ("started", _("Started (UTC)"), 180),
        ("took", _("Took"), 100),
        ("person", _("By"), 120),
    ):
        builder.configure_column(name, headerName=title, width=width, hide=bool(theme) and name == "theme")
    answer: Any = AgGrid(
        frame_of_runs,
        gridOptions=builder.build(),
        height=min(120 + 32 * len(found), 460),
        update_on=["selectionChanged"],
        key="runs",
        show_toolbar=False,
    )
    rows = answer.selected_rows
    if rows is None or len(rows) == 0:
        return []
    ids = {int(i) for i in rows["id"]}
    return [run for run in found if run.id in ids]


def differences(chosen: Sequence[Run]) -> list[dict[str, str]]:
    """One row for each parameter in which the runs differ."""
    flat = {run.id: runs.flat_parameters(run.spec) for run in chosen}
    names = sorted({name for values in flat.values() for name in values})
    rows = []
    for name in names:
        values = {run.id: str(flat[run.id].get(name, "–")) for run in chosen}
        if len(set(values.values())) > 1:
            rows.append({_("Parameter"): name, **{_("Run {n}").format(n=i): v for i, v in values.items()}})
    return rows


def side_by_side(chosen: Sequence[Run]) -> None:
    st.subheader(_("Side by side"), anchor=False)
    for column, run in zip(st.columns(len(chosen)), chosen, strict=True):
        with column:
            frame.link(_("Run {n}").format(n=run.id), "run.py", {"run": run.id})
            best = max(accuracy(other) or 0 for other in chosen)
            mine = accuracy(run)
            column.metric(
                _("Right on test"),
                percent(mine),
                delta=None if mine is None or mine == best else f"{(mine - best) * 100:.1f}",
                help=_(
                    "Share of right answers on images the model never saw; below, the distance to the best."
                ),
            )
    rows = differences(chosen)
    same_data = len({run.spec.snapshot.hash for run in chosen}) == 1
    st.markdown(
        _("They used the **same data**.")
        if same_data
        else _("They used **different data**, so their marks are not measured on the same images.")
    )
    if rows:
        st.dataframe(rows, hide_index=True, width="stretch", key="differences")
    else:
        st.caption(_("Their parameters are the same."))
    series = {run.id: runs.metrics(wb, run.id) for run in chosen}
    name = _("Run {n}")
    left, right = st.columns(2)
    loss = {name.format(n=i): found["valid_loss"] for i, found in series.items() if "valid_loss" in found}
    right_share = {
        name.format(n=i): found["valid_accuracy"] for i, found in series.items() if "valid_accuracy" in found
    }
    left.plotly_chart(charts.lines(_("Validation loss"), loss), key="compare-loss", config=charts.CONFIG)
    right.plotly_chart(
        charts.lines(_("Validation accuracy"), right_share, percent=True),
        key="compare-accuracy",
        config=charts.CONFIG,
    )


found = runs.history(wb, theme.id if theme else None)
if not found:
    st.info(_("No run yet. Start one from a theme's Train screen."))
    if theme:
        frame.link(_("Go to training"), "training.py", {"theme": theme.id})
else:
    chosen = chosen_of(found)
    if len(chosen) == 1:
        frame.link(_("Open run {n}").format(n=chosen[0].id), "run.py", {"run": chosen[0].id})
        st.caption(_("Select one more to compare them."))
    elif len(chosen) > COMPARED:
        st.warning(_("Select at most {n} runs to compare.").format(n=COMPARED))
    elif chosen:
        side_by_side(sorted(chosen, key=lambda run: run.id))
    else:
        st.caption(_("Select a run to open it, two or more to see them side by side."))
