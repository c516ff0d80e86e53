"""Pure. Personal data and secrets in texts: where they stand and what they are, never what they say.

Candidates come from a few regular expressions that run over many texts joined into one; then each is
judged by its checksum, its structure and the words around it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from core.i18n import N_
from core.quality.texts.findings import SEVERE, Finding, Result
from core.quality.texts.form import ROLES
from core.quality.texts.identifiers import emails, ibans, ip6, keys
from core.quality.texts.numbers import Found, numbers
from core.texts.records import Record, field_name

KINDS = ("key", "email", "iban", "card", "resident-number", "my-number", "ip", "phone")
MESSAGES = {
    "email": N_("An e-mail address in “{field}”."),
    "phone": N_("A phone number in “{field}”."),
    "resident-number": N_("A Korean resident registration number in “{field}”."),
    "my-number": N_("A Japanese My Number in “{field}”."),
    "card": N_("A payment card number in “{field}”."),
    "ip": N_("An IP address in “{field}”."),
    "iban": N_("A bank account number (IBAN) in “{field}”."),
    "key": N_("A key or token for a computer in “{field}”."),
}
NOT_CHECKED = N_(
    "Not checked: names and postal addresses of people, and passwords; no model that finds them is here."
)


@dataclass(frozen=True, slots=True)
class Span:
    """Characters start to end of one text."""

    start: int
    end: int
    kind: str


def check(records: Sequence[Record]) -> Result:
    """A severe finding for each kind in each field, with how many and where (`spans`: start and end).

    A role that no template knows may be somebody's name or address: it is looked at too, as a part of its turn,
    and has no spans.
    """
    places: list[tuple[int, str, bool]] = []
    texts: list[str] = []
    for number, record in enumerate(records):
        for name, text in record.texts():
            places.append((number, name, False))
            texts.append(text)
        for place, turn in enumerate(record.turns):
            if turn.role not in ROLES:
                places.append((number, field_name(record, place), True))
                texts.append(turn.role)
    found: dict[tuple[int, str, str], list[tuple[int, int]]] = {}
    counts: Counter[tuple[int, str, str]] = Counter()
    for (number, name, is_role), spans in zip(places, scan(texts), strict=True):
        for span in spans:
            key = (number, name, span.kind)
            counts[key] += 1
            found.setdefault(key, []).extend([] if is_role else [(span.start, span.end)])
    findings = [
        Finding(
            number,
            name,
            kind,
            SEVERE,
            MESSAGES[kind],
            {"field": name, "count": counts[number, name, kind], "spans": spans},
        )
        for (number, name, kind), spans in found.items()
    ]
    return Result(findings, len(records), (NOT_CHECKED,))


def find(text: str) -> list[Span]:
    """The spans of one text, in order, without overlaps."""
    return scan([text])[0]


def scan(texts: Sequence[str]) -> list[list[Span]]:
    """For each text its spans, in order, without overlaps."""
    found: list[list[Span]] = [[] for _ in texts]
    for first, some in _batches(texts):
        starts = [0]
        for text in some:
            starts.append(starts[-1] + len(text) + 1)
        joined = "\0".join(some)
        for start, end, kind in _spans(_narrow(joined)):
            row = bisect_right(starts, start) - 1
            found[first + row].append(Span(start - starts[row], end - starts[row], kind))
    return found


BATCH = 1 << 18
"""Characters that are searched at once."""


def _batches(texts: Sequence[str]) -> Iterator[tuple[int, Sequence[str]]]:
    first = size = 0
    for number, text in enumerate(texts):
        size += len(text) + 1
        if size >= BATCH:
            yield first, texts[first : number + 1]
            first, size = number + 1, 0
    if first < len(texts):
        yield first, texts[first:]


_WIDE = re.compile("[\uff01-\uff5e\u2010-\u2015\u2212\u3000\u00a0]")
_NARROW = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F) if code != 0xFF1A} | {
    **dict.fromkeys((*range(0x2010, 0x2016), 0x2212), ord("-")),
    **dict.fromkeys((0x3000, 0xA0), ord(" ")),
}


def _narrow(text: str) -> str:
    """Full-width letters and digits, and every kind of dash, as ASCII, character by character.

    Not the colon: it stands before addresses of IPv6, where it would become a part of them.
    """
    return text.translate(_NARROW) if not text.isascii() and _WIDE.search(text) else text


def _spans(text: str) -> list[Found]:
    """In order, without overlaps: of two that overlap the one whose kind stands first in KINDS counts."""
    taken: list[Found] = []
    for search in (keys, emails, ibans, numbers, ip6):
        taken.extend(search(text))
    rank = {kind: n for n, kind in enumerate(KINDS)}
    chosen: list[Found] = []
    for span in sorted(taken, key=lambda s: (s[0], rank[s[2]])):
        while chosen and chosen[-1][1] > span[0] and rank[span[2]] < rank[chosen[-1][2]]:
            chosen.pop()
        if not chosen or chosen[-1][1] <= span[0]:
            chosen.append(span)
    return chosen
