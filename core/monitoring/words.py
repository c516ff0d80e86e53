"""Pure. Drift of requests in words."""

from __future__ import annotations

from core.i18n import gettext as _
from core.i18n import ngettext
from core.quality import drift_words
from core.quality.drift import LEAST, Drift, Feature


def sentence(drift: Drift) -> str:
    """Whether what is asked and answered is still like the training."""
    if not drift.features:
        return _(
            "Too few requests came to say whether they are like the training: at least {n} are needed."
        ).format(n=LEAST)
    if not drift.drifted:
        return _(
            "What is asked and answered is like the training: none of {n} things measured moved far."
        ).format(n=len(drift.features))
    names = _(", ").join(drift_words.title(each.name) for each in drift.drifted)
    return ngettext(
        "One of {all} things measured is no longer like the training: {names}.",
        "{n} of {all} things measured are no longer like the training: {names}.",
        len(drift.drifted),
    ).format(n=len(drift.drifted), all=len(drift.features), names=names)


def line(feature: Feature) -> str:
    """How far one thing moved."""
    if feature.middle_reference is not None and feature.middle_batch is not None:
        return _("typically {before} in the training, {now} now").format(
            before=_number(feature.middle_reference), now=_number(feature.middle_batch)
        )
    moved = max(
        zip(feature.bars, feature.reference, feature.batch, strict=True), key=lambda bar: abs(bar[2] - bar[1])
    )
    return _("“{name}” was {before} of the training and is {now} of the answers").format(
        name=moved[0], before=f"{moved[1] * 100:.0f} %", now=f"{moved[2] * 100:.0f} %"
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1_000 else f"{value:.3g}"
