"""Pure. The kinds of findings about texts: how bad they are, who may call them fine, what repairs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from core.i18n import gettext as _
from core.quality.texts import pii
from core.quality.texts.findings import HINT, NOTABLE, SEVERE

REMOVE, COPIES, MASK, CLEAN, LEAKS = FIXES = ("remove", "copies", "mask", "clean", "leaks")
"""The fixes of core.datasets.repair; a row can also be edited by hand."""

UNREADABLE, PERSONAL, COPIED, LEAKED, UNALIGNED, FOREIGN = (
    "unreadable",
    "personal",
    "copies",
    "leakage",
    "alignment",
    "language",
)
"""Lines of the gate that findings count for."""


@dataclass(frozen=True)
class Kind:
    name: str
    severity: str
    line: str = ""
    """The gate's line that it counts for; "" where the gate does not ask."""
    by_row: bool = True
    """Found in the row alone; False: by comparing it with others."""
    may_be_fine: bool = True
    """False where a model would suffer whatever a person says."""
    fix: str = REMOVE


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("leakage", SEVERE, LEAKED, by_row=False, may_be_fine=False, fix=LEAKS),
        *(Kind(name, SEVERE, PERSONAL, fix=MASK) for name in pii.KINDS),
        Kind("misaligned", SEVERE, UNALIGNED, by_row=False),
        Kind("untranslated", SEVERE, UNALIGNED, by_row=False),
        Kind("empty", SEVERE, UNREADABLE, may_be_fine=False),
        Kind("no-turns", SEVERE, UNREADABLE, may_be_fine=False),
        Kind("no-answer", SEVERE, UNREADABLE, may_be_fine=False),
        Kind("mojibake", SEVERE, UNREADABLE, fix=CLEAN),
        Kind("copy", NOTABLE, COPIED, by_row=False, fix=COPIES),
        Kind("near-copy", NOTABLE, COPIED, by_row=False, fix=COPIES),
        Kind("language", NOTABLE, FOREIGN, by_row=False),
        Kind("refusal", NOTABLE),
        Kind("toxic", NOTABLE),
        Kind("lost-number", NOTABLE, by_row=False),
        Kind("lost-link", NOTABLE, by_row=False),
        Kind("lost-mark", NOTABLE, by_row=False),
        Kind("control", NOTABLE, fix=CLEAN),
        Kind("role", NOTABLE),
        Kind("order", NOTABLE),
        Kind("too-long", NOTABLE),
        Kind("injection", HINT),
        Kind("length-ratio", HINT, by_row=False),
        Kind("invisible", HINT, fix=CLEAN),
        Kind("mixed-script", HINT),
    )
}
"""The worst first."""


def decided(kind: str, digest: str, row_id: int) -> str:
    """What a decision about a finding is kept under: what the row says, and, where rows are compared, which row.

    So a copy that may stay is one row, not every row that says the same; an edited row is judged anew.
    """
    return digest if KINDS[kind].by_row else f"{digest[:40]} {row_id}"


def names(line: str) -> tuple[str, ...]:
    """The kinds that count for one line of the gate."""
    return tuple(kind.name for kind in KINDS.values() if kind.line == line)


def title(name: str) -> str:
    return {
        "leakage": _("Learnt from and tested with"),
        "key": _("Key or token"),
        "email": _("E-mail address"),
        "iban": _("Bank account number"),
        "card": _("Payment card number"),
        "resident-number": _("Korean resident number"),
        "my-number": _("Japanese My Number"),
        "ip": _("IP address"),
        "phone": _("Phone number"),
        "misaligned": _("Not a translation"),
        "untranslated": _("Not translated"),
        "empty": _("Empty text"),
        "no-turns": _("Empty conversation"),
        "no-answer": _("Conversation without an answer"),
        "mojibake": _("Garbled characters"),
        "copy": _("Copy"),
        "near-copy": _("Nearly a copy"),
        "language": _("Another language"),
        "refusal": _("Answer that refuses"),
        "toxic": _("Insult or threat"),
        "lost-number": _("Number is lost"),
        "lost-link": _("Link is lost"),
        "lost-mark": _("Placeholder is lost"),
        "control": _("Control characters"),
        "role": _("Unknown speaker"),
        "order": _("Two turns of one side"),
        "too-long": _("Too long"),
        "injection": _("Command to the model"),
        "length-ratio": _("Odd length"),
        "invisible": _("Invisible characters"),
        "mixed-script": _("Two alphabets in one word"),
    }[name]


def meaning(name: str) -> str:
    """One sentence: why it matters."""
    if KINDS[name].line == PERSONAL:
        return _("A model can repeat it word by word to anybody who asks.")
    return {
        "leakage": _("The model learns what it is tested with, so its mark is better than the model."),
        "misaligned": _("Source and target say different things; the model learns to invent."),
        "untranslated": _(
            "Source and target are the same; the model learns to copy instead of to translate."
        ),
        "empty": _("There is nothing to learn from an empty text."),
        "no-turns": _("There is nothing to learn from an empty conversation."),
        "no-answer": _("The model learns from answers; this conversation has none at its end."),
        "mojibake": _("The text was read in a wrong encoding; the model learns the garbled characters."),
        "copy": _("Copies teach nothing new and count double."),
        "near-copy": _("Texts that hardly differ teach nothing new and count double."),
        "language": _(
            "Most texts of this column are in another language; the model may answer in the wrong one."
        ),
        "refusal": _("A model that learns refusals refuses more than it should."),
        "toxic": _("A model repeats the tone that it learns."),
        "lost-number": _("A number of the source is not in the target; the model learns to change numbers."),
        "lost-link": _("A link stands on one side only; the model learns to drop or invent links."),
        "lost-mark": _("A placeholder or tag stands on one side only; programs that fill it in would fail."),
        "control": _("Characters that nobody sees; a model writes them all the same."),
        "role": _("Templates know user, assistant, system and tools; this turn would be lost or refused."),
        "order": _("Most templates want user and assistant by turns."),
        "too-long": _("What is beyond the length a model takes is cut off, often with the answer."),
        "injection": _("The text tries to command a model; fine in examples of defence, odd elsewhere."),
        "length-ratio": _("Much longer or shorter than usual; often half of it is missing."),
        "invisible": _(
            "Characters without a shape, such as marks of direction; they make equal words unequal."
        ),
        "mixed-script": _("Letters that look alike but are not the same; often a trick or a slip."),
    }[name]


def advice(name: str) -> str:
    """One sentence: what to do about it."""
    kind = KINDS[name]
    if name == "language":
        return _("Look at some; remove the rows, or call them fine if several languages are meant.")
    return {
        MASK: _("Mask them: each value becomes a token that only an administrator can turn back."),
        LEAKS: _("Remove the rows that are learnt from; those of the test stay."),
        COPIES: _("Keep one row of each group and remove the others."),
        CLEAN: _("Repair the characters; the words stay."),
    }.get(kind.fix) or (
        _("Edit the rows by hand, or remove them.")
        if kind.severity == SEVERE
        else _("Look at some; edit or remove them, or call them fine.")
    )
