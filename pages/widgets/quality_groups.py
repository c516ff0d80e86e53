"""Which images belong together, read from their file names: chosen, seen before it is saved."""

from __future__ import annotations

import streamlit as st

from core import auth
from core.errors import VeritrainError
from core.i18n import gettext as _
from core.i18n import ngettext
from core.quality import findings, groups
from core.themes import Theme
from core.workbench import Workbench
from pages.widgets import frame

NONE, OWN = "", "own"
MANY = 0.2
"""Share of the images in one group from which on the pattern probably takes too much."""


def _patterns() -> dict[str, str]:
    """Patterns that fit the names people give, and what each is called."""
    return {
        NONE: _("No groups from file names"),
        r"([^/]*)[_-][^/_-]*$": _("What stands before the last _ or - (product-7_03.jpg: product-7)"),
        r"(?:^|/)([^/_-]+)[_-][^/]*$": _("What stands before the first _ or - (anna_left_03.jpg: anna)"),
        r"^[^/0-9]*(?:/[^/0-9]*)*?([0-9]+)[^/]*$": _("The first number (cam12-front.jpg: 12)"),
        r"(?:^|/)([^/]+)/[^/]*$": _("The folder the file lay in (patient4/01.jpg: patient4)"),
        OWN: _("My own pattern (a regular expression)"),
    }


def draw(wb: Workbench, me: auth.User, theme: Theme) -> None:
    """What is read now, and the button that opens the choice."""
    pattern = findings.rules(wb, theme.id).group_pattern
    named = _patterns().get(pattern, pattern)
    st.markdown(
        _(
            "Several pictures of one thing (a product, a patient, a camera) must not be learnt from and tested "
            "with. Say how the file name tells which belong together: each group then falls into one split."
        )
    )
    st.caption(
        _("Now: {pattern}. Groups from an import's column “group” always count.").format(
            pattern=frame.escape(named)
        )
    )
    if me.may(auth.TRAINER) and st.button(
        _("Choose groups"), key="choose-groups", help=_("Shows the groups before anything is saved.")
    ):
        _ask(wb, me, theme, pattern)


@frame.dialog(_("Images that belong together"), on_dismiss="rerun")
def _ask(wb: Workbench, me: auth.User, theme: Theme, now: str) -> None:
    names = _patterns()
    choice = st.selectbox(
        _("The group is"),
        list(names),
        index=list(names).index(now if now in names else OWN),
        format_func=names.__getitem__,
        key="group-choice",
        help=_("What the file name says of the thing in the picture."),
    )
    pattern = choice
    if choice == OWN:
        pattern = st.text_input(
            _("Pattern"),
            now,
            key="group-pattern",
            placeholder=r"patient(\d+)",
            help=_("A regular expression with one pair of round brackets, around what names the group."),
        )
    try:
        found = groups.preview(wb, theme.id, pattern)
    except VeritrainError as error:
        st.error(frame.escape(error.text(_)))
        return
    _preview(found, pattern)
    if st.button(_("Use these groups"), type="primary", key="save-groups", disabled=pattern == now):
        with frame.refusals():
            findings.set_rules(wb, me, theme.id, {"group_pattern": pattern})
            st.rerun()


def _preview(found: groups.Preview, pattern: str) -> None:
    if pattern:
        text = ngettext(
            "One group holds {n} of {all} images.", "{groups} groups hold {n} of {all} images.", found.groups
        )
        st.markdown(
            f"**{text.format(groups=f'{found.groups:,}', n=f'{found.grouped:,}', all=f'{found.images:,}')}**"
        )
    if found.given:
        st.caption(_("{n} images keep the group that an import brought.").format(n=f"{found.given:,}"))
    if not found.groups:
        return
    largest = found.largest[0]
    if largest.images > MANY * found.images:
        st.warning(
            _(
                "The largest group has {n} images, a large part of all. Look whether these really show one thing: "
                "a group falls into one split as a whole."
            ).format(n=f"{largest.images:,}")
        )
    if found.torn:
        st.info(
            ngettext(
                "One group lies in more than one split now. It becomes a finding with a repair.",
                "{n} groups lie in more than one split now. They become findings with a repair.",
                found.torn,
            ).format(n=f"{found.torn:,}")
        )
    st.dataframe(
        [
            {
                _("Group"): each.name,
                _("Images"): each.images,
                _("For example"): ", ".join(each.file_names),
            }
            for each in found.largest
        ],
        hide_index=True,
        key="group-examples",
    )
    if found.alone:
        examples = ", ".join(frame.shorten(name, 40) for name in found.alone)
        st.caption(_("In no group, for example: {names}").format(names=frame.escape(examples)))
