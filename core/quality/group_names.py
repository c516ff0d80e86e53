"""Pure. Groups read from file names by a pattern: what belongs together and must not be torn apart.

Patterns are run by RE2 (through pyarrow), whose time grows with the text and never explodes, whatever a
person writes; what it cannot do (looking around, repeating a group by its number) is refused.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from core import storable
from core.errors import InvalidInput

MAX_PATTERN = 200
"""Characters."""
MAX_KEY = 200
"""Characters of a group's name; the rest of a longer one is cut off."""


def check(pattern: str) -> None:
    """Raises InvalidInput for a pattern that is too long, cannot be read, or has not exactly one group.

    An empty one is fine and makes no groups.
    """
    if not pattern:
        return
    if len(pattern) > MAX_PATTERN:
        raise InvalidInput(
            "The pattern has {n} characters; {limit} are allowed.", n=len(pattern), limit=MAX_PATTERN
        )
    storable.check("group_pattern", pattern)
    probe = pa.array([""], pa.string())
    try:
        pc.match_substring_regex(probe, pattern=pattern)
    except pa.ArrowInvalid as error:
        reason = str(error).removeprefix("Invalid regular expression: ")
        raise InvalidInput(
            "The pattern “{pattern}” cannot be read ({reason}); correct it there.",
            pattern=pattern,
            reason=reason[:MAX_PATTERN],
        ) from None
    if not _has_group(probe, pattern, 1) or _has_group(probe, pattern, 2):
        raise InvalidInput(
            "The pattern “{pattern}” must have exactly one pair of round brackets, around what names the group; "
            "write (?: … ) for brackets that only hold together.",
            pattern=pattern,
        )


def of(names: Sequence[str], pattern: str) -> list[str | None]:
    """Each file name's group by a pattern that `check` lets pass; None where it does not fit or names nothing.

    The first place of the name in which the pattern fits counts.
    """
    if not pattern:
        return [None] * len(names)
    texts = pa.array(names, pa.string())
    fits = pc.match_substring_regex(texts, pattern=pattern)
    found = pc.replace_substring_regex(texts, pattern=f"(?s)^.*?(?:{pattern}).*$", replacement=r"\1")
    return [
        key[:MAX_KEY] if fit and key else None
        for key, fit in zip(found.to_pylist(), fits.to_pylist(), strict=True)
    ]


def _has_group(probe: pa.StringArray, pattern: str, number: int) -> bool:
    try:
        pc.replace_substring_regex(probe, pattern=pattern, replacement=f"\\{number}")
    except pa.ArrowInvalid:
        return False
    return True
