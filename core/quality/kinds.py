"""Pure. The kinds of findings about images: what they mean, how bad they are, what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from core.i18n import gettext as _

SEVERE, NOTABLE, HINT = "severe", "notable", "hint"
"""Severe is what no training may begin with: the gate counts it."""


@dataclass(frozen=True)
class Threshold:
    """When a measure makes a finding: beyond `rule` (a field of Rules), above or below."""

    measure: str
    """A column of image_features, or `side` (shorter side, pixels) or `aspect` (longer by shorter side)."""
    rule: str
    above: bool
    low: float
    high: float
    """Ends of the slider."""


@dataclass(frozen=True)
class Kind:
    name: str
    severity: str
    threshold: Threshold | None = None
    """None: found by comparing images with each other, or by a job."""


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("unreadable", SEVERE),
        Kind("leak", SEVERE),
        Kind("conflict", SEVERE),
        Kind("contradicted", SEVERE),
        Kind("mislabelled", NOTABLE),
        Kind("left_out", NOTABLE),
        Kind("turned", NOTABLE),
        Kind("twin", NOTABLE),
        Kind("blank", NOTABLE, Threshold("contrast", "blank_below", False, 0, 20)),
        Kind("small", NOTABLE, Threshold("side", "small_below", False, 0, 256)),
        Kind("aspect", HINT, Threshold("aspect", "aspect_above", True, 1, 10)),
        Kind("plain", HINT, Threshold("entropy", "plain_below", False, 0, 6)),
        Kind("dark", HINT, Threshold("light", "dark_below", False, 0, 200)),
        Kind("bright", HINT, Threshold("shade", "bright_above", True, 100, 255)),
        Kind("blurred", HINT, Threshold("sharpness", "blurred_below", False, 0, 500)),
        Kind("grey", HINT),
        Kind("outlier", HINT),
    )
}
OF_LABELS = ("contradicted", "mislabelled")
"""Kinds that speak against the label which an image has, and name a likelier one."""
MEASURED = tuple(kind for kind in KINDS.values() if kind.threshold)


def title(name: str) -> str:
    return {
        "unreadable": _("Unreadable"),
        "leak": _("On both sides of the split"),
        "conflict": _("Same picture, different labels"),
        "contradicted": _("Came again with another label"),
        "mislabelled": _("Probably a wrong label"),
        "left_out": _("Left out of the split"),
        "turned": _("Lies on its side or upside down"),
        "twin": _("Nearly the same picture twice"),
        "blank": _("Blank"),
        "small": _("Too small"),
        "aspect": _("Odd shape"),
        "plain": _("Hardly anything in it"),
        "dark": _("Dark"),
        "bright": _("Overexposed"),
        "blurred": _("Blurred"),
        "grey": _("Grey among colour"),
        "outlier": _("Unlike all others"),
    }[name]


def meaning(name: str) -> str:
    """One sentence: why it matters."""
    return {
        "unreadable": _("The file cannot be opened any more, so no model can learn from it."),
        "leak": _(
            "Nearly the same picture is learnt from and tested with, so the mark would be better than the model."
        ),
        "conflict": _("Nearly the same picture has two labels; at least one of them is wrong."),
        "contradicted": _("The very same file came from the folders of two labels; one of them is wrong."),
        "mislabelled": _("Models that never saw this picture agree on another label."),
        "left_out": _(
            "These belong with images of two sides, or with the frozen test set, so no model learns from them."
        ),
        "turned": _(
            "Models that learnt from the other pictures what is up are sure that this one was turned."
        ),
        "twin": _("Copies teach nothing new and count double; keep the best one."),
        "blank": _("A single colour: there is nothing to learn."),
        "small": _("So few pixels that details are lost."),
        "aspect": _("Much longer than wide, or the other way round: it is squeezed when a model sees it."),
        "plain": _("Nearly one shade: perhaps a wall, a lens cap, an empty scan."),
        "dark": _("So dark that a model may see only black."),
        "bright": _("So bright that a model may see only white."),
        "blurred": _("Edges are soft: out of focus, or moved."),
        "grey": _("Without colour, while most of the theme's pictures have colour."),
        "outlier": _(
            "No other picture looks like it: perhaps it came here by mistake, perhaps it is just rare."
        ),
    }[name]


def advice(name: str) -> str:
    """One sentence: what to do about it."""
    return {
        "unreadable": _("Upload the file again, or remove the image."),
        "leak": _("Put each group of look-alikes on one side."),
        "conflict": _("Look at both and give them the same label."),
        "contradicted": _("Look at each: take the label of the copy that was left out, or keep this one."),
        "mislabelled": _(
            "Look at them, the most suspicious first: take the other label, or keep this one. A new check learns from "
            "what you corrected and may doubt others."
        ),
        "left_out": _(
            "Put look-alikes on one side, then press Split again. What belongs with the frozen test set stays out."
        ),
        "turned": _("Turn them upright, or call them fine."),
        "twin": _("Keep the sharpest of each group and remove the rest."),
        "blank": _("Remove them."),
        "small": _("Remove them, or upload larger ones."),
        "aspect": _("Crop them, or remove them."),
        "plain": _("Remove those that show nothing."),
        "dark": _("Remove those in which you see nothing yourself."),
        "bright": _("Remove those in which you see nothing yourself."),
        "blurred": _("Remove those in which you see nothing yourself."),
        "grey": _("Keep them if users send such pictures too; otherwise remove them."),
        "outlier": _("Remove what does not belong here; add more pictures like the rest."),
    }[name]
