"""Pure. Texts that every database of ours can store."""

from __future__ import annotations

import re

from core.errors import InvalidInput

_NOWHERE = re.compile("[\0\ud800-\udfff]")
"""Postgres keeps no zero byte, and half a character has no bytes at all."""


def check(field: str, text: str) -> str:
    """The text as it is. Raises InvalidInput, which names the field, where it holds what no database takes."""
    if _NOWHERE.search(text):
        raise InvalidInput("“{field}” has a character that cannot be stored; remove it.", field=field)
    return text
