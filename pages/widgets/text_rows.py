"""The rows of a text dataset as a table: found by word, split or finding, opened one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from core.datasets import store
from core.datasets.store import Dataset, Version
from core.i18n import gettext as _
from core.i18n import ngettext
from core.texts.records import ASSISTANT, USER, Record, field_name
from core.texts.rowfile import SPLITS, DataRow
from core.texts.rowpages import NO_SPLIT
from core.workbench import Workbench
from pages.widgets import text_upload

PAGE = 50
CELL = 240


def splits() -> dict[str, str]:
    return {"train": _("train"), "valid": _("valid"), "test": _("test"), NO_SPLIT: _("no split")}


def filters() -> tuple[str, str | None]:
    """(word, split) as the address and the person have them."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="row-filters"):
        word = st.text_input(
            _("Search"), key="word", bind="query-params", help=_("In all texts of a row."), width=260
        )
        names = splits()
        split = st.segmented_control(
            _("Split"),
            [*SPLITS, NO_SPLIT],
            format_func=names.__getitem__,
            key="split",
            bind="query-params",
            help=_("Which part of a training the row belongs to."),
        )
    return word, split


def draw(
    wb: Workbench,
    dataset: Dataset,
    version: Version,
    *,
    word: str,
    split: str | None,
    ids: Sequence[int] | None = None,
    notes: Mapping[int, str] | None = None,
) -> DataRow | None:
    """One page of rows; the row that a person picked.

    `ids`: only these; `notes`: by row id, what is said of it in a column of its own.
    """
    found = store.page(wb, version, ids=ids, split=split, search=word, limit=0)
    if not found.total:
        st.caption(_("No row fits."))
        return None
    above = st.container(horizontal=True, vertical_alignment="center", key="row-pages")
    with above:
        st.caption(ngettext("One row", "{n} rows", found.total).format(n=f"{found.total:,}"), width="content")
        page = 1
        if found.total > PAGE:
            page = st.pagination(-(-found.total // PAGE), key=f"rows-{word}-{split}-{hash(tuple(ids or ()))}")
    rows = store.page(
        wb, version, ids=ids, split=split, search=word, offset=(page - 1) * PAGE, limit=PAGE
    ).rows
    names = splits()
    columns: dict[str, list[object]] = {"row": [row.row_id for row in rows]}
    columns["split"] = [names[row.split] if row.split else "–" for row in rows]
    if notes is not None:
        columns["note"] = [notes.get(row.row_id, "") for row in rows]
    for name, texts in _texts([row.record for row in rows]).items():
        columns[name] = list(texts)
    text = st.column_config.TextColumn
    event = st.dataframe(
        columns,
        hide_index=True,
        height=min(36 * (len(rows) + 1), 560),
        on_select="rerun",
        selection_mode="single-row",
        key=f"table-{version.id}-{word}-{split}-{page}-{hash(tuple(ids or ()))}",
        column_config={
            "row": st.column_config.NumberColumn(_("Row"), width="small", format="%d"),
            "split": text(_("Split"), width="small"),
            "note": text(_("Finding"), width="medium"),
            **{
                name: text(
                    text_upload.title(name, dataset.shape) if name != "turns" else _("Turns"),
                    width="small" if name == "turns" else "large",
                )
                for name in columns
                if name not in ("row", "split", "note")
            },
        },
    )
    chosen = event["selection"]["rows"]
    return rows[chosen[0]] if chosen else None


def _texts(records: Sequence[Record]) -> dict[str, list[str]]:
    """Columns of the table: the fields of pairs, else how many turns, the first question and the last answer."""
    if all(record.is_pair for record in records):
        names = [
            name
            for name in ("system", "instruction", "input", "output")
            if any(record.text(name) for record in records)
        ]
        return {name: [record.text(name)[:CELL] for record in records] for name in names}
    return {
        "turns": [str(len(record.turns)) for record in records],
        "instruction": [record.prompt[:CELL] for record in records],
        "output": [record.answer[:CELL] for record in records],
    }


def whole(row: DataRow, shape: str) -> None:
    """All of one row, each text as it is: never read as markup."""
    record = row.record
    if record.is_pair:
        for name, text in record.texts():
            st.caption(text_upload.title(name, shape))
            st.text(text)
    else:
        who = {USER: _("User"), ASSISTANT: _("Assistant"), "system": _("System")}
        for name in ("system", "input"):
            if text := record.text(name):
                st.caption(text_upload.title(name, shape))
                st.text(text)
        for turn in record.turns:
            st.caption(who.get(turn.role, turn.role))
            st.text(turn.content)
    if record.extra:
        st.caption(_("Other columns"))
        st.json(dict(record.extra), expanded=False)
    if record.line:
        st.caption(_("Line {line} of its file").format(line=f"{record.line:,}"))


def editable(record: Record) -> list[tuple[str, str]]:
    """(field, text) of all that can be written anew, empty ones too."""
    turns = [(field_name(record, number), turn.content) for number, turn in enumerate(record.turns)]
    context = [("input", record.context)] if record.is_pair or record.context else []
    system = [("system", record.system)] if record.system else []
    return [*system, *turns[:1], *context, *turns[1:]]
