"""The rows of a text dataset as a table: found by word, split or finding, opened one by one."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core import auth
from core.datasets import decisions, findings, repair, store, vault
from core.datasets.store import Dataset, Version
from core.i18n import gettext as _
from core.i18n import ngettext
from core.quality.texts import masking
from core.quality.texts.kinds import KINDS, REMOVE, title
from core.texts.records import ASSISTANT, USER, Record, field_name
from core.texts.rowfile import DataRow
from core.texts.rowpages import NO_SPLIT
from core.workbench import Workbench
from pages.widgets import frame, text_fixes, text_upload

PAGE = 50
WHOLE = 5
"""Marked rows that are shown as a whole."""
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
    kind: str = "",
) -> list[DataRow]:
    """One page of rows; those that a person picked.

    `kind`: only rows with this finding, which stands in a column of its own.
    """
    ids = findings.rows(wb, version, kind) if kind else None
    found = store.page(wb, version, ids=ids, split=split, search=word, limit=0)
    if not found.total:
        st.caption(_("No row fits."))
        return []
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
    if kind:
        notes: dict[int, list[str]] = {}
        for each in findings.of_rows(wb, version, kind, [row.row_id for row in rows]):
            notes.setdefault(each.row_id, []).append(said(each, dataset.shape))
        columns["note"] = [" ".join(notes.get(row.row_id, ())) for row in rows]
    for name, texts in _texts([row.record for row in rows]).items():
        columns[name] = list(texts)
    text = st.column_config.TextColumn
    event = st.dataframe(
        columns,
        hide_index=True,
        height=min(36 * (len(rows) + 1), 560),
        on_select="rerun",
        selection_mode="multi-row",
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
    return [rows[place] for place in event["selection"]["rows"]]


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
            st.caption(who.get(turn.role) or frame.escape(frame.shorten(turn.role, 80)))
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
    kind = ""
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
    picked = _table(wb, dataset, version, word=word, split=split, kind=kind or "")
    if not picked:
        st.caption(_("Mark a row at its left edge to see all of it."))
        return
    if kind and version.number == dataset.newest.number:
        _decide(wb, me, dataset, version, kind, [row.row_id for row in picked])
    for row in picked[:WHOLE]:
        with st.container(border=True, key=f"whole-row-{row.row_id}"):
            _picked(wb, me, dataset, version, row)
    if len(picked) > WHOLE:
        st.caption(_("… and {n} more").format(n=len(picked) - WHOLE))


def _decide(
    wb: Workbench, me: auth.User, dataset: Dataset, version: Version, kind: str, ids: list[int]
) -> None:
    """The answers to a finding for the rows that were picked."""
    known = KINDS[kind]
    with st.container(horizontal=True, vertical_alignment="center", key="row-answers"):
        st.markdown(
            ngettext("One row is marked:", "{n} rows are marked:", len(ids)).format(n=len(ids)),
            width="content",
        )
        if me.may(auth.LABELER):
            for fix in dict.fromkeys((known.fix, REMOVE)):
                if st.button(
                    text_fixes.title(fix), key=f"rows-{fix}", help=_("Shows first what would change.")
                ):
                    text_fixes.ask(wb, me, dataset, version, fix, kind, ids)
        may_decide = me.may(auth.TRAINER if known.line else auth.LABELER)
        if (
            known.may_be_fine
            and may_decide
            and st.button(
                ngettext("It is fine", "All {n} are fine", len(ids)).format(n=len(ids)),
                key="rows-fine",
                help=_("They are no longer listed here, and the log remembers who said so."),
            )
        ):
            with frame.refusals():
                decisions.keep(wb, me, dataset.id, kind, ids, version_id=version.id)
                st.rerun()


def _picked(wb: Workbench, me: auth.User, dataset: Dataset, version: Version, row: DataRow) -> None:
    newest = version.number == dataset.newest.number
    with st.container(horizontal=True, vertical_alignment="center", key=f"row-head-{row.row_id}"):
        st.markdown(f"**{_('Row {n}').format(n=row.row_id)}**", width="stretch")
        if (
            newest
            and me.may(auth.LABELER)
            and st.button(
                _("Correct"), key=f"correct-{row.row_id}", help=_("Write its texts anew, as a new version.")
            )
        ):
            frame.dialog(_("Correct the row"), width="large")(_edit)(wb, me, dataset, version, row)
        if (
            me.may(auth.ADMIN)
            and masking.tokens(row.record)
            and st.button(
                _("Show what is masked"),
                key=f"unmask-{row.row_id}",
                help=_("Who looked is kept in the log of access."),
            )
        ):
            frame.dialog(_("What is masked"), width="large")(_unmask)(wb, me, dataset, version, row.row_id)
    whole(row, dataset.shape)


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


def _unmask(wb: Workbench, me: auth.User, dataset: Dataset, version: Version, row_id: int) -> None:
    with frame.refusals():
        whole(vault.unmask(wb, me, dataset.id, row_id, version.number), dataset.shape)


def said(found: findings.Found, shape: str) -> str:
    """The finding as a sentence that calls the field as the screen does."""
    field = text_upload.title(found.where, shape) if found.where else ""
    return _(found.message).format(**{**found.fields, "field": field})
