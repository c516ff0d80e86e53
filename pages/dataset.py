"""One text dataset: is it fit to learn from, what is in it, and how it came about."""

from __future__ import annotations

import streamlit as st

from core import auth, splits, workbench
from core.datasets import access, exports, split_jobs, splitting, store, uploads
from core.datasets import names as naming
from core.errors import NotFound
from core.i18n import gettext as _
from core.i18n import ngettext
from core.texts.formats import OUTPUTS
from core.texts.rowfile import SPLITS
from core.texts.writing import FILE_FORMATS
from pages.widgets import frame, text_figures, text_quality, text_rows, text_upload, text_versions

try:
    number = frame.number_from_url("dataset")
    if number is None:
        raise NotFound("This address names no text dataset; choose one from the list.")
    dataset = store.get(workbench.current(), number)
    version = store.version(workbench.current(), number, frame.number_from_url("version"))
except NotFound as error:
    frame.missing(error)
    raise AssertionError("unreachable") from error

wb, me = frame.open_page(title=dataset.name, crumbs=[(_("Texts"), "datasets.py", {})])
may_edit = me.may(auth.LABELER)
newest = version.number == dataset.newest.number
PARTS = {
    "quality": _("Quality"),
    "rows": _("Rows"),
    "figures": _("Lengths"),
    "versions": _("Versions"),
}


@frame.dialog(_("Add rows"), width="large")
def add_rows() -> None:
    chosen = text_upload.choose(wb, key="more-texts", shape=dataset.shape)
    st.caption(_("Rows that are here keep their place and their split; the new ones make another version."))
    if chosen and st.button(_("Add the rows"), type="primary", key="yes-add-rows"):
        with frame.refusals(), st.spinner(_("Reading the rows …")):
            chosen.file.seek(0)
            uploads.append(wb, me, dataset.id, chosen.file, chosen.file.name, chosen.columns)
            text_upload.check(wb, me, dataset.id)
            frame.go("dataset.py", dataset=dataset.id)


@frame.dialog(_("Split"))
def split() -> None:
    waiting = dataset.newest.splits.get("", 0)
    if not waiting:
        st.markdown(_("Every row has its split. New rows can be dealt when they come."))
        return
    st.markdown(
        ngettext(
            "One row is dealt to training, validation and test; rows that were dealt before stay where they are.",
            "{n} rows are dealt to training, validation and test; rows that were dealt before stay where they are.",
            waiting,
        ).format(n=f"{waiting:,}")
        + " "
        + _(
            "Copies, and rows that ask the same, go to one side, so that nothing is tested that was learnt by heart."
        )
    )
    names = text_rows.splits()
    with st.form("split-rows", border=False):
        shares = [
            place.number_input(
                f"{names[name]} (%)", 0, 100, round(100 * share), key=f"share-{name}", help=_("Of the rows.")
            )
            for place, name, share in zip(st.columns(3), SPLITS, splits.RATIOS, strict=True)
        ]
        seed = st.number_input(
            _("Seed"),
            0,
            splits.MAX_SEED,
            splits.SEED,
            help=_("The same number deals the same rows the same way."),
        )
        if st.form_submit_button(_("Split"), type="primary"):
            with frame.refusals():
                ratios = [share / 100 for share in shares]
                if splitting.takes_long(dataset.newest):
                    split_jobs.start(wb, me, dataset.id, ratios=ratios, seed=seed)
                    st.rerun()
                done = splitting.split(wb, me, dataset.id, ratios=ratios, seed=seed)
                text_upload.check(wb, me, dataset.id)
                if not done.torn:
                    frame.go("dataset.py", dataset=dataset.id, part="rows")
                left_out(done.torn)


def left_out(torn: int) -> None:
    """Rows that a split could not deal."""
    st.warning(
        ngettext(
            "One row was left out: what belongs with it lies on two sides already. Repair the leak first.",
            "{n} rows were left out: what belongs with them lies on two sides already. Repair the leaks "
            "first.",
            torn,
        ).format(n=f"{torn:,}")
    )


@frame.fragment(run_every=2)
def splitting_now() -> None:
    """The split of a large dataset, which runs as a job."""
    state = split_jobs.state(wb, dataset.id)
    ended = st.session_state.get("was-splitting") == dataset.id and not state.running
    if state.running:
        st.session_state["was-splitting"] = dataset.id
        with st.container(horizontal=True, vertical_alignment="center", key="split-bar"):
            st.progress(state.progress, text=_("The rows are being split …"))
            if may_edit and st.button(
                _("Stop"), key="stop-split", help=_("No row is dealt then; split again whenever you like.")
            ):
                with frame.refusals():
                    split_jobs.cancel(wb, me, dataset.id)
        return
    if ended and not frame.dialog_is_open():
        del st.session_state["was-splitting"]
        if state.version_id is not None:
            text_upload.check(wb, me, dataset.id)
        st.rerun()
    if state.error:
        st.warning(frame.escape(f"{state.error['message']} {state.error['next_step']}"))
    elif state.torn and state.version_id == dataset.newest.id:
        left_out(state.torn)


@frame.dialog(_("Download"))
def download() -> None:
    shapes = {
        "alpaca": _("Alpaca (instruction, input, output)"),
        "sharegpt": _("ShareGPT (conversations)"),
        "messages": _("Messages (role, content)"),
        "parallel": _("Source and target"),
    }
    own = {"chat": "messages"}.get(dataset.shape, dataset.shape)
    left, right = st.columns(2)
    shape = left.selectbox(
        _("Shape"), OUTPUTS, OUTPUTS.index(own), format_func=shapes.__getitem__, key="as-shape",
        help=_("How a row is written; training programs ask for one of these."),
    )  # fmt: skip
    file_format = right.selectbox(
        _("File"),
        FILE_FORMATS,
        key="as-file",
        format_func=str.upper,
        help=_("JSON Lines suits most programs."),
    )
    names = text_rows.splits()
    part = left.selectbox(
        _("Rows"), ["", *SPLITS], key="as-split", format_func=lambda name: names[name] if name else _("all"),
        help=_("All, or one split."),
    )  # fmt: skip
    if st.button(_("Prepare the file"), key="prepare-file"):
        with frame.refusals(), st.spinner(_("Writing the rows …")):
            made = exports.export(
                wb,
                me,
                dataset.id,
                shape=shape,
                file_format=file_format,
                number=version.number,
                split=part or None,
            )
            if made.report.broken_total:
                st.warning(
                    ngettext(
                        "One row is left out, since it cannot have this shape.",
                        "{n} rows are left out, since they cannot have this shape.",
                        made.report.broken_total,
                    ).format(n=f"{made.report.broken_total:,}")
                )
            with made.file as file:
                st.download_button(
                    _("Download {name}").format(name=frame.shorten(made.name, 48)),
                    file.read(),
                    made.name,
                    made.media_type,
                    type="primary",
                    on_click="ignore",
                    key="download-file",
                )


@frame.dialog(_("Name and description"))
def rename() -> None:
    with st.form("rename-dataset", border=False):
        name = st.text_input(
            _("Name"), dataset.name, max_chars=naming.MAX_NAME, help=_("What the dataset is called here.")
        )
        description = st.text_area(
            _("Description"),
            dataset.description,
            help=_("Where the texts come from and what for. May stay empty."),
        )
        if st.form_submit_button(_("Save"), type="primary"):
            with frame.refusals():
                store.rename(wb, me, dataset.id, name=name, description=description)
                st.rerun()


def head() -> None:
    counts = version.splits
    names = text_rows.splits()
    parts = [f"{names[name]} {counts[name]:,}" for name in SPLITS if counts.get(name)]
    if counts.get(""):
        parts.append(_("{n} without a split").format(n=f"{counts['']:,}"))
    rows = ngettext("one row", "{n} rows", version.row_count).format(n=f"{version.row_count:,}")
    with st.container(horizontal=True, vertical_alignment="center", key="dataset-head"):
        shape = text_upload.shapes()[dataset.shape]
        which = _("version {n}").format(n=version.number)
        st.caption(" · ".join([shape, rows, which, *parts]), width="stretch")
        if may_edit and newest:
            if st.button(_("Add rows"), key="add-rows", help=_("From another file of the same kind.")):
                add_rows()
            if st.button(
                _("Split"),
                key="split-dataset",
                help=_("Into training, validation and test."),
                disabled=split_jobs.state(wb, dataset.id).running,
            ):
                split()
        text_quality.report(dataset, version)
        if may_edit:
            if st.button(
                _("Download"), key="download", help=_("In the shape that a training program reads.")
            ):
                download()
            if st.button(_("Rename"), key="rename", type="tertiary", help=_("Name and description.")):
                rename()
    if dataset.description:
        st.caption(frame.escape(dataset.description))
    if not newest:
        with st.container(horizontal=True, vertical_alignment="center", key="older-version"):
            st.info(_("This is version {n}; it stays as it was.").format(n=version.number))
            frame.link(_("To the newest version"), "dataset.py", {"dataset": dataset.id})


head()
if newest:
    splitting_now()
part = frame.choice("part", PARTS, _("Part"), default="quality", hide_label=True)
if part != "versions":
    with frame.refusals(end=True):
        access.readable(wb, me, dataset.id, version.number)
if part == "rows":
    text_rows.draw(wb, me, dataset, version)
elif part == "figures":
    text_figures.draw(wb, dataset, version)
elif part == "versions":
    text_versions.draw(wb, me, dataset)
else:
    text_quality.draw(wb, me, dataset, version)
