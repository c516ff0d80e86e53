"""One theme: its images in the grid, adding more, its labels, and the split."""

from __future__ import annotations

import streamlit as st

from core import auth, image_filter, images, registry, splits, teamwork, themes, transfer, workbench
from core.i18n import gettext as _
from core.i18n import ngettext
from core.labels import Label
from core.signatures import VISION
from pages.widgets import frame, grid, steps, upload

theme = frame.theme_from_url(workbench.current())
wb, me = frame.open_page(title=theme.name, crumbs=[frame.home()], help=theme.description or None)
may_edit = me.may(auth.TRAINER)
may_label = me.may(auth.LABELER)
STAMP = f"stamp-{theme.id}"  # only tells the grid to load again; what is there is in the database
ADDING = f"add-images-{theme.id}"
FOLD = f"fold-{theme.id}"  # the images came and nothing was wrong with them: make room for the grid
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
                if report.torn or report.held:
                    st.caption(
                        _(
                            "{n} images were left out, for they belong with images of two sides or of the frozen "
                            "test set; see Quality."
                        ).format(n=report.torn + report.held)
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


counts = images.statistics(wb, theme.id)
step = steps.draw(wb, me, theme, "label")
shown = counts
day = st.query_params.get("at", "")
if day:
    may_edit = may_label = False
    with frame.refusals():
        if moment := image_filter.from_query(st.query_params.to_dict()).moment:
            shown = teamwork.statistics_as_of(wb, theme.id, moment)
            st.info(
                _(
                    "You see the images and labels as they were at the end of {day} (UTC). Nothing can be "
                    "changed here."
                ).format(day=day)
            )
            frame.link(_("Back to today"), "theme.py", {"theme": theme.id})
if added := st.session_state.pop(FOLD, 0):
    st.session_state[ADDING] = False
    st.toast(ngettext("{n} image added.", "{n} images added.", added).format(n=f"{added:,}"))
st.session_state.setdefault(ADDING, counts.total == 0)
with st.container(horizontal=True, gap="small", key="theme-actions"):
    adding = may_label and st.toggle(
        _("Add images"),
        key=ADDING,
        help=_("Show or hide the place to drop images on."),
    )
    if may_edit:
        # The button that the next step asks for stands out.
        if st.button(
            _("Labels"),
            key="labels",
            type="primary" if step == 2 and len(theme.labels) < 2 else "secondary",
            help=_("Add, rename, recolour or remove labels."),
        ):
            edit_labels()
        if st.button(
            _("Split"),
            key="split-button",
            type="primary" if step == 3 else "secondary",
            help=_("Deal labelled images into train, valid and test."),
        ):
            split_images()
    with st.popover(_("Counts"), help=_("Images by label and split.")):
        counts_table(counts)
if adding and (uploaded := upload.draw(theme, me)):
    reload_grid()
    if uploaded.clean:
        st.session_state[FOLD] = uploaded.added
    st.rerun()
grid.draw(
    theme,
    me,
    shown,
    st.session_state.get(STAMP, 0),
    people=auth.list_users(wb),
    imports=[{"id": each.id, "name": each.source} for each in transfer.history(wb, theme.id)],
    has_model=registry.newest(wb, theme.id, kind=VISION) is not None,
    day=day,
)
