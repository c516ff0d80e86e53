"""Pure. What a fix changed, in words: what differs between two runs, and what became of the mark."""

from __future__ import annotations

from typing import Any

from core.i18n import gettext as _
from core.i18n import ngettext
from core.quality import kinds
from core.quality.effect import Changes, Paired
from core.quality.with_without import Effect


def before(effect: Effect) -> str:
    """What was done to the images since the run before."""
    since = _("Since run {n}").format(n=effect.previous_id)
    found = f"{since}: {changed(effect.changes) or _('the same images')}."
    if effect.repairs:
        done = _(", ").join(_repair(kind, n) for kind, n in sorted(effect.repairs.items()))
        found += " " + _("Repairs in between: {done}.").format(done=done)
    return found


def changed(changes: Changes) -> str:
    """What differs between two dataset versions; empty where nothing does."""
    parts = []
    if changes.added:
        parts.append(ngettext("{n} image added", "{n} images added", changes.added).format(n=changes.added))
    if changes.removed:
        text = ngettext("{n} image removed", "{n} images removed", changes.removed)
        parts.append(text.format(n=changes.removed))
    if changes.relabelled:
        text = ngettext("{n} label changed", "{n} labels changed", changes.relabelled)
        parts.append(text.format(n=changes.relabelled))
    if changes.moved:
        text = ngettext("{n} image in another split", "{n} images in another split", changes.moved)
        parts.append(text.format(n=changes.moved))
    return _(", ").join(parts)


def mark(effect: Effect, found: Paired) -> str:
    """Both marks on the images that both runs were tested with, the difference and its interval."""
    where = ngettext(
        "On the {n} test image that both runs saw:", "On the {n} test images that both runs saw:", found.n
    )
    marks = _("{after} with, {before} without") if effect.changes.any else _("{after} now, {before} before")
    text = _(
        "{where} {marks} (difference {difference}, interval at 95 %: {low} to {high}; exact McNemar p {p})."
    )
    return text.format(
        where=where.format(n=f"{found.n:,}"),
        marks=marks.format(after=f"{found.after:.3f}", before=f"{found.before:.3f}"),
        difference=_signed(found.difference),
        low=_signed(found.low),
        high=_signed(found.high),
        p=f"= {found.p:.3f}" if found.p >= 0.001 else "< 0.001",
    )


def judged(found: Paired) -> str:
    """What to make of it, in one sentence."""
    if found.low > 0:
        return _("Better: the difference is larger than chance would make it.")
    if found.high < 0:
        return _("Worse: the difference is larger than chance would make it.")
    return _("So far it may be chance: with more test images the interval would be narrower.")


def verdict(found: Paired) -> str:
    """better, worse or unsure; for colours and programs."""
    return "better" if found.low > 0 else "worse" if found.high < 0 else "unsure"


def not_alone(effect: Effect) -> str:
    """What else differs, so that nobody takes the difference for that of the images; empty where nothing does."""
    if effect.data_alone:
        return ""
    parts = [
        _("{name} from {old} to {new}").format(name=name, old=_value(old), new=_value(new))
        for name, (old, new) in effect.parameters.items()
    ]
    if effect.code:
        parts.append(_("Veritrain's own code"))
    return _("This changed too, so the difference is not that of the images alone: {parts}.").format(
        parts=_(", ").join(parts)
    )


def why_not(effect: Effect) -> str:
    return {
        "first": _("This is the theme's first finished run, so there is none to compare it with."),
        "no-answers": _(
            "One of both runs did not keep its answers to single images, so they cannot be compared."
        ),
        "no-shared": _("No image was in the test of both runs, so they cannot be compared."),
    }[effect.why]


def _repair(kind: str, n: int) -> str:
    if kind == "twin":
        return ngettext("{n} copy removed", "{n} copies removed", n).format(n=n)
    if kind == "leak":
        return ngettext("{n} look-alike put on one side", "{n} look-alikes put on one side", n).format(n=n)
    name = kinds.title(kind) if kind in kinds.KINDS else kind
    return _("{n} × “{name}” repaired").format(n=n, name=name)


def _value(value: Any) -> str:
    return "–" if value is None else str(value)


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")
