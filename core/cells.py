"""Pure. Text in a CSV that a spreadsheet must not run as a formula, there and back."""

from __future__ import annotations

import re

# OWASP's list of first characters, and apostrophes before them, so that the way back is exact.
_RUNS = re.compile(r"'*[=+\-@\t\r]")
_ESCAPED = re.compile(r"'+[=+\-@\t\r]")


def escaped(text: str) -> str:
    """The cell with an apostrophe before what a spreadsheet would run."""
    return f"'{text}" if _RUNS.match(text) else text


def unescaped(cell: str) -> str:
    """The text that `escaped` was given."""
    return cell[1:] if _ESCAPED.match(cell) else cell
