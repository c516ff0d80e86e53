"""Pure. What judges prefer, how far they agree, and how that stands to the live test, in words."""

from __future__ import annotations

from dataclasses import dataclass

from core.ab.duel import FEW, Preference
from core.ab.verdict import BETTER, BROKEN, SAME, UNCLEAR, WORSE
from core.ab.words import metric_name
from core.i18n import gettext as _

AGREE, CONFLICT, OPEN = "agree", "conflict", "open"
SEEN_BY_JUDGES = ("rating", "satisfied")
"""Metrics that are about the answers themselves, which is all that a judge sees."""


@dataclass(frozen=True)
class Live:
    """What the live test says of the variant; `kind` is a verdict's, or None before the start."""

    kind: str | None
    primary: str
    guardrail: str | None = None
    """The metric of the limit that was broken, where that decided."""


@dataclass(frozen=True)
class Against:
    """How the judges' preference stands to the live test."""

    state: str
    """agree | conflict | open"""
    sentence: str


def sentence(found: Preference | None, items: int, same: int, b: str) -> str:
    """The result in one sentence."""
    if found is None:
        if items and items == same:
            return _(
                "Both models gave the same answer to all {n} items, so there is nothing to judge."
            ).format(n=f"{items:,}")
        return _("Nobody has judged an item yet.")
    share, low, high = found.win, found.low, found.high
    name = b
    if found.winner == "A" or (found.winner is None and share < 0.5):
        name, share, low, high = "A", 1 - share, 1 - high, 1 - low
    said = _("Judges preferred {name} in {n} of 100 decided duels ({low} to {high})").format(
        name=name, n=_hundred(share), low=_hundred(low), high=_hundred(high)
    )
    if found.items < FEW:
        more = _("too few to tell, at least {n} items must be judged").format(n=FEW)
    elif found.winner is None:
        more = _("too close to call")
    else:
        return f"{said}."
    return f"{said}: {more}."


def reason(found: Preference | None, items: int, same: int, ties: int, judgements: int) -> str:
    """What the sentence rests on."""
    parts = []
    if found is not None:
        parts.append(
            _(
                "Items judged: {n}; each counts once, however many people judged it, and a tie counts half."
            ).format(n=f"{found.items:,}")
        )
        if ties:
            parts.append(
                _("In {n} of {all} judgements neither was better.").format(
                    n=f"{ties:,}", all=f"{judgements:,}"
                )
            )
    if same:
        parts.append(
            _("Both gave the same answer for {n} of {all} items; nobody was asked about these.").format(
                n=f"{same:,}", all=f"{items:,}"
            )
        )
    return " ".join(parts)


def agreement(shared: int, alike: int, kappa: float | None, judges: int) -> str:
    """How far judges agree on the items that two or more of them judged."""
    if not shared:
        if judges < 2:
            return _(
                "One person has judged so far; a second one would show whether the choice is a matter of taste."
            )
        return _("No item has been judged by two people yet, so agreement cannot be measured.")
    said = _("Judges chose alike on {n} of {all} items that two or more of them judged.").format(
        n=f"{alike:,}", all=f"{shared:,}"
    )
    if kappa is None:
        return said
    if kappa >= 0.6:
        means = _("they see the same difference")
    elif kappa >= 0.2:
        means = _("they agree in part; say more exactly what makes an answer better")
    else:
        means = _("hardly more than chance would give, so the preference is a matter of taste")
    name = "Cohen κ" if judges == 2 else "Krippendorff α"
    return f"{said} {name} {kappa:.2f}: {means}.".replace(" -", " −")


def against(found: Preference | None, live: Live | None, b: str) -> Against | None:
    """Agreement or conflict with the live test; None where there is no live test."""
    if live is None:
        return None
    winner = {"A": "A", "B": b, None: None}[found.winner if found else None]
    if live.kind is None:
        return Against(OPEN, _("The live test has not started, so there is nothing to compare with yet."))
    if live.kind == BROKEN:
        return Against(
            OPEN, _("The live test is broken, so it can neither confirm nor contradict the judges.")
        )
    if live.guardrail is not None:
        text = _("The live test stopped {b} by a limit ({metric}) that judges cannot see; that stands.")
        return Against(OPEN, text.format(b=b, metric=metric_name(live.guardrail)))
    if live.primary not in SEEN_BY_JUDGES:
        text = _(
            "The live test is decided by the {metric}, which judges cannot see: each answers its own question."
        )
        return Against(OPEN, text.format(metric=metric_name(live.primary)))
    return _compared(winner, live.kind, b)


def _compared(winner: str | None, kind: str, b: str) -> Against:
    users = {BETTER: b, WORSE: "A"}.get(kind)
    names = {"users": users, "judges": winner}
    if kind == UNCLEAR:
        if winner is None:
            return Against(OPEN, _("Neither the judges nor the live test can tell yet."))
        return Against(
            OPEN,
            _("The live test cannot tell yet; the judges prefer {judges}. Let it run on.").format(**names),
        )
    if kind == SAME:
        if winner is None:
            return Against(
                AGREE,
                _(
                    "The live test finds no difference that matters to users, and the judges show none either."
                ),
            )
        return Against(
            CONFLICT,
            _(
                "The judges prefer {judges}, but in the live test both are practically the same: what judges "
                "notice does not matter to users."
            ).format(**names),
        )
    if winner is None:
        return Against(
            OPEN,
            _(
                "The live test says {users} is better; the judges do not contradict it, nor do they confirm it."
            ).format(**names),
        )
    if winner == users:
        return Against(AGREE, _("Judges and live test agree: {users} is better.").format(**names))
    return Against(
        CONFLICT,
        _(
            "Conflict: users of the live test are better off with {users}, but the judges prefer {judges}. Read the "
            "items below before deciding: users may weigh what judges do not see, or ask other things than were sampled."
        ).format(**names),
    )


def _hundred(share: float) -> int:
    return round(100 * share)
