"""Pure. Alerts in words."""

from __future__ import annotations

from core.alerts import rule as rules
from core.alerts.rule import FIRING, Rule, State
from core.i18n import gettext as _


def metric(name: str) -> str:
    return {
        rules.ERRORS: _("Share of errors"),
        rules.P95: _("Response time p95"),
        rules.REQUESTS: _("Requests a minute"),
        rules.CONFIDENCE: _("Mean confidence"),
        rules.SHARE: _("Share of one label"),
        rules.DRIFT: _("Drift from the training"),
    }[name]


def value(rule: Rule, number: float | None) -> str:
    """A figure of the rule with its unit."""
    if number is None:
        return "–"
    if rule.metric in rules.SHARES:
        return f"{number * 100:.3g} %"
    if rule.metric == rules.P95:
        return f"{number * 1_000:,.0f} ms"
    return f"{number:.3g}"


def sentence(rule: Rule) -> str:
    """What the rule says."""
    fields = {
        "metric": _("Share of “{label}”").format(label=rule.label)
        if rule.metric == rules.SHARE
        else metric(rule.metric),
        "limit": value(rule, rule.threshold),
        "window": rule.window_minutes,
        "hold": rule.hold_minutes,
    }
    if rule.hold_minutes:
        text = (
            _("{metric} above {limit} over the last {window} min, for {hold} min")
            if rule.above
            else _("{metric} below {limit} over the last {window} min, for {hold} min")
        )
    else:
        text = (
            _("{metric} above {limit} over the last {window} min")
            if rule.above
            else _("{metric} below {limit} over the last {window} min")
        )
    return text.format(**fields)


def subject(theme: str, rule: Rule, state: State) -> str:
    """Of an e-mail, on one line."""
    text = _("Alert: {theme}, {metric}") if state.name == FIRING else _("Over: {theme}, {metric}")
    return " ".join(text.format(theme=theme, metric=metric(rule.metric)).split())


def letter(theme: str, rule: Rule, number: float | None, state: State, url: str) -> str:
    """Of an e-mail; `url` leads to the monitoring."""
    text = (
        _("The alert of “{theme}” began: {rule}. It is {value} now. Look at the monitoring: {url}")
        if state.name == FIRING
        else _("The alert of “{theme}” is over: {rule}. It is {value} now.")
    )
    return text.format(theme=theme, rule=sentence(rule), value=value(rule, number), url=url) + "\n"
