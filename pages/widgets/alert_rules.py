"""Alerts on the monitoring screen: what fires, the rules, and the form that makes one."""

from __future__ import annotations

from typing import Any

import streamlit as st

from core import auth
from core.alerts import alerts, words
from core.alerts import rule as rules
from core.alerts.alerts import Alert
from core.i18n import gettext as _
from core.i18n import ngettext
from core.notices import outbox
from core.serving import Deployment
from core.workbench import Workbench
from pages.widgets import frame
from pages.widgets.runs import when

LIVE_SECONDS = 5.0
DEFAULTS = {
    rules.ERRORS: 5.0,
    rules.P95: 1_000.0,
    rules.REQUESTS: 1.0,
    rules.CONFIDENCE: 70.0,
    rules.SHARE: 50.0,
    rules.DRIFT: 0.25,
}
"""Limits to begin with, in the unit that the form shows."""
BELOW = frozenset({rules.REQUESTS, rules.CONFIDENCE})
"""Figures of which too little is the trouble."""


def draw(wb: Workbench, me: auth.User, chosen: list[Deployment], theme_id: int | None) -> None:
    """The section of the monitoring screen; a new rule is for the one deployment that is chosen, or its model."""
    may = me.may(auth.TRAINER)
    one = chosen[0] if len(chosen) == 1 else None

    @frame.dialog(_("Alert"))
    def edit(alert: Alert | None) -> None:
        _form(wb, me, alert, one, chosen)

    with st.container(horizontal=True, vertical_alignment="center", key="alerts-head"):
        st.subheader(
            _("Alerts"), anchor=False, help=_("Each rule is looked at four times a minute."), width="stretch"
        )
        if may and st.button(_("Add a rule"), key="add-alert"):
            edit(None)
    found = alerts.every(wb, theme_id, one.id if one else None)
    if not found:
        st.caption(_("There is no rule yet, so nobody is told when something goes wrong."))
    for alert in found:
        _line(wb, me, alert, may, edit)

    @frame.fragment(run_every=LIVE_SECONDS)
    def changes() -> None:
        """The screen anew when an alert begins or ends; a window that is open is not closed for it."""
        now = [(each.id, each.firing) for each in alerts.every(wb, theme_id, one.id if one else None)]
        if now != [(each.id, each.firing) for each in found] and not frame.dialog_is_open():
            st.rerun()

    changes()


def badge(wb: Workbench, theme_id: int | None) -> str:
    """How many alerts fire, as a Markdown badge; "" where none does."""
    n = sum(alert.firing for alert in alerts.every(wb, theme_id))
    return f":red-badge[{ngettext('{n} alert', '{n} alerts', n).format(n=n)}]" if n else ""


def _line(wb: Workbench, me: auth.User, alert: Alert, may: bool, edit: Any) -> None:
    with st.container(
        border=True, horizontal=True, vertical_alignment="center", gap="small", key=f"alert-{alert.id}"
    ):
        if not alert.active:
            state = f":gray-badge[{_('off')}]"
        elif alert.firing:
            state = f":red-badge[{_('alert')}]"
        else:
            state = f":green-badge[{_('fine')}]"
        with st.container(width="stretch"):
            st.markdown(f"{state} **{frame.escape(words.sentence(alert.rule))}**")
            about = (
                _("{theme}, whatever serves it").format(theme=alert.theme_name)
                if alert.deployment_id is None
                else _("{theme}, deployment {n}").format(theme=alert.theme_name, n=alert.deployment_id)
            )
            st.caption(
                frame.escape(
                    _("{about} · now {value} · since {when}").format(
                        about=frame.shorten(about, 60),
                        value=words.value(alert.rule, alert.value),
                        when=when(alert.state.since),
                    )
                )
            )
            if alert.rule.emails and (trouble := outbox.undelivered(wb, alert.rule.emails)) is not None:
                st.caption(
                    ":red-badge["
                    + _("e-mail not delivered")
                    + "] "
                    + frame.escape(frame.shorten(f"{trouble.address}: {trouble.answer}", 120))
                )
        if not may:
            return
        if st.button("", icon=":material/edit:", key=f"edit-{alert.id}", help=_("Change this rule")):
            edit(alert)
        if st.button(
            "",
            icon=":material/notifications_off:" if alert.active else ":material/notifications:",
            key=f"switch-{alert.id}",
            help=_("Switch it off") if alert.active else _("Switch it on"),
        ):
            with frame.refusals():
                alerts.change(wb, me, alert.id, active=not alert.active)
                st.rerun()
        if st.button("", icon=":material/delete:", key=f"delete-{alert.id}", help=_("Delete this rule")):
            with frame.refusals():
                alerts.delete(wb, me, alert.id)
                st.rerun()


def _form(
    wb: Workbench, me: auth.User, alert: Alert | None, one: Deployment | None, chosen: list[Deployment]
) -> None:
    rule = alert.rule if alert else None
    names = {name: words.metric(name) for name in rules.METRICS}
    metric = st.selectbox(
        _("Figure"),
        list(names),
        list(names).index(rule.metric) if rule else 0,
        format_func=lambda name: names[name],
        key="alert-metric",
        help=_("What is looked at."),
    )
    label = None
    if metric == rules.SHARE:
        labels = sorted({each for deployment in chosen for each in deployment.version.labels})
        known = rule.label if rule and rule.label in labels else None
        label = st.selectbox(
            _("Label"), labels, labels.index(known) if known else 0, key="alert-label", help=_("Whose share.")
        )
    sides = {True: _("above"), False: _("below")}
    above = rule.above if rule and rule.metric == metric else metric not in BELOW
    unit = _unit(metric)
    limit = _shown(metric, rule.threshold) if rule and rule.metric == metric else DEFAULTS[metric]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        side = st.selectbox(
            _("Alert when it is"),
            list(sides),
            0 if above else 1,
            format_func=lambda key: sides[key],
            key=f"alert-side-{metric}",
            help=_("Beyond the limit on this side."),
            disabled=metric == rules.DRIFT,
        )
        threshold = st.number_input(
            _("Limit") + (f" ({unit})" if unit else ""),
            0.0,
            100.0 if metric in rules.SHARES else None,
            limit,
            key=f"alert-limit-{metric}",
            help=_("The alert ends when the figure has come back by a tenth of it."),
        )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        window = st.number_input(
            _("Over the last (min)"),
            1,
            1_440,
            rule.window_minutes if rule else 5,
            key="alert-window",
            help=_("The figure is taken over so many minutes."),
        )
        hold = st.number_input(
            _("For (min)"),
            0,
            1_440,
            rule.hold_minutes if rule else 2,
            key="alert-hold",
            help=_("So long it must last before the alert begins, and before it ends."),
        )
    whole = True
    if alert is None and one is not None:
        scopes = {
            True: _("Whatever serves this model"),
            False: _("This deployment alone"),
        }
        whole = bool(
            st.radio(
                _("About"),
                list(scopes),
                format_func=lambda key: scopes[key],
                key="alert-scope",
                help=_("A rule about the model goes on when another version is deployed."),
            )
        )
    model_id = one.version.model_id if one else None
    if alert is None and one is None:
        by_model = {each.version.model_id: each.version.called for each in chosen}
        model_id = st.selectbox(
            _("Model"),
            list(by_model),
            format_func=lambda key: by_model[key],
            key="alert-model",
            help=_("Whatever serves it."),
        )
    emails = st.text_input(
        _("E-mail to"),
        ", ".join(rule.emails) if rule else "",
        key="alert-emails",
        help=_("Addresses with commas between; webhooks are told as well."),
    )
    if not wb.settings.smtp_url and emails.strip():
        st.caption(_("No mail server is set, so no e-mail will be sent; an administrator can name one."))
    if st.button(_("Save"), type="primary", key="save-alert"):
        raw = {
            "metric": metric,
            "label": label,
            "above": bool(side),
            "threshold": _stored(metric, float(threshold)),
            "window_minutes": int(window),
            "hold_minutes": int(hold),
            "emails": [each.strip() for each in emails.split(",") if each.strip()],
        }
        with frame.refusals():
            if alert is not None:
                alerts.change(wb, me, alert.id, raw=raw)
            elif whole:
                alerts.create(wb, me, raw, model_id=model_id)
            else:
                assert one is not None
                alerts.create(wb, me, raw, deployment_id=one.id)
            st.rerun()


def _unit(metric: str) -> str:
    return "%" if metric in rules.SHARES else "ms" if metric == rules.P95 else ""


def _shown(metric: str, value: float) -> float:
    factor = 100 if metric in rules.SHARES else 1_000 if metric == rules.P95 else 1
    return round(value * factor, 6)


def _stored(metric: str, value: float) -> float:
    return value / 100 if metric in rules.SHARES else value / 1_000 if metric == rules.P95 else value
