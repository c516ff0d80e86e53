"""The versions of a text dataset: what made each, and what differs between two of them."""

from __future__ import annotations

import streamlit as st

from core import auth
from core.datasets import access, diff, store, words
from core.datasets.store import Dataset, Version
from core.i18n import gettext as _
from core.i18n import ngettext
from core.workbench import Workbench
from pages.widgets import frame, text_rows
from pages.widgets.runs import when


def changed(version: Version) -> str:
    """What differs from the version before, in words."""
    counts = version.change
    parts = [
        (ngettext("one row added", "{n} rows added", counts.get("added", 0)), counts.get("added", 0)),
        (ngettext("one row removed", "{n} rows removed", counts.get("removed", 0)), counts.get("removed", 0)),
        (ngettext("one row changed", "{n} rows changed", counts.get("changed", 0)), counts.get("changed", 0)),
        (ngettext("one row dealt", "{n} rows dealt", counts.get("resplit", 0)), counts.get("resplit", 0)),
    ]
    return ", ".join(text.format(n=f"{n:,}") for text, n in parts if n)


def draw(wb: Workbench, me: auth.User, dataset: Dataset) -> None:
    versions = store.versions(wb, dataset.id)
    for version in versions:
        with st.container(
            horizontal=True, vertical_alignment="center", border=True, key=f"version-{version.number}"
        ):
            frame.link(
                _("Version {n}").format(n=version.number),
                "dataset.py",
                {"dataset": dataset.id, "version": version.number},
            )
            st.markdown(f"**{words.made_by(version)}** · {changed(version)}", width="stretch")
            rows = ngettext("one row", "{n} rows", version.row_count).format(n=f"{version.row_count:,}")
            st.caption(f"{rows} · {when(version.created_at)}", width="content")
            st.caption(version.hash[:8], width="content", help=_("Fingerprint of all rows: {hash}").format(
                hash=version.hash))  # fmt: skip
    if len(versions) > 1:
        st.subheader(_("Compare"), anchor=False)
        _compare(wb, me, dataset, versions)


def _compare(wb: Workbench, me: auth.User, dataset: Dataset, versions: list[Version]) -> None:
    by_number = {version.number: version for version in versions}
    newest = versions[0].number
    with st.container(horizontal=True, key="compare-two"):
        a = st.selectbox(
            _("From version"), list(by_number), 1, key="from-version", help=_("The earlier state."), width=160
        )
        b = st.selectbox(
            _("To version"), list(by_number), 0, key="to-version", help=_("The later state."), width=160
        )
    with frame.refusals(end=True):
        pair = [access.readable(wb, me, dataset.id, number or newest) for number in (a, b)]
    found = diff.diff(wb, *pair)
    counts = found.counts
    if not any(counts.values()):
        st.caption(_("They are the same, row by row."))
        return
    with st.container(horizontal=True, key="diff-counts"):
        st.metric(_("Added"), f"{counts['added']:,}")
        st.metric(_("Removed"), f"{counts['removed']:,}")
        st.metric(_("Changed"), f"{counts['changed']:,}")
        st.metric(_("Other split"), f"{counts['resplit']:,}")
    for change in found.examples:
        with st.container(border=True, key=f"change-{change.row_id}"):
            if change.old and change.new:
                _head("orange", _("changed"), change.row_id)
                left, right = st.columns(2)
                with left:
                    text_rows.whole(change.old, dataset.shape)
                with right:
                    text_rows.whole(change.new, dataset.shape)
            elif change.new:
                _head("green", _("added"), change.row_id)
                text_rows.whole(change.new, dataset.shape)
            elif change.old:
                _head("red", _("removed"), change.row_id)
                text_rows.whole(change.old, dataset.shape)


def _head(colour: str, word: str, row_id: int) -> None:
    st.markdown(f":{colour}-badge[{word}] " + _("Row {n}").format(n=row_id))
