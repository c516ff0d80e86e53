"""Pure. Many texts at once as sets of hashed shingles, in numpy: no Python loop runs over words.

A token is a word, or a single character of a script that is written without spaces or inflects inside
its words (Han, Kana, Hangul). A shingle is WORDS tokens in a row, or CHARACTERS where most tokens of
the text are such characters. Case, width, punctuation and white space do not count.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

WORDS = 3
CHARACTERS = 5
BATCH = 1 << 20
"""Characters that are worked on at once: the arrays of a batch fit the processor's cache."""

Hashes = NDArray[np.uint64]

_BREAK, _PART, _ALONE = 0, 1, 2
"""Between tokens; part of a word; a token by itself."""
_KNOWN = 0x33480
"""Code points from here on are no letters today."""
_ALONE_RANGES = (
    (0x1100, 0x1200), (0x3040, 0x3100), (0x3105, 0x3130), (0x3131, 0x318F), (0x31F0, 0x3200),
    (0x3400, 0x4DC0), (0x4E00, 0xA000), (0xAC00, 0xD7B0), (0xF900, 0xFB00), (0x20000, _KNOWN),
)  # fmt: skip


@dataclass(frozen=True)
class Shingles:
    """Hashes of all texts in a row; text i has those from offsets[i] to offsets[i + 1], repeats included."""

    hashes: Hashes
    offsets: NDArray[np.int64]
    whole: Hashes
    """A hash of each text's tokens: equal where texts are equal after normalisation."""
    tokens: NDArray[np.int64]
    """How many each text has."""

    def of(self, index: int) -> Hashes:
        """The set of one text, sorted."""
        return np.unique(self.hashes[self.offsets[index] : self.offsets[index + 1]])


def normal(text: str) -> str:
    """NFKC without case: what the hashes are made of, before it is cut at everything but letters and digits."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).lower()


def batches(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Runs of texts with about BATCH characters together."""
    first = size = 0
    for number, text in enumerate(texts):
        size += len(text) + 1
        if size >= BATCH:
            yield texts[first : number + 1]
            first, size = number + 1, 0
    if first < len(texts):
        yield texts[first:]


def shingles(texts: Sequence[str], words: int = WORDS, characters: int = CHARACTERS) -> Shingles:
    """The shingles of one batch. A text with fewer tokens than a shingle has one of all its tokens."""
    joined = normal("\n".join([text.replace("\n", " ") for text in texts]) + "\n")
    codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32)
    classes, values = _tables()
    codes_known = np.minimum(codes, _KNOWN - 1)
    kind = classes[codes_known]
    # where tokens begin and end
    part = kind == _PART
    alone = kind == _ALONE
    before = np.empty_like(part)
    before[0], before[1:] = False, part[:-1]
    begins = np.flatnonzero(alone | (part & ~before))
    after = np.empty_like(part)
    after[-1], after[:-1] = False, part[1:]
    ends = np.flatnonzero(alone | (part & ~after)) + 1
    tokens = _runs(values[codes_known], begins, ends)
    text_ends = np.searchsorted(begins, np.flatnonzero(codes == 10), side="left")
    text_begins = np.concatenate(([0], text_ends[:-1]))
    counts = text_ends - text_begins
    single = np.concatenate(([0], np.cumsum(alone[begins])))
    by_character = 2 * (single[text_ends] - single[text_begins]) > counts
    size = np.where(by_character, characters, words)
    number = np.where(counts > 0, np.maximum(counts - size + 1, 1), 0)
    offsets = np.concatenate(([0], np.cumsum(number)))
    start = np.arange(offsets[-1]) + np.repeat(text_begins - offsets[:-1], number)
    stop = np.minimum(start + np.repeat(size, number), np.repeat(text_ends, number))
    return Shingles(_runs(tokens, start, stop), offsets, _runs(tokens, text_begins, text_ends), counts)


def shingled(texts: Sequence[str], words: int = WORDS, characters: int = CHARACTERS) -> Shingles:
    """The shingles of any number of texts, batch by batch on several cores."""
    with ThreadPoolExecutor(min(os.cpu_count() or 1, 4)) as pool:  # numpy leaves Python's lock
        return together(list(pool.map(lambda some: shingles(some, words, characters), batches(texts))))


def together(parts: Sequence[Shingles]) -> Shingles:
    """Shingles of several batches as one."""
    if not parts:
        return Shingles(
            np.empty(0, np.uint64), np.zeros(1, np.int64), np.empty(0, np.uint64), np.empty(0, np.int64)
        )
    sizes = np.cumsum([0, *(part.offsets[-1] for part in parts)])
    offsets = [part.offsets[1:] + size for part, size in zip(parts, sizes[:-1], strict=True)]
    return Shingles(
        np.concatenate([part.hashes for part in parts]),
        np.concatenate([np.zeros(1, np.int64), *offsets]),
        np.concatenate([part.whole for part in parts]),
        np.concatenate([part.tokens for part in parts]),
    )


def _runs(values: Hashes, begins: NDArray[np.int64], ends: NDArray[np.int64]) -> Hashes:
    """A hash of values[begin:end] for each pair, by differences of a running polynomial modulo 2⁶⁴."""
    powers, inverses = _powers(len(values) + 1)
    sums = np.zeros(len(values) + 1, np.uint64)
    np.cumsum(values * powers[:-1], out=sums[1:])
    return mixed((sums[ends] - sums[begins]) * inverses[begins] + (ends - begins).astype(np.uint64))


def mixed(x: Hashes) -> Hashes:
    """The finaliser of SplitMix64 (Steele, Lea, Flood 2014): near numbers become unlike ones."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def load() -> None:
    """Make the tables that the first text would wait for."""
    _tables()
    _powers(1)


@cache
def _tables() -> tuple[NDArray[np.uint8], Hashes]:
    """By code point: its class, and a random-looking number."""
    classes = np.zeros(_KNOWN, np.uint8)
    for code in range(_KNOWN - 1):
        if unicodedata.category(chr(code))[0] in "LNM":
            classes[code] = _PART
    for low, high in _ALONE_RANGES:
        span = classes[low:high]
        span[span == _PART] = _ALONE
    return classes, mixed(np.arange(1, _KNOWN + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15))


_BASE = 0x5851F42D4C957F2D
"""Odd, so that it has an inverse modulo 2⁶⁴ (Knuth's MMIX multiplier)."""
_kept: list[tuple[Hashes, Hashes]] = []


def _powers(n: int) -> tuple[Hashes, Hashes]:
    """Powers of the base and of its inverse, from 0 to n − 1."""
    if not _kept or len(_kept[-1][0]) < n:
        size = max(n, 2 * BATCH)
        made = []
        for base in (_BASE, pow(_BASE, -1, 1 << 64)):
            steps = np.full(size, base, np.uint64)
            steps[0] = 1
            made.append(np.cumprod(steps, dtype=np.uint64))
        _kept[:] = [(made[0], made[1])]
    powers, inverses = _kept[-1]
    return powers[:n], inverses[:n]
