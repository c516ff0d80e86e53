"""Pure. Prompts of the test set that a model could have learnt by heart from the train set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from core.i18n import N_
from core.quality.texts.findings import SEVERE, Finding, Result
from core.quality.texts.shingles import Hashes, Shingles, shingled
from core.texts.records import Record

WORDS = 13
"""In a row that two texts share by copying only (Brown et al. 2020, appendix C)."""
CHARACTERS = 20
"""The same where most tokens are single characters."""
LEAST_TOKENS = 5
"""Shorter test prompts are greetings and the like, which may stand anywhere."""
COMMON = 10
"""A run of words in more test prompts than this is a template, not a copy."""


@dataclass(frozen=True)
class Prompts:
    """Runs of tested prompts that would be known by heart."""

    runs: Hashes
    """Ascending."""
    owners: NDArray[np.int64]
    """For each run the first test record that has it."""


def check(train: Sequence[Record], test: Sequence[Record]) -> Result:
    """A severe finding for each train record that shares a run of WORDS words (or CHARACTERS) with a test prompt.

    A prompt that is shorter than that counts where a train prompt is equal to it. Template text that more
    than COMMON test prompts share does not count. `fields["test"]` is the index of one such test record.
    """
    found = shared(train, prompts([asked(record.prompt, record.context) for record in test]))
    findings = [
        Finding(
            row,
            "",
            "leakage",
            SEVERE,
            N_("Shares a long run of words with the test prompt of line {line}."),
            {"line": test[found[row]].line or found[row] + 1, "test": found[row]},
        )
        for row in sorted(found)
    ]
    return Result(findings, len(train))


def prompts(test: Sequence[str]) -> Prompts:
    """`test`: what each tested record asks, see `asked`."""
    made = shingled(test, WORDS, CHARACTERS)
    owner = np.repeat(np.arange(len(test)), np.diff(made.offsets))
    long_enough = made.tokens[owner] >= LEAST_TOKENS
    hashes, owner = made.hashes[long_enough], owner[long_enough]
    order = np.lexsort((owner, hashes))
    hashes, owner = hashes[order], owner[order]
    again = np.zeros(len(hashes), bool)  # the same run twice in one prompt
    again[1:] = (hashes[1:] == hashes[:-1]) & (owner[1:] == owner[:-1])
    hashes, owner = hashes[~again], owner[~again]
    runs, first, count = np.unique(hashes, return_index=True, return_counts=True)
    return Prompts(runs[count <= COMMON], owner[first][count <= COMMON])


def shared(train: Sequence[Record], tested: Prompts) -> dict[int, int]:
    """By index of a train record, the test record whose run it has."""
    found: dict[int, int] = {}
    if not len(tested.runs):
        return found
    for given in _given(train):
        place = np.minimum(np.searchsorted(tested.runs, given.hashes), len(tested.runs) - 1)
        hits = np.flatnonzero(tested.runs[place] == given.hashes)
        rows = np.searchsorted(given.offsets, hits, side="right") - 1
        for row, owner in zip(rows.tolist(), tested.owners[place[hits]].tolist(), strict=True):
            found.setdefault(row, owner)
    return found


def outlined(train: Sequence[Record]) -> Any:
    """A pa.ListArray: for each record the lower halves of its runs' hashes (uint32, each once): what `suspects` needs."""
    whole, asks = _given(train)
    counts = [np.diff(each.offsets) for each in (whole, asks)]
    owner = np.concatenate([np.repeat(np.arange(len(train)), of) for of in counts]).astype(np.uint64)
    halves = np.concatenate([whole.hashes, asks.hashes]) & _LOWER
    both = np.sort(owner << np.uint64(32) | halves)
    both = both[np.concatenate((both[:1] == both[:1], both[1:] != both[:-1]))]
    ends: Any = pa.array(np.searchsorted(both >> np.uint64(32), np.arange(len(train) + 1)).astype(np.int32))
    values: Any = pa.array((both & _LOWER).astype(np.uint32))
    return pa.ListArray.from_arrays(ends, values)


def suspects(halves: NDArray[np.uint32], tested: Prompts) -> NDArray[np.bool_]:
    """Which of the halves are also those of a tested run: all that `shared` finds have one, few others do."""
    wanted = np.unique((tested.runs & _LOWER).astype(np.uint32))
    marked = np.zeros(1 << _MARKS, bool)
    marked[wanted >> np.uint32(32 - _MARKS)] = True
    out = marked[halves >> np.uint32(32 - _MARKS)]
    out[out] = np.isin(halves[out], wanted)
    return out


_LOWER = np.uint64(0xFFFFFFFF)
_MARKS = 22
"""Bits of a hash that are looked up first; the table fits the cache, and few pass."""


def _given(train: Sequence[Record]) -> tuple[Shingles, Shingles]:
    """Runs of all that each record says, and of what it asks."""
    whole = shingled([record.whole() for record in train], WORDS, CHARACTERS)
    return whole, shingled([asked(record.prompt, record.context) for record in train], WORDS, CHARACTERS)


def asked(prompt: str, context: str) -> str:
    """What a record asks, with what it is about."""
    return f"{prompt}\n{context}"
