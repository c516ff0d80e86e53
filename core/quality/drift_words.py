"""Pure. Drift in words: names of what is measured, and one sentence that says whether new images differ."""

from __future__ import annotations

from core.i18n import gettext as _
from core.quality.drift import LOOK, Drift, Feature

NAMED = 3
"""Features that the sentence names."""


def title(name: str) -> str:
    """What people call a feature."""
    return {
        "shade": _("Brightness of the dark parts"),
        "light": _("Brightness of the bright parts"),
        "contrast": _("Contrast"),
        "entropy": _("Variety of shades"),
        "sharpness": _("Sharpness"),
        "colour": _("Colour"),
        "width": _("Width"),
        "height": _("Height"),
        "aspect": _("Width by height"),
        "size": _("File size"),
        "label": _("Label"),
        "answer": _("Answers"),
        "format": _("File format"),
        "orientation": _("Orientation"),
        LOOK: _("The picture as a whole"),
    }[name]


def orientation(name: str) -> str:
    return {"wide": _("wide"), "tall": _("tall"), "square": _("square")}[name]


def middles(feature: Feature) -> tuple[str, str]:
    """What is typical of either side: the median, or the commonest category with its share."""
    if feature.middle_reference is not None and feature.middle_batch is not None:
        return f"{feature.middle_reference:,.4g}", f"{feature.middle_batch:,.4g}"
    if not feature.bars:
        return "–", "–"
    return _commonest(feature, feature.reference), _commonest(feature, feature.batch)


def _commonest(feature: Feature, shares: tuple[float, ...]) -> str:
    share, name = max(zip(shares, feature.bars, strict=True), key=lambda each: each[0])
    return f"{orientation(name) if feature.name == 'orientation' else name} {share * 100:.0f} %"


def chance(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"


def level(feature: Feature) -> str:
    return {"same": _("like before"), "some": _("a little different"), "much": _("different")}[feature.level]


def sentence(drift: Drift, images: int, reference: int) -> str:
    """One sentence for `images` new images against `reference` images of the snapshot."""
    counts = {"images": f"{images:,}", "reference": f"{reference:,}", "all": len(drift.features)}
    if not drift.drifted:
        return _(
            "The {images} new images are like the {reference} of the training: none of {all} things measured "
            "moved far."
        ).format(**counts)
    names = _(", ").join(title(each.name) for each in drift.drifted[:NAMED])
    if len(drift.drifted) > NAMED:
        names = _("{names} and {n} more").format(names=names, n=len(drift.drifted) - NAMED)
    return _(
        "The {images} new images differ from the {reference} of the training in {n} of {all} things measured: {names}."
    ).format(**counts, n=len(drift.drifted), names=names)


def why_not(reason: str) -> str:
    """Why nothing can be said, see core.quality.batches.Comparison."""
    return {
        "no-snapshot": _("This theme was not trained yet, so there is nothing to compare new images with."),
        "first": _("This is the first version, so there is nothing to compare it with."),
        "no-images": _("No new images came since the training."),
        "overlap": _(
            "The model learnt from nearly all of these images, so there are no others to compare them with."
        ),
        "too-few": _("Too few images came to say whether they differ: at least 20 are needed."),
    }[reason]
