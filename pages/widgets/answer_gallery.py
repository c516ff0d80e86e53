"""Answers of a model as pictures, page by page; whoever may label says what is right, and the theme gets it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import streamlit as st

from core.corrections import Corrected
from core.i18n import gettext as _
from core.i18n import ngettext
from core.labels import Label
from pages.widgets import frame

COLUMNS = 4
TOP = 5
"""Labels named of an answer."""


@dataclass(frozen=True)
class Shown:
    key: str
    """By which a correction finds it again."""
    name: str
    label: str
    confidence: float
    probabilities: dict[str, float]
    picture: bytes | str | None
    """Its bytes, or an address of ours; without one nobody can say what is right."""


@dataclass(frozen=True)
class Answers:
    """Those of one model to one lot of images, wherever they are shown."""

    scope: str
    """Tells what is chosen here from what is chosen for others."""
    labels: Sequence[Label]
    """Of the theme; empty for those who may not label."""

    @property
    def chosen(self) -> dict[str, Label]:
        """What somebody said is right, by key, also of answers on other pages."""
        found: dict[str, Label] = st.session_state.setdefault(f"right-{self.scope}", {})
        return found

    @property
    def _round(self) -> str:
        """Where the session keeps how often corrections were sent: the boxes begin empty after each time."""
        return f"right-round-{self.scope}"

    @property
    def _said(self) -> str:
        return f"right-said-{self.scope}"

    def gallery(self, shown: Sequence[Shown]) -> None:
        for begin in range(0, len(shown), COLUMNS):
            for column, answer in zip(st.columns(COLUMNS), shown[begin : begin + COLUMNS], strict=False):
                with column.container(border=True, height="stretch"):
                    _card(answer)
                    if self.labels and answer.picture is not None:
                        self._right_is(answer)

    def _right_is(self, answer: Shown) -> None:
        key = f"right-{self.scope}-{st.session_state.get(self._round, 0)}-{answer.key}"
        now = self.chosen.get(answer.key)
        st.selectbox(
            _("Right is"),
            self.labels,
            index=self.labels.index(now) if now in self.labels else None,
            format_func=lambda label: label.name,
            placeholder="–",
            key=key,
            on_change=self._choose,
            args=(answer.key, key),
            help=_("Choose only where the model is wrong, or to confirm that it is right."),
        )

    def _choose(self, answer: str, key: str) -> None:
        st.session_state.pop(self._said, None)
        if label := st.session_state[key]:
            self.chosen[answer] = label
        else:
            self.chosen.pop(answer, None)

    def send(self, add: Callable[[dict[str, Label]], Corrected]) -> None:
        """The button that sends what was chosen, on this page and on others, with `add`."""
        if not self.labels:
            return
        n = len(self.chosen)
        if st.button(
            ngettext("Add {n} image to the theme", "Add {n} images to the theme", n).format(n=n),
            type="primary",
            key=f"add-corrections-{self.scope}",
            disabled=not n,
            help=_("With the label that you chose below; the next training learns from them."),
        ):
            with frame.refusals():
                done = add(self.chosen)
                st.session_state[self._said] = done
                self.chosen.clear()
                st.session_state[self._round] = st.session_state.get(self._round, 0) + 1
                st.rerun()
        if self._said in st.session_state:
            _told(st.session_state[self._said])


def _card(answer: Shown) -> None:
    if isinstance(answer.picture, str):
        st.html(
            f'<img src="{escape(answer.picture)}" alt="{escape(answer.name)}" loading="lazy" '
            'style="width:100%;aspect-ratio:4/3;object-fit:contain;border-radius:4px">'
        )
    elif answer.picture is not None:
        st.image(answer.picture, width="stretch")
    st.markdown(f"**{frame.escape(answer.label)}**")
    st.progress(answer.confidence, text=f"{answer.confidence * 100:.1f} %")
    others = sorted(answer.probabilities.items(), key=lambda each: -each[1])[1:TOP]
    st.caption(" · ".join(f"{frame.escape(label)}: {p * 100:.1f} %" for label, p in others))
    st.caption(frame.escape(frame.shorten(answer.name, 60)))


def _told(done: Corrected) -> None:
    """What became of the images that were sent."""
    added, labelled = done.upload.added, done.labelled
    said = ngettext(
        "{added} image added, {labelled} labelled.", "{added} images added, {labelled} labelled.", added
    ).format(added=added, labelled=labelled)
    if done.upload.duplicates:
        said += " " + _("Already there: {n}.").format(n=done.upload.duplicates)
    st.success(said)
    for refusal in done.upload.refused:
        st.warning(frame.escape(refusal.reason))


def place(key: str, total: int, size: int) -> int:
    """Buttons from page to page where there are more answers than `size`; returns which is the first one shown."""
    first: int = st.session_state.get(key, 0)
    first = first if first < total else 0
    if total <= size:
        return 0

    def turn(to: int) -> None:
        st.session_state[key] = to

    with st.container(horizontal=True, vertical_alignment="center", key=f"pages-{key}"):
        st.button(
            _("Previous"),
            key=f"previous-{key}",
            disabled=not first,
            on_click=turn,
            args=(max(0, first - size),),
        )
        st.button(
            _("Next"),
            key=f"next-{key}",
            disabled=first + size >= total,
            on_click=turn,
            args=(first + size,),
        )
        text = _("{first} to {last} of {total} answers")
        st.caption(
            text.format(first=f"{first + 1:,}", last=f"{min(first + size, total):,}", total=f"{total:,}"),
            width="content",
        )
    return first
