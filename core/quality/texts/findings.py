"""Pure. What a check of texts says: where, what, how bad; never the text itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

SEVERE, NOTABLE, HINT = "severe", "notable", "hint"


@dataclass(frozen=True, slots=True)
class Finding:
    record: int
    """Index in the sequence that was checked."""
    where: str
    """As `Record.texts` calls it; "" for the record as a whole."""
    kind: str
    severity: str
    message: str
    """An English gettext message with named fields."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """They fill the message; no text of the record that could be secret is among them."""

    def text(self, translate: Callable[[str], str] = str) -> str:
        """The sentence, through `translate` (a gettext function) when one is given."""
        return translate(self.message).format(**self.fields)


@dataclass(frozen=True)
class Result:
    """What one check found in `checked` records."""

    findings: list[Finding]
    checked: int
    not_checked: tuple[str, ...] = ()
    """Sentences for people (gettext messages) about what the check cannot see here."""

    @property
    def rate(self) -> float:
        """Share of the records that have a finding, 0–1; 0 where nothing was checked."""
        return len(self.records()) / self.checked if self.checked else 0.0

    def records(self, *severities: str) -> list[int]:
        """Indexes of the records with a finding (of these severities, where any are given), ascending."""
        return sorted({f.record for f in self.findings if not severities or f.severity in severities})

    def by_kind(self) -> dict[str, int]:
        """Findings by kind, the most frequent first."""
        counts: dict[str, int] = {}
        for finding in self.findings:
            counts[finding.kind] = counts.get(finding.kind, 0) + 1
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def merged(results: Sequence[Result]) -> Result:
    """Several checks of the same records as one."""
    findings = sorted((f for r in results for f in r.findings), key=lambda f: f.record)
    not_checked = dict.fromkeys(sentence for r in results for sentence in r.not_checked)
    return Result(findings, max((r.checked for r in results), default=0), tuple(not_checked))
