"""Pure. A trust report of images in the reader's language: sections for core.quality.report."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from core.i18n import gettext as _
from core.i18n import ngettext
from core.image_filter import SPLITS
from core.label_checks import Rate
from core.quality import doubts, drift_words, gate
from core.quality.check_jobs import State
from core.quality.report import Report, Section
from core.quality.trust import Trust


def report(trust: Trust) -> Report:
    """Everything that is known of a version, and what is not."""
    title = _("Trust report: {theme}").format(theme=trust.theme)
    return Report(
        title=title,
        about=_about(trust),
        sentence=_verdict(trust),
        passed=trust.gate.passed,
        sections=(
            _images(trust),
            _gate(trust),
            _agreement(trust),
            _errors(trust),
            _doubts(trust),
            _faults(trust),
            _drift(trust),
            _test(trust),
            _overrides(trust),
        ),
        not_checked=tuple(_not_checked(trust)),
        of={
            "theme_id": trust.theme_id,
            "theme": trust.theme,
            "snapshot_id": trust.snapshot_id,
            "hash": trust.hash,
            "frozen_at": trust.frozen_at,
            "made_at": trust.made_at,
            "test_images": trust.test_images,
            "test_hash": trust.test_hash,
        },
    )


def _about(trust: Trust) -> str:
    made = _("made {when} UTC").format(when=f"{trust.made_at:%Y-%m-%d %H:%M}")
    if trust.snapshot_id is None or trust.frozen_at is None:
        what = _("the images as they are now")
    else:
        what = _("dataset version {id}, frozen {when} UTC").format(
            id=trust.snapshot_id, when=f"{trust.frozen_at:%Y-%m-%d %H:%M}"
        )
    return f"{what} · {trust.hash[:12]} · {made}"


def _verdict(trust: Trust) -> str:
    if trust.gate.passed:
        return _(
            "These images are fit for a training: all {n} lines of the gate pass. Score {score}."
        ).format(n=len(trust.gate.lines), score=trust.gate.score)
    return _("{n} of {all} lines of the gate fail: {names}. Score {score}.").format(
        n=len(trust.gate.failed),
        all=len(trust.gate.lines),
        names=_(", ").join(gate.title(line) for line in trust.gate.failed),
        score=trust.gate.score,
    )


def _images(trust: Trust) -> Section:
    splits = {"train": _("train"), "valid": _("valid"), "test": _("test")}
    rows = [
        (label, *(f"{n[split]:,}" for split in SPLITS), f"{sum(n.values()):,}")
        for label, n in trust.by_label.items()
    ]
    return Section(
        "images",
        _("Images"),
        _("{n} labelled images of {labels} labels, dealt to train, valid and test.").format(
            n=f"{trust.images:,}", labels=len(trust.by_label)
        ),
        (_("Label"), *(splits[split] for split in SPLITS), _("all")),
        tuple(rows),
        {"images": trust.images, "by_label": trust.by_label, "outside": trust.outside},
    )


def _gate(trust: Trust) -> Section:
    lines = trust.gate.lines
    return Section(
        "gate",
        _("Gate"),
        _("Each line asks for one thing before a training; weights add up to the score.")
        if trust.snapshot_id is None
        else _("By what is known today of this version's images, with the rules of today."),
        (_("Line"), _("Result"), _("Found")),
        tuple(
            (gate.title(line), _("PASS") if line.passed else _("FAIL"), gate.said(line, trust.counts))
            for line in lines
        ),
        {
            "passed": trust.gate.passed,
            "score": trust.gate.score,
            "lines": [asdict(line) for line in lines],
        },
    )


def _agreement(trust: Trust) -> Section:
    same = trust.agreed.same
    figures: dict[str, Any] = _figures(same, "differ") | {
        "chance": trust.agreed.chance,
        "alpha": trust.agreed.alpha,
    }
    if not same.n:
        sentence = _("No image of this version was labelled by two people.")
    else:
        sentence = _(
            "Two people who did not see each other's label gave the same one for {same} of {n} images: {share}."
        ).format(same=f"{same.n - same.wrong:,}", n=f"{same.n:,}", share=_range(_turned(same)))
        if trust.agreed.alpha is not None:
            sentence += " " + _(
                "Beyond what chance would give (Krippendorff's alpha): {alpha}; 1 is full agreement."
            ).format(alpha=f"{trust.agreed.alpha:.2f}")
    return Section("agreement", _("Agreement"), sentence, figures=figures)


def _errors(trust: Trust) -> Section:
    rate = trust.audited
    if not rate.n:
        sentence = _("No label of this version was looked at again, so the share of wrong ones is not known.")
    else:
        sentence = _(
            "Of {n} labels that somebody looked at again without seeing them, {wrong} were wrong: {share}. "
            "{corrected} of those are right in this version."
        ).format(
            n=f"{rate.n:,}",
            wrong=f"{rate.wrong:,}",
            share=_range(rate),
            corrected=f"{trust.corrected:,}",
        )
    figures = _figures(rate, "wrong") | {"corrected": trust.corrected, "slice": trust.slice_size}
    return Section("label-errors", _("Estimated share of wrong labels"), sentence, figures=figures)


def _doubts(trust: Trust) -> Section:
    if _blind(trust):
        sentence = _("Not known: no model has looked at these labels, or none knows enough of them.")
    else:
        sentence = _("{n} labels are in doubt: models that never saw the image agree on another one.").format(
            n=f"{trust.doubted:,}"
        )
    told = trust.precision
    if told.n:
        sentence += " " + _(
            "Of {n} such doubts that people decided on, {wrong} labels were wrong indeed: {share}."
        ).format(n=f"{told.n:,}", wrong=f"{told.wrong:,}", share=_range(told))
    figures = _figures(told, "wrong") | {"open": trust.doubted}
    return Section("doubts", _("Labels that are likely wrong"), sentence, figures=figures)


def went_on(check: State) -> str:
    """What is said where not all images were judged together, see core.quality.judged."""
    return _(
        "Labels and sides were judged on {n} images together; {since} came or went after that. New ones were judged by "
        "what was learnt then, the others keep what was said of them."
    ).format(n=f"{check.together:,}", since=f"{check.since:,}")


def _blind(trust: Trust) -> bool:
    """Whether no check could doubt a label of this theme."""
    check = trust.check
    return check.checked_at is None or check.accuracy is None or check.accuracy < doubts.SEES_ENOUGH


def _faults(trust: Trust) -> Section:
    counts = trust.counts
    rows = (
        (_("Copies of another image"), f"{counts.copies:,}"),
        (_("Look-alikes in different splits (leaks)"), f"{counts.leaks:,}"),
        (_("Look-alikes with different labels"), f"{counts.conflicts:,}"),
        (_("Files that cannot be read"), f"{counts.unreadable:,}"),
    )
    bad = counts.copies or counts.leaks or counts.conflicts or counts.unreadable
    return Section(
        "faults",
        _("Copies, leaks, conflicts, unreadable files"),
        _("What was found and not repaired, in images.") if bad else _("None of them was found."),
        (_("Fault"), _("Images")),
        rows,
        {
            "copies": counts.copies,
            "leaks": counts.leaks,
            "conflicts": counts.conflicts,
            "unreadable": counts.unreadable,
        },
    )


def _drift(trust: Trust) -> Section:
    found = trust.drift
    figures: dict[str, Any] = {
        "snapshot_id": found.snapshot_id,
        "images": found.images,
        "reference": found.reference,
        "why_not": found.why or None,
    }
    if found.drift is None:
        return Section("drift", _("New images"), drift_words.why_not(found.why), figures=figures)
    features = found.drift.features
    return Section(
        "drift",
        _("New images"),
        drift_words.sentence(found.drift, found.images, found.reference),
        (_("Measured"), _("Before"), _("New"), _("Stability index"), _("p, corrected"), _("Result")),
        tuple(
            (
                drift_words.title(each.name),
                *drift_words.middles(each),
                "–" if each.psi is None else f"{each.psi:.2f}",
                drift_words.chance(each.adjusted),
                drift_words.level(each),
            )
            for each in features
        ),
        figures | {"features": [asdict(each) | {"level": each.level} for each in features]},
    )


def _test(trust: Trust) -> Section:
    return Section(
        "test-set",
        _("Test set"),
        _(
            "{n} images that no model learns from. Marks of two models can be compared where this number is the same: "
            "{hash}"
        ).format(n=f"{trust.test_images:,}", hash=trust.test_hash),
        figures={"images": trust.test_images, "hash": trust.test_hash},
    )


def _overrides(trust: Trust) -> Section:
    rows = tuple(
        (f"{each.at:%Y-%m-%d %H:%M}", each.person, "–" if each.run is None else f"{each.run}", each.reason)
        for each in trust.overrides
    )
    return Section(
        "overrides",
        _("Trained in spite of FAIL"),
        ngettext("Once, with a reason.", "{n} times, each with a reason.", len(rows)).format(n=len(rows))
        if rows
        else _("Never."),
        (_("When"), _("Who"), _("Run"), _("Reason")),
        rows,
        {"overrides": [asdict(each) for each in trust.overrides]},
    )


def _not_checked(trust: Trust) -> list[str]:
    """One sentence each: what nobody knows of this version, and why."""
    found = []
    if trust.outside:
        found.append(
            _("{n} images have no label or no split; they are not part of this version.").format(
                n=f"{trust.outside:,}"
            )
        )
    if trust.counts.unchecked:
        found.append(
            _("{n} images were not measured and compared: no check ran since they came.").format(
                n=f"{trust.counts.unchecked:,}"
            )
        )
    if not trust.audited.n:
        found.append(_("The share of wrong labels: nobody has looked at labels of the audit slice again."))
    elif trust.audited.n < trust.slice_size:
        found.append(
            _("{n} of {all} labels of the audit slice: nobody has looked at them again.").format(
                n=f"{trust.slice_size - trust.audited.n:,}", all=f"{trust.slice_size:,}"
            )
        )
    if not trust.agreed.same.n:
        found.append(_("Agreement of people: no share of the images is labelled by two."))
    check = trust.check
    if check.checked_at is None:
        found.append(_("Labels by models, and whether every file still opens: the check has not run yet."))
    elif _blind(trust):
        found.append(
            _(
                "Labels by models: too little is known of these pictures to doubt a person; train a model first."
            )
        )
    elif check.changed:
        found.append(
            _("Labels by models: {n} images came or were labelled since the check.").format(
                n=f"{check.changed:,}"
            )
        )
    if check.since:
        found.append(went_on(check))
    if trust.ungrouped:
        found.append(
            _(
                "Leaks by product, patient or camera: {n} images do not say to which group they belong; only look-alikes "
                "were kept on one side."
            ).format(n=f"{trust.ungrouped:,}")
        )
    if trust.drift.why in ("no-snapshot", "too-few", "overlap"):
        found.append(_("Drift: {why}").format(why=drift_words.why_not(trust.drift.why)))
    found.append(
        _(
            "The same thing photographed twice from other sides: look-alikes are found by shapes and colours only."
        )
    )
    found.append(
        _("Faces, number plates and written text: personal data is looked for in texts, not in pictures.")
    )
    return found


def _range(rate: Rate) -> str:
    """The share with its interval, in per cent."""
    share, low, high = (f"{each * 100:.1f} %" for each in (rate.wrong / rate.n, rate.low, rate.high))
    return _("{share} (interval at 95 %: {low} to {high})").format(share=share, low=low, high=high)


def _turned(rate: Rate) -> Rate:
    return Rate(rate.n, rate.n - rate.wrong, 1 - rate.high, 1 - rate.low)


def _figures(rate: Rate, name: str) -> dict[str, Any]:
    return {
        "n": rate.n,
        name: rate.wrong,
        "low": rate.low if rate.n else None,
        "high": rate.high if rate.n else None,
    }
