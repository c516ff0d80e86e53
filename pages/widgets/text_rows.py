"""The rows of a text dataset as a table: found by word, split or finding, opened one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from core import auth
from core.datasets import findings, repair, store, vault
from core.datasets.store import Dataset, Version
from core.i18n import gettext as _
from core.i18n import ngettext
from core.quality.texts import masking
from core.quality.texts.kinds import KINDS, title
from core.texts.records import ASSISTANT, USER, Record, field_name
from core.texts.rowfile import DataRow
from core.texts.rowpages import NO_SPLIT
from core.workbench import Workbench
from pages.widgets import frame, text_upload

PAGE = 50
CELL = 240


def splits() -> dict[str, str]:
    return {"train": _("train"), "valid": _("valid"), "test": _("test"), NO_SPLIT: _("no split")}


def _filters() -> tuple[str, str | None]:
    """(word, split) as the address and the person have them."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="row-filters"):
        word = st.text_input(
            _("Search"), key="word", bind="query-params", help=_("In all texts of a row."), width=260
        )
        split = frame.choice(
            "split", splits(), _("Split"), help=_("Which part of a training the row belongs to.")
        )
    return word, split


def _table(
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
                    width="small" if name == "turns" else "medium",
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
        for name, text in editable(record):
            if text:
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


def draw(wb: Workbench, me: auth.User, dataset: Dataset, version: Version) -> None:
    """The table of rows, found also by what was found in them, and the one that a person picked."""
    standing = findings.standing(wb, version)
    word, split = _filters()
    kinds = [name for name in KINDS if standing.open.get(name)]
    wanted = st.query_params.get("finding", "")
    ids: list[int] | None = None
    notes: dict[int, str] | None = None
    if kinds:
        kind = st.selectbox(
            _("Finding"),
            ["", *kinds],
            kinds.index(wanted) + 1 if wanted in kinds else 0,
            format_func=lambda name: f"{title(name)} ({standing.open[name]:,})" if name else _("all rows"),
            key=f"row-finding-{wanted}",
            help=_("Only the rows in which this was found."),
            width=420,
        )
        if kind != wanted:
            st.query_params["finding"] = kind or ""
        if kind:
            ids = findings.rows(wb, version, kind)
            notes = {
                found.row_id: said(found, dataset.shape)
                for found in findings.found(wb, version, kind, limit=store.MAX_PAGE).items
            }
    row = _table(wb, dataset, version, word=word, split=split, ids=ids, notes=notes)
    if row is None:
        st.caption(_("Mark a row at its left edge to see all of it."))
        return
    with st.container(border=True, key="whole-row"):
        _picked(wb, me, dataset, version, row)


def _picked(wb: Workbench, me: auth.User, dataset: Dataset, version: Version, row: DataRow) -> None:
    newest = version.number == dataset.newest.number
    with st.container(horizontal=True, vertical_alignment="center", key="row-head"):
        st.markdown(f"**{_('Row {n}').format(n=row.row_id)}**", width="stretch")
        if (
            newest
            and me.may(auth.LABELER)
            and st.button(
                _("Correct"), key=f"correct-{row.row_id}", help=_("Write its texts anew, as a new version.")
            )
        ):
            _edit(wb, me, dataset, version, row)
        if (
            me.may(auth.ADMIN)
            and masking.tokens(row.record)
            and st.button(
                _("Show what is masked"),
                key=f"unmask-{row.row_id}",
                help=_("Who looked is kept in the log of access."),
            )
        ):
            _unmask(wb, me, dataset, version, row.row_id)
    whole(row, dataset.shape)


@frame.dialog(_("Correct the row"), width="large")
def _edit(wb: Workbench, me: auth.User, dataset: Dataset, version: Version, row: DataRow) -> None:
    with st.form("edit-row", border=False):
        texts = {
            name: st.text_area(
                text_upload.title(name, dataset.shape), text, key=f"edit-{row.row_id}-{name}", height=120,
                help=_("As the model shall learn it."),
            )
            for name, text in editable(row.record)
        }  # fmt: skip
        if st.form_submit_button(_("Save"), type="primary"):
            with frame.refusals():
                repair.edit(wb, me, dataset.id, row.row_id, texts, parent=version.id)
                text_upload.check(wb, me, dataset.id)
                st.rerun()


@frame.dialog(_("What is masked"), width="large")
def _unmask(wb: Workbench, me: auth.User, dataset: Dataset, version: Version, row_id: int) -> None:
    with frame.refusals():
        whole(vault.unmask(wb, me, dataset.id, row_id, version.number), dataset.shape)


def said(found: findings.Found, shape: str) -> str:
    """The finding as a sentence that calls the field as the screen does."""
    field = text_upload.title(found.where, shape) if found.where else ""
    return _(found.message).format(**{**found.fields, "field": field})
