"""Past runs in a table; those that are selected can be opened and compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st
from st_aggrid import AgGrid, GridOptionsBuilder

from core import runs, themes, workbench
from core.evaluations import compared
from core.i18n import gettext as _
from core.runs import Run
from pages.widgets import frame, steps
from pages.widgets.runs import accuracy, status_text, took, when

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
    elif len(chosen) > compared.MOST:
        st.warning(_("Select at most {n} runs to compare.").format(n=compared.MOST))
    elif any(run.result is None for run in chosen):
        st.warning(_("Only finished runs can be compared; take the others out of the selection."))
    elif len({run.theme_id for run in chosen}) > 1:
        st.warning(_("Select runs of one theme: those of different themes answered different questions."))
    elif chosen:
        ids = ",".join(str(run.id) for run in sorted(chosen, key=lambda run: run.id))
        text = _("Compare the {n} runs").format(n=len(chosen))
        if st.button(text, type="primary", key="compare", help=_("Which is better, why, and is it chance?")):
            frame.go("compare.py", runs=ids)
    else:
        st.caption(_("Select a run to open it, two or more to see them side by side."))
