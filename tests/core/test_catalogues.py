"""The catalogues: nothing is left in English, and nothing that a program fills in is lost in translation."""

from __future__ import annotations

import re
from collections import Counter
from io import BytesIO
from string import Formatter

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po

from core import i18n
from core.settings import ROOT
from pages.locale import sources

TRANSLATED = [language for language in i18n.LANGUAGES if language != "en"]
MARKUP = re.compile(r"\*\*|`|:material/\w+:|:\w+-badge\[|^- |^#+ |^\s|\s$")


def load(language: str) -> Catalog:
    path = ROOT / "pages" / "locale" / language / "LC_MESSAGES" / f"{i18n.DOMAIN}.po"
    with path.open("rb") as file:
        return read_po(file, locale=language, abort_invalid=True)


@pytest.fixture(scope="module", params=TRANSLATED)
def catalogue(request: pytest.FixtureRequest) -> Catalog:
    return load(request.param)


def forms(text: str | tuple[str, ...]) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else tuple(text)


def pairs(catalogue: Catalog) -> list[tuple[str, str]]:
    """(source, translation) of all that is translated; the last source form is the one for many."""
    return [
        (forms(message.id)[-1], said)
        for message in messages(catalogue)
        for said in forms(message.string)
        if said
    ]


def messages(catalogue: Catalog) -> list[Message]:
    return [message for message in catalogue if message.id]


def placeholders(text: str) -> Counter[str]:
    """What is filled in, each with its conversion and format."""
    return Counter(
        f"{{{name}!{conversion or ''}:{spec}}}"
        for _, name, spec, conversion in Formatter().parse(text)
        if name is not None
    )


def markup(text: str) -> Counter[str]:
    return Counter(MARKUP.findall(text))


def test_every_text_is_translated(catalogue: Catalog) -> None:
    assert [message.id for message in messages(catalogue) if not all(forms(message.string))] == []


def test_no_translation_is_a_guess(catalogue: Catalog) -> None:
    assert [message.id for message in messages(catalogue) if message.fuzzy] == []


def test_a_translation_has_exactly_the_placeholders_of_its_source(catalogue: Catalog) -> None:
    assert [
        (source, said) for source, said in pairs(catalogue) if placeholders(source) != placeholders(said)
    ] == []


def test_a_translation_has_the_markup_of_its_source(catalogue: Catalog) -> None:
    assert [(source, said) for source, said in pairs(catalogue) if markup(source) != markup(said)] == []


def test_every_language_has_the_same_texts() -> None:
    first, *others = ({message.id for message in messages(load(language))} for language in TRANSLATED)
    assert all(other == first for other in others)


def test_a_text_marked_inside_an_f_string_is_collected() -> None:
    source = """f":gray[{_('draft')}] {_('{n} left').format(n=f(1))}" + _("plain")"""
    found = [
        (line, arguments)
        for line, _, arguments, _ in sources.extract(BytesIO(source.encode()), {"_": None}, (), {})
    ]
    texts = {
        text for _, arguments in found for text in ([arguments] if isinstance(arguments, str) else arguments)
    }
    assert texts == {"draft", "{n} left", "plain"}
