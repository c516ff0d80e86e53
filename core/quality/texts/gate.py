"""Pure. PASS or FAIL for a version of a text dataset, line by line, with what to do for each FAIL."""

from __future__ import annotations

from dataclasses import dataclass

from core.i18n import gettext as _
from core.quality.gate import Gate, Line, most
from core.quality.texts.rules import Rules


@dataclass(frozen=True)
class Counts:
    """What the lines are computed from. Findings that a person called fine are not counted."""

    rows: int
    pairs: int = 0
    """Pairs of source and target; 0 where the data is not parallel, or has too few to compare."""
    learnt: bool = True
    """False where it cannot be told which pairs belong together."""
    unaligned: int = 0
    """Rows whose target is no translation."""
    copies: int = 0
    """Rows beyond the first of each group of copies."""
    told: int = 0
    """Texts whose language is known."""
    foreign: int = 0
    """Those that are in another language than their column."""
    personal: int = 0
    """Rows with personal data that is not masked."""
    unreadable: int = 0
    """Rows that are empty, without an answer or garbled."""
    broken: int = 0
    """Rows of the uploads that could not be read and that nobody has dealt with."""
    leaks: int = 0
    """Rows that are learnt from and repeat what is tested."""
    dealt: bool = True
    """False where the rows have no splits yet, so that nothing can leak."""
    unchecked: int = 0
    """Rows of a version that was not checked, or was checked by other rules."""


def judge(counts: Counts, rules: Rules) -> Gate:
    """The gate's lines, the heaviest first."""
    n = max(1, counts.rows)
    copied = counts.copies / n
    wrong = counts.unreadable + counts.broken
    lines = [
        most("leakage", counts.leaks, rules.most_leaks, 20, counts.leaks / n),
        most("personal", counts.personal, rules.most_personal, 20, counts.personal / n),
        most("copies", copied, rules.most_copies, 15, copied),
        _least("language", 1 - counts.foreign / max(1, counts.told), rules.least_consistent, 15),
        most("unreadable", wrong, rules.most_unreadable, 10, wrong / (n + counts.broken)),
        most("unchecked", counts.unchecked, 0, 10, counts.unchecked / n),
    ]
    if counts.pairs:
        share = 1 - counts.unaligned / counts.pairs if counts.learnt else 0.0
        lines.insert(2, _least("alignment", share, rules.least_aligned, 20))
    return Gate(tuple(lines))


def unchecked(rows: int) -> Gate:
    """Of a version that nothing is known of."""
    return Gate((most("unchecked", max(1, rows), 0, 100, 1.0),))


def _least(name: str, value: float, limit: float, weight: int) -> Line:
    """A line that asks for at least `limit`. One that fails keeps at most half its points."""
    passed = value >= limit
    return Line(name, passed, value, limit, weight, 1.0 if passed else 0.5 * value)


def title(line: Line) -> str:
    return {
        "leakage": _("Nothing is learnt from and tested with at once"),
        "personal": _("No personal data"),
        "alignment": _("Sources and targets belong together"),
        "copies": _("Few copies"),
        "language": _("Each column is in one language"),
        "unreadable": _("Every row can be read"),
        "unchecked": _("This version was checked"),
    }[line.name]


def said(line: Line, counts: Counts) -> str:
    """The line's numbers in words."""
    n = f"{line.value:,.0f}"
    share, limit = f"{line.value * 100:.1f} %", f"{line.limit * 100:g} %"
    if line.name == "alignment":
        if not counts.learnt:
            return _("It cannot be told which pairs belong together; their words hardly go together at all.")
        return _("{share} of the pairs raise no doubt; {limit} are asked for.").format(
            share=share, limit=limit
        )
    if line.name == "copies":
        return _("{share} of the rows are copies of another; {limit} are allowed.").format(
            share=share, limit=limit
        )
    if line.name == "language":
        return _("{share} of the texts are in the language of their column; {limit} are asked for.").format(
            share=share, limit=limit
        )
    if line.name == "leakage" and not counts.dealt and not counts.leaks:
        return _("The rows are not split yet, so nothing can leak.")
    if line.name == "unreadable" and counts.broken:
        return _("{broken} rows of the upload could not be read, and {n} rows are empty or garbled.").format(
            broken=f"{counts.broken:,}", n=f"{counts.unreadable:,}"
        )
    if line.name == "unchecked":
        if not line.value:
            return _("The check has seen it as it is.")
        return _("{n} rows were not checked as they are now.").format(n=n)
    if not line.value:
        return _("None found.")
    return {
        "leakage": _("{n} rows repeat what is tested."),
        "personal": _("{n} rows hold personal data or keys."),
        "unreadable": _("{n} rows are empty or garbled."),
    }[line.name].format(n=n)


def advice(line: Line, counts: Counts) -> str:
    """What to do where the line fails."""
    if line.name == "unreadable":
        if counts.broken:
            return _("Repair the rows in the file and upload it again, or say that they are left out.")
        return _("Repair the characters, edit the rows by hand, or remove them.")
    if line.name == "alignment" and not counts.learnt:
        return _("Look at some pairs; if they are right, set the share that is asked for to 0.")
    return {
        "leakage": _("Press “Remove what leaks”: rows of the test stay."),
        "personal": _(
            "Press “Mask all personal data”: each value becomes a token that only an administrator can turn back."
        ),
        "alignment": _("Look at the pairs that are no translations and remove them."),
        "copies": _("Press “Keep one of each”."),
        "language": _("Look at the texts in other languages; remove them, or call them fine."),
        "unchecked": _("Press “Check now”."),
    }[line.name]
