"""Fixes of many images by one press, each shown before it is done: one side, one label, the best of each."""

from __future__ import annotations

from collections import Counter

import streamlit as st

from core import auth, images
from core.i18n import gettext as _
from core.i18n import ngettext
from core.quality import kinds, repair
from core.themes import Theme
from core.workbench import Workbench
from pages.widgets import frame
from pages.widgets.pictures import thumbnails

SHOWN = 8
"""Examples of a finding."""
OPEN_GROUPS = 6
"""Groups without a likelier label that are shown at once."""


@frame.dialog(_("Put look-alikes on one side"), on_dismiss="rerun")
def one_side(wb: Workbench, me: auth.User, theme: Theme) -> None:
    moves = repair.moves(wb, theme.id)
    if not moves:
        st.success(_("Nothing lies on both sides any more."))
        return
    sides = {"train": _("train"), "valid": _("valid"), "test": _("test")}
    went = Counter(sides.get(move.new or "", _("left out")) for move in moves)
    st.markdown(
        ngettext(
            "{n} image would move to the side of its look-alikes or group ({where}).",
            "{n} images would move to the side of their look-alikes or group ({where}).",
            len(moves),
        ).format(n=f"{len(moves):,}", where=", ".join(f"{side}: {n:,}" for side, n in went.most_common()))
        + " "
        + _(
            "The test set never loses an image, so marks stay comparable; once it is frozen, what belongs with its "
            "images is left out."
        )
    )
    shown = images.rows(wb, theme.id, [move.image_id for move in moves[:SHOWN]])
    by_id = {move.image_id: move for move in moves}
    thumbnails(
        shown,
        {
            i.id: f"{sides[by_id[i.id].old]} → {sides.get(by_id[i.id].new or '', _('left out'))}"
            for i in shown
        },
    )
    say = ngettext("Move {n} image", "Move {n} images", len(moves)).format(n=f"{len(moves):,}")
    if st.button(say, type="primary", key="yes-one-side"):
        with frame.refusals():
            repair.one_side(wb, me, theme.id)
            st.rerun()


@frame.dialog(_("Keep the best of each group"), on_dismiss="rerun")
def keep_best(wb: Workbench, me: auth.User, theme: Theme) -> None:
    clusters = repair.copies(wb, theme.id)
    if not clusters:
        st.success(
            _("No copies are left that could be removed. Groups with different labels are yours to settle.")
        )
        return
    gone = sum(len(each.rest) for each in clusters)
    st.markdown(
        _(
            "Of {groups} groups the largest and sharpest image stays; {n} copies are removed. Models trained before "
            "keep their record of them."
        ).format(groups=len(clusters), n=gone)
    )
    for each in clusters[:4]:
        shown = images.rows(wb, theme.id, [each.best, *each.rest[: SHOWN - 1]])
        thumbnails(shown, {i.id: _("stays") if i.id == each.best else _("goes") for i in shown})
    say = ngettext("Remove {n} copy", "Remove {n} copies", gone).format(n=f"{gone:,}")
    if st.button(say, type="primary", key="yes-keep-best"):
        with frame.refusals():
            repair.keep_best(wb, me, theme.id)
            st.rerun()


@frame.dialog(_("Remove these images"), on_dismiss="rerun")
def remove(wb: Workbench, me: auth.User, theme: Theme, kind: str) -> None:
    ids = repair.removable(wb, theme.id, kind)
    if not ids:
        st.info(_("None are left but those of the frozen test set, which stay until it is frozen anew."))
        return
    st.markdown(
        kinds.meaning(kind)
        + " "
        + _("Models trained before keep their record of them; what is in the frozen test set stays.")
    )
    thumbnails(images.rows(wb, theme.id, ids[: 3 * SHOWN]), {})
    if len(ids) > 3 * SHOWN:
        st.caption(_("… and {n} more.").format(n=f"{len(ids) - 3 * SHOWN:,}"))
    say = ngettext("Remove {n} image", "Remove {n} images", len(ids)).format(n=f"{len(ids):,}")
    if st.button(say, type="primary", key="yes-remove"):
        with frame.refusals():
            repair.remove(wb, me, theme.id, kind)
            st.rerun()


@frame.dialog(_("Give each group one label"), on_dismiss="rerun")
def one_label(wb: Workbench, me: auth.User, theme: Theme) -> None:
    names = {label.id: frame.shorten(label.name, 14) for label in theme.labels}
    found = repair.groups(wb, theme.id)
    told = [group for group in found if group.likelier is not None]
    open_groups = [group for group in found if group.likelier is None]
    if not found:
        st.success(_("All look-alikes have one label now."))
        return
    if told:
        pictures = images.rows(wb, theme.id, [image_id for group in told[:4] for image_id in group.images])
        to = {image_id: group.likelier for group in told for image_id in group.images}
        changed = sum(label != group.likelier for group in told for label in group.images.values())
        st.markdown(
            _(
                "In {n} groups one label is likelier: most of the images have it, or the check takes the others for it. "
                "{images} images would get it."
            ).format(n=f"{len(told):,}", images=f"{changed:,}")
        )
        thumbnails(
            pictures,
            {
                image.id: names.get(image.label_id or 0, "–")
                if image.label_id == to[image.id]
                else f"{names.get(image.label_id or 0, '–')} → {names.get(to[image.id] or 0, '–')}"
                for image in pictures
            },
        )
        say = ngettext("Label {n} image", "Label {n} images", changed).format(n=f"{changed:,}")
        if st.button(say, type="primary", key="yes-one-label"):
            with frame.refusals():
                repair.one_label(wb, me, theme.id)
                st.rerun(scope="fragment")
    if open_groups:
        st.markdown(
            ngettext(
                "{n} group is yours to settle:", "{n} groups are yours to settle:", len(open_groups)
            ).format(n=f"{len(open_groups):,}")
        )
    for group in open_groups[:OPEN_GROUPS]:
        first = min(group.images)
        with st.container(border=True, key=f"group-{first}"):
            shown = images.rows(wb, theme.id, sorted(group.images)[:SHOWN])
            thumbnails(shown, {image.id: names.get(image.label_id or 0, "–") for image in shown}, side=96)
            with st.container(horizontal=True, gap="small"):
                for label_id in group.labels:
                    if st.button(
                        _("All are “{label}”").format(label=names.get(label_id, "–")),
                        key=f"settle-{first}-{label_id}",
                        help=_("Gives every image of this group that label."),
                    ):
                        with frame.refusals():
                            repair.one_label(wb, me, theme.id, {first: label_id})
                            st.rerun(scope="fragment")
