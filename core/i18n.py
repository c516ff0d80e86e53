"""Pure. gettext for every string a person reads; catalogues live in pages/locale.

Messages are marked with `_` where they are shown at once (pages) and with the
error classes of `core.errors` where they are raised far from the reader.
"""

from __future__ import annotations

import contextvars
import gettext as _gettext
from functools import cache

from core.settings import ROOT

LANGUAGES = {"en": "English", "ja": "日本語", "ko": "한국어"}
DOMAIN = "veritrain"

_language: contextvars.ContextVar[str] = contextvars.ContextVar("language", default="en")


@cache
def _catalogue(language: str) -> _gettext.NullTranslations:
    return _gettext.translation(DOMAIN, ROOT / "pages" / "locale", [language], fallback=True)


def use(language: str) -> None:
    """Set the language of this thread of work; an unknown one means English."""
    _language.set(language if language in LANGUAGES else "en")


def language() -> str:
    return _language.get()


def negotiate(accept_language: str | None) -> str:
    """The first language of an Accept-Language header that we have, else English."""
    for part in (accept_language or "").split(","):
        code = part.split(";")[0].strip().lower().split("-")[0]
        if code in LANGUAGES:
            return code
    return "en"


def N_(message: str) -> str:
    """Mark a message that is put into the reader's language later, where it is shown."""
    return message


def gettext(message: str) -> str:
    """`message` in the current language."""
    return _catalogue(_language.get()).gettext(message)


def ngettext(one: str, many: str, n: int) -> str:
    """The form of the message that suits the number `n`."""
    return _catalogue(_language.get()).ngettext(one, many, n)
