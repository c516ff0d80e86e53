"""Pure. What a passport says of a version that was trained elsewhere: what it takes, and that the rest is not known."""

from __future__ import annotations

from core.i18n import gettext as _
from core.passport.document import Block, Section, Table, Text, Unknown
from core.signatures import FIELDS, Column


def origin() -> Unknown:
    text = _("It was trained elsewhere and taken over from MLflow: by whom it was trained is not known here.")
    return Unknown("origin", text)


def takes(kind: str, columns: tuple[Column, ...]) -> tuple[Block, ...]:
    text = _("It is asked with “{field}” and answers once for each of them.").format(field=FIELDS[kind])
    rows = tuple((each.name or "–", each.type, _("yes") if each.required else _("no")) for each in columns)
    return (Text(text), Table((_("Column"), _("Type"), _("Must be given")), rows))


def unknown(cards: dict[str, str]) -> list[Section]:
    """In place of the sections on data, training and marks; `cards` names the sections of a model card."""
    said = (
        (
            "evaluation-data",
            _("What it was tested on"),
            cards["tested"],
            _("What it was tested on is not known here, because it was trained elsewhere."),
        ),
        (
            "training-data",
            _("What it learnt from"),
            cards["learnt"],
            _("What it learnt from is not known here, because it was trained elsewhere."),
        ),
        (
            "training",
            _("How it was trained"),
            cards["details"],
            _("With which parameters, code and machine it was trained is not known here."),
        ),
        (
            "analyses",
            _("How well it does"),
            cards["analyses"],
            _("How well it does was not measured here, because it was trained elsewhere."),
        ),
    )
    return [Section(name, title, card, (Unknown(name, text),)) for name, title, card, text in said]


def ethics() -> tuple[Block, ...]:
    return (
        Unknown(
            "people", _("Whether it learnt from people's data, and whether they agreed, is not recorded.")
        ),
        Unknown("rights", _("Who owns what it learnt from, and what that may be used for, is not recorded.")),
    )


def caveats() -> tuple[Block, ...]:
    return (
        Text(
            _(
                "Nothing was measured here. Measure it on data of your own before anybody relies on it, note that as a "
                "benchmark, and watch its answers where it is used."
            )
        ),
    )
