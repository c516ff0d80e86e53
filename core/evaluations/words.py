"""Pure. What the evaluation of a run, and the comparison of several, say in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from core.evaluations.advice import Advice
from core.evaluations.compared import Comparison
from core.evaluations.intervals import Interval
from core.evaluations.pairs import Judged, Pair
from core.evaluations.slices import Slice
from core.i18n import gettext as _
from core.i18n import ngettext
from core.repeats import Verdict


def share(value: float) -> str:
    return f"{value * 100:.1f} %"


def span(interval: Interval) -> str:
    """The interval alone, as percent."""
    return _("{low} to {high} %").format(low=f"{interval.low * 100:.1f}", high=f"{interval.high * 100:.1f}")


def feature(name: str) -> str:
    return {
        "light": _("Brightness"),
        "contrast": _("Contrast"),
        "sharpness": _("Sharpness"),
        "colour": _("Colour"),
        "area": _("Size"),
        "added": _("Day added"),
        "labelled_by": _("Labelled by"),
    }[name]


def kind(found: Slice) -> str:
    """The kind of images, such as “the darkest third”."""
    return kind_of(found.feature, found.kind, found.bounds is not None)


def kind_of(feature: str, name: str, measured: bool) -> str:
    """The same of a slice's parts; `measured` says that `name` is one of THIRDS."""
    if not measured:
        return name
    thirds = {
        "light": (_("the darkest third"), _("the middle third"), _("the brightest third")),
        "contrast": (_("the flattest third"), _("the middle third"), _("the richest third")),
        "sharpness": (_("the most blurred third"), _("the middle third"), _("the sharpest third")),
        "colour": (_("the greyest third"), _("the middle third"), _("the most colourful third")),
        "area": (_("the smallest third"), _("the middle third"), _("the largest third")),
    }[feature]
    return thirds[("low", "middle", "high").index(name)]


def advice(found: Advice) -> str:
    """What to do and why, in one or two sentences."""
    fields = found.fields
    if found.kind == "slice":
        of: Slice = fields["slice"]
        text = _(
            "{feature}, {kind}: {share} right, all others {others}. Add and label images like these; "
            "more of them help most where the model is weakest."
        )
        return text.format(
            feature=feature(of.feature), kind=kind(of), share=share(of.right.value), others=share(of.others)
        )
    if found.kind == "doubtful":
        return ngettext(
            "{n} wrong answer was given with at least {sure} confidence. Look at its label first: it may be wrong.",
            "{n} wrong answers were given with at least {sure} confidence. Look at their labels first: "
            "they may be wrong.",
            fields["n"],
        ).format(n=fields["n"], sure=f"{fields['sure'] * 100:.0f} %")
    text = {
        "more-epochs": _(
            "The best epoch was {best} of {epochs}: the model was still getting better. Train with more epochs."
        ),
        "by-heart": _(
            "It gets {train} of the training images right but {test} of the test images: it learns by heart. "
            "Turn on more augmentation, or add images."
        ),
        "few-images": _(
            "“{label}” has {trained} training images, the middle label {middle}; {missed} of its {tested} test "
            "images were missed. Label more of it."
        ),
        "mistaken": _(
            "{n} of {wrong} mistakes are “{true}” called “{said}”. Look at these images: are the labels told "
            "apart by what can be seen?"
        ),
        "overconfident": _(
            "The model is surer than it is right, by {by} on average. Label smoothing or fewer epochs make its "
            "confidence honest."
        ),
        "few-tests": _(
            "With {n} test images the mark may lie anywhere from {low} to {high}. Label more images and split "
            "them, so that the next improvement can be told from chance."
        ),
    }[found.kind]
    shares = {"train", "test", "by", "low", "high"}
    return text.format(**{name: share(value) if name in shares else value for name, value in fields.items()})


def run(run_id: int) -> str:
    return _("Run {n}").format(n=run_id)


def verdict(found: Comparison, name: Callable[[int], str] = run) -> str:
    """One sentence: which is best, and whether that is more than chance; `name` says how a run is called."""
    if found.judged is None:
        return {
            "no-answers": _(
                "They cannot be judged against each other: not every run kept its answers to single images."
            ),
            "no-shared": _(
                "They cannot be judged against each other: no image was in the test of all of them."
            ),
        }[found.why]
    return _judged(found.judged, name)


def _judged(judged: Judged, name: Callable[[int], str]) -> str:
    closest = judged.pairs[0]
    fields = {
        "best": name(judged.best),
        "other": name(closest.other),
        "where": ngettext("the {n} test image", "the {n} test images", judged.n).format(n=f"{judged.n:,}"),
        "points": _points(closest),
    }
    if closest.certain:
        text = _(
            "{best} is the best on {where} that all of them answered: {points} points better than {other} "
            "({low} to {high}), more than chance would make it."
        )
        low, high = (f"{value * 100:.1f}" for value in (closest.paired.low, closest.paired.high))
        return text.format(**fields, low=low, high=high)
    if closest.paired.difference == 0:
        text = _("{best} and {other} are equally good on {where} that all of them answered.")
        return text.format(**fields)
    text = _(
        "{best} is ahead of {other} by {points} points on {where} that all of them answered, but that is "
        "within noise: chance alone may have made it."
    )
    return text.format(**fields)


def repeated(found: Verdict) -> str:
    """Whether a repetition came out the same, and if not, where it first went another way."""
    if found.identical:
        return _("Identical to run {n}: the same weights to the last bit.").format(n=found.original)
    if found.difference is None:
        return _("Not identical to run {n}: all metrics are the same, but the weights differ.").format(
            n=found.original
        )
    return _(
        "Not identical to run {n}: first at step {step}, {metric} is {now:.6g} and was {before:.6g}."
    ).format(
        n=found.original,
        step=found.difference.step,
        metric=found.difference.metric,
        now=found.difference.now,
        before=found.difference.before,
    )


def surroundings(found: Verdict) -> str:
    """What differs around the two runs; empty where nothing does."""
    names = {
        "code": _("Veritrain's own code"),
        "device": _("device"),
        "precision": _("precision"),
        "threads": _("threads"),
        "processes": _("processes"),
        "batch_parts": _("parts of a batch"),
        "processor": _("processor"),
    }
    parts = [
        _("{name} from {old} to {new}").format(name=names.get(name, name), old=old, new=new)
        for name, (old, new) in found.environment.items()
    ]
    return _("This differs around them: {parts}.").format(parts=_(", ").join(parts)) if parts else ""


def chance(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"


def value(given: Any) -> str:
    return "–" if given is None else str(given)


def _points(pair: Pair) -> str:
    return f"{pair.paired.difference * 100:.1f}"
