"""One theme: its images in the grid, adding more, its labels, and the split."""

from __future__ import annotations

import streamlit as st

from core import auth, images, splits, themes, workbench
from core.i18n import gettext as _
from core.labels import Label
from pages.widgets import frame, grid, steps, upload

theme = frame.theme_from_url(workbench.current())
wb, me = frame.open_page(title=theme.name, crumbs=[frame.home()], help=theme.description or None)
may_edit = me.may(auth.TRAINER)
may_label = me.may(auth.LABELER)
STAMP = f"stamp-{theme.id}"  # only tells the grid to load again; what is there is in the database
SPLIT_NAMES = {"train": _("Train"), "valid": _("Valid"), "test": _("Test")}


def reload_grid() -> None:
    st.session_state[STAMP] = st.session_state.get(STAMP, 0) + 1


@frame.dialog(_("Labels"), on_dismiss="rerun")
def edit_labels() -> None:
    current = themes.get(wb, theme.id)
    with (
        st.form("add-label", border=False, clear_on_submit=True),
        st.container(horizontal=True, vertical_alignment="bottom"),
    ):
        name = st.text_input(_("New label"), max_chars=100, help=_("One of the answers the model may give."))
        if st.form_submit_button(_("Add"), type="primary"):
            with frame.refusals():
                themes.add_label(wb, me, theme.id, name=name)
                st.rerun(scope="fragment")
    if not current.labels:
        st.caption(_("No labels yet. A model needs at least two to tell apart."))
    for label in current.labels:
        one_label(label)


def one_label(label: Label) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key=f"label-{label.id}"):
        color = st.color_picker(
            _("Colour of {name}").format(name=label.name),
            label.color,
            key=f"color-{label.id}",
            label_visibility="collapsed",
            help=_("Colour of the label on the images."),
        )
        name = st.text_input(
            _("Name"), label.name, key=f"name-{label.id}", max_chars=100, label_visibility="collapsed"
        )
        with frame.refusals():
            if name.strip() != label.name:
                themes.update_label(wb, me, theme.id, label.id, name=name)
            if color.lower() != label.color.lower():
                themes.update_label(wb, me, theme.id, label.id, color=color)
        if st.button(
            _("Remove"),
            key=f"remove-{label.id}",
            help=_("Its images become unlabelled; trained models keep their record."),
        ):
            with frame.refusals():
                themes.delete_label(wb, me, theme.id, label.id)
                st.rerun(scope="fragment")


@frame.dialog(_("Split the images"), on_dismiss="rerun")
def split_images() -> None:
    st.markdown(
        _(
            "The model learns from **train**, **valid** tells when it is good, and **test** is kept for the "
            "final mark. Images that have a split keep it for ever; only new labelled ones are dealt. "
            "Where your folders brought no valid images, they are taken from train, once."
        )
    )
    with st.form("split", border=False):
        columns = st.columns(3)
        shares = [
            column.number_input(
                _("{split} (%)").format(split=SPLIT_NAMES[split]),
                0.0,
                100.0,
                round(ratio * 100, 2),
                step=5.0,
                format="%g",
                key=f"ratio-{split}",
                help=_("Share of the labelled images, in percent. The three add up to 100."),
            )
            for column, split, ratio in zip(columns, images.SPLITS, splits.RATIOS, strict=True)
        ]
        seed = st.number_input(
            _("Seed"),
            0,
            splits.MAX_SEED,
            splits.SEED,
            help=_("The number chance is derived from: the same seed deals the same way."),
        )
        if st.form_submit_button(_("Split now"), type="primary"):
            with frame.refusals():
                report = splits.split(
                    wb, me, theme.id, ratios=[share / 100 for share in shares], seed=int(seed)
                )
                reload_grid()
                st.success(
                    _(
                        "Dealt now: {train} train, {valid} valid, {test} test. {kept} kept their split."
                    ).format(**report.dealt, kept=report.kept)
                )
                if report.unlabelled:
                    st.caption(_("{n} images have no label yet and wait.").format(n=report.unlabelled))


def counts_table(counts: images.Statistics) -> None:
    rows = []
    for label in theme.labels:
        of = counts.by_label_split.get(label.id, {})
        rows.append(
            {
                _("Label"): label.name,
                **{SPLIT_NAMES[split]: of.get(split, 0) for split in images.SPLITS},
                _("No split"): of.get(None, 0),
                _("Total"): counts.by_label.get(label.id, 0),
            }
        )
    st.dataframe(rows, hide_index=True, width="stretch", key="counts")


steps.draw(wb, theme, "label")
with st.container(horizontal=True, gap="small", key="theme-actions"):
    if may_edit:
        if st.button(_("Labels"), key="labels", help=_("Add, rename, recolour or remove labels.")):
            edit_labels()
        if st.button(
            _("Split"), key="split-button", help=_("Deal labelled images into train, valid and test.")
        ):
            split_images()
    with st.popover(_("Counts"), help=_("Images by label and split.")):
        counts_table(images.statistics(wb, theme.id))
counts = images.statistics(wb, theme.id)
if may_label:
    with st.expander(_("Add images"), expanded=counts.total == 0, key="add-images"):
        if upload.draw(theme, me):
            reload_grid()
            st.rerun()
grid.draw(theme, me, counts, st.session_state.get(STAMP, 0))
