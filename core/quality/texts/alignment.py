"""Pure. Parallel data: is each target a translation of its source?"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import prod
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.i18n import N_
from core.quality.texts.findings import HINT, NOTABLE, SEVERE, Finding, Result
from core.quality.texts.shingles import normal
from core.texts.records import Record

if TYPE_CHECKING:
    from core.quality.texts.lexicon import Judge, Meanings

FDR = 0.1
"""Of the pairs called shuffled, at most this share may be right after all, by the estimate of how many are wrong.

That binds where few are wrong; else as many are called shuffled as are estimated to be. Measured on 10,000
English and Japanese pairs with a quarter shuffled: see benchmarks/text_quality.py.
"""
LEAST_PAIRS = 1_000
"""Fewer teach no lexicon; TOO_FEW says the number."""
LEAST_SEPARATION = 0.8
"""Chance that a pair beats a chance pair, below which the lexicon has learnt nothing useful."""
MOST_WRONG = 0.9
"""Beyond this share of pairs no better than chance, what was learnt is chance itself."""
LENGTH_FACTOR = 3.0
LENGTH_SPREADS = 5.0
"""A length is odd where it is beyond this factor of the usual ratio, and beyond so many spreads."""

TOO_FEW = N_("Not checked: whether the pairs belong together; that takes 1,000 pairs and more.")
UNLEARNT = N_(
    "Not checked: whether the pairs belong together; their words hardly go together at all, or are too few."
)
BY_WORDS = N_(
    "Pairs are told apart by which words go together in this data; no model that knows what they mean is here."
)
NO_MODEL = N_(
    "Not checked: what the pairs mean; VERITRAIN_EMBEDDING_MODEL names no folder with a model. They are told apart by"
    " which words go together."
)
BROKEN_MODEL = N_(
    "Not checked: what the pairs mean; the model that VERITRAIN_EMBEDDING_MODEL names cannot be used, the log says why."
    " They are told apart by which words go together."
)


@dataclass(frozen=True)
class Learnt:
    """What all pairs together say of any: pairs that come after are judged by it."""

    judge: Judge | None
    """None where it cannot be told which pairs belong together."""
    worst: float
    """Up to this score a pair is called shuffled."""
    usual: float
    """Median of log(target/source), of lengths."""
    within: float
    """How far from `usual` a length is not odd."""


@dataclass(frozen=True)
class Alignment(Result):
    pairs: int = 0
    """Records with a source and a target."""
    by: Learnt | None = None
    """None where `check` was given what others say."""

    @property
    def learnt(self) -> bool | None:
        """Whether it can be told which pairs belong together; None where they are too few to learn from."""
        return None if self.pairs < LEAST_PAIRS else UNLEARNT not in self.not_checked

    @property
    def aligned(self) -> float:
        """Share of the pairs without a severe finding, 0–1: what the gate asks for."""
        return 1 - len(self.records(SEVERE)) / self.checked if self.checked else 1.0


def check(records: Sequence[Record], meanings: Meanings | None = None, without: str = BY_WORDS) -> Alignment:
    """Pairs that do not belong together, untranslated ones, odd lengths, lost numbers and links.

    `meanings`: by record, what an embedding model says of its prompt and its answer; `without`: what people are
    told where there are none. Records with empty sides are left to the check of format. Chance has a fixed seed:
    same data, same answer.
    """
    places, sources, targets = _pairs(records)
    if meanings is not None:
        meanings = meanings.take(places)
    learnt, scores, said = _learnt(sources, targets, meanings, without)
    findings = _found(places, sources, targets, scores, learnt)
    return Alignment(findings, len(records), said, pairs=len(places), by=learnt)


def check_more(
    records: Sequence[Record], learnt: Learnt, embed: Callable[[Sequence[Record]], Meanings] | None
) -> Alignment:
    """The same of pairs that were not among those which `learnt` comes from; `embed` is the model it had, if any."""
    places, sources, targets = _pairs(records)
    scores = np.zeros(len(places))
    if learnt.judge is not None and places:
        meanings = embed([records[n] for n in places]) if embed is not None else None
        scores = learnt.judge.scores(sources, targets, meanings)
    return Alignment(_found(places, sources, targets, scores, learnt), len(records), pairs=len(places))


def _pairs(records: Sequence[Record]) -> tuple[list[int], list[str], list[str]]:
    """(places, sources, targets) of the records that have both."""
    places = [n for n, r in enumerate(records) if r.is_pair and r.prompt.strip() and r.answer.strip()]
    return places, [records[n].prompt for n in places], [records[n].answer for n in places]


def _found(
    places: Sequence[int],
    sources: Sequence[str],
    targets: Sequence[str],
    scores: NDArray[np.float64],
    learnt: Learnt,
) -> list[Finding]:
    findings: list[Finding] = []
    shuffled = scores <= learnt.worst
    untranslated = np.array([_same(s, t) for s, t in zip(sources, targets, strict=True)], bool)
    for row in np.flatnonzero(untranslated).tolist():
        findings.append(
            Finding(places[row], "output", "untranslated", SEVERE, N_("Source and target are the same text."))
        )
    for row in np.flatnonzero(shuffled & ~untranslated).tolist():
        findings.append(
            Finding(
                places[row],
                "output",
                "misaligned",
                SEVERE,
                N_("The target is not a translation of its source."),
            )
        )
    odd = np.abs(_ratios(sources, targets) - learnt.usual) > learnt.within
    for row in np.flatnonzero(odd & ~shuffled).tolist():
        findings.append(
            Finding(
                places[row],
                "output",
                "length-ratio",
                HINT,
                N_("The target is much longer or shorter than usual for its source."),
            )
        )
    for number, source, target in zip(places, sources, targets, strict=True):
        for kind, message in _lost(source, target):
            findings.append(Finding(number, "output", kind, NOTABLE, message))
    findings.sort(key=lambda finding: finding.record)
    return findings


def shuffled(sources: Sequence[str], targets: Sequence[str]) -> NDArray[np.bool_]:
    """Pairs that fit no better than chance. All False where there is too little to learn from."""
    learnt, scores, _ = _learnt(sources, targets)
    return scores <= learnt.worst


def _learnt(
    sources: Sequence[str], targets: Sequence[str], meanings: Meanings | None = None, without: str = BY_WORDS
) -> tuple[Learnt, NDArray[np.float64], tuple[str, ...]]:
    """(what was learnt, the score of each pair, what people are told)."""
    usual, within = _lengths(sources, targets)
    none = np.zeros(len(sources))
    untold = Learnt(None, -np.inf, usual, within)
    if len(sources) < LEAST_PAIRS:
        return untold, none, (TOO_FEW,) if len(sources) else ()
    from core.quality.texts import lexicon  # brings scipy, which takes half a second

    scores = lexicon.scores(sources, targets, meanings)
    # Weights that were learnt on folds of the same data find a little sense in pure chance; plain scores find none.
    if not any(_tells(*plain) for plain in scores.plain):
        return untold, none, (UNLEARNT,)
    chance, own = np.sort(scores.chance), scores.own
    wrong = wrong_share(own, chance)
    said = (without,) if meanings is None else ()
    order = np.sort(own)
    called = np.arange(1, len(own) + 1)
    expected = wrong * len(own) * np.searchsorted(chance, order, side="right") / len(chance)
    good = np.flatnonzero((expected >= (1 - FDR) * called) & (called <= wrong * len(own)))
    worst = float(order[good[-1]]) if len(good) else -np.inf
    return Learnt(scores.judge, worst, usual, within), own, said


def _tells(own: NDArray[np.float64], chance: NDArray[np.float64]) -> bool:
    """Whether this score tells right pairs from chance ones."""
    wrong = wrong_share(own, chance)
    # A right pair beats chance, a wrong one is chance: P(own > chance) = (1 - wrong)·separation + wrong/2.
    beats = float(np.mean(np.searchsorted(np.sort(chance), own) / len(chance)))
    return wrong <= MOST_WRONG and (beats - wrong / 2) / (1 - wrong) >= LEAST_SEPARATION


def wrong_share(own: NDArray[np.float64], chance: NDArray[np.float64]) -> float:
    """Share of the pairs that are as chance ones are: those below a quantile q of chance, over q.

    Right pairs seldom lie there, so this is little too high (Storey 2002 estimates true null hypotheses
    so); of several quantiles the one with the lowest answer counts.
    """
    return min(1.0, *(float(np.mean(own <= np.quantile(chance, q))) / q for q in (0.5, 0.6, 0.7, 0.8)))


def odd_lengths(sources: Sequence[str], targets: Sequence[str]) -> NDArray[np.bool_]:
    """Far from the median of log(target/source), in spreads of the data itself (1.4826 median deviations)."""
    usual, within = _lengths(sources, targets)
    return np.abs(_ratios(sources, targets) - usual) > within


def _lengths(sources: Sequence[str], targets: Sequence[str]) -> tuple[float, float]:
    """(the median of log(target/source), how far from it is not odd)."""
    if not len(sources):
        return 0.0, np.inf
    ratio = _ratios(sources, targets)
    usual = float(np.median(ratio))
    spread = 1.4826 * float(np.median(np.abs(ratio - usual)))
    return usual, max(float(np.log(LENGTH_FACTOR)), LENGTH_SPREADS * spread)


def _ratios(sources: Sequence[str], targets: Sequence[str]) -> NDArray[np.float64]:
    return np.array([np.log((len(t) + 5) / (len(s) + 5)) for s, t in zip(sources, targets, strict=True)])


_URL = re.compile(r"https?://[^\s\u3000-\u9fff\uac00-\ud7a3<>\"']+|[\w.+-]+@[\w-]+\.[\w.-]+")
_MARK = re.compile(r"\{\w*\}|%[sd]|</?[a-z][\w-]*/?>|\$\{\w+\}")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_TIMES = {"百": 100, "千": 1_000, "万": 10**4, "億": 10**8, "兆": 10**12, "백": 100, "천": 1_000, "만": 10**4}
_TIMES |= {"억": 10**8, "조": 10**12, "thousand": 1_000, "million": 10**6, "billion": 10**9}
_UNIT = "|".join(_TIMES)
_COUNTED = re.compile(rf"(\d+(?:,\d+)*(?:\.\d+)?)((?:\s?(?:{_UNIT}))*)")
_AMOUNT = re.compile(rf"(?:{_COUNTED.pattern})+")
_NUMERALS = re.compile(r"[〇一二三四五六七八九十百千万億兆零]|[일이삼사오육칠팔구십백천만억]|\d")


def _lost(source: str, target: str) -> list[tuple[str, str]]:
    """What has to be carried over word by word and was not: (kind, message)."""
    found = []
    if set(_URL.findall(source)) != set(_URL.findall(target)):
        found.append(("lost-link", N_("A link or address stands on one side only.")))
    if sorted(_MARK.findall(source)) != sorted(_MARK.findall(target)):
        found.append(("lost-mark", N_("A placeholder or tag stands on one side only.")))
    ours, theirs = _numbers(source), _numbers(target)
    if ours != theirs and (
        (ours and theirs and not ours & theirs and not _amounts(source) & _amounts(target))
        or (_long(ours - theirs) and not _NUMERALS.search(target))
    ):
        found.append(("lost-number", N_("A number of the source is not in the target.")))
    return found


def _numbers(text: str) -> set[str]:
    return {number.replace(",", "").rstrip(".") for number in _NUMBER.findall(normal(_URL.sub(" ", text)))}


def _amounts(text: str) -> set[Decimal]:
    """What its figures come to with the words that multiply them: 2万5千 and 25 thousand are 25,000."""
    return {
        sum(
            (
                Decimal(figures.replace(",", "")) * prod(_TIMES[unit] for unit in re.findall(_UNIT, units))
                for figures, units in _COUNTED.findall(amount.group())
            ),
            Decimal(0),
        )
        for amount in _AMOUNT.finditer(normal(_URL.sub(" ", text)))
    }


def _long(numbers: set[str]) -> bool:
    """Small numbers may be written as words."""
    return any(len(number) > 2 for number in numbers)


def _same(source: str, target: str) -> bool:
    letters = [c for c in normal(source) if c.isalpha()]
    return len(letters) > 3 and letters == [c for c in normal(target) if c.isalpha()]
