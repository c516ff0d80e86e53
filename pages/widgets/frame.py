"""What every screen has: the check of the session, where you are, who you are, and one way to show a refusal."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import streamlit as st

from core import auth, i18n, themes, workbench
from core.errors import NotFound, VeritrainError
from core.i18n import gettext as _
from core.workbench import Workbench

PAGES = Path(__file__).resolve().parents[1]
PERSON = "person"
"""Where the session keeps whom the screen was last drawn for; rights are always asked of the database."""

DIALOG = "dialog"

Crumb = tuple[str, str, Mapping[str, object]]
"""(what it says as it is, file of the screen, query)."""

_SIGN_OUT = st.components.v2.component(
    "veritrain_sign_out",
    html="""<form method="post" action="/api/auth/sign-out"><button type="submit"></button></form>""",
    css="""
button { width: 100%; font: inherit; font-size: .875rem; color: var(--st-text-color); background: transparent;
  border: 1px solid var(--st-border-color); border-radius: var(--st-button-radius); padding: 6px 12px; cursor: pointer; }
button:hover { border-color: var(--st-primary-color); color: var(--st-primary-color); }
button:focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: 2px; }
""",
    js="""
export default function ({ data, parentElement }) {
  parentElement.querySelector("button").textContent = data.text;
}
""",
)

_LOAD = st.components.v2.component(
    "veritrain_load",
    html="<span></span>",
    js="""
export default function ({ data }) {
  if (window.veritrainLoads === data.url) return;
  window.veritrainLoads = data.url;
  location.assign(data.url);
}
""",
)

_SIGNED_OUT = st.components.v2.component(
    "veritrain_signed_out",
    html="""<p></p><a></a>""",
    css="""
p { margin: 0 0 12px; font: inherit; } a { color: var(--st-primary-color); font-weight: 600; }
""",
    js="""
export default function ({ data, parentElement }) {
  parentElement.querySelector("p").textContent = data.text;
  const link = parentElement.querySelector("a");
  link.textContent = data.link;
  link.href = "/sign-in?next=" + encodeURIComponent(location.pathname + location.search);
}
""",
)


def file(name: str) -> str:
    """The path by which Streamlit knows a screen, for `st.switch_page` and `st.page_link`."""
    return str(PAGES / name)


def link(
    label: str, name: str, query: Mapping[str, object] | None = None, *, help: str | None = None
) -> None:
    """A link to another screen with its query; the label is Markdown, so people's own words are escaped in it."""
    st.page_link(file(name), label=label, query_params=_query(query or {}), help=help)


def go(name: str, **query: object) -> None:
    """Leave for another screen."""
    st.switch_page(file(name), query_params=_query(query))


def load(address: str) -> None:
    """Leave for another screen from a part that draws itself again by a clock.

    A page that such a part switched to stayed blank now and then on a busy machine, perhaps for a tick that was on its
    way. So the browser loads the address anew.
    """
    _LOAD(key="load", data={"url": address})


def signed_in() -> auth.User | None:
    """The person whose session cookie this browser tab carries; asks the database each time."""
    return auth.user_of(workbench.current(), st.context.cookies.get(auth.COOKIE))


def speak(user: auth.User) -> None:
    """Use the person's language, or the browser's where they chose none."""
    i18n.use(user.language or i18n.negotiate(st.context.headers.get("accept-language")))


def signed_out() -> None:
    """What a tab shows whose session has ended elsewhere."""
    _SIGNED_OUT(
        key="signed-out",
        data={
            "text": _("You are signed out, perhaps in another tab. Nothing you saved is lost."),
            "link": _("Sign in again"),
        },
    )


def who_is_here(user: auth.User) -> None:
    """The signed-in person, their account and the way out, at the foot of the menu."""
    roles = {
        auth.VIEWER: _("viewer"),
        auth.LABELER: _("labeler"),
        auth.TRAINER: _("trainer"),
        auth.ADMIN: _("administrator"),
    }
    with st.sidebar, st.container(key="who-is-here"):
        st.markdown(f"**{escape(user.name)}**  \n{roles[user.role]}")
        link(_("Your account"), "account.py")
        _SIGN_OUT(key="sign-out", data={"text": _("Sign out")})


def open_page(
    *, role: str = auth.VIEWER, title: str, crumbs: Sequence[Crumb] = (), help: str | None = None
) -> tuple[Workbench, auth.User]:
    """Start a screen: check the session and role, draw where we are, give the workbench and the person.

    Every rerun comes through here, so a role that was taken away a second ago counts.
    """
    user = signed_in()
    if user is None:
        signed_out()
        st.stop()
    assert user is not None
    if not user.may(role):
        try:
            auth.require(user, role)
        except VeritrainError as error:
            refuse(error)
        st.stop()
    st.session_state[PERSON] = user
    st.session_state[DIALOG] = False
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key="crumbs"):
        for text, name, query in crumbs:
            link(escape(text), name, query)
            st.markdown("/", width="content")
        st.title(escape(title), help=help, anchor=False, width="content")
    return workbench.current(), user


def home() -> Crumb:
    return (_("Themes"), "themes.py", {})


def of_theme(theme: themes.Theme) -> list[Crumb]:
    """Where the screens of one theme hang."""
    return [home(), (theme.name, "theme.py", {"theme": theme.id})]


def fragment(run_every: float | None = None) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A part of a screen that draws itself again when used within, and every `run_every` seconds, checked each time."""
    return lambda draw: st.fragment(_checked(draw), run_every=run_every)


def dialog(
    title: str, *, width: Literal["small", "large"] = "small", on_dismiss: Any = "rerun"
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A window over the screen (`st.dialog`), checked at each press within.

    A part that draws itself again asks `dialog_is_open` first, not to close it.
    """

    def noted(draw: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(draw)
        def run(*arguments: Any) -> None:
            st.session_state[DIALOG] = True
            draw(*arguments)

        return run

    return lambda draw: st.dialog(title, width=width, on_dismiss=on_dismiss)(_checked(noted(draw)))


def dialog_is_open() -> bool:
    """Whether a window was drawn since the last whole run: one more would close it."""
    return bool(st.session_state.get(DIALOG))


def _checked(draw: Callable[..., None]) -> Callable[..., None]:
    """`draw` behind what a whole run does first: the session's check and the person's language.

    A fragment runs alone, in a thread of its own; who was somebody else at the last whole
    run (another role, another tab's sign-in) gets the screen drawn anew.
    """

    @functools.wraps(draw)
    def run(*arguments: Any) -> None:
        user = signed_in()
        if user is None:
            signed_out()
            return
        if user != st.session_state.get(PERSON):
            st.rerun()
        speak(user)
        draw(*arguments)

    return run


def number_from_url(name: str) -> int | None:
    """A whole number of the query (`?theme=3`), or None when it is missing or not one."""
    raw = st.query_params.get(name, "")
    return int(raw) if raw.isdecimal() and len(raw) <= 18 else None


def choice(
    name: str,
    options: Mapping[str, str],
    label: str,
    *,
    default: str | None = None,
    help: str | None = None,
    hide_label: bool = False,
) -> str | None:
    """One of `options` (value to words); the address keeps the value, so that a link works in any language."""
    raw = st.query_params.get(name)
    now = raw if raw in options else default
    chosen = st.segmented_control(
        label,
        list(options),
        default=now,
        required=default is not None,
        format_func=lambda value: options[value],
        key=f"{name}-{now}",
        help=help,
        label_visibility="collapsed" if hide_label else "visible",
    )
    if chosen != now:
        if chosen is None or chosen == default:
            st.query_params.pop(name, None)
        else:
            st.query_params[name] = chosen
        st.rerun()
    return chosen


def theme_from_url(wb: Workbench) -> themes.Theme:
    """The theme of `?theme=3`. Where there is none the screen says so, with a way home, and ends."""
    number = number_from_url("theme")
    try:
        if number is None:
            raise NotFound("This address names no theme; choose one from the list.")
        return themes.get(wb, number)
    except NotFound as error:
        missing(error)
        raise AssertionError("unreachable") from error


def missing(error: VeritrainError) -> None:
    """Say that what the address names is not there, offer the way home, and end the screen."""
    st.title(_("Not found"), anchor=False)
    refuse(error)
    link(_("Back to the themes"), "themes.py")
    st.stop()


def refuse(error: VeritrainError) -> None:
    """One refusal as one banner."""
    st.error(escape(error.text(_)))


@contextmanager
def refusals(*, end: bool = False) -> Iterator[None]:
    """Within: a refusal of core becomes a banner and the screen goes on, or ends there."""
    try:
        yield
    except VeritrainError as error:
        refuse(error)
        if end:
            st.stop()


_SPECIAL = str.maketrans({c: f"\\{c}" for c in "\\`*_{}[]<>()#+-!|~$:"})


def escape(text: str) -> str:
    """People's own words for Markdown: shown as they are, never read as markup."""
    return text.translate(_SPECIAL)


def bullets(lines: Iterable[str]) -> str:
    """A Markdown list of sentences, shown as they are."""
    return "\n".join(f"- {escape(line)}" for line in lines)


def _query(query: Mapping[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in query.items()}


def shorten(text: str, limit: int) -> str:
    """`text` on one line, cut with an ellipsis where it is longer than `limit` characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
