"""Pure. PASS or FAIL for a theme's images, line by line, with what to do for each FAIL."""

from __future__ import annotations

from dataclasses import dataclass

from core.i18n import gettext as _
from core.quality.rules import Rules


@dataclass(frozen=True)
class Counts:
    """What the lines are computed from; counts of live images."""

    images: int
    unreadable: int
    leaks: int
    """Images whose look-alikes or group lie in another split."""
    conflicts: int
    """Images whose look-alikes have another label, or whose own copy came with another one."""
    copies: int
    """Images beyond the first of each cluster of look-alikes."""
    fewest: int
    """Labelled images of the label that has fewest."""
    fewest_label: str
    """Its name; empty without labels."""
    unchecked: int
    """Images that came before the checks existed and were not looked at yet."""
    frozen: bool
    """Whether the test set is frozen; these three count where it is no longer the frozen one."""
    test_gone: int
    """Deleted, or without their label."""
    test_relabelled: int
    test_added: int


@dataclass(frozen=True)
class Line:
    name: str
    passed: bool
    value: float
    limit: float
    weight: int
    points: float
    """0–1: how much of the weight counts towards the score."""


@dataclass(frozen=True)
class Gate:
    lines: tuple[Line, ...]

    @property
    def passed(self) -> bool:
        return all(line.passed for line in self.lines)

    @property
    def score(self) -> int:
        """Weighted, 0–100; 100 only where every line passes."""
        total = sum(line.weight for line in self.lines)
        found = 100 * sum(line.weight * line.points for line in self.lines) / total
        return round(found) if self.passed else min(99, int(found))

    @property
    def failed(self) -> tuple[Line, ...]:
        return tuple(line for line in self.lines if not line.passed)


def judge(counts: Counts, rules: Rules) -> Gate:
    """The gate's lines, the heaviest first."""
    n = max(1, counts.images)
    share = counts.copies / n
    strayed = counts.test_gone + counts.test_relabelled + counts.test_added
    return Gate(
        (
            most("leakage", counts.leaks, rules.most_leaks, 30, counts.leaks / n),
            most("conflicts", counts.conflicts, rules.most_conflicts, 20, counts.conflicts / n),
            most("copies", share, rules.most_twins, 15, share),
            Line(
                "per-label",
                counts.fewest >= rules.least_per_label,
                counts.fewest,
                rules.least_per_label,
                15,
                min(1.0, counts.fewest / rules.least_per_label) if rules.least_per_label else 1.0,
            ),
            most("test-set", strayed, 0, 10, min(1.0, strayed / n)),
            most("unreadable", counts.unreadable, rules.most_unreadable, 10, counts.unreadable / n),
            most("unchecked", counts.unchecked, 0, 10, counts.unchecked / n),
        )
    )


def most(name: str, value: float, limit: float, weight: int, share: float) -> Line:
    """A line that asks for at most `limit`. One that fails keeps at most half its points."""
    passed = value <= limit
    return Line(name, passed, value, limit, weight, 1.0 if passed else 0.5 * max(0.0, 1 - share))


def title(line: Line) -> str:
    return {
        "leakage": _("Nothing is learnt from and tested with at once"),
        "conflicts": _("The same picture has one label"),
        "copies": _("Few copies"),
        "per-label": _("Enough images of every label"),
        "test-set": _("The test set is the frozen one"),
        "unreadable": _("Every file can be read"),
        "unchecked": _("Every image was measured and compared"),
    }[line.name]


def said(line: Line, counts: Counts) -> str:
    """The line's numbers in words."""
    n = f"{line.value:,.0f}"
    if line.name == "copies":
        return _("{share} of the images are copies of another; {limit} are allowed.").format(
            share=f"{line.value * 100:.1f} %", limit=f"{line.limit * 100:g} %"
        )
    if line.name == "per-label":
        if not counts.fewest_label:
            return _("There are no labels yet.")
        return _("“{label}” has fewest: {n} labelled images; {limit} are asked for.").format(
            label=counts.fewest_label, n=n, limit=f"{line.limit:g}"
        )
    if line.name == "test-set":
        if not counts.frozen:
            return _("Not frozen yet: the first training does it.")
        if not line.value:
            return _("Nothing was changed in it.")
        return _("{gone} deleted or unlabelled, {relabelled} relabelled, {added} added.").format(
            gone=f"{counts.test_gone:,}",
            relabelled=f"{counts.test_relabelled:,}",
            added=f"{counts.test_added:,}",
        )
    if not line.value:
        return _("All were.") if line.name == "unchecked" else _("None found.")
    return {
        "leakage": _("{n} images have a look-alike, or one of their group, in another split."),
        "conflicts": _("{n} images have a look-alike with another label, or came again with another one."),
        "unreadable": _("{n} files cannot be read."),
        "unchecked": _("{n} images were not looked at yet."),
    }[line.name].format(n=n)


def advice(line: Line) -> str:
    """What to do where the line fails."""
    return {
        "leakage": _("Press “Put look-alikes on one side”: you see before what would move."),
        "conflicts": _(
            "Press “Give each group one label”, and answer for each image that came again with another label."
        ),
        "copies": _("Press “Keep the best of each”: you see before what would go."),
        "per-label": _("Label more images of it, or remove the label."),
        "test-set": _(
            "Look under “Frozen test set”: undo it, or have a trainer freeze it anew with a reason."
        ),
        "unreadable": _("Press “Remove them”, then upload the files again."),
        "unchecked": _("Press “Check now”."),
    }[line.name]
