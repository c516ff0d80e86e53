"""Pure. A verdict in words that a manager can repeat: the sentence, the reason, the cost of being wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from core.ab.metrics import P95
from core.ab.verdict import BETTER, BROKEN, OUT, SAME, UNCLEAR, WORSE, Verdict
from core.i18n import gettext as _


@dataclass(frozen=True)
class Words:
    sentence: str
    reason: str
    cost: str
    """What it costs on average if this is wrong."""
    still: str
    """How long it takes still, and what to do."""


def metric_name(name: str) -> str:
    return {
        "rating": _("rating"),
        "satisfied": _("share of satisfied users"),
        "error_rate": _("error rate"),
        "response_time_ms": _("response time"),
        "cost": _("cost of an answer"),
        P95: _("response time that 95 of 100 answers stay below"),
    }[name]


def amount(name: str, value: float, *, signed: bool = False) -> str:
    """A value of a metric with its unit; “–” where there is none."""
    if not math.isfinite(value):
        return "–"
    sign = "+" if signed else ""
    if name in ("satisfied", "error_rate"):
        return _("{n} of 100").format(n=f"{value * 100:{sign}.1f}")
    if name in ("response_time_ms", P95):
        return _("{n} ms").format(n=f"{value:{sign}.0f}")
    if name == "rating":
        return _("{n} stars").format(n=f"{value:{sign}.2f}")
    return f"{value:{sign}.4g}"


def say(verdict: Verdict, primary: str) -> Words:
    """The verdict on a test whose primary metric is `primary`, in the reader's language."""
    names = {"b": verdict.variant}
    sentence = {
        BETTER: _("{b} is better than A."),
        WORSE: _("A is better, stop {b}."),
        SAME: _("A and {b} are practically the same."),
        UNCLEAR: _("Cannot tell yet."),
        BROKEN: _("The test is broken."),
    }[verdict.kind].format(**names)
    if verdict.kind == BROKEN:
        cost = _("Whoever decides by these numbers may take the worse model and not notice.")
        still = _(
            "Find the cause first. Then start a new test, or give new weights, which begins a new phase."
        )
        return Words(sentence, _broken(verdict), cost, still)
    if verdict.reason == OUT:
        reason = _("{b} has no share of the users at present, so nothing is said of it.").format(**names)
        return Words(sentence, reason, "", "")
    reason = _guardrail(verdict, names) if verdict.reason == "guardrail" else _reason(verdict, primary, names)
    return Words(sentence, reason, _cost(verdict, primary, names), _still(verdict, names))


def often(name: str, b: str, value_a: float, value_b: float) -> str:
    """Both values of a metric as people count them; empty where one is missing."""
    if not (math.isfinite(value_a) and math.isfinite(value_b)):
        return ""
    if name == "satisfied":
        text = _("Of 100 users, {y} are satisfied with {b} and {x} with A.")
        return text.format(b=b, x=f"{value_a * 100:.0f}", y=f"{value_b * 100:.0f}")
    if name == "error_rate":
        text = _("Of 1,000 answers, {y} fail with {b} and {x} with A.")
        return text.format(b=b, x=f"{value_a * 1000:.0f}", y=f"{value_b * 1000:.0f}")
    if name == "response_time_ms":
        text = _("An answer takes {y} with {b} and {x} with A on average.")
        return text.format(b=b, x=amount(name, value_a), y=amount(name, value_b))
    if name == P95:
        text = _("The slowest 5 of 100 answers take more than {y} with {b}, more than {x} with A.")
        return text.format(b=b, x=amount(name, value_a), y=amount(name, value_b))
    if name == "cost":
        text = _("1,000 answers cost {y} with {b} and {x} with A.")
        return text.format(b=b, x=f"{value_a * 1000:,.4g}", y=f"{value_b * 1000:,.4g}")
    return ""


def _guardrail(verdict: Verdict, names: dict[str, str]) -> str:
    fields = verdict.fields
    if not math.isfinite(
        fields["worse"]
    ):  # a share of nothing; NaN once it was sealed, for JSON has no infinity
        text = _(
            "{b} breaks a limit that was set beforehand: its {metric} is {y}, and A's is zero, of which anything "
            "is too much."
        ).format(**names, metric=metric_name(fields["metric"]), y=amount(fields["metric"], fields["value_b"]))
        return _joined(text, _counted(verdict, fields["metric"]))
    text = _(
        "{b} breaks a limit that was set beforehand: its {metric} is {worse} worse than A's; {margin} were allowed."
    ).format(
        **names,
        metric=metric_name(fields["metric"]),
        worse=f"{fields['worse'] * 100:.0f} %",
        margin=f"{fields['margin'] * 100:.0f} %",
    )
    return _joined(text, _counted(verdict, fields["metric"]))


def _reason(verdict: Verdict, primary: str, names: dict[str, str]) -> str:
    fields = verdict.fields
    span = {
        **names,
        "metric": metric_name(primary),
        "est": amount(primary, fields["est"], signed=True),
        "low": amount(primary, fields["low"], signed=True),
        "high": amount(primary, fields["high"], signed=True),
    }
    if verdict.reason == "few" and not fields.get("users"):
        return _("No user has an answer that counts for the {metric} yet.").format(
            metric=metric_name(primary)
        )
    if verdict.reason == "few":
        return _("Only {n} users have an answer so far; the numbers count from 100 a variant on.").format(
            n=f"{fields.get('users', 0):,}"
        )
    text = {
        "wide": _(
            "So far the {metric} of {b} differs from A's by {est}, but anything from {low} to {high} fits the data."
        ),
        "within": _(
            "The {metric} of {b} differs from A's by {low} to {high}: less than what was said to matter."
        ),
        "interval": _(
            "The {metric} of {b} differs from A's by {est}; all from {low} to {high} fits the data."
        ),
    }[verdict.reason].format(**span)
    text = _joined(text, _counted(verdict, primary))
    if fields.get("unsafe"):
        harm = _("Not yet shown to be harmless: {all}.").format(
            all=", ".join(metric_name(name) for name in fields["unsafe"])
        )
        text = _joined(text, harm)
    return text


def _counted(verdict: Verdict, metric: str) -> str:
    """The verdict in natural frequencies."""
    fields = verdict.fields
    if metric == "rating":
        if fields.get("superiority") is None:
            return ""
        return _(
            "Of 100 pairs of users, the one with {b} gave more stars {n} times, ties counted half."
        ).format(b=verdict.variant, n=round(100 * fields["superiority"]))
    value_a, value_b = (fields.get(name, math.nan) for name in ("value_a", "value_b"))
    return often(metric, verdict.variant, value_a, value_b)


def _still(verdict: Verdict, names: dict[str, str]) -> str:
    if verdict.fields.get("unsafe"):
        return _("{b} may win now, but let the test run on until the limits are shown to be kept.").format(
            **names
        )
    if verdict.kind == BETTER:
        return _(
            "Nothing more is needed: end the test and name {b} the winner. Nothing is shipped by itself."
        ).format(**names)
    if verdict.kind == WORSE:
        return _("Nothing more is needed: end the test; users stay with A.")
    if verdict.kind == SAME:
        return _("Nothing more is needed: take the one that is cheaper or simpler, and end the test.")
    return _more(verdict.fields)


def _joined(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _more(fields: dict[str, Any]) -> str:
    if fields["days"] is None:
        return _("About {n} more users with an answer are needed.").format(n=f"{fields['more']:,}")
    return _("About {n} more users with an answer are needed, {days} days at the present pace.").format(
        n=f"{fields['more']:,}", days=fields["days"]
    )


def _cost(verdict: Verdict, primary: str, names: dict[str, str]) -> str:
    ship, keep = (verdict.fields.get(name, math.nan) for name in ("loss_ship", "loss_keep"))
    if verdict.reason == "few":
        return _("Deciding now would be guessing.")
    if not (math.isfinite(ship) and math.isfinite(keep)):
        return ""
    if verdict.kind == BETTER:
        text = _("If this is wrong, taking {b} costs {loss} on average.")
        return text.format(**names, loss=loss(primary, ship))
    if verdict.kind == WORSE:
        text = _("If this is wrong, staying with A costs {loss} on average.")
        return text.format(**names, loss=loss(primary, keep))
    text = _("Deciding now would cost on average {ship} with {b}, {keep} with A.")
    return text.format(**names, ship=loss(primary, ship), keep=loss(primary, keep))


def loss(primary: str, value: float) -> str:
    """An expected loss; what would be written as zero is said to be less than the last digit."""
    least = {"rating": 0.01, "response_time_ms": 1.0, "satisfied": 0.001, "error_rate": 0.001}.get(
        primary, 0.0
    )
    if value < least:
        return _("less than {amount}").format(amount=amount(primary, least))
    return amount(primary, value)


def _broken(verdict: Verdict) -> str:
    fields = verdict.fields
    if verdict.reason == "seal":
        return _(
            "Its plan was changed after the start: it no longer has the fingerprint it was sealed with. "
            "Ask who changed the database, and start a new test."
        )
    if verdict.reason == "mismatch":
        return _(
            "The variants have {users} users, but by their shares it should be about {expected}. Chance does "
            "not do that: somewhere users are lost or sent twice. Look for it before believing any number."
        ).format(
            users=" / ".join(f"{n:,}" for n in fields["users"]),
            expected=" / ".join(f"{n:,}" for n in fields["expected"]),
        )
    if verdict.reason == "both":
        return _(
            "{both} of {seen} users were seen in more than one variant. Send the variant that was assigned, "
            "and the same id for the same user."
        ).format(both=f"{fields['both']:,}", seen=f"{fields['seen']:,}")
    return _(
        "{lost} of {of} answers of {b} were asked for and never logged, so only the ones that worked are counted."
    ).format(lost=f"{fields['lost']:,}", of=f"{fields['of']:,}", b=verdict.variant)
