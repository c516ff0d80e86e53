"""A file of texts on its way in: dropped, looked at, its columns settled by a person."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from core import auth
from core.datasets import check_jobs, uploads
from core.datasets.uploads import Preview
from core.errors import Conflict, VeritrainError
from core.i18n import gettext as _
from core.i18n import ngettext
from core.settings import MIB
from core.texts.mapping import FIELDS, REQUIRED, SHAPES, Columns
from core.workbench import Workbench
from pages.widgets import frame

TYPES = ["csv", "tsv", "json", "jsonl", "parquet", "gz"]
CELL = 300
"""Characters of a text that a table cell holds."""
BROKEN_SHOWN = 50
NONE = ""
WANTED = "text-check-wanted"
ORDER = ("system", "instruction", "input", "output")
"""In which people read the texts of a pair."""


@dataclass(frozen=True)
class Chosen:
    """A file whose columns are settled."""

    file: UploadedFile
    columns: Columns


def shapes() -> dict[str, str]:
    return {
        "alpaca": _("Instructions and answers"),
        "chat": _("Conversations"),
        "parallel": _("Translations"),
    }


def fields() -> dict[str, str]:
    """What a column can hold, in words."""
    return {
        "instruction": _("Instruction or question"),
        "input": _("Input (what it is about)"),
        "output": _("Answer"),
        "system": _("System prompt"),
        "history": _("Earlier turns"),
        "conversation": _("Conversation"),
        "source": _("Source text"),
        "target": _("Translation"),
    }


def choose(wb: Workbench, *, key: str, shape: str | None = None) -> Chosen | None:
    """Draw the drop zone and, once a file lies there, its preview. None until it can be taken in.

    `shape`: the only one that fits, where rows are added to a dataset.
    """
    file = st.file_uploader(
        _("File of texts"),
        TYPES,
        key=f"{key}-file",
        max_upload_size=wb.settings.max_text_bytes // MIB,
        help=_("CSV, TSV, JSON, JSON Lines or Parquet, also gzipped (.gz)."),
    )
    if file is None:
        return None
    try:
        guessed = _preview(wb, file, None, key)
    except VeritrainError as error:
        frame.refuse(error)
        return None
    columns = _settle(guessed, key=f"{key}-{file.file_id}", shape=shape)
    try:
        columns.check(guessed.report.columns)
        found = _preview(wb, file, columns, key)
    except VeritrainError as error:
        frame.refuse(error)
        return None
    _show(found)
    return Chosen(file, columns) if found.records else None


def check(wb: Workbench, me: auth.User, dataset_id: int) -> None:
    """Have a new version checked at once; where that cannot be, “Check now” is there.

    While the check of an older version runs, that one is stopped: `unchecked` starts this one after it.
    """
    try:
        check_jobs.start(wb, me, dataset_id)
    except Conflict:
        st.session_state[WANTED] = dataset_id
        with suppress(VeritrainError):
            check_jobs.cancel(wb, me, dataset_id)
    except VeritrainError:
        return


def unchecked(wb: Workbench, me: auth.User, dataset_id: int) -> bool:
    """Start the check that `check` could not start; True where one was wanted. Call it when none runs."""
    if st.session_state.get(WANTED) != dataset_id:
        return False
    del st.session_state[WANTED]
    check(wb, me, dataset_id)
    return True


def _preview(wb: Workbench, file: UploadedFile, columns: Columns | None, key: str) -> Preview:
    """Read once for each file and choice of columns, not at every press."""
    of = tuple(sorted(columns.of.items())) if columns else None
    what = (file.file_id, columns.shape if columns else None, of)
    known: dict[object, Preview] = st.session_state.setdefault(f"{key}-previews", {})
    if what not in known:
        file.seek(0)
        with st.spinner(_("Reading the file …")):
            known[what] = uploads.preview(file, file.name, wb.settings, columns)
    return known[what]


def _settle(found: Preview, *, key: str, shape: str | None) -> Columns:
    """Which column holds what: filled in by what names and values say, for a person to correct."""
    guess = found.columns
    names = shapes()
    if not guess.sure:
        st.warning(
            _("The names of the columns do not say what they hold. Please look whether this is right.")
        )
    with st.container(border=True, key=f"{key}-columns"):
        offered = [shape] if shape else list(SHAPES)
        chosen = st.segmented_control(
            _("What the file holds"),
            offered,
            default=guess.shape if guess.shape in offered else offered[0],
            required=True,
            format_func=names.__getitem__,
            key=f"{key}-shape",
            help=_("Decides which columns are asked for."),
        )
        assert chosen is not None
        known = list(found.report.columns)
        known += [column for column in guess.of.values() if column not in known]
        places = st.columns(3)
        of: dict[str, str] = {}
        for number, field in enumerate(FIELDS[chosen]):
            must = field in REQUIRED[chosen]
            now = guess.of.get(field, NONE) if guess.shape == chosen else NONE
            options = known if must and now else [NONE, *known]
            with places[number % 3]:
                column = st.selectbox(
                    fields()[field] + ("" if must else " " + _("(optional)")),
                    options,
                    options.index(now),
                    format_func=lambda name: name or _("– choose –"),
                    key=f"{key}-{chosen}-{field}",
                    help=_("The column of the file that holds this."),
                )
            if column:
                of[field] = column
    return Columns(chosen, of)


def _show(found: Preview) -> None:
    """The first rows as they will be, and what cannot be read."""
    report = found.report
    n = f"{report.rows:,}"
    text = (
        ngettext("One row can be read.", "{n} rows can be read.", report.rows).format(n=n)
        if found.whole
        else _("The first {n} rows can be read; the rest is read when you take the file in.").format(n=n)
    )
    kind = report.format.upper() + (f", {report.encoding}" if report.encoding else "")
    st.caption(f"{text} {frame.escape(kind)}")
    if report.broken_total:
        st.warning(
            ngettext(
                "One row cannot be read and would be left out.",
                "{n} rows cannot be read and would be left out.",
                report.broken_total,
            ).format(n=f"{report.broken_total:,}")
        )
        with st.expander(_("Which rows, and why")):
            for row in report.broken[:BROKEN_SHOWN]:
                st.markdown(frame.escape(row.text))
            if report.broken_total > BROKEN_SHOWN:
                st.caption(_("… and {n} more").format(n=f"{report.broken_total - BROKEN_SHOWN:,}"))
    if found.records:
        table(
            [{name: text[:CELL] for name, text in record.texts()} for record in found.records],
            found.columns.shape,
            key="preview-rows",
        )


def table(rows: list[dict[str, str]], shape: str, *, key: str) -> None:
    """Rows of texts, each column as wide as the others."""
    found = dict.fromkeys(name for row in rows for name in row)
    names = sorted(found, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))
    st.dataframe(
        {name: [row.get(name, "") for row in rows] for name in names},
        hide_index=True,
        height=min(36 * (len(rows) + 1), 300),
        column_config={
            name: st.column_config.TextColumn(title(name, shape), width="medium") for name in names
        },
        key=key,
    )


def title(name: str, shape: str) -> str:
    """A field as core.texts.records calls it, in words."""
    if name.startswith("turn "):
        return _("Turn {n}").format(n=name.split()[1])
    if shape == "parallel":
        name = {"instruction": "source", "output": "target"}.get(name, name)
    return fields().get(name, name)
