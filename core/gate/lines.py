"""Pure. A line of the promotion gate: what was looked at, what came of it, and the sentences that say so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.addresses import Address
from core.errors import Conflict
from core.gate.sentences import NEXT, TEXTS
from core.i18n import N_

GREEN, RED, OPEN = "green", "red", "open"
"""Open: there is nothing to compare with yet, which stops nobody."""
VERDICT, ACCURACY, SLICES = "verdict", "accuracy", "slices"
METRIC, BENCHMARK, LATENCY, SIZE = "metric", "benchmark", "latency", "size"
DATASET, APPROVAL = "dataset", "approval"
ELSEWHERE = "elsewhere"
"""The case of a red line that asks for what only a training here measures."""
_SHARES = frozenset({"own", "other", "value", "low", "minimum", "delta"})
"""Fields that are shares, 0–1."""


@dataclass(frozen=True)
class Line:
    """One line of the gate. `fields` is its evidence as plain data, and fills its sentences."""

    code: str
    """verdict | accuracy | slices | metric | benchmark | latency | size | dataset | approval"""
    state: str
    """green | red | open"""
    fields: dict[str, Any] = field(default_factory=dict)
    case: str = ""
    """Why it has this state, where there are several reasons; names its sentences."""
    address: Address | None = None
    """Where its evidence can be looked at."""

    def text(self, translate: Callable[[str], str] = str) -> str:
        """What came of it, and for a red line what to do next; through `translate` (a gettext function) if given."""
        said = self.finding(translate)
        if self.state == RED:
            said += " " + translate(NEXT[self._name]).format(**self.fields | self._shown())
        return said

    def finding(self, translate: Callable[[str], str] = str) -> str:
        """What came of it, without what to do next."""
        return translate(TEXTS[self._name, self.state]).format(**self.fields | self._shown())

    def plain(self) -> dict[str, Any]:
        return {"code": self.code, "state": self.state, "fields": self.fields, "case": self.case}

    @property
    def _name(self) -> str:
        if self.code == ACCURACY and self.state == OPEN and "champion" in self.fields:
            return "other images"
        if self.code == VERDICT and self.state == RED and "test" in self.fields:
            return "newer test"
        return f"{self.code} {ELSEWHERE}" if self.case == ELSEWHERE else self.case or self.code

    def _shown(self) -> dict[str, str]:
        """Numbers as people read them."""
        shown = {
            name: f"{value * 100:.1f} %"
            for name, value in self.fields.items()
            if name in _SHARES and value is not None
        }
        if "kind" in self.fields:
            # Words of images' kinds come with the statistics of slices, which a look at the gate need not load.
            from core.evaluations import words

            shown |= {
                "feature": words.feature(self.fields["feature"]),
                "kind": words.kind_of(self.fields["feature"], self.fields["kind"], self.fields["measured"]),
            }
        return shown


class Refused(Conflict):
    """The gate is red; `lines` says where."""

    code = "gate"

    def __init__(self, lines: Sequence[Line]) -> None:
        self.lines = tuple(lines)
        super().__init__(
            N_("It was not promoted. {lines} An administrator may override this with a written reason.")
        )

    def text(self, translate: Callable[[str], str] = str) -> str:
        red = " ".join(line.text(translate) for line in self.lines if line.state == RED)
        return translate(self.message).format(lines=red)
