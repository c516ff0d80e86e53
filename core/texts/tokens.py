"""Pure. How many tokens a text has: counted by a tokenizer of the operator's, else estimated.

The estimate takes each Han, Kana or Hangul character, each run of other letters and digits, and each
punctuation mark or symbol for one token. Models cut longer words further, so it is a lower figure for
most of them; it is called an estimate wherever it is shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from core.errors import Unavailable

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_ALONE = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}"
_TOKEN = rf"[{_ALONE}]|[^{_ALONE}\s\p{{Z}}\p{{P}}\p{{S}}\p{{C}}]+|[\p{{P}}\p{{S}}]"
_BATCH = 10_000
"""Texts that a tokenizer works on at once, so that what it answers stays small."""


@dataclass(frozen=True)
class Counter:
    """Counts tokens; `tokenizer` None estimates."""

    tokenizer: Path | None = None

    @property
    def estimated(self) -> bool:
        return self.tokenizer is None

    def count(self, texts: pa.StringArray) -> NDArray[np.int64]:
        """Tokens of each text, without those that begin and end a sequence. Raises Unavailable."""
        if self.tokenizer is None:
            counted = pc.count_substring_regex(texts, pattern=_TOKEN)
            return np.asarray(counted.to_numpy(zero_copy_only=False), np.int64)
        made = _opened(self.tokenizer)
        counts: list[int] = []
        for first in range(0, len(texts), _BATCH):
            some = texts.slice(first, _BATCH).to_pylist()
            counts += [len(each.ids) for each in made.encode_batch_fast(some, add_special_tokens=False)]
        return np.array(counts, np.int64)


@lru_cache(1)
def _opened(path: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    try:
        made = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        raise Unavailable(
            "The tokenizer {path} cannot be read; set VERITRAIN_TOKENIZER to a tokenizer.json, or to nothing.",
            path=str(path),
        ) from error
    made.no_truncation()
    made.no_padding()
    return made
