"""Webhooks: which programs are told of what, and what became of it. For administrators."""

from __future__ import annotations

import streamlit as st

from core import auth
from core.errors import VeritrainError
from core.i18n import gettext as _
from core.notices import outbox, webhooks, words
from core.notices.outbox import Notice
from core.notices.webhooks import Webhook
from pages.widgets import frame
from pages.widgets.runs import when

LIVE_SECONDS = 3.0
LISTED = 50
SECRET = "webhook-secret"

wb, me = frame.open_page(
    role=auth.ADMIN,
    title=_("Webhooks"),
    crumbs=[frame.home(), (_("People"), "users.py", {})],
    help=_(
        "Other programs are told by a signed request when something happens; the README shows how to check it."
    ),
)


def choose_events(key: str, chosen: list[str]) -> list[str]:
    return st.multiselect(
        _("Tell it when"),
        outbox.EVENTS,
        chosen,
        format_func=words.event,
        key=key,
        help=_("Each of these is sent once; a repetition carries the same id."),
    )


@frame.dialog(_("Add a webhook"))
def add() -> None:
    if secret := st.session_state.get(SECRET):
        st.markdown(_("Its secret, with which the receiver checks the signature. It is not shown again:"))
        st.code(secret, language=None, wrap_lines=True)
        if st.button(_("Done"), type="primary", key="secret-seen"):
            del st.session_state[SECRET]
            st.rerun()
        return
    with st.form("add-webhook", border=False):
        url = st.text_input(
            _("Address"), placeholder="https://example.org/hook", help=_("It gets a POST with JSON.")
        )
        events = choose_events("new-events", list(outbox.EVENTS))
        if st.form_submit_button(_("Add"), type="primary"):
            try:
                _made, st.session_state[SECRET] = webhooks.create(wb, me, url, events)
            except VeritrainError as error:
                frame.refuse(error)
            else:
                st.rerun(scope="fragment")


@frame.dialog(_("Change a webhook"))
def change(hook: Webhook) -> None:
    st.text(hook.url)
    with st.form("change-webhook", border=False):
        events = choose_events("events", list(hook.events))
        active = st.toggle(_("Active"), value=hook.active, help=_("Off: it is told nothing, and stays here."))
        if st.form_submit_button(_("Save"), type="primary"):
            with frame.refusals():
                webhooks.change(wb, me, hook.id, events=events, active=active)
                st.rerun()
    if st.button(_("Delete it with its log"), key="delete-webhook"):
        with frame.refusals():
            webhooks.delete(wb, me, hook.id)
            st.rerun()


def one(hook: Webhook) -> None:
    with st.container(border=True, horizontal=True, vertical_alignment="center", key=f"webhook-{hook.id}"):
        with st.container(width="stretch"):
            st.text(frame.shorten(hook.url, 80))  # in Markdown it would be a link, which asks it by a GET
            told = " · ".join(words.event(each) for each in hook.events)
            st.caption(
                (f":gray-badge[{_('off')}] " if not hook.active else "")
                + (_("everything") if hook.events == outbox.EVENTS else told)
            )
        if st.button(
            _("Send a test"),
            key=f"test-{hook.id}",
            disabled=not hook.active,
            help=_("It appears in the log."),
        ):
            with frame.refusals():
                webhooks.send_test(wb, me, hook.id)
        if st.button(_("Change"), key=f"change-{hook.id}"):
            change(hook)


def line(notice: Notice) -> dict[str, object]:
    return {
        _("When (UTC)"): when(notice.created_at),
        _("What"): words.event(notice.event),
        _("State"): words.status(notice.status),
        _("Last answer"): frame.shorten(notice.answer or "–", 60),
        _("Tries"): notice.tries,
        _("Next try (UTC)"): f"{notice.next_at:%H:%M:%S}" if notice.next_at and notice.tries else "–",
        _("To"): frame.shorten(notice.address, 40),
    }


@frame.fragment(run_every=LIVE_SECONDS)
def log() -> None:
    found = outbox.newest(wb, LISTED)
    st.subheader(_("Log"), anchor=False, help=_("Webhooks and e-mails of the last 30 days, newest first."))
    if not found:
        st.caption(_("Nothing was sent yet."))
        return
    st.dataframe([line(notice) for notice in found], hide_index=True, width="stretch", key="log")


if st.button(_("Add a webhook"), type="primary", key="add-webhook-button"):
    st.session_state.pop(SECRET, None)
    add()
hooks = webhooks.every(wb, me)
if not hooks:
    st.info(_("No program is told of anything yet."))
for each in hooks:
    one(each)
log()
