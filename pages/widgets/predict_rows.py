"""Ask a model that was trained elsewhere: texts or user ids, one a line, or rows of a table; its answers as a table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from core import auth, serving_rows
from core.gateway import row_tables
from core.i18n import gettext as _
from core.i18n import ngettext
from core.serving import Deployment
from core.signatures import FIELDS, ROWS, TEXT, WHOLE, Column
from core.workbench import Workbench
from pages.widgets import frame

ANSWERED = "row-answers"
"""Where the session keeps (deployment's id, table of answers)."""
HEIGHT = 200
"""Pixels of the field for texts or user ids."""
DTYPES = {
    "boolean": "boolean",
    "integer": "Int64",
    "long": "Int64",
    "float": "Float64",
    "double": "Float64",
    "string": "string",
    "datetime": "datetime64[ns]",
}
"""Of pandas, by MLflow's types; each has a place for “missing”."""


def draw(wb: Workbench, me: auth.User, deployment: Deployment) -> None:
    version = deployment.version
    assert version.inputs is not None
    if version.kind == ROWS:
        asked = _rows(deployment.id, version.inputs)
    else:
        asked = _lines(deployment.id, version.kind, version.inputs[0])
    if st.button(
        _("Predict"), type="primary", key="predict-rows", help=_("The model answers each line or row.")
    ):
        _ask(wb, me, deployment, asked)
    known, table = st.session_state.get(ANSWERED, (None, []))
    if known == deployment.id:
        _answers(table)


def _ask(wb: Workbench, me: auth.User, deployment: Deployment, asked: Sequence[Any]) -> None:
    st.session_state.pop(ANSWERED, None)
    kind = deployment.version.kind
    if not asked:
        st.info(_("There is nothing to ask yet; fill in at least one line or row."))
        return
    with frame.refusals(), st.spinner(_("The model is answering …")):
        found = serving_rows.predict(wb, me, deployment.id, {FIELDS[kind]: asked})
        name = "text" if kind == TEXT else "user_id"
        rows = asked if kind == ROWS else [{name: each} for each in asked]
        st.session_state[ANSWERED] = (deployment.id, row_tables.table(rows, found))


def _lines(deployment_id: int, kind: str, column: Column) -> list[Any]:
    label = _("Texts, one a line") if kind == TEXT else _("User ids, one a line")
    written = st.text_area(
        label, height=HEIGHT, key=f"lines-{deployment_id}", help=_("Empty lines are left out.")
    )
    lines = [line.strip() for line in written.splitlines() if line.strip()]
    if column.type not in WHOLE:
        return lines
    return [int(line) if re.fullmatch(r"-?[0-9]{1,19}", line) else line for line in lines]


def _rows(deployment_id: int, columns: Sequence[Column]) -> list[Any]:
    st.caption(_("Fill in a row for each answer; the model needs the columns with a star (*)."))
    empty = pd.DataFrame({column.name: pd.Series([], dtype=DTYPES[column.type]) for column in columns})
    edited = st.data_editor(
        empty,
        num_rows="dynamic",
        hide_index=True,
        width="stretch",
        key=f"rows-{deployment_id}",
        column_config={column.name: _config(column) for column in columns},
    )
    return [
        given
        for row in edited.to_dict("records")
        if (given := {name: _value(value) for name, value in row.items() if not pd.isna(value)})
    ]


def _config(column: Column) -> Any:
    label = f"{column.name} *" if column.required else column.name
    if column.type == "boolean":
        return st.column_config.CheckboxColumn(label)
    if column.type == "string":
        return st.column_config.TextColumn(label)
    if column.type == "datetime":
        return st.column_config.DatetimeColumn(label)
    return st.column_config.NumberColumn(label, step=1 if column.type in WHOLE else None)


def _value(value: Any) -> Any:
    """As JSON can say it."""
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    return value.item() if hasattr(value, "item") else value


def _answers(table: list[dict[str, Any]]) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key="row-answers-head"):
        text = ngettext("**{n} answer**", "**{n} answers**", len(table))
        st.markdown(text.format(n=f"{len(table):,}"), width="stretch")
        st.download_button(
            _("Download the answers"),
            partial(row_tables.as_csv, table),
            "predictions.csv",
            "text/csv",
            key="row-answers-csv",
            on_click="ignore",
            help=_("What was asked and what the model said, as CSV."),
        )
    st.dataframe(table, hide_index=True, width="stretch", key="row-answers-table")
