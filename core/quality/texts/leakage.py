"""Pure. Prompts of the test set that a model could have learnt by heart from the train set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from core.i18n import N_
from core.quality.texts.findings import SEVERE, Finding, Result
from core.quality.texts.shingles import shingled
from core.texts.records import Record

WORDS = 13
"""In a row that two texts share by copying only (Brown et al. 2020, appendix C)."""
CHARACTERS = 20
"""The same where most tokens are single characters."""
LEAST_TOKENS = 5
"""Shorter test prompts are greetings and the like, which may stand anywhere."""
COMMON = 10
"""A run of words in more test prompts than this is a template, not a copy."""


def check(train: Sequence[Record], test: Sequence[Record]) -> Result:
    """A severe finding for each train record that shares a run of WORDS words (or CHARACTERS) with a test prompt.

    A prompt that is shorter than that counts where a train prompt is equal to it. Template text that more
    than COMMON test prompts share does not count. `fields["test"]` is the index of one such test record.
    """
    prompts = shingled([asked(record) for record in test], WORDS, CHARACTERS)
    owner = np.repeat(np.arange(len(test)), np.diff(prompts.offsets))
    long_enough = prompts.tokens[owner] >= LEAST_TOKENS
    pairs = np.unique(np.stack([prompts.hashes[long_enough], owner[long_enough].astype(np.uint64)]), axis=1)
    runs, first, count = np.unique(pairs[0], return_index=True, return_counts=True)
    runs, owners = runs[count <= COMMON], pairs[1][first][count <= COMMON]
    found: dict[int, int] = {}
    if len(runs):
        for texts in ([record.whole() for record in train], [asked(record) for record in train]):
            given = shingled(texts, WORDS, CHARACTERS)
            place = np.minimum(np.searchsorted(runs, given.hashes), len(runs) - 1)
            hits = np.flatnonzero(runs[place] == given.hashes)
            rows = np.searchsorted(given.offsets, hits, side="right") - 1
            for row, owner_ in zip(rows.tolist(), owners[place[hits]].tolist(), strict=True):
                found.setdefault(row, int(owner_))
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


def asked(record: Record) -> str:
    """What a record asks, with what it is about."""
    return f"{record.prompt}\n{record.context}"
