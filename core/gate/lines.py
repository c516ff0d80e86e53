"""Pure. A line of the promotion gate: what was looked at, what came of it, and the sentence that says so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.errors import Conflict
from core.i18n import N_

GREEN, RED, OPEN = "green", "red", "open"
"""Open: there is nothing to compare with yet, which stops nobody."""
VERDICT, ACCURACY = "verdict", "accuracy"

_TEXTS = {
    (VERDICT, GREEN): N_("The A/B test “{test}” was concluded with the verdict that this version is better."),
    (VERDICT, RED): N_(
        "No concluded A/B test says that this version is better than version {champion}, which is in production."
    ),
    ("newer test", RED): N_(
        "The newest A/B test of both, “{test}”, did not end with the verdict that this version is better than "
        "version {champion}, which is in production."
    ),
    (VERDICT, OPEN): N_("No version is in production yet, so there is none that an A/B test must beat."),
    (ACCURACY, GREEN): N_(
        "Right on {own} of the test images; version {champion}, which is in production, on {other} of the same."
    ),
    (ACCURACY, RED): N_(
        "Right on only {own} of the test images; version {champion}, which is in production, "
        "on {other} of the same."
    ),
    (ACCURACY, OPEN): N_("No version is in production yet whose accuracy this one could be compared with."),
    ("other images", OPEN): N_(
        "Measured on other test images than version {champion}, which is in production: "
        "their accuracy cannot be compared."
    ),
}


@dataclass(frozen=True)
class Line:
    """One line of the gate. `fields` is its evidence as plain data, and fills its sentence."""

    code: str
    """verdict | accuracy"""
    state: str
    """green | red | open"""
    fields: dict[str, Any] = field(default_factory=dict)
    case: str = ""
    """Why it has this state, where there are several reasons; names its sentence."""

    def text(self, translate: Callable[[str], str] = str) -> str:
        """One sentence for people, through `translate` (a gettext function) when one is given."""
        shares = {
            name: f"{self.fields[name] * 100:.1f} %" for name in ("own", "other") if name in self.fields
        }
        return translate(_TEXTS[self.case or self.code, self.state]).format(**(self.fields | shares))

    def plain(self) -> dict[str, Any]:
        return {"code": self.code, "state": self.state, "fields": self.fields}


class Refused(Conflict):
    """The gate is red; `lines` says where."""

    code = "gate"

    def __init__(self, lines: Sequence[Line]) -> None:
        self.lines = tuple(lines)
        super().__init__(
            "It was not promoted. {lines} An administrator may override this with a written reason."
        )

    def text(self, translate: Callable[[str], str] = str) -> str:
        red = " ".join(line.text(translate) for line in self.lines if line.state == RED)
        return translate(self.message).format(lines=red)
