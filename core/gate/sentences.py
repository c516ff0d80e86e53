"""Pure. What the lines of the promotion gate say, and what to do where one is red."""

from __future__ import annotations

from core.i18n import N_

_MINIMUM = N_(
    "Right on {value} of its {n} test images. The interval at 95 % begins at {low}; it must begin at {minimum} or above."
)
_MACRO_F1 = N_(
    "Its macro F1 on {n} test images is {value}. The interval at 95 % begins at {low}; it must begin at {minimum} or "
    "above."
)
_BENCHMARK = N_("Its score in “{name}” is {score:.3g}; at least {floor:.3g} is asked for.")
_LATENCY = N_("One image takes {ms:.3g} ms; at most {limit:.6g} ms is allowed.")
_SIZE = N_("Its files have {mb:.1f} MB; at most {limit:.6g} MB is allowed.")

TEXTS = {
    ("verdict", "green"): N_(
        "The A/B test “{test}” was concluded with the verdict that this version is better."
    ),
    ("verdict", "red"): N_(
        "No concluded A/B test says that this version is better than version {champion}, which is in production."
    ),
    ("newer test", "red"): N_(
        "The newest A/B test of both, “{test}”, did not end with the verdict that this version is better than "
        "version {champion}, which is in production."
    ),
    ("verdict", "open"): N_("No version is in production yet, so there is none that an A/B test must beat."),
    ("accuracy", "green"): N_(
        "Right on {own} of the test images; version {champion}, which is in production, on {other} of the same."
    ),
    ("accuracy", "red"): N_(
        "Right on only {own} of the test images; version {champion}, which is in production, "
        "on {other} of the same."
    ),
    ("accuracy", "open"): N_(
        "No version is in production yet whose accuracy this one could be compared with."
    ),
    ("other images", "open"): N_(
        "Measured on other test images than version {champion}, which is in production: "
        "their accuracy cannot be compared."
    ),
    ("slices", "green"): N_(
        "On none of {kinds} kinds of images worse than version {champion} by more than {delta} and by more than chance."
    ),
    ("slices", "red"): N_(
        "{feature}, {kind}: right on {own} of {n} test images, version {champion} on {other}. That is worse by more "
        "than the allowed {delta} and by more than chance, as on {worse} of {kinds} kinds of images."
    ),
    ("slices", "open"): N_(
        "No version is in production yet with which this one could be compared on kinds of images."
    ),
    ("few images", "open"): N_(
        "No kind of images has {least} test images of both, which a comparison with version {champion} takes."
    ),
    ("no answers", "red"): N_(
        "It cannot be compared with version {champion} on kinds of images: not both runs kept their answers to "
        "single images."
    ),
    ("no shared images", "red"): N_(
        "It cannot be compared with version {champion} on kinds of images: no image was in the test of both."
    ),
    ("metric", "green"): _MINIMUM,
    ("metric", "red"): _MINIMUM,
    ("few tests", "red"): _MINIMUM,
    ("macro F1", "green"): _MACRO_F1,
    ("macro F1", "red"): _MACRO_F1,
    ("few tests for macro F1", "red"): _MACRO_F1,
    ("not tested", "red"): N_("Its run kept no figures of its test images, and a minimum is asked for."),
    ("benchmark", "green"): _BENCHMARK,
    ("benchmark", "red"): _BENCHMARK,
    ("no score", "red"): N_("It has no score in “{name}” yet; at least {floor:.3g} is asked for."),
    ("accuracy elsewhere", "red"): N_(
        "Its accuracy was not measured here, because it was trained elsewhere."
    ),
    ("slices elsewhere", "red"): N_(
        "How it does on kinds of images was not measured here, because it was trained elsewhere."
    ),
    ("metric elsewhere", "red"): N_(
        "A minimum is asked for, and nothing was measured here, because it was trained elsewhere."
    ),
    ("latency elsewhere", "red"): N_(
        "How long it takes for one answer was not measured here, because it was trained elsewhere."
    ),
    ("latency", "green"): _LATENCY,
    ("latency", "red"): _LATENCY,
    ("not timed", "red"): N_(
        "How long it takes for one image was not measured after its training; at most {limit:.6g} ms is allowed."
    ),
    ("size", "green"): _SIZE,
    ("size", "red"): _SIZE,
    ("not weighed", "red"): N_("The size of its files is not known; at most {limit:.6g} MB is allowed."),
    ("dataset", "green"): N_("The dataset gate of the theme passes."),
    ("dataset", "red"): N_("The dataset gate of the theme fails, with a score of {score} of 100."),
    ("unchecked", "red"): N_(
        "The dataset gate of the theme is out of date: {unchecked} images were not looked at yet."
    ),
    ("approval", "green"): N_("Approved by {names}."),
    ("approval", "red"): N_("Nobody has approved this version yet."),
    ("own approval", "red"): N_("Nobody but you has approved this version."),
}
"""By the line's case, or its code where it has none, and its state."""

_AGAIN = N_("Train again: every newer run keeps them.")
_BETTER = N_("Its run says what would help most; train again with that.")
_TESTS = N_("That may be chance: label more images and split them, then train again with more test images.")
_SMALLER = N_("Train again with a smaller architecture or smaller images.")

_MEASURED_THERE = N_(
    "Note what was measured there as a benchmark; an administrator can promote it with a written reason."
)

NEXT = {
    "verdict": N_("Run an A/B test with version {champion} as A and this one as B, and conclude it."),
    "newer test": N_("Improve the version, or run another A/B test of both to its end."),
    "accuracy": N_("Compare both runs to see where it errs, and train again."),
    "slices": N_("Add and label images like these, then train again."),
    "no answers": _AGAIN,
    "no shared images": N_("Train again on the images of today."),
    "metric": _BETTER,
    "few tests": _TESTS,
    "macro F1": _BETTER,
    "few tests for macro F1": _TESTS,
    "not tested": _AGAIN,
    "benchmark": N_("Train a better version, or correct the score where it was measured wrongly."),
    "no score": N_("Measure it and add its score to the version."),
    "latency": _SMALLER,
    "not timed": N_("Train again: it is measured after every training."),
    "accuracy elsewhere": _MEASURED_THERE,
    "slices elsewhere": _MEASURED_THERE,
    "metric elsewhere": _MEASURED_THERE,
    "latency elsewhere": _MEASURED_THERE,
    "size": _SMALLER,
    "not weighed": N_("Train again: newer versions know their size."),
    "dataset": N_("Repair what its failed lines name."),
    "unchecked": N_("Press “Check now” on the screen of quality."),
    "approval": N_("Have a trainer or administrator other than the one who promotes approve it."),
    "own approval": N_("Have another trainer or administrator approve it, or promote it."),
}
"""What to do where a line is red, by its case or code."""
