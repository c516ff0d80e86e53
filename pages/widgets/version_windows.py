"""Windows over the list of versions: change one, note a benchmark, take it off the list."""

from __future__ import annotations

import streamlit as st

from core import auth, model_benchmarks, version_changes, version_lists, versions
from core.i18n import gettext as _
from core.registry import Version
from core.workbench import Workbench
from pages.widgets import frame
from pages.widgets.versions import title


@frame.dialog(_("Change a version"))
def edit(wb: Workbench, me: auth.User, version: Version) -> None:
    st.markdown(f"**{title(version)}**")
    number = st.text_input(
        _("Version number"),
        str(version.semver),
        max_chars=29,
        key="edit-semver",
        help=_("Three numbers with dots between. It can only go up, and no number is used twice."),
    )
    tags = st.multiselect(
        _("Tags"),
        sorted({*version_lists.tags(wb, version.theme_id), *version.tags}),
        list(version.tags),
        max_selections=versions.MAX_TAGS,
        accept_new_options=True,
        key="edit-tags",
        placeholder=_("Type a tag and press Enter"),
        help=_("Letters, digits and the signs - _ . : without spaces, at most {n} in each.").format(
            n=versions.MAX_TAG
        ),
    )
    text = st.text_area(
        _("Description"),
        version.description,
        max_chars=versions.MAX_DESCRIPTION,
        key="edit-description",
        help=_("What it is for, and what others should know."),
    )
    if st.button(_("Save"), type="primary", key="yes-edit"):
        with frame.refusals():
            version_changes.edit(wb, me, version.id, semver=number.strip(), tags=tags, description=text)
            st.rerun()


@frame.dialog(_("Note a benchmark"))
def benchmark(wb: Workbench, me: auth.User, version: Version) -> None:
    st.markdown(f"**{title(version)}**")
    name = st.text_input(
        _("Benchmark"),
        max_chars=versions.MAX_BENCHMARK,
        key="benchmark-name",
        help=_("The same name again replaces the score that counts; the earlier one is kept."),
    )
    score = st.number_input(
        _("Score"),
        0.0,
        1.0,
        step=0.01,
        format="%.4f",
        key="benchmark-score",
        help=_("From 0 to 1; more is better."),
    )
    if st.button(_("Save"), type="primary", key="yes-benchmark"):
        with frame.refusals():
            model_benchmarks.add(wb, me, version.id, name, score)
            st.rerun()


@frame.dialog(_("Delete a version"))
def delete(wb: Workbench, me: auth.User, version: Version) -> None:
    st.markdown(f"**{title(version)}** · {version.semver}")
    st.caption(
        _("It leaves every list and cannot be used any more. What was decided about it stays in the ledger.")
    )
    if st.button(_("Delete"), type="primary", key="yes-delete"):
        with frame.refusals():
            version_changes.delete(wb, me, version.id)
            st.rerun()
